"""A heap of arrivals to come, the earliest first, compiled.

``when (capacity,)``, and ``what (capacity, 2)``: through which row, and at which neuron (-1: at all
that the row reaches).
"""

from __future__ import annotations

from hxloop.machine.jit import njit


@njit(cache=True, nogil=True)
def push(when, what, n, time, row, target):  # type: ignore[no-untyped-def]
    """Add one to n."""
    place = n
    while place > 0:
        parent = (place - 1) >> 1
        if when[parent] <= time:
            break
        when[place] = when[parent]
        what[place] = what[parent]
        place = parent
    when[place] = time
    what[place, 0], what[place, 1] = row, target


@njit(cache=True, nogil=True)
def pop(when, what, n):  # type: ignore[no-untyped-def]
    """Remove the earliest of n."""
    time, row, target = when[n - 1], what[n - 1, 0], what[n - 1, 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= n - 1:
            break
        if child + 1 < n - 1 and when[child + 1] < when[child]:
            child += 1
        if when[child] >= time:
            break
        when[place] = when[child]
        what[place] = what[child]
        place = child
    when[place] = time
    what[place, 0], what[place, 1] = row, target
