"""The claims of arXiv 2508.12975, put to the test on recorded activity.

Each claim is one number per sample (or per pair of classes), a test that it is not 0, and an
effect size. Layers are chosen beforehand, not by looking at the result: the *early* hidden layers
are the first half of them (rounded up), the *last* is the one below the output.

Widths of different layers are compared at the same number of spikes, because the shortest half of
few spikes is short by itself (``null_models.as_many_spikes``). ``test_claim_sizes.py`` simulates
every test under its null: 5 % come out below .05.

Verdicts: "found" = in the claimed direction, p below ``alpha`` and an effect that is not
negligible (``claim.NEGLIGIBLE``); "not found" = anything else; "cannot be said" = the recording
lacks what the question needs (weights, labels, layers, an untrained state). P-values are not
adjusted for the number of claims in the verdicts; ``p_adjusted`` (Holm) is given beside them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxloop.analysis.assess.claim import (
    Claim,
    MeasuredState,
    column_means,
    names_of,
    paired_claim,
    told,
    unknown,
)
from hxloop.analysis.assess.claim_of_learning import learned
from hxloop.analysis.assess.claims_of_classes import distinct_pathways, growing_separability
from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.measured import converging_layers, early_layers
from hxloop.analysis.measures.options import AnalysisOptions


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
    found = [_tested(key, trained, options) for key in _TESTS]
    before = None
    if untrained is not None:
        before = [_tested(key, untrained, options) for key in list(_TESTS)[1:]]
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
    even = measured.nulls["uniform"][0]
    claim = paired_claim(
        "synchronous_input",
        shorth - even,
        "causal shorth of the input minus that of as many spikes spread evenly",
        -1,
        options,
        "the width of the input spikes up to the decision",
    )
    return told(
        claim,
        f"Half of the input spikes before the decision lie within {mean(shorth):.3g} (time in "
        f"tau_syn); spread evenly they would take {mean(even):.3g}.",
        {"shorth_input": mean(shorth), "shorth_even": mean(even)},
    )


def early_spread(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal shorth of the early hidden layers minus that of the input; claimed positive.

    At the same number of spikes, see ``null_models.matched_shorths``.

    An untrained network may decide after the background of the image has been sent, all at one
    time; its causal input is then of no width, and everything after it is wider.
    """
    if state.n_hidden < 1:
        return unknown("early_spread", "the network has no hidden layer")
    table = state.synchrony.causal_shorth()
    early = early_layers(state.n_hidden)
    matched = state.synchrony.spread
    values = matched[:, 1:].mean(axis=1) - matched[:, 0]
    claim = paired_claim(
        "early_spread",
        values,
        "causal shorth of the early layers minus that of the input, at equal numbers of spikes",
        1,
        options,
        "the width of volleys at equal numbers of spikes",
    )
    means = column_means(table)
    peak = int(np.nanargmax(means[1:-1])) + 1 if not np.isnan(means[1:-1]).all() else None
    return told(
        claim,
        f"From the input to the early layers ({names_of(state, early)}) the shortest interval "
        f"with half of the causal spikes goes from {means[0]:.3g} to {np.mean(means[early]):.3g}.",
        {
            "shorth_by_layer": means,
            "matched_shorths": column_means(matched),
            "early_layers": [state.layer_names[layer] for layer in early],
            "widest_layer": None if peak is None else state.layer_names[peak],
            "causal_input_spikes": mean(state.synchrony.causal[0].n_spikes),
        },
    )


def reconvergence(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Causal shorth of the last hidden layer minus that of the early ones; claimed negative.

    At the same number of spikes, see ``null_models.matched_shorths``.
    """
    if state.n_hidden < 2:
        return unknown("reconvergence", "it takes at least two hidden layers")
    table = state.synchrony.causal_shorth()
    early = converging_layers(state.n_hidden)[:-1]
    matched = state.synchrony.converged
    values = matched[:, -1] - matched[:, :-1].mean(axis=1)
    claim = paired_claim(
        "reconvergence",
        values,
        "causal shorth of the last hidden layer minus the early ones, at equal numbers of spikes",
        -1,
        options,
        "the width of volleys at equal numbers of spikes",
    )
    means = column_means(table)
    first, last = float(np.mean(means[early])), float(means[state.n_hidden])
    ratio = first / last if last > 0 else float("inf")
    return told(
        claim,
        f"From the early layers ({names_of(state, early)}) to {state.layer_names[-2]} the shortest "
        f"interval with half of the causal spikes goes from {first:.3g} to {last:.3g}.",
        {"shorth_by_layer": means, "matched_shorths": column_means(matched), "ratio": ratio},
    )


_TESTS = {
    "synchronous_input": synchronous_input,
    "early_spread": early_spread,
    "reconvergence": reconvergence,
    "separability": growing_separability,
    "distinct_pathways": distinct_pathways,
}


def _tested(key: str, state: MeasuredState, options: AnalysisOptions) -> Claim:
    """One of the claims; all but that about the input take layers of which one is the deeper."""
    if "depth" in state.reasons and key != "synchronous_input":
        return unknown(key, state.reasons["depth"])
    return _TESTS[key](state, options)
