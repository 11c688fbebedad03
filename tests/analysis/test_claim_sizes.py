"""The size of every claim's test: under its null hypothesis 5 % of the p-values fall below .05.

Each null is simulated ``n`` times with the analysis' own measures of made-up spikes; the numbers
of p-values below a level are binomial, and bounds are those that one in a thousand such numbers
exceeds on each side, whatever ``n``. Levels beside 5 % see more with few simulations. All seeds
are fixed. Few simulations (seconds) see a null that is not the claim's; the many of ``make
test-all`` (a minute) see 13 % in place of 5 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom

from hxloop.analysis.assess.claim import FOUND, Claim, MeasuredState
from hxloop.analysis.assess.claim_of_learning import learned, p_of_difference
from hxloop.analysis.assess.claims import early_spread, reconvergence, synchronous_input
from hxloop.analysis.assess.claims_of_classes import distinct_pathways, growing_separability
from hxloop.analysis.measures import separability, synchrony
from hxloop.analysis.measures.jackknife import silhouette_pseudo_values
from hxloop.analysis.measures.measured import SeparabilityMeasures, measure_synchrony
from hxloop.analysis.measures.null_models import label_shuffled
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathway_measures import measure_pathways

INF = np.inf
LEVEL = 0.05
OPTIONS = AnalysisOptions(
    alpha=LEVEL, n_resamples=40, n_permutations=199, n_null=99, contrast_samples=2, n_rewired=2,
)  # fmt: skip


@pytest.fixture(params=[40, pytest.param(400, marks=pytest.mark.slow)])
def n(request: pytest.FixtureRequest) -> int:
    """Number of simulations."""
    return int(request.param)


def bounds(n: int, level: float) -> tuple[int, int]:
    """Fewest and most p-values of ``n`` below a level."""
    low, high = (int(binom.ppf(q, n, level)) for q in (1e-3, 1 - 1e-3))
    return low, high


@pytest.fixture(autouse=True)
def without_what_no_claim_tests(monkeypatch) -> None:
    """Elephant's spike contrast takes the time of all else together."""
    monkeypatch.setattr(synchrony, "spike_contrast", lambda *args, **more: np.nan)


def anew(rng: np.random.Generator) -> AnalysisOptions:
    """Options with a seed of their own: what the analysis draws is part of its tests.

    With one seed for all simulations they would share the null models' draws, and the share of
    small p-values would be that of these draws alone.
    """
    return replace(OPTIONS, seed=int(rng.integers(2**32)))


def state(layers, options, labels=None, weights=None, winners=None, classes=False) -> MeasuredState:
    """The measures that one of the claims needs."""
    n = len(layers[0])
    decided = layers[-1].min(axis=1)
    labels = np.arange(n) % 2 if labels is None else labels
    return MeasuredState(
        "state",
        ("input", *(f"layer {i}" for i in range(1, len(layers) - 1)), "output"),
        measure_synchrony(layers, decided, options),
        silhouettes(layers[:-1], labels, options) if classes else None,
        None if weights is None else measure_pathways(layers, weights, winners, None, options),
        {},
        labels,
    )


def silhouettes(layers, labels, options) -> SeparabilityMeasures:
    """Of what ``measure_separability`` gives that which the claim tests, computed as there."""
    rng = np.random.default_rng((options.seed, 2))
    shuffles = [label_shuffled(labels, rng) for _ in range(options.n_null)]
    values, pseudo, null = [], [], []
    for times in layers:
        distances = separability.euclidean_distances(separability.latency_features(times, 9.0))
        own = separability.silhouette(distances, labels)
        drawn = [separability.silhouette(distances, mixed).mean() for mixed in shuffles]
        values.append({"silhouette_times": own, "readout_times": np.ones(len(labels))})
        pseudo.append({"silhouette_times": silhouette_pseudo_values(distances, labels)})
        null.append({"silhouette_times": np.array(drawn)})
    every = np.arange(len(labels))
    return SeparabilityMeasures(every, every, every, values, pseudo, null, [], [], [])


def p_values(simulate: Callable[[np.random.Generator], float], n: int) -> np.ndarray:
    """P-values of ``n`` simulations."""
    found = np.array([simulate(np.random.default_rng((7, seed))) for seed in range(n)])
    assert not np.isnan(found).any()
    return found


def has_its_size(simulate: Callable[[np.random.Generator], float], n: int) -> None:
    """As many p-values lie below a level as it says, within chance."""
    found = p_values(simulate, n)
    for level in (LEVEL, 0.2, 0.5):
        low, high = bounds(n, level)
        assert low <= (found <= level).sum() <= high, f"{(found <= level).sum()} at {level}"


def is_seldom_found(simulate: Callable[[np.random.Generator], float], n: int) -> None:
    """At most 5 % of the p-values lie below .05, within chance."""
    assert (p_values(simulate, n) < LEVEL).sum() <= bounds(n, LEVEL)[1]


def volleys(rng, sizes, samples=40, draw=None) -> list[np.ndarray]:
    """Volleys of one distribution in all layers, of other numbers of spikes; decided at 5."""
    draw = draw or (lambda shape: rng.gamma(2.0, 0.3, shape))
    layers = [np.minimum(draw((samples, size)), 4.9) for size in sizes]
    layers.append(np.column_stack([np.full(samples, 5.0), np.full(samples, INF)]))
    return layers


# --- widths -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [6, 40])
def test_inputs_spread_evenly_are_not_called_synchronous(n: int, size: int) -> None:
    def simulate(rng) -> float:
        draw = lambda shape: rng.uniform(rng.uniform(0, 3), 5.0, shape)  # noqa: E731
        layers = volleys(rng, (size, 5), draw=draw)
        layers[-1][:, 0] = rng.uniform(3.5, 5.0, len(layers[0]))  # any time, whatever spiked
        return synchronous_input(state(layers, options := anew(rng)), options).p_value

    has_its_size(simulate, n)


@pytest.mark.parametrize("sizes", [(8, 60, 60, 30, 30), (60, 30, 15, 8, 5)])
@pytest.mark.parametrize("claim", [early_spread, reconvergence])
def test_the_same_width_in_all_layers_is_neither_spread_nor_convergence(n, claim, sizes) -> None:
    """However many neurons spike: the shortest half of few spikes is short by itself."""

    def simulate(rng) -> float:
        return claim(state(volleys(rng, sizes), options := anew(rng)), options).p_value

    has_its_size(simulate, n)


# --- classes ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(5, 30, 120), (120, 30, 5)])
def test_random_labels_are_not_told_apart_better_with_depth(n, sizes) -> None:
    """With sign flips about 0 they were: silhouettes of no classes depend on the layer."""

    def simulate(rng) -> float:
        labels = rng.permutation(np.arange(40) % 4)
        options = anew(rng)
        measured = state(volleys(rng, sizes), options, labels, classes=True)
        return growing_separability(measured, options).p_value

    has_its_size(simulate, n)


def apart(rng, sizes, labels) -> list[np.ndarray]:
    """Classes as far apart in every layer: neurons of the class spike earlier."""
    layers = volleys(rng, sizes, len(labels), lambda shape: rng.normal(2.0, 0.5, shape))
    for times in layers[:-1]:
        times -= 0.8 * (np.arange(times.shape[1]) % 4 == labels[:, None])
    return layers


@pytest.mark.parametrize("sizes", [(16, 16, 16), (120, 16)])
def test_classes_told_apart_in_all_layers_alike_are_seldom_found_to_grow(n, sizes) -> None:
    def simulate(rng) -> float:
        labels = np.arange(80) % 4
        options = anew(rng)
        measured = state(apart(rng, sizes, labels), options, labels, classes=True)
        claim = growing_separability(measured, options)
        return 0.0 if claim.verdict == FOUND else 1.0

    is_seldom_found(simulate, n)


def pathway_state(rng, options, sizes=(6, 20, 20, 20, 4), specific=0.0, n=80) -> MeasuredState:
    """Spikes that know the winner as well in every layer, or not at all; random weights."""
    winners = rng.permutation(np.arange(n) % sizes[-1])
    layers = [depth + rng.random((n, size)) for depth, size in enumerate(sizes)]
    for times in layers[:-1]:
        own = np.arange(times.shape[1]) % sizes[-1] == winners[:, None]
        times[rng.random(times.shape) < np.where(own, 0.5 - specific, 0.5 + specific)] = INF
    layers[-1][np.arange(n), winners] = len(sizes) - 1.0
    weights = [rng.random(shape) for shape in pairwise(sizes)]
    return state(layers, options, winners, weights, winners)


@pytest.mark.parametrize("sizes", [(6, 20, 20, 20, 4), (6, 8, 20, 60, 4)])
def test_pathways_without_classes_do_not_become_more_distinct(n, sizes) -> None:
    def simulate(rng) -> float:
        return distinct_pathways(pathway_state(rng, options := anew(rng), sizes), options).p_value

    has_its_size(simulate, n)


def test_pathways_as_distinct_in_all_layers_are_seldom_found_to_grow(n: int) -> None:
    def simulate(rng) -> float:
        claim = distinct_pathways(pathway_state(rng, options := anew(rng), specific=0.35), options)
        return 0.0 if claim.verdict == FOUND else 1.0

    is_seldom_found(simulate, n)


# --- learned ------------------------------------------------------------------------------


def converging(rng) -> list[np.ndarray]:
    """An effect that is found in about half of the states."""
    layers = volleys(rng, (20, 20, 20, 20, 20))
    layers[4] = 1.0 + 0.9 * (layers[4] - 1.0)
    return layers


@pytest.mark.parametrize("n_before", [40])
def test_two_states_between_which_nothing_happened_differ_in_5_percent(n, n_before: int) -> None:
    verdicts = []

    def simulate(rng) -> float:
        options = anew(rng)
        trained = state(converging(rng), options)
        untrained = state([times[:n_before] for times in converging(rng)], options)
        now, then = (reconvergence(s, options) for s in (trained, untrained))
        spread = [early_spread(s, options) for s in (trained, untrained)]
        claim = learned(trained, untrained, [spread[0], now], [spread[1], then], options)
        verdicts.append(claim.verdict)
        return p_of_difference(now, then, n_before == 40, options)

    has_its_size(simulate, n)
    assert verdicts.count(FOUND) <= bounds(n, LEVEL)[1]


@pytest.mark.parametrize("specific", [0.35])
def test_pathways_of_two_states_of_one_kind_seldom_differ(n, specific: float) -> None:
    def simulate(rng) -> float:
        options = anew(rng)
        claims = [
            distinct_pathways(pathway_state(rng, options, specific=specific), options) for _ in "ab"
        ]
        return p_of_difference(*claims, True, options)

    is_seldom_found(simulate, n)


def test_separability_of_two_states_of_one_kind_seldom_differs(n: int) -> None:
    def simulate(rng) -> float:
        options, labels = anew(rng), np.arange(40) % 4
        claims: list[Claim] = []
        for _ in "ab":
            layers = apart(rng, (16, 16, 16), labels)
            measured = state(layers, options, labels, classes=True)
            claims.append(growing_separability(measured, options))
        return p_of_difference(*claims, True, options)

    is_seldom_found(simulate, n)
