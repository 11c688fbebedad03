"""The pathways of one recorded state, beside those of its null models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis import null_models, pathways, statistics
from hxloop.analysis.measures import AnalysisOptions
from hxloop.analysis.separability import balanced_subsample
from hxloop.analysis.statistics import Array

# An output neuron that won fewer samples has no pathway from runs: it would be mostly noise.
MIN_WINS = 10
# Draws of shuffled weights.
N_REWIRED = 20


@dataclass(frozen=True)
class PathwayMeasures:
    """Class pathways through the input and every hidden layer.

    Attributes:
        from_weights: ``(outputs, neurons)`` for each layer.
        shuffled_weights: its distinctness with shuffled weights, ``(draws, layers)``.
        from_runs: ``(outputs, neurons)`` for each layer; NaN for an output neuron that won fewer
            than ``MIN_WINS`` samples.
        resamples: its distinctness in bootstrap resamples, ``(n_null, layers)``.
        label_shuffled: its distinctness with shuffled winners, ``(n_null, layers)``.
        label_shuffled_pairs: for each layer the mean overlap of every two pathways with shuffled
            winners, ``(pairs,)``: what sampling noise leaves of a complete overlap.
        part: distinctness from a part of the samples, ``(layers,)``.
        weight_shuffled: the same spikes traced through shuffled weights, ``(layers,)``: what is
            left comes from who spikes when.
        lost: fraction of the credit that could not be traced.
    """

    from_weights: list[Array]
    shuffled_weights: Array
    from_runs: list[Array]
    resamples: Array
    label_shuffled: Array
    label_shuffled_pairs: list[Array]
    part: Array
    weight_shuffled: Array
    lost: float

    def corrected(self, layer: int) -> Array:
        """Distinctness of every two pathways beyond construction and noise, ``(pairs,)``.

        ``1 - overlap/(overlap from weights * overlap with shuffled winners)``: the chance
        correction of Cohen's kappa (Educ. Psychol. Meas. 20, 37, 1960, eq. 1) with an expected
        overlap in which that of the weights alone (all neurons equally active: what depth does by
        construction) and what sampling noise leaves of it multiply. 0 = no more distinct than
        expected, 1 = no neuron in common. It errs to the low side: where few neurons are active
        their shares are evened out, and values can be negative.
        """
        expected = self.label_shuffled_pairs[layer] * pathways.pathway_overlap(
            self.from_weights[layer]
        )
        observed = pathways.pathway_overlap(self.from_runs[layer])
        ratio = np.divide(
            observed, expected, out=np.full_like(observed, np.nan), where=expected > 0
        )
        return 1 - ratio


def measure_pathways(
    layers: Sequence[Array],
    weights: Sequence[NDArray[Any]],
    winners: NDArray[np.int64],
    taus: Sequence[tuple[float, float]] | None,
    options: AnalysisOptions,
) -> PathwayMeasures:
    """Trace the pathways of all output neurons, with null models and resamples.

    Args:
        layers: spike times ``(samples, neurons)`` from input to output.
        weights: ``(pre, post)`` of every layer.
        winners: ``(samples,)``, output neuron decided for; negative = none.
        taus: see ``pathways_from_runs``.
        options: see ``AnalysisOptions``.
    """
    rng = np.random.default_rng((options.seed, 3))
    n = layers[-1].shape[1]
    credit, lost = pathways.pathways_from_runs(layers, weights, taus, winners=winners)
    decided = winners >= 0
    wins = np.bincount(winners[decided], minlength=n)
    won = np.where(decided & (wins[winners] >= MIN_WINS), winners, -1)

    mixed = np.stack([null_models.label_shuffled(won, rng) for _ in range(options.n_null)])
    label_shuffled, pairs = [], []
    for table in credit:
        sums = [(mixed == label).astype(np.float32) @ table for label in range(n)]
        overlap = pathways.pathway_overlap(np.stack(sums, axis=1))
        label_shuffled.append(1 - _mean_of_rows(overlap))
        pairs.append(_mean_of_rows(overlap.T))

    few = balanced_subsample(won, options.pathway_samples, rng)
    rewired = null_models.weight_shuffled(weights, rng)
    traced, _ = pathways.pathways_from_runs(
        [times[few] for times in layers], rewired, taus, winners=winners[few]
    )

    def distinctness_of(tables: Iterable[NDArray[np.float32]]) -> Array:
        means = (pathways.class_pathways(table, won[few], n) for table in tables)
        return np.array([float(pathways.distinctness(table)) for table in means])

    return PathwayMeasures(
        from_weights=pathways.pathways_from_weights(weights),
        shuffled_weights=np.array([_shuffled(weights, rng) for _ in range(N_REWIRED)]),
        from_runs=[pathways.class_pathways(table, won, n) for table in credit],
        resamples=_resamples(credit, won, n, options.n_null, rng),
        label_shuffled=np.stack(label_shuffled, axis=1),
        label_shuffled_pairs=pairs,
        part=distinctness_of(table[few] for table in credit),
        weight_shuffled=distinctness_of(traced),
        lost=float(lost[decided].mean()) if decided.any() else float("nan"),
    )


def _mean_of_rows(table: Array) -> Array:
    """Mean of every row over the entries that are defined; NaN where none is."""
    known = ~np.isnan(table)
    count = known.sum(axis=1)
    total = np.where(known, table, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _shuffled(weights: Sequence[NDArray[Any]], rng: np.random.Generator) -> list[float]:
    mixed = null_models.weight_shuffled(weights, rng)
    return [float(pathways.distinctness(table)) for table in pathways.pathways_from_weights(mixed)]


def _resamples(
    credit: Sequence[NDArray[np.float32]],
    winners: NDArray[np.int64],
    n_classes: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> Array:
    """Distinctness in bootstrap resamples, the same ones for all layers."""
    counts = statistics.resampling_weights(winners, n_resamples, rng)
    drawn = (pathways.resampled_pathways(table, winners, counts, n_classes) for table in credit)
    return np.stack([pathways.distinctness(table) for table in drawn], axis=1)
