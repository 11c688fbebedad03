"""Spread measures against closed forms, a loop, elephant, and published spike times."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hxloop.analysis.measures.synchrony import (
    causal_spikes,
    decision_times,
    layer_statistics,
    pulse_packets,
    shorth,
    spike_contrast,
    spike_statistics,
)
from hxloop.errors import RunInputError

INF = np.inf
times_of_samples = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 12)),
    elements=st.one_of(st.just(INF), st.floats(0, 5), st.sampled_from([0.0, 0.5, 0.5, 1.0])),
)


def shorth_by_search(spikes: np.ndarray) -> float:
    """All intervals that begin and end at a spike; the shortest with at least half of them."""
    spikes = spikes[np.isfinite(spikes)]
    if not len(spikes):
        return math.nan
    return min(
        stop - start
        for start in spikes
        for stop in spikes
        if stop >= start and 2 * ((spikes >= start) & (spikes <= stop)).sum() >= len(spikes)
    )


@settings(max_examples=80, deadline=None)
@given(times_of_samples)
def test_every_measure_agrees_with_a_loop_over_samples(times: np.ndarray) -> None:
    times.setflags(write=False)
    got = spike_statistics(times)
    for sample, row in enumerate(times):
        spikes = row[np.isfinite(row)]
        assert got.n_spikes[sample] == len(spikes)
        expected = {"shorth": shorth_by_search(row)}
        if len(spikes):
            q1, q2, q3 = np.quantile(spikes, [0.25, 0.5, 0.75])
            expected |= {"median": q2, "iqr": q3 - q1, "std": spikes.std()}
        else:
            expected |= {"median": math.nan, "iqr": math.nan, "std": math.nan}
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(got, name)[sample], value, atol=1e-12, err_msg=name)


@settings(max_examples=50, deadline=None)
@given(times_of_samples, st.floats(0.1, 3), st.floats(0, 4))
def test_spread_scales_and_does_not_see_shifts(
    times: np.ndarray, scale: float, shift: float
) -> None:
    before, after = spike_statistics(times), spike_statistics(scale * times + shift)
    for name in ("std", "iqr", "shorth"):
        np.testing.assert_allclose(
            getattr(after, name), scale * getattr(before, name), atol=1e-9, err_msg=name
        )


def test_no_spike_and_one_spike() -> None:
    got = spike_statistics(np.array([[INF, INF, INF], [INF, 0.7, INF]]))
    assert got.n_spikes.tolist() == [0, 1]
    assert got.median[1] == 0.7
    for name in ("median", "std", "iqr", "shorth", "packet_sigma"):
        assert np.isnan(getattr(got, name)[0])
    for name in ("std", "iqr", "shorth", "packet_sigma"):
        assert getattr(got, name)[1] == 0
    assert got.packet_a.tolist() == [0, 1]


def test_means_leave_out_what_is_not_defined() -> None:
    got = spike_statistics(np.array([[INF, INF, INF], [0.0, 1.0, 3.0]])).means()
    assert got["n_spikes"] == 1.5
    assert got["shorth"] == 1.0  # ceil(3/2) = 2 of 3 spikes
    assert math.isnan(spike_statistics(np.full((2, 3), INF)).means()["shorth"])


def test_evenly_spaced_spikes() -> None:
    """n spikes, d apart: half of them take (ceil(n/2) - 1) d; std is d sqrt((n^2 - 1)/12)."""
    for n in (2, 3, 4, 9, 10):
        got = spike_statistics(0.25 * np.arange(n)[None])
        assert got.shorth[0] == pytest.approx((math.ceil(n / 2) - 1) * 0.25)
        assert got.std[0] == pytest.approx(0.25 * math.sqrt((n**2 - 1) / 12))
        assert got.iqr[0] == pytest.approx((n - 1) / 2 * 0.25)
        assert got.median[0] == pytest.approx((n - 1) / 2 * 0.25)


def test_a_pulse_packet_is_found_among_stragglers() -> None:
    """Quantiles of a normal distribution of width 0.05, and 30 spikes far behind it."""
    from scipy.stats import norm

    n, sigma = 400, 0.05
    packet = 1.0 + sigma * norm.ppf((np.arange(n) + 0.5) / n)
    a, width = pulse_packets(np.concatenate([packet, np.linspace(2, 4, 30)])[None])
    inside = norm.cdf(3) - norm.cdf(-3)
    # Half of 430 spikes lie in a wider interval of the packet than half of its own 400.
    wider = norm.ppf(0.5 + 215 / 400 / 2) / norm.ppf(0.75)
    assert inside * n - 2 <= a[0] <= n
    # Cut off at 3 sigma of the wider estimate, the deviation is between that of the cut at
    # 3 sigma (0.9866 sigma, which the measure corrects) and that of no cut.
    assert sigma * 0.999 * (1 - 1 / n) <= width[0] <= sigma / 0.98661 * wider
    assert (
        spike_statistics(np.concatenate([packet, np.linspace(2, 4, 30)])[None]).std[0] > 6 * sigma
    )


def test_coincident_spikes_are_a_packet_of_no_width() -> None:
    a, sigma = pulse_packets(np.array([[0.5] * 5 + [0.9, 2.0, INF]]))
    assert (a[0], sigma[0]) == (5, 0)


def test_causal_spikes_are_not_later_than_the_decision() -> None:
    output = np.array([[0.8, 0.6], [INF, INF], [INF, 2.0]])
    decided = decision_times(output)
    assert decided.tolist() == [0.6, INF, 2.0]
    times = np.array([[0.2, 0.6, 0.7], [0.1, 0.2, 0.3], [INF, 1.9, 3.0]])
    expected = [[0.2, 0.6, INF], [INF, INF, INF], [INF, 1.9, INF]]
    assert causal_spikes(times, decided).tolist() == expected
    everything, causal = layer_statistics([times, output], decided)[0]
    assert everything.n_spikes.tolist() == [3, 3, 2]
    assert causal.n_spikes.tolist() == [2, 0, 1]


def test_many_samples_are_worked_through_in_parts() -> None:
    rng = np.random.default_rng(1)
    times = rng.random((1500, 700))
    times[rng.random(times.shape) < 0.3] = INF
    whole = shorth(times)
    assert np.array_equal(whole[1400:], shorth(times[1400:]))
    assert np.array_equal(whole[:3], [shorth_by_search(row) for row in times[:3]])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.zeros(3), r"expected \(samples, neurons\); got the shape \(3,\)"),
        (np.array([[0.0, 1.0], [2.0, math.nan]]), "sample 1, neuron 1: got NaN"),
    ],
)
def test_bad_times_are_refused(times: np.ndarray, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        spike_statistics(times)


def test_a_decision_for_each_sample() -> None:
    with pytest.raises(RunInputError, match=r"one for each of 2 samples; got the shape \(3,\)"):
        causal_spikes(np.zeros((2, 4)), np.zeros(3))


# --- elephant -----------------------------------------------------------------------------


def test_spike_contrast_of_perfect_synchrony_and_of_chance() -> None:
    """All neurons at once in 20 samples, and one more train of two spikes."""
    n_neurons, n_samples = 50, 20
    together = np.full((n_samples, n_neurons), 0.5)
    spikes = n_neurons * n_samples
    # Contrast and active trains are 1 but for the two additional spikes and their train.
    got = spike_contrast(together, 3.0)
    assert abs(got - 1) < 2 * (2 / spikes + 1 / n_neurons)
    apart = np.random.default_rng(0).uniform(0, 2.9, together.shape)
    assert spike_contrast(apart, 3.0) < 0.2


def test_spike_contrast_and_pulse_packets_order_volleys_alike() -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((20, 100))
    volleys = [1 + sigma * noise for sigma in (0.01, 0.04, 0.1, 0.2)]
    contrast = [spike_contrast(times, 4.0) for times in volleys]
    widths = [pulse_packets(times)[1].mean() for times in volleys]
    assert contrast == sorted(contrast, reverse=True)
    assert widths == sorted(widths)


@pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")
def test_the_number_of_coincident_spikes_agrees_with_elephant() -> None:
    """A packet of no width: its size is elephant's largest complexity of exact coincidences."""
    import quantities as pq
    from elephant.spike_train_synchrony import Synchrotool
    from neo import SpikeTrain

    rng = np.random.default_rng(3)
    row = np.concatenate([np.full(31, 0.5), np.round(rng.uniform(1, 3, 20), 2)])
    trains = [SpikeTrain([t], units=pq.s, t_stop=4.0) for t in row]
    largest = Synchrotool(trains, sampling_rate=100 / pq.s, spread=0).complexity_histogram
    assert pulse_packets(row[None])[0][0] == len(largest) - 1


def test_spike_contrast_of_silence_and_of_bad_periods() -> None:
    assert math.isnan(spike_contrast(np.full((4, 5), INF), 3.0))
    with pytest.raises(RunInputError, match="after the last spike at 2"):
        spike_contrast(np.array([[1.0, 2.0]]), 2.0)


# --- the published network ----------------------------------------------------------------


def published() -> dict[str, np.ndarray]:
    folder = os.environ.get("HXLOOP_DATA_DIR")
    path = Path(folder or "") / "seed_paper" / "fourlayer_dale_seed1.npz"
    if folder is None or not path.is_file():
        pytest.skip("the published spike times are not in HXLOOP_DATA_DIR")
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def test_the_causal_shorths_of_published_spikes_to_the_digits_of_a_second_program() -> None:
    data = published()
    shorths = {}
    for state in ("trained", "untrained"):
        layers = [data["input"], *data[f"hidden_{state}"]]
        decided = decision_times(data[f"output_{state}"])
        measured = layer_statistics(layers, decided)
        shorths[state] = [causal.means()["shorth"] for _, causal in measured]
    assert [f"{value:.3f}" for value in shorths["trained"]] == [
        "0.037", "0.086", "0.108", "0.029", "0.012",
    ]  # fmt: skip
    assert (np.diff(shorths["untrained"][1:]) < 0).all()
