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
    passing,
)
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.spiking_neuron import EXC, HOLD, INH, MEM, ONE, RESET
from hxloop.machine.jit import njit

# Columns of what the model says of a spike: slope of the membrane before it, 0 where it is held;
# slope after the release before it; when that was, -inf for a first spike.
BEFORE, AFTER, RELEASED = range(3)


@njit(cache=True, nogil=True)
def slopes_of_neuron(arrival, row, table, weights, neuron, times, said, met):  # type: ignore[no-untyped-def]
    """What the model says of the spikes of a neuron in a sample.

    Args: its arrivals, sorted, and what passes between them; ``weights`` by row; ``times`` of its
    spikes. Results ``said (spikes, 3)``, and ``met``, how many arrivals came before each.
    """
    n, one = len(arrival), neuron[ONE] == 1.0
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    u, e, i, at, k, held, after = 0.0, 0.0, 0.0, 0.0, 0, -math.inf, 0.0
    along = True  # whether it is now that of the arrival before
    for s in range(len(times)):
        when = times[s]
        said[s, RELEASED] = held
        while s > 0 and k < n and arrival[k] < min(held, when):
            if along:
                e, i = e * table[OF_EXC, k], i * table[OF_INH, k]
            else:
                e *= math.exp((at - arrival[k]) / exc)
                i = 0.0 if one else i * math.exp((at - arrival[k]) / inh)
            if one or weights[row[k]] > 0.0:
                e += weights[row[k]]
            else:
                i += weights[row[k]]
            at, along, k = arrival[k], True, k + 1
        if s > 0 and held <= when:
            e *= math.exp((at - held) / exc)
            i = 0.0 if one else i * math.exp((at - held) / inh)
            u, at, along = neuron[RESET], held, False
            after = e + i - u / mem
        while k < n and arrival[k] < when:
            if along:
                of_mem, of_exc, of_inh = table[OF_MEM, k], table[OF_EXC, k], table[OF_INH, k]
                by_exc, by_inh = table[BY_EXC, k], table[BY_INH, k]
            else:
                of_mem, of_exc, of_inh, by_exc, by_inh = passing(arrival[k] - at, neuron)
            u = u * of_mem + e * by_exc + i * by_inh
            e, i = e * of_exc, i * of_inh
            if one or weights[row[k]] > 0.0:
                e += weights[row[k]]
            else:
                i += weights[row[k]]
            at, along, k = arrival[k], True, k + 1
        of_mem, of_exc, of_inh, by_exc, by_inh = passing(when - at, neuron)
        u = u * of_mem + e * by_exc + i * by_inh
        e, i, at, along = e * of_exc, i * of_inh, when, False
        said[s, BEFORE] = 0.0 if held > when else e + i - u / mem
        said[s, AFTER], met[s] = after, k
        held = when + neuron[HOLD]


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
    post = weights.shape[1]
    shared = alike(neurons) and extra.size == 0
    into = np.ascontiguousarray(weights.T)
    for b in range(first, last):
        low, high = offsets[b], offsets[b + 1]
        arrival, row = base[low:high].copy(), rows[low:high].copy()
        table = np.empty((5, high - low + 1))
        filled = False
        for j in range(post):
            start, end = cells[b * post + j], cells[b * post + j + 1]
            if start == end:
                continue
            if extra.size > 0:
                own_arrivals(base[low:high], rows[low:high], extra, j, arrival, row)
            if not (shared and filled):
                fill(table, arrival, high - low, math.inf, neurons[j])
                filled = True
            met = np.empty(end - start, np.int64)
            slopes_of_neuron(
                arrival, row, table, into[j], neurons[j], times[start:end], said[start:end], met
            )
            for s in range(start, end):
                if want_kernel:
                    kernel[s] = largest_kernel(
                        arrival, row, met[s - start], into[j], neurons[j], times[s],
                        said[s, RELEASED],
                    )  # fmt: skip
