"""What makes widths of volleys comparable: equal counts, shares of a layer, surrogates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures import null_registry
from hxloop.analysis.measures.matched import MATCHED, matched_spread
from hxloop.analysis.measures.measure import LayerSpikes
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.measures.null_models import class_permuted
from hxloop.analysis.measures.synchrony import spike_statistics
from hxloop.analysis.report.packet_table import packet_tables
from tests.analysis.analysed_states import QUICK, trained

INF = np.inf
BY_KEY = {each.key: each for each in measures("synchrony")}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**31))
def test_all_spikes_drawn_are_the_spikes_and_fewer_are_none(n: int, seed: int) -> None:
    times = np.full((2, 8), INF)
    rng = np.random.default_rng(seed)
    times[0, rng.permutation(8)[:n]] = rng.random(n)
    times[1, rng.permutation(8)[: n - 1]] = rng.random(n - 1)
    times.setflags(write=False)
    shorth, sigma = matched_spread(times, n_spikes=n)
    expected = spike_statistics(times)
    np.testing.assert_allclose(
        (shorth[0], sigma[0]), (expected.shorth[0], expected.packet_sigma[0])
    )
    assert np.isnan(shorth[1]) and np.isnan(sigma[1])


def test_the_mean_over_draws_is_that_over_all_choices() -> None:
    """Of 0, 1, 3, 7 three spikes: shortest halves 1, 1, 3, 2 in the four choices."""
    times = np.tile([7.0, 0.0, INF, 3.0, 1.0], (4000, 1))
    shorth, sigma = matched_spread(times, n_spikes=3, n_draws=1)
    values, counts = np.unique(shorth, return_counts=True)
    assert values.tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(counts / 4000, (0.5, 0.25, 0.25), atol=0.03)
    choices = np.array(list(combinations([0.0, 1.0, 3.0, 7.0], 3)))
    expected = spike_statistics(choices).packet_sigma.mean()
    assert sigma.mean() == pytest.approx(expected, rel=0.03)


def test_equal_counts_take_the_bias_of_few_spikes_away() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(2, 0.1, (2000, MATCHED + 2)), rng.normal(2, 0.1, (2000, 300))
    raw = [spike_statistics(times).shorth.mean() for times in (few, many)]
    assert raw[0] < 0.9 * raw[1]
    matched = [matched_spread(times)[0].mean() for times in (few, many)]
    assert matched[0] == pytest.approx(matched[1], rel=0.03)


def test_a_packet_s_share_is_of_the_neurons() -> None:
    times = np.array([[1.0, 1.0, 1.0, 1.0, INF, INF, INF, INF], [2.0] + [INF] * 7])
    assert BY_KEY["packet_share"].values(LayerSpikes(times)).tolist() == [0.5, 0.125]
    # Of bursts a column is a spike: the layer has fewer neurons than columns.
    assert BY_KEY["packet_share"].values(LayerSpikes(times, 2)).tolist() == [2.0, 0.5]


def test_permuted_within_classes_keeps_neurons_and_destroys_volleys() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 50)
    # A volley 0.01 wide, whose place is drawn anew in each sample from 1 wide.
    times = rng.random((100, 1)) + 0.01 * rng.random((100, 20))
    times[:50, 3] = INF
    times.setflags(write=False)
    got = class_permuted(times, labels, rng)
    for label in (0, 1):
        same = labels == label
        np.testing.assert_array_equal(np.sort(got[same], axis=0), np.sort(times[same], axis=0))
    assert spike_statistics(got).shorth.mean() > 20 * spike_statistics(times).shorth.mean()
    # Where all samples of a class are alike there is nothing to destroy.
    alike = np.where(labels[:, None] == 0, 1.0, 2.0) + np.linspace(0, 1, 20)
    np.testing.assert_array_equal(class_permuted(alike, labels, rng), alike)


def test_the_surrogate_is_not_defined_for_bursts_or_without_labels() -> None:
    times = np.array([[0.1, 0.2], [0.3, 0.4]])
    for labels, once in ((None, True), (np.zeros(2, int), False)):
        volleys = null_registry.Volleys(
            times=times, start=times[:, 0], decided=np.ones(2), is_input=False, jitter=0.1,
            labels=labels, once=once,
        )  # fmt: skip
        got = null_registry.draw_null("class_permuted", volleys, np.random.default_rng(0))
        assert np.isinf(got).all()


def test_ratios_are_observed_over_null_and_stand_on_the_page() -> None:
    found = analyse([trained()], options=QUICK)
    for layer in found["synchrony"]["trained"]["layers"][:-1]:
        for null in ("uniform", "jittered", "class_permuted"):
            entry = layer["null"][null]
            ratio = entry["ratio"]
            assert ratio["value"] == pytest.approx(layer["causal"]["shorth"] / entry["shorth"])
            assert ratio["low"] <= ratio["value"] <= ratio["high"]
    # Its latencies are drawn for every neuron on its own: nothing in common but the class.
    deep = found["synchrony"]["trained"]["layers"][3]["null"]["class_permuted"]["ratio"]
    assert 0.8 < deep["value"] < 1.2
    assert found["synchrony"]["trained"]["layers"][-1]["null"]["uniform"]["ratio"]["value"] is None
    page = packet_tables(found)
    layer = found["synchrony"]["trained"]["layers"][2]["causal"]
    for value in (layer["packet_a"], layer["packet_sigma"], 10 * layer["packet_sigma"]):
        assert f"<td>{value:.3g}</td>" in page
