"""The highest point of a membrane that never spikes, and how it moves, compiled.

Between two arrivals the membrane ``u`` (from leak) of a leaky read-out follows two exponentials per
current, and its highest point is known in closed form for one current, to rounding for two. With
``t*`` the time of the highest of all,

    du*/dw = k(t* - a),     du*/da = -w k'(t* - a)          for an arrival at a < t*

because the slope vanishes there (the envelope theorem). Where inhibition arrives at ``t*`` itself
and ends a rise, the peak moves along with that arrival: ``du*/da = u'(t*-)``. When it begins
to be read, and at the end of the window, ``t*`` is held, and the same holds.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.any_crossing import turning_times
from hxloop.engine.compiled.membrane import membrane_slope, peak_time
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.spiking_neuron import (
    AT,
    EXC,
    I_EXC,
    I_INH,
    INH,
    MEM,
    ONE,
    U,
    advance,
    receive,
)
from hxloop.machine.jit import njit


@njit(cache=True, nogil=True)
def _value(s, u, e, i, neuron):  # type: ignore[no-untyped-def]
    value = u * math.exp(-s / neuron[MEM]) + e * psp(s, neuron[MEM], neuron[EXC])
    if i != 0.0:
        value += i * psp(s, neuron[MEM], neuron[INH])
    return value


@njit(cache=True, nogil=True)
def _highest(state, neuron, length, least):  # type: ignore[no-untyped-def]
    """When within a length the membrane is highest, if above ``least``; else -1."""
    u, e, i = state[U], state[I_EXC], state[I_INH]
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    best, when = least, -1.0
    if i == 0.0:
        if e > 0.0 and e > u / mem:
            z = (1.0 - u / (e * mem)) * exc
            top = min(peak_time(z, z * (1.0 / exc - 1.0 / mem)), length)
            if _value(top, u, e, i, neuron) > best:
                return top
            return -1.0
    elif max(u, 0.0) + max(e, 0.0) * length > best:  # else it does not rise so high
        for turn in turning_times(u, e, i, mem, exc, inh, length):
            if 0.0 < turn < length:
                found = _value(turn, u, e, i, neuron)
                if found > best:
                    best, when = found, turn
    found = _value(length, u, e, i, neuron)
    if found > best:
        when = length
    return when


@njit(cache=True, nogil=True)
def peaks(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, weights, extra, neurons, begin, t_window, values, times
):
    """Results ``values, times (batch, post)``: the highest membrane (from leak), and when.

    Read from ``begin`` on. From the start on, where it is at leak, a membrane that is never above
    has value 0 and time 0. Args: as of ``hxloop.engine.compiled.chain_block.chain_block``.
    """
    post = weights.shape[1]
    state = np.zeros(6)
    for b in range(first, last):
        low, n = offsets[b], offsets[b + 1] - offsets[b]
        arrival = base[low : low + n].copy()
        order = np.arange(n)
        for j in range(post):
            neuron = neurons[j]
            if extra.size > 0:
                for k in range(n):
                    arrival[k] = base[low + k] + extra[rows[low + k], j]
                order = np.argsort(arrival, kind="mergesort")
            state[:] = 0.0
            best, when = 0.0, 0.0
            for k in range(n + 1):
                now = min(arrival[order[k]], t_window) if k < n else t_window
                if state[AT] < begin <= now:
                    advance(state, neuron, begin)
                    best, when = state[U], begin
                length = now - state[AT]
                if length > 0.0 and state[AT] >= begin:
                    top = _highest(state, neuron, length, best)
                    if top >= 0.0:
                        best = _value(top, state[U], state[I_EXC], state[I_INH], neuron)
                        when = now if top == length else state[AT] + top
                if now >= t_window:
                    break
                advance(state, neuron, now)
                receive(state, neuron, weights[rows[low + order[k]], j])
            values[b, j], times[b, j] = best, when


@njit(cache=True, nogil=True)
def peak_gradients(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, numbers, weights, extra, neurons, begin, t_window, times,
    of_values, of_weights, of_delays, of_extra, of_spikes,
):  # fmt: skip
    """Gradients of a loss of the values of ``peaks``, of which ``of_values (batch, post)`` are.

    Args: as of ``peaks``; ``numbers`` of the spikes that arrive. Results, added to:
    ``of_weights (rows, post)``, ``of_delays (rows,)``, ``of_extra``, ``of_spikes`` by number.
    """
    post = weights.shape[1]
    for b in range(first, last):
        for j in range(post):
            grad, top = of_values[b, j], times[b, j]
            if grad == 0.0 or top == 0.0:
                continue
            neuron = neurons[j]
            mem = neuron[MEM]
            slope, ending = 0.0, 0.0
            for k in range(offsets[b], offsets[b + 1]):
                row = rows[k]
                when = base[k] + (extra[row, j] if extra.size > 0 else 0.0)
                weight = weights[row, j]
                tau = neuron[EXC] if weight > 0.0 or neuron[ONE] == 1.0 else neuron[INH]
                if when > top:
                    continue
                if when == top:
                    ending += min(weight, 0.0)
                    continue
                since = top - when
                of_weights[row, j] += grad * psp(since, mem, tau)
                rising = membrane_slope(since, mem, tau)
                slope += weight * rising
                change = -grad * weight * rising
                of_spikes[numbers[k]] += change
                of_delays[row] += change
                if extra.size > 0:
                    of_extra[row, j] += change
            if ending < 0.0 and slope > 0.0 and begin < top < t_window:
                for k in range(offsets[b], offsets[b + 1]):
                    row = rows[k]
                    when = base[k] + (extra[row, j] if extra.size > 0 else 0.0)
                    if when == top and weights[row, j] < 0.0:
                        change = grad * slope * weights[row, j] / ending
                        of_spikes[numbers[k]] += change
                        of_delays[row] += change
                        if extra.size > 0:
                            of_extra[row, j] += change
