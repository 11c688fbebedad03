"""The claims of arXiv 2508.12975, put to the test on recorded activity.

Each claim is one number per sample (or per pair of classes), a test that it is not 0, and an
effect size. Layers are chosen beforehand, not by looking at the result: the *early* hidden layers
are the first half of them (rounded up), the *last* is the one below the output.

Verdicts: "found" = in the claimed direction, p below ``alpha`` and an effect that is not
negligible (``claim.NEGLIGIBLE``); "not found" = anything else; "cannot be said" = the recording
lacks what the question needs (weights, labels, layers, an untrained state). P-values are not
adjusted for the number of claims in the verdicts; ``p_adjusted`` (Holm) is given beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hxloop.analysis import statistics
from hxloop.analysis.claim import (
    FOUND,
    NEGLIGIBLE,
    NOT_FOUND,
    UNKNOWN,
    Claim,
    MeasuredState,
    column_means,
    early_layers,
    mean,
    names_of,
    paired_claim,
    pathway_layers,
    told,
    unknown,
)
from hxloop.analysis.measures import AnalysisOptions
from hxloop.analysis.pathways import distinctness


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
    claim = paired_claim(
        "synchronous_input",
        shorth - even,
        "causal shorth of the input minus that of as many spikes spread evenly",
        -1,
        options,
    )
    return told(
        claim,
        f"Half of the input spikes before the decision lie within {mean(shorth):.3g} (time in "
        f"tau_syn); spread evenly they would take {mean(even):.3g}.",
        {"shorth_input": mean(shorth), "shorth_even": mean(even)},
    )


def early_spread(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal shorth of the early hidden layers minus that of the input; claimed positive.

    An untrained network may decide after the background of the image has been sent, all at one
    time; its causal input is then of no width, and everything after it is wider.
    """
    if state.n_hidden < 1:
        return unknown("early_spread", "the network has no hidden layer")
    table = state.synchrony.causal_shorth()
    early = early_layers(state.n_hidden)
    values = table[:, early].mean(axis=1) - table[:, 0]
    claim = paired_claim(
        "early_spread",
        values,
        "causal shorth of the early layers minus that of the input",
        1,
        options,
    )
    means = column_means(table)
    peak = int(np.nanargmax(means[1:-1])) + 1 if not np.isnan(means[1:-1]).all() else None
    return told(
        claim,
        f"From the input to the early layers ({names_of(state, early)}) the shortest interval "
        f"with half of the causal spikes goes from {means[0]:.3g} to {np.mean(means[early]):.3g}.",
        {
            "shorth_by_layer": means,
            "early_layers": [state.layer_names[layer] for layer in early],
            "widest_layer": None if peak is None else state.layer_names[peak],
            "causal_input_spikes": mean(state.synchrony.causal[0].n_spikes),
        },
    )


def reconvergence(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal shorth of the last hidden layer minus that of the early ones; claimed negative."""
    if state.n_hidden < 2:
        return unknown("reconvergence", "it takes at least two hidden layers")
    table = state.synchrony.causal_shorth()
    early = [layer for layer in early_layers(state.n_hidden) if layer != state.n_hidden]
    values = table[:, state.n_hidden] - table[:, early].mean(axis=1)
    claim = paired_claim(
        "reconvergence",
        values,
        "causal shorth of the last hidden layer minus the early ones",
        -1,
        options,
    )
    means = column_means(table)
    first, last = float(np.mean(means[early])), float(means[state.n_hidden])
    ratio = first / last if last > 0 else float("inf")
    return told(
        claim,
        f"From the early layers ({names_of(state, early)}) to {state.layer_names[-2]} the shortest "
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
        return unknown("separability", state.reasons["separability"])
    if state.n_hidden < 1:
        return unknown("separability", "the network has no hidden layer")
    layers = range(state.n_hidden + 1)
    table = np.stack([measured.values[layer]["silhouette_times"] for layer in layers], axis=1)
    claim = paired_claim(
        "separability",
        statistics.slope_against_depth(table),
        "change of the silhouette per layer, input to last hidden layer",
        1,
        options,
    )
    readout = [mean(measured.values[layer]["readout_times"]) for layer in layers]
    means = column_means(table)
    null = np.stack([measured.null[layer]["silhouette_times"] for layer in layers], axis=1)
    null_slopes = statistics.slope_against_depth(null)
    return told(
        claim,
        f"From the input to {state.layer_names[-2]} the silhouette of the classes goes from "
        f"{means[0]:.3g} to {means[-1]:.3g}, the accuracy of a linear read-out of spike times "
        f"from {readout[0]:.3g} to {readout[-1]:.3g}.",
        {
            "silhouette_by_layer": means,
            "readout_by_layer": readout,
            "label_shuffled_slope": mean(null_slopes),
            "label_shuffled_p_value": statistics.p_value_against(claim.value, null_slopes),
        },
    )


def distinct_pathways(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Slope of the pathways' corrected distinctness over the hidden layers; claimed positive.

    From runs, and corrected by what depth gives by construction and by sampling noise, see
    ``PathwayMeasures.corrected``. With three or more hidden layers the last is left out: it drives
    the output neurons directly. Interval and p-value (one-sided) are a bootstrap over samples;
    the effect compares the first and the last of these layers for every pair of classes.
    """
    measured = state.pathways
    if measured is None:
        return unknown("distinct_pathways", state.reasons["pathways"])
    if state.n_hidden < 2:
        return unknown("distinct_pathways", "it takes at least two hidden layers")
    layers = pathway_layers(state.n_hidden)
    pairs = np.stack([measured.corrected(layer) for layer in layers])
    if np.isnan(pairs).all():
        return unknown("distinct_pathways", "fewer than two output neurons win often enough")
    corrected = column_means(pairs.T)
    slope = statistics.slope_against_depth(corrected[None])[0]
    # How far a resample moves the distinctness of a layer, scaled as the correction scales it.
    drawn = measured.resamples[:, layers]
    plain = np.array([float(distinctness(measured.from_runs[layer])) for layer in layers])
    scale = (1 - corrected) / (1 - plain)
    moved = statistics.slope_against_depth(drawn * scale)
    moved += slope - moved.mean()
    interval = statistics.estimate_from_resamples(
        slope, moved, int((~np.isnan(pairs[0])).sum()), options.level
    )
    p_value = statistics.p_value_against(0.0, -moved)
    effect = statistics.dominance(pairs[-1] - pairs[0])
    good = slope > 0 and effect >= NEGLIGIBLE and p_value < options.alpha
    every = [float(distinctness(table)) for table in measured.from_runs[1:]]
    ends = f"From {state.layer_names[layers[0]]} to {state.layer_names[layers[-1]]}"
    claim = Claim(
        "distinct_pathways",
        FOUND if good else NOT_FOUND,
        "",
        "change of corrected distinctness per layer, hidden layers without the last",
        interval.value,
        interval.low,
        interval.high,
        p_value,
        test="bootstrap over samples, one-sided",
        effect_size=effect,
        effect="dominance over pairs of classes",
        n=interval.n,
    )
    return told(
        claim,
        f"{ends} the distinctness of the classes' pathways goes from {every[layers[0] - 1]:.3g} to "
        f"{every[layers[-1] - 1]:.3g} (0 = all the same, 1 = no neuron in common); beyond what "
        f"weights alone and sampling noise give, from {corrected[0]:.3g} to {corrected[-1]:.3g}.",
        {
            "distinctness_by_hidden_layer": every,
            "layers": [state.layer_names[layer] for layer in layers],
            "corrected": corrected,
            "label_shuffled": column_means(measured.label_shuffled[:, layers]),
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
        return unknown("learned", "no untrained state was recorded")
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
        return unknown("learned", "nothing was found after training that could be compared")
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
        text[0].upper() + text[1:] + "." + _width_of_input(outcome, after[0], before[0]),
        "fraction of what was found that is absent or weaker before training",
        value=fraction,
        test="claims of the trained and of the untrained state compared",
        n=len(outcome),
        details={"by_claim": outcome},
    )


def _width_of_input(outcome: Mapping[str, Any], now: Claim, then: Claim) -> str:
    """Why early layers can seem to spread as much before training; "" if not for this reason."""
    if outcome.get(now.key, {}).get("status") != "not learned":
        return ""
    wide, narrow = (claim.details["shorth_by_layer"][0] for claim in (now, then))
    many, all_of_them = (claim.details["causal_input_spikes"] for claim in (now, then))
    if not (narrow < wide / 10 and all_of_them > many):
        return ""
    return (
        f" Before training the network waits for {all_of_them:.0f} input spikes (after: "
        f"{many:.0f}), most of them the background's, all at one time: beside a causal input of "
        f"width {narrow:.2g} (after: {wide:.2g}) every layer is wide."
    )
