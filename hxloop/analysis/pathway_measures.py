"""The pathways of one recorded state, beside those of its null models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis import null_models, pathways, statistics
from hxloop.analysis.measures import AnalysisOptions
from hxloop.analysis.separability import balanced_subsample
from hxloop.analysis.statistics import Array


@dataclass(frozen=True)
class PathwayMeasures:
    """Class pathways through the input and every hidden layer.

    "Part" is the subsample for which null models were traced: distinctness grows with sampling
    noise, so that it is compared for the same samples.

    Attributes:
        from_weights: ``(outputs, neurons)`` for each layer.
        shuffled_weights: its distinctness with shuffled weights, ``(draws, layers)``.
        from_runs: ``(outputs, neurons)`` for each layer.
        resamples: its distinctness in bootstrap resamples, ``(n_null, layers)``.
        label_shuffled: its distinctness with shuffled winners, ``(n_null, layers)``.
        part: ``(outputs, neurons)`` for each layer, from the part.
        part_resamples: its distinctness in bootstrap resamples, ``(n_null, layers)``.
        neuron_shuffled: ``(outputs, neurons)`` for each layer: the part's spikes given to random
            neurons of their layer. What is left is by construction, and from the weights alone.
        weight_shuffled: ``(outputs, neurons)`` for each layer: the part's spikes, traced
            through shuffled weights. What is left comes from who spikes when.
        lost: fraction of the credit that could not be traced.
    """

    from_weights: list[Array]
    shuffled_weights: Array
    from_runs: list[Array]
    resamples: Array
    label_shuffled: Array
    part: list[Array]
    part_resamples: Array
    neuron_shuffled: list[Array]
    weight_shuffled: list[Array]
    lost: float


def corrected_distinctness(observed: ArrayLike, by_chance: ArrayLike) -> Array:
    """Distinctness beyond that of a null model: ``(D - D_0)/(1 - D_0)``.

    The chance correction of Cohen's kappa (Educ. Psychol. Meas. 20, 37, 1960, eq. 1): 0 = as
    distinct as the null model, 1 = no neuron in common. NaN where the null model has 1.

    Args:
        observed: distinctness, any shape.
        by_chance: that of the null model, of a shape that broadcasts.
    """
    value, null = np.asarray(observed, dtype=np.float64), np.asarray(by_chance, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(null < 1, (value - null) / (1 - null), np.nan)


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
        winners: ``(samples,)``, output neuron that spiked first; negative = none.
        taus: see ``pathways_from_runs``.
        options: see ``AnalysisOptions``.
    """
    rng = np.random.default_rng((options.seed, 3))
    n = layers[-1].shape[1]
    credit, lost = pathways.pathways_from_runs(layers, weights, taus)
    decided = winners >= 0
    mixed = np.stack([null_models.label_shuffled(winners, rng) for _ in range(options.n_null)])
    label_shuffled = []
    for table in credit:
        sums = [(mixed == label).astype(np.float32) @ table for label in range(n)]
        label_shuffled.append(pathways.distinctness(np.stack(sums, axis=1)))

    few = balanced_subsample(winners, options.pathway_samples, rng)
    some, part_winners = [times[few] for times in layers], winners[few]
    # Output spikes stay with their neurons: the winner is the one who is traced back from.
    strangers = [null_models.neuron_shuffled(times, rng) for times in some[:-1]] + [some[-1]]
    other_weights = null_models.weight_shuffled(weights, rng)

    def means(traced: Sequence[NDArray[np.float32]]) -> list[Array]:
        return [pathways.class_pathways(table, part_winners, n) for table in traced]

    part = [table[few] for table in credit]
    return PathwayMeasures(
        from_weights=pathways.pathways_from_weights(weights),
        shuffled_weights=np.array([_shuffled(weights, rng) for _ in range(20)]),
        from_runs=[pathways.class_pathways(table, winners, n) for table in credit],
        resamples=_resamples(credit, winners, n, options.n_null, rng),
        label_shuffled=np.stack(label_shuffled, axis=1),
        part=means(part),
        part_resamples=_resamples(part, part_winners, n, options.n_null, rng),
        neuron_shuffled=means(pathways.pathways_from_runs(strangers, weights, taus)[0]),
        weight_shuffled=means(pathways.pathways_from_runs(some, other_weights, taus)[0]),
        lost=float(lost[decided].mean()) if decided.any() else float("nan"),
    )


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
