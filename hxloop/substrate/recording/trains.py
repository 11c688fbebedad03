"""Trains of spikes in recorded sessions: one array each, whose digest is that of the whole train.

``(1 + spikes, 3)`` float64: the first row is (samples, neurons, spikes), each other one (sample,
neuron, time), sorted by sample and time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.errors import FileFormatError

Array = NDArray[np.float64]


def train_array(spikes: Spikes) -> Array:
    """A train as an array."""
    head = [[spikes.batch, spikes.n_units, spikes.n_spikes]]
    rows = np.column_stack([spikes.samples, spikes.units, spikes.times])
    return np.concatenate([np.array(head, np.float64), rows.astype(np.float64)])


def train_of(array: NDArray[Any], where: str) -> Spikes:
    """What ``train_array`` made an array of.

    Args:
        array: as read.
        where: begins messages.

    Raises:
        FileFormatError: it is no such array.
    """
    if array.dtype != np.float64 or array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise FileFormatError(
            f"{where}: expected spikes, (1 + spikes, 3) float64; got {array.shape} {array.dtype}"
        )
    head, indices, times = array[0], array[1:, :2], array[1:, 2]
    whole = np.concatenate([head, indices.ravel()])
    if not (np.isfinite(whole) & (whole >= 0) & (whole == np.floor(whole)) & (whole < 2**53)).all():
        raise FileFormatError(f"{where}: expected samples and neurons that are whole numbers")
    batch, n_units, n_spikes = (int(number) for number in head)
    if n_spikes != len(times):
        raise FileFormatError(f"{where}: expected {n_spikes} spikes; got {len(times)}")
    samples, units = indices.astype(np.int64).T
    # Sorted as they were, those of one moment in the order that they had.
    back = (np.diff(samples) < 0) | ((np.diff(samples) == 0) & (np.diff(times) < 0))
    if back.any():
        raise FileFormatError(f"{where}: expected spikes sorted by sample and time")
    Spikes.from_events(
        samples, units, times, batch=batch, n_units=n_units, where=where, error=FileFormatError
    )
    offsets = np.searchsorted(samples, np.arange(batch + 1)).astype(np.int64)
    return Spikes.trusted(times.copy(), units.copy(), offsets, n_units)
