"""A part of the training samples for validation, where those who published them left none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def held_out(
    labels: ArrayLike, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the samples to train with, and of those held out, each in an order that is drawn.

    Of every class the same fraction is held out, rounded.

    Args:
        labels: ``(n,)``.
        fraction: from 0 to 1.
        seed: of the draw.

    Example:
        >>> [sorted(part.tolist()) for part in held_out([0, 0, 1, 1], 0.5, seed=0)]
        [[1, 3], [0, 2]]
    """
    classes = np.asarray(labels)
    order = np.random.default_rng(seed).permutation(len(classes))
    held = np.zeros(len(order), dtype=bool)
    for value in np.unique(classes):
        own = np.flatnonzero(classes[order] == value)
        held[own[: round(fraction * len(own))]] = True
    return order[~held], order[held]
