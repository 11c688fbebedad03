"""Measures as plain numbers: what stands in ``analysis.json``. NaN becomes None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.assess.claim import Claim
from hxloop.analysis.measures import pathways, statistics
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.measured import (
    SEPARABILITY_MEASURES,
    SeparabilityMeasures,
    SynchronyMeasures,
)
from hxloop.analysis.measures.null_registry import NULL_MODELS
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathway_measures import PathwayMeasures
from hxloop.analysis.measures.statistics import Array, Estimate
from hxloop.analysis.measures.synchrony import SpikeStatistics

# Neurons of a pathway that are listed by number, strongest first.
LISTED = 12


def synchrony_summary(
    measured: SynchronyMeasures,
    layer_names: Sequence[str],
    sizes: Sequence[int],
    labels: NDArray[np.int64],
    options: AnalysisOptions,
) -> dict[str, Any]:
    """Means over samples of every layer, with intervals, by class, and against null models."""
    rng = np.random.default_rng((options.seed, 5))
    members = {int(c): labels == c for c in np.unique(labels)}
    layers = []
    for index, name in enumerate(layer_names):
        kinds = {"causal": measured.causal[index], "all": measured.all[index]}
        shorth = kinds["causal"].shorth[measured.null_samples]
        nulls: dict[str, Any] = {}
        for null, by_layer in measured.nulls.items():
            values = by_layer[index]
            own = rng if null in NULL_MODELS else np.random.default_rng((options.seed, 9))
            test = statistics.paired_permutation_test(shorth - values, own, n_resamples=999)
            nulls[null] = {
                "shorth": mean(values),
                "p_value": test.p_value,
                "dominance": statistics.dominance(shorth - values),
            }
        nulls["jittered"]["sigma"] = options.jitter
        layers.append(
            {
                "name": name,
                "n_neurons": sizes[index],
                **{kind: values.means() for kind, values in kinds.items()},
                "intervals": {
                    kind: _intervals(values, rng, options) for kind, values in kinds.items()
                },
                "bands": {kind: _bands(values) for kind, values in kinds.items()},
                "by_class": [
                    {
                        "label": label,
                        "n_samples": int(chosen.sum()),
                        **{kind: values.means(chosen) for kind, values in kinds.items()},
                    }
                    for label, chosen in members.items()
                ],
                "spike_contrast": measured.contrast[index],
                "null": nulls,
            }
        )
    return {"layers": layers}


def separability_summary(
    measured: SeparabilityMeasures,
    layer_names: Sequence[str],
    classes: Sequence[int],
    options: AnalysisOptions,
) -> dict[str, Any]:
    """Estimates of every layer; matrices are by class, in the order of ``classes``."""
    rng = np.random.default_rng((options.seed, 6))
    layers = []
    for index, name in enumerate(layer_names):
        values, pseudo = measured.values[index], measured.pseudo_values[index]
        estimates = {
            key: estimate(
                statistics.bootstrap_interval(
                    pseudo.get(key, values[key]),
                    rng,
                    level=options.level,
                    n_resamples=options.n_resamples,
                )
            )
            for key in SEPARABILITY_MEASURES
        }
        overlap = measured.overlap[index]
        middle = mean(overlap)
        layers.append(
            {
                "name": name,
                **estimates,
                "within": measured.within[index],
                "between": measured.between[index],
                "overlap": estimate(
                    statistics.estimate_from_resamples(
                        middle, measured.overlap_resamples[index], len(overlap), options.level
                    )
                ),
                "overlap_matrix": matrix_of_pairs(overlap, len(classes), 1.0),
                "null": {
                    key: {
                        "value": mean(drawn),
                        "p_value": statistics.p_value_against(mean(values[key]), drawn),
                    }
                    for key, drawn in measured.null[index].items()
                },
            }
        )
    return {
        "classes": list(classes),
        "n_samples": len(measured.samples),
        "n_distance_samples": len(measured.distance_samples),
        "n_van_rossum_samples": len(measured.van_rossum_samples),
        "van_rossum_tau": options.van_rossum_tau,
        "layers": layers,
    }


def pathways_summary(
    measured: PathwayMeasures,
    weights: Sequence[NDArray[Any]],
    layer_names: Sequence[str],
    options: AnalysisOptions,
) -> dict[str, Any]:
    """Distinctness, overlaps and members of the pathways of every layer below the output."""
    fraction = options.pathway_fraction
    from_weights, from_runs = [], []
    for index, name in enumerate(layer_names[:-1]):
        table = measured.from_weights[index]
        value, null = float(pathways.distinctness(table)), measured.shuffled_weights[:, index]
        from_weights.append(
            {
                "name": name,
                "distinctness": value,
                **_members(table, fraction),
                "null": {
                    "weight_shuffled": {
                        "value": mean(null),
                        "p_value": statistics.p_value_against(value, null),
                    }
                },
            }
        )
        table = measured.from_runs[index]
        value, null = float(pathways.distinctness(table)), measured.label_shuffled[:, index]
        from_runs.append(
            {
                "name": name,
                "distinctness": estimate(
                    statistics.estimate_from_resamples(
                        value, measured.resamples[:, index], len(table), options.level
                    )
                ),
                "corrected": mean(measured.corrected(index)),
                **_members(table, fraction),
                "null": {
                    "label_shuffled": {
                        "value": mean(null),
                        # Of the samples that were shuffled: fewer would seem more distinct.
                        "p_value": statistics.p_value_against(measured.part[index], null),
                    },
                    "weight_shuffled": {
                        "value": measured.weight_shuffled[index],
                        "observed": measured.part[index],
                    },
                },
            }
        )
    return {
        "classes": list(range(len(measured.from_weights[0]))),
        "fraction": fraction,
        "lost_credit": measured.lost,
        "from_weights": {"layers": from_weights},
        "from_runs": {"layers": from_runs, "flows": _flows(measured.from_runs, weights)},
    }


def claim_summary(claim: Claim) -> dict[str, Any]:
    """A claim with all its numbers."""
    names = (
        "key", "statement", "verdict", "sentence", "quantity", "value", "low", "high", "p_value",
        "p_adjusted", "test", "effect_size", "effect", "n", "details", "of",
    )  # fmt: skip
    return {name: getattr(claim, name) for name in names}


def estimate(result: Estimate) -> dict[str, Any]:
    """An estimate as ``{value, low, high, n}``."""
    return {"value": result.value, "low": result.low, "high": result.high, "n": result.n}


def matrix_of_pairs(values: Array, size: int, diagonal: float) -> list[list[float]]:
    """Values of all pairs, in the order of ``itertools.combinations``, as a symmetric matrix."""
    matrix = np.full((size, size), diagonal)
    for (a, b), value in zip(combinations(range(size), 2), values, strict=True):
        matrix[a, b] = matrix[b, a] = value
    return [[float(value) for value in row] for row in matrix]


def plain(value: Any) -> Any:
    """Whatever the analysis holds as what JSON can hold; NaN is None, infinity a string."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        if np.isnan(number):
            return None
        return number if np.isfinite(number) else ("inf" if number > 0 else "-inf")
    return value


def _intervals(
    values: SpikeStatistics, rng: np.random.Generator, options: AnalysisOptions
) -> dict[str, list[float]]:
    """Confidence interval [low, high] of the mean of every measure."""
    result = {}
    for name in values.means():
        # The mean of many samples is nearly normal, and fewer resamples give its quantiles.
        known = getattr(values, name)
        known = known[~np.isnan(known)]
        few = options.n_resamples if len(known) <= 2000 else min(options.n_resamples, 500)
        found = statistics.bootstrap_interval(known, rng, level=options.level, n_resamples=few)
        result[name] = [found.low, found.high]
    return result


def _bands(values: SpikeStatistics) -> dict[str, list[float]]:
    """Quartiles over samples [25 %, 50 %, 75 %] of every measure."""
    result = {}
    for name in values.means():
        known = getattr(values, name)
        known = known[~np.isnan(known)]
        quartiles = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else [np.nan] * 3
        result[name] = [float(value) for value in quartiles]
    return result


def _members(table: Array, fraction: float) -> dict[str, Any]:
    """Overlap matrix, sizes and strongest neurons of the pathways of one layer."""
    chosen = pathways.pathway_members(table, fraction)
    safe = np.nan_to_num(table)
    order = np.argsort(-safe, axis=1, kind="stable")[:, :LISTED]
    return {
        "overlap_matrix": matrix_of_pairs(pathways.pathway_overlap(table), len(table), 1.0),
        "n_members": chosen.sum(axis=1),
        "strongest": [
            [[int(neuron), float(row[neuron])] for neuron in neurons if row[neuron] > 0]
            for row, neurons in zip(safe, order, strict=True)
        ],
    }


def _flows(tables: Sequence[Array], weights: Sequence[Array]) -> list[list[list[list[float]]]]:
    """Connections to draw: for each class and layer [pre, post, share] among strongest neurons.

    The share of i in j is that of the weights times the mean credit of i, over the strongest
    neurons of both layers: an order of importance, no conserved credit.
    """
    result = []
    n_classes = len(tables[0])
    for label in range(n_classes):
        per_layer: list[list[list[float]]] = []
        upper = np.array([label])
        for index in reversed(range(len(tables))):
            credit = np.nan_to_num(tables[index][label])
            lower = np.argsort(-credit, kind="stable")[:LISTED]
            lower = lower[credit[lower] > 0]
            drive = np.maximum(weights[index][np.ix_(lower, upper)], 0) * credit[lower, None]
            total = drive.sum()
            edges = [
                [int(lower[i]), int(upper[j]), float(drive[i, j] / total)]
                for i, j in np.argwhere(drive > 0)
            ]
            per_layer.insert(0, sorted(edges, key=lambda edge: -edge[2])[: 2 * LISTED])
            upper = lower
        result.append(per_layer)
    return result
