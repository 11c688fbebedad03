"""Spikes in the order of their times, or of their neurons, compiled."""

from __future__ import annotations

import numpy as np

from hxloop.machine.jit import njit

# In buckets of more than so many spikes an insertion would take longer than a sort.
_CROWDED = 32


@njit(cache=True, nogil=True)
def in_order(times, units, until):  # type: ignore[no-untyped-def]
    """Sort the spikes of a sample by time, those of one time by neuron.

    Into buckets of equal width first, as many as there are spikes, or by merging where spikes
    crowd; then by insertion, of which little is left to do.

    Args: ``times, units (spikes,)``, written to; no time is beyond ``until``.
    """
    n = len(times)
    starts, bucket = np.zeros(n + 1, np.int64), np.empty(n, np.int64)
    for k in range(n):
        bucket[k] = min(n - 1, int(times[k] / until * n))
        starts[bucket[k] + 1] += 1
    if n > 0 and starts.max() > _CROWDED:
        order = np.argsort(times, kind="mergesort")
        times[:], units[:] = times[order], units[order]
    else:
        for k in range(n):
            starts[k + 1] += starts[k]
        before, of = times.copy(), units.copy()
        for k in range(n):
            place = starts[bucket[k]]
            starts[bucket[k]] = place + 1
            times[place], units[place] = before[k], of[k]
    for k in range(1, n):
        when, unit, place = times[k], units[k], k
        while place > 0 and (
            times[place - 1] > when or (times[place - 1] == when and units[place - 1] > unit)
        ):
            times[place], units[place] = times[place - 1], units[place - 1]
            place -= 1
        times[place], units[place] = when, unit


@njit(cache=True, nogil=True)
def by_neuron(offsets, units, n_units):  # type: ignore[no-untyped-def]
    """Where spikes stand when they are sorted by sample, neuron and time.

    Args: ``units (spikes,)`` of spikes sorted by sample and time, those of sample b from
    ``offsets[b]`` to ``offsets[b + 1]``.

    Returns: ``cells (samples * n_units + 1,)``, where those of each sample and neuron begin, and
    ``order (spikes,)``, which spike stands at each place.
    """
    cells = np.zeros((len(offsets) - 1) * n_units + 1, np.int64)
    order = np.empty(len(units), np.int64)
    for b in range(len(offsets) - 1):
        low, high = b * n_units, (b + 1) * n_units
        for k in range(offsets[b], offsets[b + 1]):
            cells[low + units[k] + 1] += 1
        # While they are filled, a cell begins where its next spike is to stand.
        place = offsets[b]
        for cell in range(low, high):
            place, cells[cell + 1] = place + cells[cell + 1], place
        for k in range(offsets[b], offsets[b + 1]):
            cell = low + units[k] + 1
            order[cells[cell]] = k
            cells[cell] += 1
    return cells, order
