"""Silencing a class's pathway, and seeing which classes suffer.

The network runs elsewhere, on any backend: ``ablate`` is handed a function that turns weights
into decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.errors import RunInputError

Array = NDArray[np.float64]
# One mask (neurons,) for each hidden layer.
Masks = Sequence[NDArray[np.bool_]]
Runner = Callable[[tuple[Array, ...]], NDArray[np.int64]]


@dataclass(frozen=True)
class Ablation:
    """What silencing did.

    Attributes:
        baseline: ``(classes,)``, fraction of right decisions for the samples of each class with
            nothing silenced; NaN for a class without samples.
        accuracy: ``(pathways, classes)``, the same with each pathway silenced.
        n_silenced: ``(pathways,)``, how many neurons that took.
    """

    baseline: Array
    accuracy: Array
    n_silenced: NDArray[np.int64]

    @property
    def drop(self) -> Array:
        """``(pathways, classes)``: accuracy lost."""
        return self.baseline - self.accuracy

    @property
    def specificity(self) -> Array:
        """``(pathways,)``: accuracy lost by the pathway's own class minus the mean of the others.

        0 where silencing hurts all alike. NaN with fewer than two classes, or where pathways are
        not those of the classes (another number of them).
        """
        n = len(self.baseline)
        if len(self.accuracy) != n or n < 2:
            return np.full(len(self.accuracy), np.nan)
        own = np.diagonal(self.drop)
        others = np.where(np.eye(n, dtype=bool), np.nan, self.drop)
        known = ~np.isnan(others)
        total = np.where(known, others, 0.0).sum(axis=1)
        return np.where(known.any(axis=1), own - total / np.maximum(known.sum(axis=1), 1), np.nan)


def distinctive_neurons(
    pathways: Sequence[ArrayLike], fraction: float = 0.1
) -> list[list[NDArray[np.bool_]]]:
    """The neurons that each class relies on more than the others do.

    A pathway as such shares most of its neurons with the other classes' in early layers;
    silencing it would hurt all of them. Ranked instead by the class's credit minus the mean
    credit of the other classes.

    Args:
        pathways: for each hidden layer ``(classes, neurons)``.
        fraction: of the neurons of each layer, rounded up; only those with more credit than the
            mean of the others are taken.

    Returns:
        For each class the masks of its neurons, one for each hidden layer.
    """
    if not 0 < fraction <= 1:
        raise RunInputError(f"fraction: expected one above 0, at most 1; got {fraction}")
    tables = [np.nan_to_num(np.asarray(table, dtype=np.float64)) for table in pathways]
    result: list[list[NDArray[np.bool_]]] = []
    for label in range(tables[0].shape[0]):
        masks = []
        for table in tables:
            others = np.delete(table, label, axis=0)
            mean = others.mean(axis=0) if len(others) else np.zeros(table.shape[1])
            excess = table[label] - mean
            count = int(np.ceil(fraction * len(excess)))
            mask = np.zeros(len(excess), dtype=bool)
            mask[np.argsort(-excess, kind="stable")[:count]] = True
            masks.append(mask & (excess > 0))
        result.append(masks)
    return result


def random_masks(masks: Masks, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """As many neurons of each layer, chosen at random: the control of an ablation."""
    return [rng.permuted(np.asarray(mask, dtype=bool)) for mask in masks]


def silence(weights: Sequence[ArrayLike], masks: Masks) -> tuple[Array, ...]:
    """Copies of the weights with the outgoing weights of some hidden neurons set to 0.

    Args:
        weights: ``(pre, post)`` of every layer.
        masks: one ``(neurons,)`` for each hidden layer; True = silenced.

    Raises:
        RunInputError: not one mask for each hidden layer, or of another length.
    """
    matrices = [np.array(matrix, dtype=np.float64) for matrix in weights]
    wanted = [(matrix.shape[0],) for matrix in matrices[1:]]
    if [np.shape(mask) for mask in masks] != wanted:
        raise RunInputError(
            f"masks: expected one for each hidden layer, of the shapes {wanted}; got "
            f"{[np.shape(mask) for mask in masks]}"
        )
    for matrix, mask in zip(matrices[1:], masks, strict=True):
        matrix[np.asarray(mask, dtype=bool)] = 0.0
    return tuple(matrices)


def ablate(
    weights: Sequence[ArrayLike],
    pathways: Sequence[Masks],
    run: Runner,
    labels: ArrayLike,
    n_classes: int,
) -> Ablation:
    """Silence one pathway after the other and count right decisions class by class.

    Args:
        weights: ``(pre, post)`` of every layer.
        pathways: masks of each pathway, see ``silence``; one for each class as a rule.
        run: weights -> decisions ``(samples,)``, negative = none. Runs the network, on any
            backend, with the same samples every time.
        labels: ``(samples,)``, right decisions.
        n_classes: how many classes.

    Raises:
        RunInputError: masks that do not fit, or ``run`` returns another number of decisions.
    """
    known = np.asarray(labels)

    def right(matrices: tuple[Array, ...]) -> Array:
        decisions = np.asarray(run(matrices))
        if decisions.shape != known.shape:
            raise RunInputError(
                f"run: expected {known.shape} decisions, one for each label; got {decisions.shape}"
            )
        return np.array(
            [
                (decisions[known == label] == label).mean() if (known == label).any() else np.nan
                for label in range(n_classes)
            ]
        )

    baseline = right(tuple(np.array(matrix, dtype=np.float64) for matrix in weights))
    accuracy = [right(silence(weights, masks)) for masks in pathways]
    counts = [sum(int(np.sum(mask)) for mask in masks) for masks in pathways]
    return Ablation(
        baseline, np.array(accuracy).reshape(len(pathways), n_classes), np.array(counts, dtype=int)
    )


def ablation_study(
    weights: Sequence[ArrayLike],
    pathways: Sequence[ArrayLike],
    run: Runner,
    labels: ArrayLike,
    rng: np.random.Generator,
    fractions: Sequence[float] = (0.01, 0.02, 0.05),
) -> dict[str, Any]:
    """Does silencing the neurons that a class relies on hurt that class, and not the others?

    For each class its distinctive neurons are silenced, then as many random ones of each layer.
    The test compares the specificity of the two over classes. Runs the network
    ``len(fractions) (1 + 2 classes)`` times.

    Args:
        weights: ``(pre, post)`` of every layer.
        pathways: for each hidden layer ``(classes, neurons)``.
        run: weights -> decisions, see ``ablate``.
        labels: ``(samples,)``, right decisions.
        rng: draws the random neurons.
        fractions: of the neurons of each layer to silence.

    Returns:
        ``baseline`` (accuracy of each class) and ``fractions``, a list of ``{fraction,
        n_silenced, drop, specificity, random_drop, random_specificity, value, p_value,
        effect_size, effect}``: drops are ``[silenced class][class]``, ``value`` is the mean
        difference of specificities. Plain values, None where not defined.
    """
    from hxloop.analysis.assess.summary import plain
    from hxloop.analysis.measures.statistics import dominance, paired_permutation_test

    n_classes = np.shape(pathways[0])[0]
    rows, baseline = [], None
    for fraction in fractions:
        masks = distinctive_neurons(pathways, fraction)
        own = ablate(weights, masks, run, labels, n_classes)
        control = [random_masks(mask, rng) for mask in masks]
        other = ablate(weights, control, run, labels, n_classes)
        difference = own.specificity - other.specificity
        test = paired_permutation_test(difference, rng)
        baseline = own.baseline
        rows.append(
            {
                "fraction": fraction,
                "n_silenced": own.n_silenced,
                "drop": own.drop,
                "specificity": own.specificity,
                "random_drop": other.drop,
                "random_specificity": other.specificity,
                "value": test.value,
                "p_value": test.p_value,
                "effect_size": dominance(difference),
                "effect": "dominance over classes",
            }
        )
    study: dict[str, Any] = plain({"baseline": baseline, "fractions": rows})
    return study
