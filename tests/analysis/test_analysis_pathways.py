"""Pathways against hand-made networks and a loop over spikes; ablation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.analysis.assess.ablation import (
    ablate,
    ablation_study,
    distinctive_neurons,
    random_masks,
    silence,
)
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathway_measures import MIN_WINS, measure_pathways
from hxloop.analysis.measures.pathways import (
    class_pathways,
    distinctness,
    pathway_members,
    pathway_overlap,
    pathways_from_runs,
    pathways_from_weights,
    resampled_pathways,
)
from hxloop.analysis.measures.statistics import resampling_weights
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec
from hxloop.substrate import get_backend

INF = np.inf


def kernel(s: float, tau_mem: float, tau_syn: float) -> float:
    """The postsynaptic potential as ``hxloop.network`` has it."""
    if s <= 0:
        return 0.0
    if tau_mem == tau_syn:
        return s * math.exp(-s / tau_mem)
    factor = tau_mem * tau_syn / (tau_mem - tau_syn)
    return factor * (math.exp(-s / tau_mem) - math.exp(-s / tau_syn))


def credit_by_loops(layers, weights, taus) -> list[np.ndarray]:
    """The definition, spike by spike."""
    result = [np.zeros(times.shape) for times in layers]
    for sample in range(len(layers[0])):
        if np.isinf(layers[-1][sample]).all():
            continue
        result[-1][sample, layers[-1][sample].argmin()] = 1.0
        for index in reversed(range(len(weights))):
            pre, post = layers[index][sample], layers[index + 1][sample]
            for j in np.flatnonzero(result[index + 1][sample]):
                parts = np.array(
                    [
                        max(weights[index][i, j], 0) * kernel(post[j] - pre[i], *taus[index])
                        for i in range(len(pre))
                    ]
                )
                if parts.sum() > 0:
                    result[index][sample] += result[index + 1][sample, j] * parts / parts.sum()
    return result[:-1]


def network(seed: int, sizes=(8, 6, 5, 3), samples: int = 7):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0.15, 0.5, shape) for shape in pairwise(sizes)]
    layers = [rng.uniform(0, 4, (samples, size)) for size in sizes]
    for times in layers:
        times[rng.random(times.shape) < 0.2] = INF
    return layers, weights


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(1.0, 1.0), (2.0, 1.0), (1.0, 1.6), (1.0005, 1.0), (0.002, 0.002)]),
)
def test_credit_is_handed_on_as_defined(seed: int, tau: tuple[float, float]) -> None:
    layers, weights = network(seed)
    for array in (*layers, *weights):
        array.setflags(write=False)
    taus = [tau] * len(weights)
    got, lost = pathways_from_runs(layers, weights, taus)
    for mine, expected in zip(got, credit_by_loops(layers, weights, taus), strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-5)
    np.testing.assert_allclose(got[0].sum(axis=1) + lost, 1.0, atol=1e-5)


def test_credit_of_one_synapse_after_the_other() -> None:
    """Two inputs at 0 and 1 into one neuron that spikes at 2; tau = 1: 2 e^-2 against e^-1."""
    layers = [np.array([[0.0, 1.0, 3.0]]), np.array([[2.0, INF]]), np.array([[4.0]])]
    weights = [np.array([[1.0, 1.0], [1.0, 1.0], [5.0, 5.0]]), np.array([[1.0], [1.0]])]
    (inputs, hidden), lost = pathways_from_runs(layers, weights)
    assert hidden.tolist() == [[1.0, 0.0]]
    early, late = 2 * math.exp(-2), math.exp(-1)
    np.testing.assert_allclose(inputs[0], [early / (early + late), late / (early + late), 0])
    assert lost.tolist() == [0.0]


def test_silence_and_spikes_without_a_cause_lose_their_credit() -> None:
    weights = [np.array([[1.0]]), np.array([[1.0]])]
    silent = [np.array([[0.0]]), np.array([[1.0]]), np.array([[INF]])]
    (inputs, hidden), lost = pathways_from_runs(silent, weights)
    assert (inputs.item(), hidden.item(), lost.item()) == (0, 0, 1)
    noise = [np.array([[3.0]]), np.array([[1.0]]), np.array([[2.0]])]
    (inputs, hidden), lost = pathways_from_runs(noise, weights)
    assert (inputs.item(), hidden.item(), lost.item()) == (0, 1, 1)


def test_many_samples_and_threads_change_nothing() -> None:
    layers, weights = network(1, samples=1100)
    got, lost = pathways_from_runs(layers, weights, threads=3)
    part, part_lost = pathways_from_runs([times[1000:] for times in layers], weights, threads=1)
    assert np.array_equal(lost[1000:], part_lost)
    for whole, some in zip(got, part, strict=True):
        assert np.array_equal(whole[1000:], some)


def test_pathways_from_weights_multiply_shares() -> None:
    weights = [np.array([[1.0, -9.0], [3.0, 2.0]]), np.array([[1.0, 0.0], [1.0, -1.0]])]
    inputs, hidden = pathways_from_weights(weights)
    assert hidden.tolist() == [[0.5, 0.5], [0.0, 0.0]]
    assert inputs.tolist() == [[0.5 * 0.25, 0.5 * 0.75 + 0.5], [0.0, 0.0]]


def test_overlap_and_distinctness() -> None:
    same, apart = np.array([[0.5, 0.5, 0], [1, 1, 0]]), np.array([[1.0, 0, 0], [0, 0, 2]])
    assert pathway_overlap(same).tolist() == [1.0] and distinctness(same) == 0
    assert pathway_overlap(apart).tolist() == [0.0] and distinctness(apart) == 1
    three = np.array([[1.0, 0], [0.75, 0.25], [np.nan, np.nan]])
    np.testing.assert_array_equal(pathway_overlap(three), [0.75, np.nan, np.nan])
    assert distinctness(three) == 0.25
    assert np.isnan(distinctness(three[[0, 2]])) and np.isnan(distinctness(three[:1]))
    assert distinctness(np.stack([same, apart])).tolist() == [0.0, 1.0]


def test_members_are_the_fewest_that_hold_the_fraction() -> None:
    table = np.array([[0.5, 0.1, 0.4], [0.2, 0.4, 0.4], [0, 0, 0], [np.nan] * 3])
    got = pathway_members(table, 0.5)
    assert got.tolist() == [
        [True, False, False], [False, True, True], [False] * 3, [False] * 3,
    ]  # fmt: skip


def test_classes_that_never_win_have_no_pathway() -> None:
    credit = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    got = class_pathways(credit, [0, 0, -1], 2)
    np.testing.assert_array_equal(got, [[0.5, 0.5], [np.nan, np.nan]])


def test_resamples_of_everybody_once_are_the_pathways_themselves() -> None:
    rng = np.random.default_rng(2)
    credit, winners = rng.random((30, 5)), np.arange(30) % 3
    once = resampled_pathways(credit, winners, np.ones((1, 30)), 3)[0]
    np.testing.assert_allclose(once / 10, class_pathways(credit, winners, 3), rtol=1e-6)
    counts = resampling_weights(winners, 50, rng)
    spread = distinctness(resampled_pathways(credit, winners, counts, 3))
    assert spread.shape == (50,) and spread.std() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers, weights: (layers[:-1], weights), "expected 4 arrays"),
        (lambda layers, weights: (layers, [weights[0], weights[2]]), r"weights\[1\]"),
        (lambda layers, weights: (layers, []), "got none"),
        (lambda layers, weights: (layers, [weights[0] * np.nan, *weights[1:]]), "finite"),
        (lambda layers, weights: ([layers[0][:3], *layers[1:]], weights), "shapes"),
    ],
)
def test_bad_input_is_refused(change, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        pathways_from_runs(*change(*network(0)))


def test_time_constants_are_checked() -> None:
    with pytest.raises(RunInputError, match="3 pairs of positive time constants"):
        pathways_from_runs(*network(0), [(1.0, 0.0)] * 3)


# --- ablation -----------------------------------------------------------------------------

N = 3  # classes
TWO_EACH = [np.kron(np.eye(N), np.ones((2, 2))), np.kron(np.eye(N), np.ones((2, 1)))]


def run_ideal(weights) -> np.ndarray:
    """Class c sends two input spikes; the network is three separate chains."""
    times = np.where(np.kron(np.eye(N), np.ones((1, 2))) > 0, 0.5, INF)
    spec = NetworkSpec.feed_forward(2 * N, 2 * N, N)
    with get_backend("ideal").open(spec) as session:
        output = session.run([3 * matrix for matrix in weights], times).output_times
    return np.where(np.isfinite(output.min(axis=1)), output.argmin(axis=1), -1)


def test_silencing_a_pathway_hurts_its_class_alone() -> None:
    pathways = [pathways_from_weights(TWO_EACH)[1]]
    masks = distinctive_neurons(pathways, fraction=1 / 3)
    assert [mask[0].tolist() for mask in masks] == [
        [c == i // 2 for i in range(2 * N)] for c in range(N)
    ]
    got = ablate(TWO_EACH, masks, run_ideal, np.arange(N), N)
    assert got.baseline.tolist() == [1.0] * N
    assert np.array_equal(got.drop, np.eye(N))
    assert got.specificity.tolist() == [1.0] * N and got.n_silenced.tolist() == [2] * N


def test_silencing_changes_outgoing_weights_of_a_copy() -> None:
    mask = np.arange(2 * N) < 2
    got = silence(TWO_EACH, [mask])
    assert np.array_equal(got[0], TWO_EACH[0])
    assert not got[1][:2].any() and np.array_equal(got[1][2:], TWO_EACH[1][2:])
    assert TWO_EACH[1][:2].any()


def test_random_masks_keep_the_number() -> None:
    masks = [np.arange(20) < 7, np.arange(5) < 1]
    got = random_masks(masks, np.random.default_rng(0))
    assert [mask.sum() for mask in got] == [7, 1] and not np.array_equal(got[0], masks[0])


def test_classes_without_samples_and_other_numbers_of_pathways() -> None:
    masks = [[np.zeros(2 * N, bool)], [np.ones(2 * N, bool)]]
    got = ablate(TWO_EACH, masks, lambda weights: run_ideal(weights)[:2], np.arange(2), N)
    assert np.isnan(got.baseline[2]) and got.accuracy[1, :2].tolist() == [0.0, 0.0]
    assert np.isnan(got.specificity).all() and len(got.specificity) == 2


def test_bad_ablations_are_refused() -> None:
    with pytest.raises(RunInputError, match="one for each hidden layer"):
        silence(TWO_EACH, [])
    with pytest.raises(RunInputError, match=r"expected \(3,\) decisions"):
        ablate(TWO_EACH, [], lambda weights: np.zeros(2, int), np.arange(N), N)
    with pytest.raises(RunInputError, match="fraction"):
        distinctive_neurons([np.zeros((2, 2))], 0.0)


def test_a_study_finds_the_pathways_and_not_random_neurons() -> None:
    got = ablation_study(
        TWO_EACH,
        [pathways_from_weights(TWO_EACH)[1]],
        run_ideal,
        np.arange(N),
        np.random.default_rng(1),
        fractions=(1 / 3,),
    )
    assert got["baseline"] == [1.0] * N
    (row,) = got["fractions"]
    assert row["specificity"] == [1.0] * N and row["n_silenced"] == [2] * N
    random = np.array(row["random_specificity"])
    assert row["value"] == pytest.approx(1 - random.mean()) and row["value"] > 0
    assert row["effect_size"] == (random < 1).mean()
    # Three pairs: no arrangement of signs is rarer than 2 of 8.
    assert row["p_value"] >= 0.2


# --- beside null models -------------------------------------------------------------------


def chance_network(layers_know: bool, samples: int = 400):
    """Random weights; the spikes know the class or do not."""
    rng = np.random.default_rng(5)
    sizes = (20, 20, 20, 4)
    weights = [rng.random(shape) for shape in pairwise(sizes)]
    winners = np.arange(samples) % 4
    layers = [depth + rng.random((samples, size)) for depth, size in enumerate(sizes)]
    for times in layers[:-1]:
        own = np.arange(20) % 4 == winners[:, None]
        times[~own if layers_know else rng.random(times.shape) < 0.75] = INF
    layers[-1][np.arange(samples), winners] = 2.9
    return layers, weights, winners


@pytest.mark.parametrize("layers_know", [False, True])
def test_distinctness_beyond_construction_and_noise(layers_know: bool) -> None:
    layers, weights, winners = chance_network(layers_know)
    options = AnalysisOptions(n_null=100)
    measured = measure_pathways(layers, weights, winners, None, options)
    for layer in range(3):
        corrected = measured.corrected(layer)
        if layers_know:  # populations of two classes have no neuron in common
            np.testing.assert_allclose(corrected, 1.0)
        else:  # nothing but weights and noise, of which a tenth may remain
            assert corrected.max() < 0.1
            assert float(distinctness(measured.from_runs[layer])) > 0.03
    assert measured.lost == pytest.approx(0.0, abs=0.05)


def test_outputs_that_hardly_ever_win_have_no_pathway() -> None:
    layers, weights, winners = chance_network(True)
    few = winners.copy()
    few[np.flatnonzero(winners == 3)[MIN_WINS - 1 :]] = -1
    measured = measure_pathways(layers, weights, few, None, AnalysisOptions(n_null=10))
    assert np.isnan(measured.from_runs[1]).all(axis=1).tolist() == [False, False, False, True]
    assert np.isfinite(measured.label_shuffled).all() and np.isfinite(measured.resamples).all()
