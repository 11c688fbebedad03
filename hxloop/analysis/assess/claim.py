"""A claim about recorded activity, and the state that it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.measured import SeparabilityMeasures, SynchronyMeasures
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathway_measures import PathwayMeasures
from hxloop.analysis.measures.statistics import Array

# Below this a dominance (Cliff's delta) is called negligible (Romano et al., 2006).
NEGLIGIBLE = 0.147

FOUND, NOT_FOUND, UNKNOWN = "found", "not found", "cannot be said"

STATEMENTS = {
    "synchronous_input": "Inputs are synchronous by construction.",
    "early_spread": "In early layers activity spreads out in time.",
    "reconvergence": "It then re-converges into sharp pulses.",
    "separability": "The classes lie further apart (silhouette of spike times) with depth.",
    "distinct_pathways": "Class-specific excitatory pathways become more distinct with depth.",
    "learned": "What was found is learned: before training it is absent or weaker.",
}


@dataclass(frozen=True)
class Claim:
    """One claim and what became of it.

    Attributes:
        key: one of ``STATEMENTS``.
        verdict: "found", "not found" or "cannot be said".
        sentence: the result in plain words, with its numbers.
        quantity: what ``value`` is.
        value: the number that decides.
        low: lower end of its confidence interval.
        high: upper end.
        p_value: of the test; what it tests is said in ``test``.
        p_adjusted: adjusted for the number of claims (Holm).
        test: which test.
        effect_size: of the effect.
        effect: which effect size.
        n: how many samples or pairs it rests on.
        details: further numbers, by name.
        of: what the verdict is of, in words: which measure, how many claims.
        values: one number a sample, where the claim rests on such; pseudo-values where those
            depend on each other.
        null: ``value`` in draws of a null model, where there is one.
        resamples: ``value`` in bootstrap resamples, where it is no mean over samples.
    """

    key: str
    verdict: str
    sentence: str
    quantity: str = ""
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p_value: float = float("nan")
    p_adjusted: float = float("nan")
    test: str = ""
    effect_size: float = float("nan")
    effect: str = ""
    n: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    of: str = ""
    values: Array | None = field(default=None, repr=False, compare=False)
    null: Array | None = field(default=None, repr=False, compare=False)
    resamples: Array | None = field(default=None, repr=False, compare=False)

    @property
    def statement(self) -> str:
        """The claim itself."""
        return STATEMENTS[self.key]


@dataclass(frozen=True)
class MeasuredState:
    """What ``claims`` looks at: the measures of one state; None where they are not defined.

    Attributes:
        name: of the state.
        layer_names: from input to output.
        synchrony: always there.
        separability: None without labels of two classes.
        pathways: None without weights.
        reasons: why something is None, by its name.
        labels: ``(samples,)``; states with the same ones hold the same samples.
    """

    name: str
    layer_names: tuple[str, ...]
    synchrony: SynchronyMeasures
    separability: SeparabilityMeasures | None
    pathways: PathwayMeasures | None
    reasons: Mapping[str, str]
    labels: NDArray[np.int64]

    @property
    def n_hidden(self) -> int:
        """Number of hidden layers."""
        return len(self.layer_names) - 2


def pathway_layers(n_hidden: int) -> list[int]:
    """Indices of the hidden layers whose pathways are compared: without the last if 3 or more."""
    return list(range(1, n_hidden if n_hidden >= 3 else n_hidden + 1))


def paired_claim(
    key: str,
    values: Array,
    quantity: str,
    sign: int,
    options: AnalysisOptions,
    of: str,
    pseudo_values: Array | None = None,
) -> Claim:
    """A claim that one number a sample has a sign.

    Where the numbers depend on each other, the interval and the test are those of their
    ``pseudo_values`` (see ``measures.jackknife``), effect sizes those of the numbers. The test is
    exact where, without an effect, a difference and its opposite are equally likely, and holds
    for many samples where only their mean is 0.
    """
    rng = np.random.default_rng((options.seed, 4, list(STATEMENTS).index(key)))
    moving = values if pseudo_values is None else pseudo_values
    interval = statistics.bootstrap_interval(
        moving, rng, level=options.level, n_resamples=options.n_resamples
    )
    if interval.n < 2:
        return unknown(key, f"it is defined for {interval.n} samples only")
    test = statistics.paired_permutation_test(moving, rng, n_resamples=options.n_permutations)
    effect = statistics.dominance(values)
    good = sign * interval.value > 0 and sign * effect >= NEGLIGIBLE
    return Claim(
        key,
        FOUND if good and test.p_value < options.alpha else NOT_FOUND,
        "",
        quantity,
        interval.value,
        interval.low,
        interval.high,
        test.p_value,
        test="paired permutation test over samples, two-sided",
        effect_size=effect,
        effect="dominance over samples",
        n=interval.n,
        details={"cohens_d": statistics.cohens_d(values)},
        of=f"{of}, over the samples of this one network",
        values=moving,
    )


def told(claim: Claim, sentence: str, details: Mapping[str, Any]) -> Claim:
    """Add the sentence and further numbers; a claim that cannot be said keeps its own."""
    if claim.verdict == UNKNOWN:
        return claim
    numbers = (
        f" {claim.quantity[0].upper() + claim.quantity[1:]}: {claim.value:.3g} "
        f"[{claim.low:.3g}, {claim.high:.3g}], p = {claim.p_value:.2g}, "
        f"{claim.effect} {claim.effect_size:.2f}, n = {claim.n}."
    )
    return replace(claim, sentence=sentence + numbers, details={**claim.details, **details})


def unknown(key: str, reason: str) -> Claim:
    """A claim that cannot be said, and why."""
    return Claim(key, UNKNOWN, f"Cannot be said: {reason}.")


def names_of(state: MeasuredState, layers: Sequence[int]) -> str:
    """Names of some layers, for a sentence."""
    return ", ".join(state.layer_names[layer] for layer in layers)


def column_means(table: Array) -> Array:
    """Mean of every column over the rows in which it is defined."""
    return np.array([mean(column) for column in table.T])
