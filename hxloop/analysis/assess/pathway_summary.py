"""Pathways as plain numbers: what stands in ``analysis.json`` of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.assess.summary import estimate, matrix_of_pairs
from hxloop.analysis.measures import pathways, statistics
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.measure import PATHWAYS
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathway_measures import PathwayMeasures
from hxloop.analysis.measures.statistics import Array

# Neurons of a pathway that are listed by number, strongest first.
LISTED = 12


def pathways_summary(
    measured: PathwayMeasures,
    weights: Sequence[NDArray[Any]],
    layer_names: Sequence[str],
    options: AnalysisOptions,
) -> dict[str, Any]:
    """Distinctness, overlaps and members of the pathways of every layer below the output."""
    fraction = options.pathway_fraction
    others = [each for each in measures(PATHWAYS) if each.key != "distinctness"]
    from_weights, from_runs = [], []
    for index, name in enumerate(layer_names[:-1]):
        table = measured.from_weights[index]
        value, null = float(pathways.distinctness(table)), measured.shuffled_weights[:, index]
        from_weights.append(
            {
                "name": name,
                "distinctness": value,
                **_members(table, fraction),
                "null": {"weight_shuffled": _against(value, null)},
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
                **{each.key: each.of_table(table) for each in others},
                **_members(table, fraction),
                "null": {
                    "label_shuffled": {
                        "value": mean(null),
                        # Of the samples that were shuffled: fewer would seem more distinct.
                        "p_value": statistics.p_value_against(measured.part[index], null),
                    },
                    "weight_shuffled": {
                        **_against(measured.part[index], measured.weight_shuffled[:, index]),
                        "observed": measured.part[index],
                    },
                },
            }
        )
    return {
        "label_share": _label_shares(measured, layer_names, options),
        "classes": list(range(len(measured.from_weights[0]))),
        "fraction": fraction,
        "lost_credit": measured.lost,
        "from_weights": {"layers": from_weights},
        "from_runs": {"layers": from_runs, "flows": _flows(measured.from_runs, weights)},
    }


def _against(observed: float, null: Array) -> dict[str, Any]:
    """A number beside its draws under a null model."""
    return {
        "value": mean(null),
        "difference": observed - mean(null),
        "p_value": statistics.p_value_against(observed, null),
        "draws": len(null),
    }


def _label_shares(
    measured: PathwayMeasures, layer_names: Sequence[str], options: AnalysisOptions
) -> dict[str, Any] | None:
    """Shares of the packets' spikes that are of the label's neurons, of every layer."""
    found = measured.semantization
    if found is None:
        return None
    layers = []
    for index, name in enumerate(layer_names[:-1]):
        own, rng = found.share[index], np.random.default_rng((options.seed, 12, index))
        estimates = {
            key: estimate(
                statistics.bootstrap_interval(
                    values, rng, level=options.level, n_resamples=options.n_resamples
                )
            )
            for key, values in (
                ("share", own),
                ("chance", found.chance[index]),
                ("others", found.others[index]),
                ("beyond_chance", own - found.chance[index]),
                ("beyond_others", own - found.others[index]),
            )
        }
        layers.append(
            {
                "name": name,
                **estimates,
                "n_spikes": mean(found.spikes[index]),
                "set_sizes": found.set_sizes[index],
                "null": {"weight_shuffled": _against(mean(own), found.rewired[:, index])},
            }
        )
    return {"fraction": options.pathway_fraction, "layers": layers}


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
