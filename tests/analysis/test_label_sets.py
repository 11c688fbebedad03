"""Semantization: the share of a packet's spikes from the label's neurons, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.label_sets import label_shares, measure_semantization
from hxloop.analysis.measures.null_models import weight_shuffled
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.synchrony import packet_mask, pulse_packets
from hxloop.analysis.report.packet_table import label_share_tables
from tests.analysis.analysed_states import N_NEURONS, QUICK, chain_weights, trained

INF = np.inf


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 9))
def test_the_packet_s_spikes_are_those_of_a_and_sigma(seed: int, neurons: int) -> None:
    rng = np.random.default_rng(seed)
    times = rng.random((4, neurons)) ** 3
    times[rng.random(times.shape) < 0.3] = INF
    inside, (a, _) = packet_mask(times), pulse_packets(times)
    assert inside.sum(axis=1).tolist() == a.tolist()
    assert not inside[np.isinf(times)].any()


def test_a_straggler_is_not_in_the_packet() -> None:
    assert packet_mask(np.array([[1.0, 9.0, 1.02, INF, 1.01]])).tolist() == [
        [True, False, True, False, True]
    ]


def test_shares_counted_by_hand() -> None:
    packet = np.array([[1, 1, 1, 0, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    sets = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 1, 0]], bool)
    eligible = np.array([1, 1, 1, 1, 0], bool)
    own, chance, others = label_shares(packet, sets, np.array([0, 1, 0]), eligible)
    np.testing.assert_allclose(own, [2 / 4, 1 / 2, np.nan])
    np.testing.assert_allclose(others, [2 / 4, 0.0, np.nan])
    # Two of four that can be in a set, and three of four spikes are theirs.
    np.testing.assert_allclose(chance, [2 / 4 * 3 / 4, 3 / 4 * 1 / 2, np.nan])


def test_chance_is_the_mean_over_random_sets() -> None:
    rng = np.random.default_rng(0)
    packet = rng.random((1, 30)) < 0.4
    eligible = np.arange(30) < 22
    drawn = []
    for _ in range(3000):
        sets = np.zeros((1, 30), bool)
        sets[0, rng.permutation(22)[:7]] = True
        own, chance, others = label_shares(packet, sets, np.array([0]), eligible)
        drawn.append(own[0])
    assert np.mean(drawn) == pytest.approx(chance[0], abs=0.01)
    assert np.isnan(others[0])


def test_weights_of_blocks_give_sets_of_blocks() -> None:
    """Neuron i drives only neurons and the output of class i mod 2; inhibition is not followed."""
    member = np.arange(8) % 2
    block = np.where(member[:, None] == member, 1.0, -5.0)
    weights = [block, np.where(member[:, None] == np.arange(2), 1.0, -5.0)]
    labels = np.array([0, 1, 1])
    # Sample 0: only its own; sample 1: all alike; sample 2: only the other label's.
    times = np.where([member == 0, member >= 0, member == 0], 1.0, INF)
    output = np.full((3, 2), 2.0)
    found = measure_semantization(
        [times, times, output], weights, [], output[:, 0], labels,
        AnalysisOptions(pathway_fraction=0.99),
    )  # fmt: skip
    assert found.set_sizes.tolist() == [[4, 4], [4, 4]]
    assert found.share.tolist() == [[1.0, 0.5, 0.0]] * 2
    assert found.others.tolist() == [[0.0, 0.5, 1.0]] * 2
    assert found.chance.tolist() == [[0.5] * 3] * 2
    assert found.spikes.tolist() == [[4.0, 8.0, 4.0]] * 2
    undecided = measure_semantization(
        [times, times, output], weights, [], np.full(3, INF), labels, AnalysisOptions()
    )
    assert np.isnan(undecided.share).all()


def test_shuffling_keeps_signs_and_destroys_the_sets() -> None:
    state = trained()
    mixed = [weight_shuffled(chain_weights(), np.random.default_rng(i)) for i in range(5)]
    decided = state.output_times.min(axis=1)
    found = measure_semantization(
        (state.input_times, *state.layer_times), state.weights, mixed, decided, state.labels, QUICK
    )
    assert found.rewired.shape == (5, 4)
    # In the last hidden layer only the six neurons of the right class come before the decision,
    # and four of them hold half of the credit; those of other labels hold none.
    assert np.nanmean(found.share[3]) == pytest.approx(4 / 6, abs=0.05)
    assert np.nanmax(found.others[3]) == 0.0
    assert found.rewired[:, 3].max() < 0.5
    assert np.nanmean(found.chance[3]) == pytest.approx(
        found.set_sizes[3].mean() / N_NEURONS, rel=1e-6
    )


def test_the_analysis_tells_it_with_its_null() -> None:
    found = analyse([trained()], options=QUICK)
    pathways = found["pathways"]["trained"]
    layer = pathways["label_share"]["layers"][3]
    assert layer["share"]["value"] > 0.6 and layer["beyond_others"]["low"] > 0.55
    null = layer["null"]["weight_shuffled"]
    assert null["draws"] == QUICK.n_rewired == 20 and null["p_value"] == pytest.approx(1 / 21)
    assert null["difference"] == pytest.approx(layer["share"]["value"] - null["value"])
    runs = pathways["from_runs"]["layers"][2]["null"]["weight_shuffled"]
    assert runs["draws"] == 20
    assert runs["difference"] == pytest.approx(runs["observed"] - runs["value"])
    assert "of the label's neurons in the packet" in label_share_tables(found)
