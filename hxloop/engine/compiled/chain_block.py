"""All spikes of one population whose arrivals are all known, neuron by neuron, compiled.

Between two arrivals most neurons are free and far from their threshold: then they go on by factors
that are known, and a bound says that nothing happens. Else ``_through`` looks closer.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.forward import BRIEF, MARGIN, RISING
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
from hxloop.engine.compiled.membrane import crossing_within, time_of_peak
from hxloop.engine.compiled.order import in_order
from hxloop.engine.compiled.spiking_neuron import (
    EXC,
    HOLD,
    INH,
    LEVEL,
    MEM,
    ONE,
    PEAK,
    RESET,
    crossing,
)
from hxloop.machine.jit import njit

_BELOW, _RISING, _BRIEF = MARGIN[8], RISING[8], BRIEF[8]
# Nearer to its threshold than this a peak is looked at closely.
_GRAZING = 1.0 - 1e-9


@njit(cache=True, nogil=True)
def _next(u, e, i, end_u, end_e, neuron, length):  # type: ignore[no-untyped-def]
    """When a free membrane next reaches its threshold within a length, at the end of which it and
    its excitation would be ``end_u, end_e``; ``inf``: it does not."""
    level = neuron[LEVEL]
    if i != 0.0 or level <= 0.0 or level == math.inf:
        return crossing(u, e, i, neuron, length)
    if u >= level:
        return 0.0
    mem, exc = neuron[MEM], neuron[EXC]
    rises = end_e * mem > end_u * _RISING and length <= _BRIEF * max(mem, exc)
    if end_u < level * _BELOW:
        if rises or e <= 0.0:
            return math.inf  # still rising at the end, or never: no peak before
        # At the peak the current is what leaks away.
        top = time_of_peak(u, e, mem, exc)
        if top <= 0.0 or mem * e * math.exp(-min(top, length) / exc) < level * _GRAZING:
            return math.inf
    return crossing_within(u, e, end_u, end_e, mem, exc, level, length)


@njit(cache=True, nogil=True)
def _through(  # type: ignore[no-untyped-def]
    u, e, i, held, start, end, interval, neuron, j, times, units, found
):
    """Through an interval in which a neuron is held, or may spike.

    Returns: its state at the end, until when it is held, and the number of spikes ``found``, of
    which as many are written as there is room for. After more than that, or after the last spike
    that a neuron ever has, the state is that of the spike.
    """
    exc, inh, reset = neuron[EXC], neuron[INH], neuron[RESET]
    at = start
    while True:
        if held > at:
            until = min(held, end)
            e *= math.exp(-(until - at) / exc)
            if i != 0.0:
                i *= math.exp(-(until - at) / inh)
            u, at = reset, until
            if held >= end:
                return u, e, i, held, found
        if at == start:
            of_mem, of_exc, of_inh = interval[OF_MEM], interval[OF_EXC], interval[OF_INH]
            by_exc, by_inh = interval[BY_EXC], interval[BY_INH]
        else:
            of_mem, of_exc, of_inh, by_exc, by_inh = passing(end - at, neuron)
        end_u, end_e = u * of_mem + e * by_exc + i * by_inh, e * of_exc
        when = _next(u, e, i, end_u, end_e, neuron, end - at)
        if when == math.inf:
            return end_u, end_e, i * of_inh, held, found
        at += when
        if found < len(times):
            times[found], units[found] = at, j
        found += 1
        e *= math.exp(-when / exc)
        if i != 0.0:
            i *= math.exp(-when / inh)
        u, held = reset, at + neuron[HOLD]
        if held == math.inf or found > len(times):
            return u, e, i, held, found


@njit(cache=True, nogil=True)
def _spikes(arrival, row, table, weights, neuron, t_window, j, times, units, found):  # type: ignore[no-untyped-def]
    """Append the spikes of a neuron in a sample to those ``found``; how many there are then."""
    level, peak, one, n = neuron[LEVEL], neuron[PEAK], neuron[ONE] == 1.0, len(arrival)
    reset, u, e, i, start, held = neuron[RESET], 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n + 1):
        end = min(arrival[k], t_window) if k < n else t_window
        # It cannot rise by more than the excitation's part.
        if held <= start and max(u, 0.0) + max(e, 0.0) * min(end - start, peak) < level:
            u = u * table[k, OF_MEM] + e * table[k, BY_EXC] + i * table[k, BY_INH]
            e *= table[k, OF_EXC]
            i *= table[k, OF_INH]
        elif held >= end and held > start:
            u = reset
            e *= table[k, OF_EXC]
            i *= table[k, OF_INH]
        else:
            u, e, i, held, found = _through(
                u, e, i, held, start, end, table[k], neuron, j, times, units, found
            )
            if held == math.inf or found > len(times):
                break
        if end >= t_window:
            break
        weight = weights[row[k]]
        if one or weight > 0.0:
            e += weight
        else:
            i += weight
        start = end
    return found


@njit(cache=True, nogil=True)
def chain_block(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, weights, extra, neurons, t_window, times, units, counts
):
    """Spikes of one population, in every sample sorted by time, at one time by neuron.

    Args: the samples; arrivals ``base, rows`` of sample b from ``offsets[b]`` to
    ``offsets[b + 1]``, sorted where ``extra`` is empty; ``neurons (post, 8)``; results
    ``times, units (batch, capacity)`` and ``counts (batch,)``.
    """
    post = weights.shape[1]
    shared = alike(neurons) and extra.size == 0
    into = np.ascontiguousarray(weights.T)
    for b in range(first, last):
        low, high = offsets[b], offsets[b + 1]
        arrival, row = base[low:high].copy(), rows[low:high].copy()
        table = np.empty((high - low + 1, 5))
        found = 0
        for j in range(post):
            if extra.size > 0:
                own_arrivals(base[low:high], rows[low:high], extra, j, arrival, row)
            if j == 0 or not shared:
                fill(table, arrival, high - low, t_window, neurons[j])
            found = _spikes(
                arrival, row, table, into[j], neurons[j], t_window, j, times[b], units[b], found
            )
            if found > times.shape[1]:
                break
        counts[b] = found
        found = min(found, times.shape[1])
        in_order(times[b, :found], units[b, :found], t_window)
