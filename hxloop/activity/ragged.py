"""Spikes as they lie in files: one after the other, and where each sample ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.spikes import Spikes
from hxloop.errors import FileFormatError


def from_ragged(
    times: NDArray[Any],
    units: NDArray[Any],
    ends: NDArray[Any],
    n_units: int,
    where: str,
) -> Spikes:
    """Spikes of a file, which has them in the order of ``Spikes.events``.

    Args:
        times: ``(spikes,)``, by sample, in each by time, of equal ones by neuron.
        units: ``(spikes,)``, which neuron each is of.
        ends: ``(samples,)``, number of spikes up to the end of each sample.
        n_units: number of neurons.
        where: begins messages.

    Raises:
        FileFormatError: arrays of other types or shapes, ends that go back or are not those of so
            many spikes, spikes out of order, twice, of a neuron that there is not, or at a time
            that is negative or not finite.
    """
    _check_form(times, units, ends, where)
    samples = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    # Checks values; what it puts in order was not.
    spikes = Spikes.from_events(
        samples, units, times, batch=len(ends), n_units=n_units, where=where, error=FileFormatError
    )
    moved = (spikes.times != times) | (spikes.units != units)
    if moved.any():
        i = int(np.argmax(moved))
        raise FileFormatError(
            f"{where}: spike {i} (sample {samples[i]}, neuron {units[i]}, time {times[i]:g}) is "
            "out of order; expected the spikes of a sample by time, of equal ones by neuron"
        )
    return spikes


def _check_form(times: NDArray[Any], units: NDArray[Any], ends: NDArray[Any], where: str) -> None:
    kinds = (times.dtype.kind, units.dtype.kind, ends.dtype.kind)
    dimensions = (times.ndim, units.ndim, ends.ndim)
    if kinds[0] != "f" or not set(kinds[1:]) <= set("iu") or dimensions != (1, 1, 1):
        raise FileFormatError(
            f"{where}: expected floating-point times and whole numbers for units and ends, in one "
            f"axis each; got {times.dtype} {times.shape}, {units.dtype} {units.shape} and "
            f"{ends.dtype} {ends.shape}"
        )
    steps = np.diff(ends.astype(np.int64), prepend=0)
    if (steps < 0).any():
        sample = int(np.argmax(steps < 0))
        raise FileFormatError(f"{where}: sample {sample} ends before it begins")
    n = int(ends[-1]) if len(ends) else 0
    if (len(times), len(units)) != (n, n):
        raise FileFormatError(
            f"{where}: expected {n} spikes, where the last sample ends; got {len(times)} times and "
            f"{len(units)} units"
        )
