"""What the model says of recorded spikes: how fast the membrane rose, compiled."""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.intervals import (
    BY_EXC,
    BY_INH,
    OF_EXC,
    OF_INH,
    OF_MEM,
    alike,
    fill,
    own_arrivals,
)
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.spiking_neuron import EXC, HOLD, INH, MEM, ONE, RESET
from hxloop.engine.compiled.steps import (
    ENTER_EXC,
    ENTER_INH,
    FREED_BY_EXC,
    FREED_BY_INH,
    FREED_EXC,
    FREED_INH,
    FREED_MEM,
    GROUP,
    KEPT,
    LAST_BY_EXC,
    LAST_BY_INH,
    LAST_EXC,
    LAST_INH,
    LAST_MEM,
    LEAVE_EXC,
    LEAVE_INH,
    MET,
    fill_steps,
    room,
)
from hxloop.machine.jit import njit

# Columns of what the model says of a spike: slope of the membrane before it, 0 where it is held;
# slope after the release before it; when that was, -inf for a first spike.
BEFORE, AFTER, RELEASED = range(3)


@njit(cache=True, nogil=True, forceinline=True)
def slopes_of_neuron(  # type: ignore[no-untyped-def]
    j, start, end, shift, row, table, into, neurons, times, steps, met, said
):
    """What the model says of the spikes of neuron j in a sample.

    Args: its spikes, from ``start`` to ``end`` of ``times``; their ``steps`` and what they have
    ``met``, as the results ``said (spikes, 3)``, stand ``shift`` places earlier; the rows of the
    arrivals, what passes between them, and weights ``into (post, rows)``.
    """
    neuron = neurons[j]
    one, per_mem, hold = neuron[ONE] == 1.0, 1.0 / neuron[MEM], neuron[HOLD]
    u, e, i, after, release = 0.0, 0.0, 0.0, 0.0, -math.inf
    for s in range(start, end):
        c = s - shift
        kept, last = met[KEPT, c], met[MET, c]
        if s > start:
            before = met[MET, c - 1]
            e *= steps[ENTER_EXC, c]
            i = 0.0 if one else i * steps[ENTER_INH, c]
            for k in range(before, kept):
                if k > before:
                    e, i = e * table[OF_EXC, k], i * table[OF_INH, k]
                weight = into[j, row[k]]
                exciting = one or weight > 0.0
                e += weight if exciting else 0.0
                i += 0.0 if exciting else weight
            e *= steps[LEAVE_EXC, c]
            i = 0.0 if one else i * steps[LEAVE_INH, c]
            u = neuron[RESET]
            after = e + i - u * per_mem
        for k in range(kept, last):
            if k == kept:
                u = u * steps[FREED_MEM, c] + e * steps[FREED_BY_EXC, c]
                e *= steps[FREED_EXC, c]
                if not one:
                    u += i * steps[FREED_BY_INH, c]
                    i *= steps[FREED_INH, c]
            else:
                u = u * table[OF_MEM, k] + e * table[BY_EXC, k] + i * table[BY_INH, k]
                e, i = e * table[OF_EXC, k], i * table[OF_INH, k]
            weight = into[j, row[k]]
            exciting = one or weight > 0.0
            e += weight if exciting else 0.0
            i += 0.0 if exciting else weight
        u = u * steps[LAST_MEM, c] + e * steps[LAST_BY_EXC, c]
        e *= steps[LAST_EXC, c]
        if not one:
            u += i * steps[LAST_BY_INH, c]
            i *= steps[LAST_INH, c]
        said[c, BEFORE] = 0.0 if release > times[s] else e + i - u * per_mem
        said[c, AFTER], said[c, RELEASED] = after, release
        release = times[s] + hold


@njit(cache=True, nogil=True)
def largest_kernel(arrival, row, n, weights, neuron, when, released):  # type: ignore[no-untyped-def]
    """The largest ``|dV/dw|`` at a spike among the first n arrivals; ``weights`` by row."""
    largest = 0.0
    for k in range(n):
        weight = weights[row[k]]
        if weight == 0.0:
            continue
        tau = neuron[EXC] if weight > 0.0 else neuron[INH]
        if arrival[k] >= released:
            found = psp(when - arrival[k], neuron[MEM], tau)
        else:
            found = math.exp(-(released - arrival[k]) / tau) * psp(
                when - released, neuron[MEM], tau
            )
        largest = max(largest, found)
    return largest


@njit(cache=True, nogil=True)
def slopes(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, weights, extra, neurons, cells, times, want_kernel, said,
    kernel,
):  # fmt: skip
    """What the model says of each recorded spike of a block.

    Args: the samples; arrivals and rows as of ``hxloop.engine.compiled.loop_block``; spikes sorted
    by sample, neuron and time: those of neuron j in sample b are
    ``times[cells[b * post + j]:cells[b * post + j + 1]]``.

    Results, one for each spike: ``said (spikes, 3)``, see its columns; and, if wanted, the largest
    ``|dV/dw|`` of an arrival, the ``kernel``.
    """
    post, own = weights.shape[1], extra.size > 0
    shared, width = alike(neurons) and not own, 1 if own else GROUP
    into = np.ascontiguousarray(weights.T)
    steps, met = room(cells, post, width, first, last)
    own_said = np.empty((met.shape[1], 3))
    for b in range(first, last):
        low, high = offsets[b], offsets[b + 1]
        arrival, row = base[low:high].copy(), rows[low:high].copy()
        table = np.empty((5, high - low + 1))
        if shared:
            fill(table, arrival, high - low, math.inf, neurons[0])
        for group in range(0, post, width):
            beyond = min(group + width, post)
            bounds = cells[b * post + group : b * post + beyond + 1]
            if bounds[0] == bounds[-1]:
                continue
            if own:
                own_arrivals(base[low:high], rows[low:high], extra, group, arrival, row)
            fill_steps(arrival, bounds, times, neurons[group:beyond], steps, met)
            for j in range(group, beyond):
                start, end = cells[b * post + j], cells[b * post + j + 1]
                if start == end:
                    continue
                if not shared:
                    fill(table, arrival, high - low, math.inf, neurons[j])
                shift = bounds[0]
                slopes_of_neuron(
                    j, start, end, shift, row, table, into, neurons, times, steps, met, own_said
                )
                for s in range(start, end):
                    said[s] = own_said[s - shift]
                    if want_kernel:
                        kernel[s] = largest_kernel(
                            arrival, row, met[MET, s - shift], into[j], neurons[j], times[s],
                            said[s, RELEASED],
                        )  # fmt: skip
