"""Means of what is defined: NaN is what could not be measured, and is left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def mean(values: Array) -> float:
    """Mean of the values that are defined; NaN if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def masked_mean(table: Array, mask: NDArray[np.bool_], axis: int = 1) -> Array:
    """Mean along an axis over the entries that are chosen; NaN where none is."""
    count = mask.sum(axis=axis)
    total = np.where(mask, table, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def defined_mean(table: Array, axis: int = 1) -> Array:
    """Mean along an axis over the entries that are defined; NaN where none is."""
    return masked_mean(table, ~np.isnan(table), axis)


def defined(values: ArrayLike) -> Array:
    """The values that are defined, as one row."""
    array = np.asarray(values, dtype=np.float64).ravel()
    found: Array = array[~np.isnan(array)]
    return found
