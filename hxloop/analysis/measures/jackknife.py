"""How far the mean of a measure moves with one sample, where samples are compared with each other.

A silhouette is of a sample, but depends on all others: a sample that lies badly lowers its own and
those of its whole class. So the values of the samples are not independent, and the spread of their
mean is larger than their own spread says. The pseudo-values of the jackknife (Tukey, Ann. Math.
Stat. 29, 614, 1958) count what each sample does to the mean altogether: with t the mean over all n
samples and t_k that without sample k, the pseudo-value of k is ``n t - (n - 1) t_k``. They are
nearly independent, and are tested and resampled in place of the values (Efron & Stein, Ann. Stat.
9, 586, 1981: their variance errs to the safe side).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.means import defined_mean
from hxloop.analysis.measures.separability import class_distances, silhouette

Array = NDArray[np.float64]


def silhouette_pseudo_values(distances: ArrayLike, labels: ArrayLike) -> Array:
    """What each sample does to the mean silhouette, see ``separability.silhouette``.

    Args:
        distances: ``(samples, samples)``, symmetric.
        labels: ``(samples,)``.

    Returns:
        ``(samples,)``: their mean is the mean silhouette; NaN where the silhouette is.

    Raises:
        RunInputError: shapes that do not fit.
    """
    own_values = silhouette(distances, labels)
    table, known = np.asarray(distances, dtype=np.float64), np.asarray(labels)
    classes, member, sizes = np.unique(known, return_inverse=True, return_counts=True)
    n, rows = len(known), np.arange(len(known))
    sums = table @ (known[:, None] == classes)
    own = sums[rows, member] / np.maximum(sizes[member] - 1, 1)
    means = sums / sizes
    means[rows, member] = np.inf
    means[:, sizes < 2] = np.inf
    nearest = means.min(axis=1, initial=np.inf)
    without = np.empty(n)  # the mean silhouette of all but this sample
    for label in range(len(classes)):
        removed = np.flatnonzero(member == label)
        left = sums[:, label][:, None] - table[:, removed]  # (samples, removed)
        others = np.delete(means, label, axis=1).min(axis=1, initial=np.inf)[:, None]
        of_class = (member == label)[:, None]
        far = left / max(sizes[label] - 1, 1) if sizes[label] > 2 else np.full(left.shape, np.inf)
        near = np.where(of_class, nearest[:, None], np.minimum(others, far))
        within = np.where(of_class, left / max(sizes[label] - 2, 1), own[:, None])
        with np.errstate(invalid="ignore"):
            values = (near - within) / np.maximum(near, within)
        values[(near == 0) & (within == 0)] = 0.0
        gone = (sizes[member] - (member == label) < 2)[:, None] | np.isinf(near)
        values[gone] = np.nan
        values[removed, np.arange(len(removed))] = np.nan
        without[removed] = defined_mean(values, axis=0)
    return _pseudo_values(own_values, without)


def contrast_pseudo_values(distances: ArrayLike, labels: ArrayLike) -> Array:
    """What each sample does to the mean contrast of distances between and within classes.

    The contrast of a sample is ``(others - own)/(others + own)`` of its mean distances, see
    ``separability.class_distances``.

    Args:
        distances: ``(samples, samples)``, symmetric.
        labels: ``(samples,)``.

    Returns:
        ``(samples,)``: their mean is the mean contrast; NaN where the contrast is.

    Raises:
        RunInputError: shapes that do not fit.
    """
    own_values = contrast(*class_distances(distances, labels))
    table, known = np.asarray(distances, dtype=np.float64), np.asarray(labels)
    same = known[:, None] == known
    n_own, n_others = same.sum(axis=1) - 1, (~same).sum(axis=1)
    own_sum = np.where(same, table, 0.0).sum(axis=1) - np.diag(table)
    others_sum = np.where(same, 0.0, table).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        # (samples, removed)
        own = (own_sum[:, None] - np.where(same, table, 0.0)) / (n_own[:, None] - same)
        others = (others_sum[:, None] - np.where(same, 0.0, table)) / (n_others[:, None] - ~same)
        values = contrast(own, others)
    np.fill_diagonal(values, np.nan)
    return _pseudo_values(own_values, defined_mean(values, axis=0))


def contrast(own: Array, others: Array) -> Array:
    """``(others - own)/(others + own)`` of mean distances; 0 if both are 0, NaN if one is."""
    with np.errstate(invalid="ignore"):
        found = np.where(own + others > 0, (others - own) / (others + own), 0.0)
    found[np.isnan(own) | np.isnan(others)] = np.nan
    return found


def _pseudo_values(values: Array, without: Array) -> Array:
    kept = ~np.isnan(values)
    n = int(kept.sum())
    if n < 2 or np.isnan(without[kept]).any():
        # With a class of two samples, leaving one out leaves no measure to compare.
        return values
    mean = values[kept].mean()
    found = np.full_like(values, np.nan)
    found[kept] = n * mean - (n - 1) * without[kept]
    # The jackknife's own correction of the bias is left out: the mean stays what it is.
    found[kept] += mean - found[kept].mean()
    return found
