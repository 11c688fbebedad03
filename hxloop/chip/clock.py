"""The clock of the chip: spikes are stamped with its cycles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLOCK_SECONDS = 8e-9  # one cycle of the 125 MHz clock
# A time this close to a cycle, as a share of it, lies on it: rounding must not cost a cycle.
SLACK = 1e-6


def truncate(times: Array, tick: float) -> Array:
    """Times cut down to whole cycles; a new array.

    Args:
        times: any shape; ``inf`` stays.
        tick: length of a cycle, in the unit of the times.
    """
    truncated: Array = np.floor(times / tick + SLACK)
    truncated *= tick
    return truncated


def n_tied(recorded: Array, exact: Array | None = None) -> int:
    """In how many samples time stamps made spikes of different neurons equal.

    Args:
        recorded: ``(batch, neuron)``, as stamped; ``inf`` = silent.
        exact: the same spikes before they were stamped. None: not known; every two equal stamps
            count, for no two neurons spike at the same moment.
    """
    stamps = _n_times(recorded)
    spikes = np.isfinite(recorded)
    before = spikes.sum(axis=1) if exact is None else _n_times(np.where(spikes, exact, np.inf))
    return int(np.count_nonzero(stamps < before))


def _n_times(times: Array) -> NDArray[np.int64]:
    """How many different times there are in each sample."""
    ordered = np.sort(times, axis=1)
    new = np.isfinite(ordered)
    new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    found: NDArray[np.int64] = np.count_nonzero(new, axis=1).astype(np.int64)
    return found


def n_moved(times: Array, truncated: Array, tick: float, t_window: float) -> int:
    """How many spikes within the window the clock has moved."""
    with np.errstate(invalid="ignore"):  # inf - inf: a silent channel has not moved
        moved = np.abs(truncated - times) > SLACK * tick
    return int(np.count_nonzero(moved & (truncated <= t_window)))
