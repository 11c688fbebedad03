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


def n_moved(times: Array, truncated: Array, tick: float, t_window: float) -> int:
    """How many spikes within the window the clock has moved."""
    with np.errstate(invalid="ignore"):  # inf - inf: a silent channel has not moved
        moved = np.abs(truncated - times) > SLACK * tick
    return int(np.count_nonzero(moved & (truncated <= t_window)))
