"""The claims of arXiv 2508.12975, put to the test on recorded activity.

Each claim is one number per sample (or per pair of classes), a test that it is not 0, and an
effect size. Layers are chosen beforehand, not by looking at the result: the *early* hidden layers
are the first half of them (rounded up), the *last* is the one below the output.

Verdicts: "found" = in the claimed direction, p below ``alpha`` and an effect that is not
negligible (``NEGLIGIBLE``); "not found" = anything else; "cannot be said" = the recording lacks
what the question needs (weights, labels, layers, an untrained state). P-values are not adjusted
for the number of claims in the verdicts; ``p_adjusted`` (Holm) is given beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hxloop.analysis import statistics
from hxloop.analysis.measures import (
    AnalysisOptions,
    PathwayMeasures,
    SeparabilityMeasures,
    SynchronyMeasures,
)
from hxloop.analysis.statistics import Array

# Below this a dominance (Cliff's delta) is called negligible (Romano et al., 2006).
NEGLIGIBLE = 0.147

FOUND, NOT_FOUND, UNKNOWN = "found", "not found", "cannot be said"

STATEMENTS = {
    "synchronous_input": "Inputs are synchronous by construction.",
    "early_spread": "In early layers activity spreads out in time.",
    "reconvergence": "It then re-converges into sharp pulses.",
    "separability": "The classes can be told apart better and better with depth.",
    "distinct_pathways": "Class-specific excitatory pathways become more distinct with depth.",
    "learned": "All of this is learned: it is absent before training.",
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
    """

    name: str
    layer_names: tuple[str, ...]
    synchrony: SynchronyMeasures
    separability: SeparabilityMeasures | None
    pathways: PathwayMeasures | None
    reasons: Mapping[str, str]

    @property
    def n_hidden(self) -> int:
        """Number of hidden layers."""
        return len(self.layer_names) - 2


def assess(
    trained: MeasuredState, untrained: MeasuredState | None, options: AnalysisOptions
) -> list[Claim]:
    """Test all claims.

    Args:
        trained: the state the claims are about.
        untrained: the same network before training, if it was recorded.
        options: see ``AnalysisOptions``.

    Returns:
        One for each key of ``STATEMENTS``, in that order.
    """
    tests = (
        synchronous_input,
        early_spread,
        reconvergence,
        growing_separability,
        distinct_pathways,
    )
    found = [test(trained, options) for test in tests]
    before = [test(untrained, options) for test in tests[1:]] if untrained is not None else None
    found.append(learned(trained, untrained, found[1:], before, options))
    adjusted = statistics.holm([claim.p_value for claim in found])
    return [replace(claim, p_adjusted=float(p)) for claim, p in zip(found, adjusted, strict=True)]


def synchronous_input(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal input spikes lie closer together than the same number spread evenly.

    Evenly from the first input spike of the sample to its decision. One value a sample: causal
    shorth minus that of the evenly spread spikes; claimed negative.
    """
    measured = state.synchrony
    shorth = measured.causal[0].shorth[measured.null_samples]
    even = measured.uniform[0]
    claim = _paired(
        "synchronous_input",
        shorth - even,
        "causal shorth of the input minus that of as many spikes spread evenly",
        -1,
        options,
    )
    return _told(
        claim,
        f"Half of the input spikes before the decision lie within {_mean(shorth):.3g} (time in "
        f"tau_syn); spread evenly they would take {_mean(even):.3g}.",
        {"shorth_input": _mean(shorth), "shorth_even": _mean(even)},
    )


def early_spread(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal shorth of the early hidden layers minus that of the input; claimed positive."""
    if state.n_hidden < 1:
        return _unknown("early_spread", "the network has no hidden layer")
    table = state.synchrony.causal_shorth()
    early = early_layers(state.n_hidden)
    values = table[:, early].mean(axis=1) - table[:, 0]
    claim = _paired(
        "early_spread",
        values,
        "causal shorth of the early layers minus that of the input",
        1,
        options,
    )
    means = _column_means(table)
    peak = int(np.nanargmax(means[1:-1])) + 1 if not np.isnan(means[1:-1]).all() else None
    return _told(
        claim,
        f"From the input to the early layers ({_names(state, early)}) the shortest interval "
        f"with half of the causal spikes goes from {means[0]:.3g} to {np.mean(means[early]):.3g}.",
        {
            "shorth_by_layer": means,
            "early_layers": [state.layer_names[layer] for layer in early],
            "widest_layer": None if peak is None else state.layer_names[peak],
        },
    )


def reconvergence(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal shorth of the last hidden layer minus that of the early ones; claimed negative."""
    if state.n_hidden < 2:
        return _unknown("reconvergence", "it takes at least two hidden layers")
    table = state.synchrony.causal_shorth()
    early = [layer for layer in early_layers(state.n_hidden) if layer != state.n_hidden]
    values = table[:, state.n_hidden] - table[:, early].mean(axis=1)
    claim = _paired(
        "reconvergence",
        values,
        "causal shorth of the last hidden layer minus the early ones",
        -1,
        options,
    )
    means = _column_means(table)
    first, last = float(np.mean(means[early])), float(means[state.n_hidden])
    ratio = first / last if last > 0 else float("inf")
    return _told(
        claim,
        f"From the early layers ({_names(state, early)}) to {state.layer_names[-2]} the shortest "
        f"interval with half of the causal spikes goes from {first:.3g} to {last:.3g}.",
        {"shorth_by_layer": means, "ratio": ratio},
    )


def growing_separability(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Slope of the silhouette (spike times) from the input to the last hidden layer.

    One slope for each sample; claimed positive. The silhouette decides because it does not
    saturate; the read-out is told beside it.
    """
    measured = state.separability
    if measured is None:
        return _unknown("separability", state.reasons["separability"])
    if state.n_hidden < 1:
        return _unknown("separability", "the network has no hidden layer")
    layers = range(state.n_hidden + 1)
    table = np.stack([measured.values[layer]["silhouette_times"] for layer in layers], axis=1)
    claim = _paired(
        "separability",
        statistics.slope_against_depth(table),
        "change of the silhouette per layer, input to last hidden layer",
        1,
        options,
    )
    readout = [_mean(measured.values[layer]["readout_times"]) for layer in layers]
    means = _column_means(table)
    null = np.stack([measured.null[layer]["silhouette_times"] for layer in layers], axis=1)
    null_slopes = statistics.slope_against_depth(null)
    return _told(
        claim,
        f"From the input to {state.layer_names[-2]} the silhouette of the classes goes from "
        f"{means[0]:.3g} to {means[-1]:.3g}, the accuracy of a linear read-out of spike times "
        f"from {readout[0]:.3g} to {readout[-1]:.3g}.",
        {
            "silhouette_by_layer": means,
            "readout_by_layer": readout,
            "label_shuffled_slope": _mean(null_slopes),
            "label_shuffled_p_value": statistics.p_value_against(claim.value, null_slopes),
        },
    )


def distinct_pathways(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Slope of the pathways' distinctness over the hidden layers, from runs; claimed positive.

    With three or more hidden layers the last is left out: it drives the output neurons directly,
    and its pathways differ even with random weights. Tested against shuffled winners; the
    interval is a bootstrap over samples; the effect compares the overlap of every two classes
    in the first and the last of these layers.
    """
    from hxloop.analysis.pathways import pathway_overlap

    measured = state.pathways
    if measured is None:
        return _unknown("distinct_pathways", state.reasons["pathways"])
    if state.n_hidden < 2:
        return _unknown("distinct_pathways", "it takes at least two hidden layers")
    layers = pathway_layers(state.n_hidden)
    overlap = [pathway_overlap(measured.from_runs[layer]) for layer in layers]
    by_layer = np.array([1 - _mean(values) for values in overlap])
    pairs = overlap[0] - overlap[-1]
    if np.isnan(pairs).all():
        return _unknown("distinct_pathways", "fewer than two output neurons ever win")
    value = float(statistics.slope_against_depth(by_layer[None])[0])
    slopes = statistics.slope_against_depth(measured.resamples[:, layers])
    null = statistics.slope_against_depth(measured.label_shuffled[:, layers])
    interval = statistics.estimate_from_resamples(
        value, slopes, int((~np.isnan(pairs)).sum()), options.level
    )
    claim = Claim(
        "distinct_pathways",
        NOT_FOUND,
        "",
        "change of distinctness per layer, hidden layers without the last",
        value,
        interval.low,
        interval.high,
        statistics.p_value_against(value, null),
        test="against shuffled winners, one-sided",
        effect_size=statistics.dominance(pairs),
        effect="dominance over pairs of classes",
        n=interval.n,
    )
    good = claim.effect_size >= NEGLIGIBLE and interval.low > 0
    claim = replace(claim, verdict=FOUND if good and claim.p_value < options.alpha else NOT_FOUND)
    every = [
        1 - _mean(pathway_overlap(measured.from_runs[layer]))
        for layer in range(1, state.n_hidden + 1)
    ]
    return _told(
        claim,
        f"From {state.layer_names[layers[0]]} to {state.layer_names[layers[-1]]} the "
        f"distinctness of the classes' pathways goes from {by_layer[0]:.3g} to {by_layer[-1]:.3g} "
        f"(0 = all the same, 1 = no neuron in common).",
        {
            "distinctness_by_hidden_layer": every,
            "layers": [state.layer_names[layer] for layer in layers],
            "label_shuffled_slope": _mean(null),
        },
    )


def learned(
    trained: MeasuredState,
    untrained: MeasuredState | None,
    after: Sequence[Claim],
    before: Sequence[Claim] | None,
    options: AnalysisOptions,
) -> Claim:
    """Is what was found after training absent, or weaker, before?

    For each claim found after training: "absent before" if it is not found in the untrained
    state, "stronger after" if it is, but differs in the claimed direction beyond the sampling
    error of both, else "not learned". The verdict is "found" if every one is absent before or
    stronger after. ``value`` is the fraction that is.
    """
    if untrained is None or before is None:
        return _unknown("learned", "no untrained state was recorded")
    outcome: dict[str, dict[str, Any]] = {}
    for now, then in zip(after, before, strict=True):
        if now.verdict != FOUND or then.verdict == UNKNOWN:
            continue
        sign = -1 if now.key == "reconvergence" else 1
        difference = sign * (now.value - then.value)
        # Half-widths add in quadrature: the two states are independent given the samples.
        below = np.hypot(now.value - now.low, then.high - then.value)
        above = np.hypot(now.high - now.value, then.value - then.low)
        spread = float(below if sign > 0 else above)
        status = "absent before" if then.verdict == NOT_FOUND else "not learned"
        if then.verdict == FOUND and difference > spread:
            status = "stronger after"
        outcome[now.key] = {
            "status": status, "trained": now.value, "untrained": then.value,
            "untrained_effect_size": then.effect_size, "untrained_p_value": then.p_value,
        }  # fmt: skip
    if not outcome:
        return _unknown("learned", "nothing was found after training that could be compared")
    of = {
        status: [
            key.replace("_", " ") for key, entry in outcome.items() if entry["status"] == status
        ]
        for status in ("absent before", "stronger after", "not learned")
    }
    words = {
        "absent before": "Absent before training",
        "stronger after": "there before, but stronger after",
        "not learned": "there before, and no stronger after",
    }
    parts = [f"{words[status]}: {', '.join(keys)}" for status, keys in of.items() if keys]
    fraction = 1 - len(of["not learned"]) / len(outcome)
    text = "; ".join(parts)
    return Claim(
        "learned",
        FOUND if fraction == 1 else NOT_FOUND,
        text[0].upper() + text[1:] + ".",
        "fraction of what was found that is absent or weaker before training",
        value=fraction,
        test="claims of the trained and of the untrained state compared",
        n=len(outcome),
        details={"by_claim": outcome},
    )


def early_layers(n_hidden: int) -> list[int]:
    """Indices (0 = input) of the first half of the hidden layers, rounded up."""
    return list(range(1, 1 + (n_hidden + 1) // 2))


def pathway_layers(n_hidden: int) -> list[int]:
    """Indices of the hidden layers whose pathways are compared: without the last if 3 or more."""
    return list(range(1, n_hidden if n_hidden >= 3 else n_hidden + 1))


def _paired(key: str, values: Array, quantity: str, sign: int, options: AnalysisOptions) -> Claim:
    """A claim that one number a sample has a sign."""
    rng = np.random.default_rng((options.seed, 4, list(STATEMENTS).index(key)))
    interval = statistics.bootstrap_interval(
        values, rng, level=options.level, n_resamples=options.n_resamples
    )
    if interval.n < 2:
        return _unknown(key, f"it is defined for {interval.n} samples only")
    test = statistics.paired_permutation_test(values, rng, n_resamples=options.n_permutations)
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
    )


def _told(claim: Claim, sentence: str, details: Mapping[str, Any]) -> Claim:
    """Add the sentence and further numbers; a claim that cannot be said keeps its own."""
    if claim.verdict == UNKNOWN:
        return claim
    numbers = (
        f" {claim.quantity[0].upper() + claim.quantity[1:]}: {claim.value:.3g} "
        f"[{claim.low:.3g}, {claim.high:.3g}], p = {claim.p_value:.2g}, "
        f"{claim.effect} {claim.effect_size:.2f}, n = {claim.n}."
    )
    return replace(claim, sentence=sentence + numbers, details={**claim.details, **details})


def _unknown(key: str, reason: str) -> Claim:
    return Claim(key, UNKNOWN, f"Cannot be said: {reason}.")


def _names(state: MeasuredState, layers: Sequence[int]) -> str:
    return ", ".join(state.layer_names[layer] for layer in layers)


def _column_means(table: Array) -> Array:
    return np.array([_mean(column) for column in table.T])


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
