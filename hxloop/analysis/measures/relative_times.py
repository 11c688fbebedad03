"""The primary description of how far classes lie apart, and a baseline that is not linear.

Stated before any number was looked at: of the spikes up to the decision, the time relative to the
median of the sample's own volley, in that layer; a silent neuron at a fixed margin behind the
median, where spikes later than that are put, too. So neither what happens after the decision, nor
when a volley arrives as a whole, nor the length of the window counts; who is silent counts as much
as a delay by the margin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.decisions import checked_times
from hxloop.errors import RunInputError

Array = NDArray[np.float64]


def relative_features(times: ArrayLike, margin: float) -> Array:
    """Spike times relative to the median of their sample, as features.

    Args:
        times: ``(samples, neurons)``, causal spikes, ``inf`` = silent.
        margin: model time; where silent neurons are put, and how far features reach to both sides.

    Returns:
        ``(samples, neurons)`` from ``-margin`` to ``margin``; all ``margin`` without a spike.

    Raises:
        RunInputError: ``margin`` is not positive, or times that ``checked_times`` refuses.
    """
    if not margin > 0:
        raise RunInputError(f"margin: expected a positive time; got {margin}")
    spikes = checked_times(times)
    if not spikes.size:
        return spikes.copy()
    n = np.isfinite(spikes).sum(axis=1)
    ordered = np.sort(spikes, axis=1)
    rows = np.arange(len(spikes))
    some = n > 0
    low = np.where(some, ordered[rows, np.maximum(n - 1, 0) // 2], 0.0)
    high = np.where(some, ordered[rows, np.minimum(n // 2, np.maximum(n - 1, 0))], 0.0)
    found: Array = np.clip(spikes - ((low + high) / 2)[:, None], -margin, margin)
    return found


def nearest_neighbour(distances: ArrayLike, labels: ArrayLike) -> Array:
    """Whether each sample's nearest other sample is of the same class (Cover & Hart, 1967).

    Args:
        distances: ``(samples, samples)``, symmetric.
        labels: ``(samples,)``.

    Returns:
        ``(samples,)`` 1 = right, 0 = wrong (ties are), NaN = of a class with a single member. All
        NaN with fewer than two classes of at least two members.

    Raises:
        RunInputError: shapes that do not fit.
    """
    table, known = np.array(distances, dtype=np.float64), np.asarray(labels)
    if known.ndim != 1 or table.shape != (len(known), len(known)):
        raise RunInputError(
            f"distances: expected one for each two of {len(known)} samples; got {table.shape}"
        )
    _, member, sizes = np.unique(known, return_inverse=True, return_counts=True)
    enough = sizes[member] >= 2
    right = np.full(len(known), np.nan)
    if (sizes >= 2).sum() < 2:
        return right
    np.fill_diagonal(table, np.inf)
    table[:, ~enough] = np.inf
    own = np.min(table, axis=1, where=known[:, None] == known, initial=np.inf)
    others = np.min(table, axis=1, where=known[:, None] != known, initial=np.inf)
    right[enough] = (own < others)[enough]
    return right
