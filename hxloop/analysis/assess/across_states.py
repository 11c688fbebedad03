"""Several states of one network beside each other: over training, or over substrates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hxloop.activity import RecordedActivity
from hxloop.analysis.assess import summary
from hxloop.analysis.assess.claim import MeasuredState
from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.measure import SEPARABILITY, SYNCHRONY, Measure
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.measures.options import AnalysisOptions


def overview(
    states: Sequence[RecordedActivity], measured: Mapping[str, MeasuredState]
) -> dict[str, Any]:
    """The main measures of every state and layer as tables: over training, or over substrates.

    Args:
        states: in the order of the rows.
        measured: their measures by name.
    """
    tables = {
        each.table: [_of_layers(each, measured[state.name]) for state in states]
        for each in measures()
        if each.overview
    }
    return {
        "states": [state.name for state in states],
        "epochs": [state.epoch for state in states],
        "accuracy": [state.accuracy for state in states],
        **tables,
    }


def compare(
    reference: MeasuredState, other: MeasuredState, options: AnalysisOptions
) -> dict[str, Any]:
    """Does another state (of training, of another substrate) spread its spikes differently?

    Causal shorth of every layer, other minus reference: sample by sample where both hold as many
    samples (taken to be the same ones), else between groups.

    Args:
        reference: compared with.
        other: compared.
        options: see ``AnalysisOptions``.
    """
    rng = np.random.default_rng((options.seed, 7))
    here, there = reference.synchrony.causal_shorth(), other.synchrony.causal_shorth()
    paired = len(here) == len(there)
    layers = []
    for index, name in enumerate(reference.layer_names):
        a, b = there[:, index], here[:, index]
        if paired:
            interval = statistics.bootstrap_interval(
                a - b, rng, level=options.level, n_resamples=options.n_resamples
            )
            test = statistics.paired_permutation_test(a - b, rng, n_resamples=999)
            effect = statistics.dominance(a - b)
        else:
            test = statistics.two_sample_permutation_test(a, b, rng, n_resamples=999)
            interval = statistics.Estimate(test.value, np.nan, np.nan, test.n)
            effect = statistics.cliffs_delta(a, b)
        layers.append(
            {
                "name": name,
                "causal_shorth": summary.estimate(interval),
                "p_value": test.p_value,
                "effect_size": effect,
            }
        )
    return {
        "state": other.name,
        "reference": reference.name,
        "paired": paired,
        "layers": layers,
    }


def _of_layers(measure: Measure, state: MeasuredState) -> list[float] | None:
    """The mean of a measure in each layer; None where it could not be measured."""
    if measure.group == SYNCHRONY:
        return [mean(layer[measure.key]) for layer in state.synchrony.values["causal"]]
    if measure.group == SEPARABILITY:
        found = state.separability
        return None if found is None else [mean(layer[measure.key]) for layer in found.values]
    if state.pathways is None:
        return None
    return [measure.of_table(table) for table in state.pathways.from_runs]
