"""The claims about classes: how far apart they lie, and how distinct their pathways are.

Both are a slope against depth, and both measures depend on the geometry of a layer (how many
neurons, how many of them spike) where there is nothing about classes in it. So the p-value is one
against labels (or winners) in random order, with everything else as it was. That null says
nothing of classes that are told apart in all layers alike, whose slope is then 0 but for the
choice of samples: a verdict "found" also takes that the slope is positive beyond that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxloop.analysis.assess.claim import (
    FOUND,
    NEGLIGIBLE,
    NOT_FOUND,
    UNKNOWN,
    Claim,
    MeasuredState,
    column_means,
    paired_claim,
    pathway_layers,
    told,
    unknown,
)
from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathway_measures import PathwayMeasures
from hxloop.analysis.measures.pathways import distinctness
from hxloop.analysis.measures.statistics import Array


def growing_separability(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Slope of the silhouette (spike times) from the input to the last hidden layer.

    One slope for each sample; claimed positive. Silhouettes of different samples depend on each
    other, so the interval and the test over samples rest on pseudo-values (``measures.jackknife``).
    The p-value (one-sided) is that of the mean slope among those with shuffled labels, the same
    shuffles in all layers: silhouettes of classes that are none differ from layer to layer. The
    silhouette decides because it does not saturate; the read-out is told beside it, not tested.
    """
    measured = state.separability
    if measured is None:
        return unknown("separability", state.reasons["separability"])
    if state.n_hidden < 1:
        return unknown("separability", "the network has no hidden layer")
    layers = range(state.n_hidden + 1)
    table = np.stack([measured.values[layer]["silhouette_times"] for layer in layers], axis=1)
    readout = [mean(measured.values[layer]["readout_times"]) for layer in layers]
    claim = paired_claim(
        "separability",
        statistics.slope_against_depth(table),
        "change of the silhouette per layer, input to last hidden layer",
        1,
        options,
        "the silhouette of spike times; the linear read-out, which goes from "
        f"{readout[0]:.3g} to {readout[-1]:.3g}, is not tested",
        statistics.slope_against_depth(
            np.stack([measured.pseudo_values[i]["silhouette_times"] for i in layers], axis=1)
        ),
    )
    if claim.verdict == UNKNOWN:
        return claim
    means = column_means(table)
    null = statistics.slope_against_depth(
        np.stack([measured.null[layer]["silhouette_times"] for layer in layers], axis=1)
    )
    over_samples, p_value = claim.p_value, statistics.p_value_against(claim.value, null)
    found = claim.verdict == FOUND and p_value < options.alpha
    claim = replace(
        claim,
        verdict=FOUND if found else NOT_FOUND,
        p_value=p_value,
        test=f"against {len(null)} shuffles of the labels, one-sided; beside it, over samples, "
        f"p = {over_samples:.2g}",
        null=null,
    )
    return told(
        claim,
        f"From the input to {state.layer_names[-2]} the silhouette of the classes goes from "
        f"{means[0]:.3g} to {means[-1]:.3g} (its change per layer with shuffled labels: "
        f"{mean(null):.2g}), the accuracy of a linear read-out of spike times from "
        f"{readout[0]:.3g} to {readout[-1]:.3g}.",
        {
            "silhouette_by_layer": means,
            "readout_by_layer": readout,
            "label_shuffled_slope": mean(null),
            "label_shuffled_p_value": p_value,
            "p_value_over_samples": over_samples,
        },
    )


def distinct_pathways(state: MeasuredState, options: AnalysisOptions) -> Claim:
    """Slope of the pathways' corrected distinctness over the hidden layers; claimed positive.

    From runs, and corrected by what weights alone and sampling noise give, see
    ``PathwayMeasures.corrected``. With three or more hidden layers the last is left out: it drives
    the output neurons directly. The p-value (one-sided) is that of the slope among those with
    shuffled winners; the interval is a bootstrap over samples; the effect compares the first and
    the last of these layers for every pair of classes.
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
    slope = float(statistics.slope_against_depth(corrected[None])[0])
    null = statistics.slope_against_depth(measured.label_shuffled_corrected[:, layers])
    moved = _resampled_slopes(measured, layers, corrected, slope)
    interval = statistics.estimate_from_resamples(
        slope, moved, int((~np.isnan(pairs[0])).sum()), options.level
    )
    p_value = statistics.p_value_against(slope, null)
    over_samples = statistics.p_value_against(0.0, -moved)
    effect = statistics.dominance(pairs[-1] - pairs[0])
    significant = max(p_value, over_samples) < options.alpha
    claim = Claim(
        "distinct_pathways",
        FOUND if slope > 0 and effect >= NEGLIGIBLE and significant else NOT_FOUND,
        "",
        "change of corrected distinctness per layer, hidden layers without the last"
        if state.n_hidden >= 3
        else "change of corrected distinctness per layer",
        interval.value,
        interval.low,
        interval.high,
        p_value,
        test=f"against {len(null)} shuffles of the winners, one-sided; beside it, bootstrap over "
        f"samples, p = {over_samples:.2g}",
        effect_size=effect,
        effect="dominance over pairs of classes",
        n=interval.n,
        of="the distinctness of pathways traced through runs, corrected, in "
        + ", ".join(state.layer_names[layer] for layer in layers)
        + " of this one network",
        null=null,
        resamples=moved,
    )
    return _distinctness_told(claim, state, measured, layers, corrected, over_samples)


def _resampled_slopes(
    measured: PathwayMeasures, layers: list[int], corrected: Array, slope: float
) -> Array:
    """The slope in bootstrap resamples, around that of all samples."""
    # How far a resample moves the distinctness of a layer, scaled as the correction scales it.
    scale = (1 - corrected) / (1 - measured.part[layers])
    moved = statistics.slope_against_depth(measured.part_resamples[:, layers] * scale)
    moved += slope - moved.mean()
    return moved


def _distinctness_told(
    claim: Claim,
    state: MeasuredState,
    measured: PathwayMeasures,
    layers: list[int],
    corrected: Array,
    over_samples: float,
) -> Claim:
    """The claim with its sentence and its details."""
    every = [float(distinctness(table)) for table in measured.from_runs[1:]]
    ends = f"From {state.layer_names[layers[0]]} to {state.layer_names[layers[-1]]}"
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
            "p_value_over_samples": over_samples,
        },
    )
