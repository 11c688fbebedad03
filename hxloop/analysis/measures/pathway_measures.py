"""The pathways of one recorded state, beside those of its null models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.measures import null_models, pathways, statistics
from hxloop.analysis.measures.decisions import decision_times
from hxloop.analysis.measures.label_sets import Semantization, measure_semantization
from hxloop.analysis.measures.means import defined_mean
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.separability import balanced_subsample
from hxloop.analysis.measures.statistics import Array

# An output neuron that won fewer samples has no pathway from runs: it would be mostly noise.
MIN_WINS = 10


@dataclass(frozen=True)
class PathwayMeasures:
    """Class pathways through the input and every hidden layer.

    Attributes:
        from_weights: ``(outputs, neurons)`` for each layer.
        shuffled_weights: its distinctness with shuffled weights, ``(draws, layers)``.
        from_runs: ``(outputs, neurons)`` for each layer; NaN for an output neuron that won fewer
            than ``MIN_WINS`` samples.
        resamples: its distinctness in bootstrap resamples, ``(n_null, layers)``.
        part: distinctness from the part of the samples that null models are drawn for,
            ``(layers,)``.
        part_resamples: the same in bootstrap resamples of that part, ``(n_null, layers)``.
        overlap: of every two pathways of that part, ``(layers, pairs)``.
        expected: mean overlap of every two pathways with shuffled winners, ``(layers, pairs)``:
            each sample's activity as it was, its decision given to the output neuron of another
            sample, and traced anew from there. What is left of distinctness is what weights
            alone give, and sampling noise.
        label_shuffled: distinctness with shuffled winners, ``(n_null, layers)``.
        label_shuffled_corrected: ``corrected`` of every draw, mean over pairs, the same shape.
        weight_shuffled: the same spikes traced through shuffled weights, ``(draws, layers)``: what
            is left comes from who spikes when.
        semantization: shares of the packets' spikes that are of neurons tied to the label; None
            where labels are not known.
        lost: fraction of the credit that could not be traced.
    """

    from_weights: list[Array]
    shuffled_weights: Array
    from_runs: list[Array]
    resamples: Array
    part: Array
    part_resamples: Array
    overlap: Array
    expected: Array
    label_shuffled: Array
    label_shuffled_corrected: Array
    weight_shuffled: Array
    lost: float
    semantization: Semantization | None = None

    def corrected(self, layer: int) -> Array:
        """Distinctness of every two pathways beyond construction and noise, ``(pairs,)``.

        ``1 - overlap/expected``, as in the chance correction of Cohen's kappa (Educ. Psychol.
        Meas. 20, 37, 1960, eq. 1): 0 = no more distinct than with shuffled winners, 1 = no neuron
        in common; negative values mean less distinct.
        """
        return _corrected(self.overlap[layer], self.expected[layer])


def measure_pathways(
    layers: Sequence[Array],
    weights: Sequence[NDArray[Any]],
    winners: NDArray[np.int64],
    taus: Sequence[tuple[float, float]] | None,
    options: AnalysisOptions,
    labels: NDArray[np.int64] | None = None,
) -> PathwayMeasures:
    """Trace the pathways of all output neurons, with null models and resamples.

    Args:
        layers: spike times ``(samples, neurons)`` from input to output.
        weights: ``(pre, post)`` of every layer.
        winners: ``(samples,)``, output neuron decided for; negative = none.
        taus: see ``pathways_from_runs``.
        options: see ``AnalysisOptions``.
        labels: ``(samples,)``, the right output neuron; None: not known.
    """
    rng = np.random.default_rng((options.seed, 3))
    n = layers[-1].shape[1]
    credit, lost = pathways.pathways_from_runs(layers, weights, taus, winners=winners)
    decided = winners >= 0
    wins = np.bincount(winners[decided], minlength=n)
    won = np.where(decided & (wins[winners] >= MIN_WINS), winners, -1)

    known = np.flatnonzero(won >= 0)
    few = known[balanced_subsample(won[known], options.pathway_samples, rng)]
    chosen = [times[few] for times in layers]
    part = [pathways.class_pathways(table[few], won[few], n) for table in credit]
    overlap = np.stack([pathways.pathway_overlap(table) for table in part])
    shuffled = _winners_shuffled(chosen, weights, won[few], taus, options.n_null, rng)
    expected = np.stack([defined_mean(draws.T) for draws in shuffled])

    rewired = [null_models.weight_shuffled(weights, rng) for _ in range(options.n_rewired)]
    semantization = None
    if labels is not None:
        decided_at = decision_times(layers[-1], winners)
        semantization = measure_semantization(layers, weights, rewired, decided_at, labels, options)
    return PathwayMeasures(
        from_weights=pathways.pathways_from_weights(weights),
        shuffled_weights=np.stack(
            [_distinctness(pathways.pathways_from_weights(mixed)) for mixed in rewired]
        ),
        from_runs=[pathways.class_pathways(table, won, n) for table in credit],
        resamples=_resamples(credit, won, n, options.n_null, rng),
        part=_distinctness(part),
        part_resamples=_resamples(
            [table[few] for table in credit], won[few], n, options.n_null, rng
        ),
        overlap=overlap,
        expected=expected,
        label_shuffled=np.stack([1 - defined_mean(draws) for draws in shuffled], axis=1),
        label_shuffled_corrected=np.stack(
            [defined_mean(_corrected(d, e)) for d, e in zip(shuffled, expected, strict=True)],
            axis=1,
        ),
        weight_shuffled=np.stack(
            [_traced_distinctness(chosen, mixed, taus, won[few]) for mixed in rewired]
        ),
        lost=float(lost[decided].mean()) if decided.any() else float("nan"),
        semantization=semantization,
    )


def _winners_shuffled(
    layers: Sequence[Array],
    weights: Sequence[NDArray[Any]],
    won: NDArray[np.int64],
    taus: Sequence[tuple[float, float]] | None,
    n_draws: int,
    rng: np.random.Generator,
) -> list[Array]:
    """Overlaps of the pathways with shuffled winners: for each layer ``(draws, pairs)``.

    Credit does not depend on the class but for the output neuron that it starts from. So every
    sample is traced once from each output neuron, as if that had spiked at the decision, and a
    draw only chooses among these.
    """
    n = layers[-1].shape[1]
    mixed = np.stack([null_models.label_shuffled(won, rng) for _ in range(n_draws)])
    decided = decision_times(layers[-1], won)
    output = np.repeat(decided[:, None], n, axis=1)
    sums = [np.full((n_draws, n, table.shape[1]), np.nan, np.float32) for table in layers[:-1]]
    for label in np.unique(won):
        start = np.full(len(won), label)
        credit, _ = pathways.pathways_from_runs(
            [*layers[:-1], output], weights, taus, winners=start
        )
        members = (mixed == label).astype(np.float32)
        for total, table in zip(sums, credit, strict=True):
            total[:, label] = members @ table
    return [pathways.pathway_overlap(total) for total in sums]


def _corrected(overlap: Array, expected: Array) -> Array:
    """``1 - overlap/expected``; NaN where nothing is expected."""
    ratio = np.full(np.broadcast_shapes(overlap.shape, expected.shape), np.nan)
    np.divide(overlap, expected, out=ratio, where=expected > 0)
    return 1 - ratio


def _distinctness(tables: Iterable[Array]) -> Array:
    return np.array([float(pathways.distinctness(table)) for table in tables])


def _traced_distinctness(
    layers: Sequence[Array],
    weights: Sequence[NDArray[Any]],
    taus: Sequence[tuple[float, float]] | None,
    won: NDArray[np.int64],
) -> Array:
    """Distinctness of pathways traced through runs, ``(layers,)``."""
    traced, _ = pathways.pathways_from_runs(layers, weights, taus, winners=won)
    n = layers[-1].shape[1]
    return _distinctness(pathways.class_pathways(table, won, n) for table in traced)


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
