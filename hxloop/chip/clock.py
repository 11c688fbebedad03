"""The clock of the chip: spikes are stamped with its cycles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes

Array = NDArray[np.float64]

CLOCK_SECONDS = 8e-9  # one cycle of the 125 MHz clock
# A time this close to a cycle, as a share of it, lies on it: rounding must not cost a cycle.
SLACK = 1e-6
# Cycles of which times are kept apart: 2 hours. Beyond, numbers of many channels would overflow.
FURTHEST = 2.0**40


def truncate(times: Array, tick: float) -> Array:
    """Times cut down to whole cycles; a new array.

    Args:
        times: any shape; ``inf`` stays.
        tick: length of a cycle, in the unit of the times.
    """
    truncated: Array = np.floor(times / tick + SLACK)
    truncated *= tick
    return truncated


def one_a_cycle(
    cells: NDArray[np.int64], cycles: NDArray[np.int64], last: int | None = None
) -> NDArray[np.int64]:
    """Cycles of spikes of which no two of a channel share one: the later take the next ones.

    Args:
        cells: ``(spikes,)``, the sample and channel of each, as one growing number.
        cycles: ``(spikes,)``, not falling within a channel.
        last: of all cycles; towards it they are as close to each other as there is room, and
            negative where there is none. None: there are as many as it takes.
    """
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(np.append(first, len(cells)))
    rank = np.arange(len(cells)) - np.repeat(first, counts)
    # A number that grows from one channel to the next keeps their maxima apart.
    most = 2 * int(cycles.max(initial=0)) + len(cells) + 2
    apart = np.repeat(np.arange(len(first)), counts) * most
    found: NDArray[np.int64] = np.maximum.accumulate(cycles - rank + apart) - apart + rank
    return found if last is None else np.minimum(found, last + 1 + rank - np.repeat(counts, counts))


def stamps(spikes: Spikes, tick: float, t_window: float = np.inf) -> Array:
    """Times of spikes cut down to whole cycles, no two of a channel to the same one.

    A circuit sends one event a cycle: of spikes that share one, the later come in the next.

    Args:
        spikes: of any channels.
        tick: length of a cycle, in the unit of their times.
        t_window: before the end of which, in the same unit, all stamps lie.

    Returns:
        ``(spikes,)``, in their order. Beyond ``FURTHEST`` cycles they are cut down only.
    """
    times, cells = truncate(spikes.times, tick), spikes.cells
    order = np.lexsort((spikes.times, cells))
    order = order[times[order] / tick < FURTHEST]
    cycles = np.rint(times[order] / tick).astype(np.int64)
    last = None if t_window == np.inf else math.floor(t_window / tick + SLACK)
    apart = one_a_cycle(cells[order], cycles, last)
    moved = apart != cycles
    times[order[moved]] = apart[moved] * tick
    return times


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
