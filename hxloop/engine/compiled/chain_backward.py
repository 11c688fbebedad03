"""Gradients at recorded spike trains of a population that does not feed itself, compiled.

The equations of ``hxloop.engine.compiled.loop_backward``, neuron by neuron: forward through its
arrivals for what the model says of each spike, then back through the same, by the exponentials of
``hxloop.engine.compiled.steps``.
"""

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
from hxloop.engine.compiled.slopes import (
    AFTER,
    BEFORE,
    RELEASED,
    largest_kernel,
    slopes_of_neuron,
)
from hxloop.engine.compiled.spiking_neuron import EXC, INH, MEM, ONE
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

_PER_BEFORE = 3  # one more column of ``said``: 1 over the slope, 0 where it does not rise


@njit(cache=True, nogil=True)
def _exceeds(factor, cap, j, arrival, row, n, into, neuron, when, release):  # type: ignore[no-untyped-def]
    """Whether the gradient of a spike by a weight of its first n arrivals is beyond the cap."""
    # No kernel is higher than s exp(-s/slow) ever is.
    highest = max(neuron[MEM], neuron[EXC], neuron[INH]) * math.exp(-1.0) * (1.0 + 1e-12)
    if abs(factor) * highest <= cap:
        return False
    return abs(factor) * largest_kernel(arrival, row, n, into[j], neuron, when, release) > cap


@njit(cache=True, nogil=True, forceinline=True)
def _arrived(  # type: ignore[no-untyped-def]
    weight, way, number, j, x_u, x_e, x_i, one, per_exc, per_inh, of_spikes, of_into, of_delays,
    of_extra,
):  # fmt: skip
    """What an arrival through the row ``way`` finds waiting."""
    exciting = one or weight > 0.0
    current = x_e if exciting else x_i
    change = weight * (x_u - current * (per_exc if exciting else per_inh))
    of_into[j, way] -= current
    of_spikes[number] += change
    of_delays[way] += change
    if of_extra.size > 0:
        of_extra[way, j] += change


@njit(cache=True, nogil=True, forceinline=True)
def _back(  # type: ignore[no-untyped-def]
    j, start, end, shift, arrival, row, arriving, table, into, neurons, times, numbers, steps, met,
    said, cap, of_spikes, of_into, of_delays, of_extra, of_neurons, factors, counts,
):  # fmt: skip
    """Back through the spikes and arrivals of neuron j in a sample; see ``chain_sweep``.

    Its spikes are those from ``start`` to ``end``, whose ``steps`` stand ``shift`` places earlier.
    """
    neuron = neurons[j]
    one, per_exc, per_inh = neuron[ONE] == 1.0, 1.0 / neuron[EXC], 1.0 / neuron[INH]
    x_u, x_e, x_i, left = 0.0, 0.0, 0.0, 0.0
    for s in range(end - 1, start - 1, -1):
        c = s - shift
        kept, last = met[KEPT, c], met[MET, c]
        of_spikes[numbers[s]] += left
        x_u, left = of_spikes[numbers[s]] * said[c, _PER_BEFORE], 0.0
        if cap < math.inf and _exceeds(
            x_u, cap, j, arrival, row, last, into, neuron, times[s], said[c, RELEASED]
        ):
            counts[2] += 1
            x_u = 0.0
        factors[s] = x_u
        of_neurons[j, 0] += x_u
        if x_u == 0.0 and x_e == 0.0 and x_i == 0.0:
            continue
        # As long as it was free.
        x_e = x_e * steps[LAST_EXC, c] + x_u * steps[LAST_BY_EXC, c]
        if not one:
            x_i = x_i * steps[LAST_INH, c] + x_u * steps[LAST_BY_INH, c]
        x_u *= steps[LAST_MEM, c]
        for k in range(last - 1, kept - 1, -1):
            _arrived(
                into[j, row[k]], row[k], arriving[k], j, x_u, x_e, x_i, one, per_exc, per_inh,
                of_spikes, of_into, of_delays, of_extra,
            )  # fmt: skip
            if k > kept:
                x_e = x_e * table[OF_EXC, k] + x_u * table[BY_EXC, k]
                if not one:
                    x_i = x_i * table[OF_INH, k] + x_u * table[BY_INH, k]
                x_u *= table[OF_MEM, k]
            elif s > start:
                x_e = x_e * steps[FREED_EXC, c] + x_u * steps[FREED_BY_EXC, c]
                if not one:
                    x_i = x_i * steps[FREED_INH, c] + x_u * steps[FREED_BY_INH, c]
                x_u *= steps[FREED_MEM, c]
        if s == start:
            break
        # From its release back to the spike before only currents go on.
        left = x_u * said[c, AFTER]
        of_neurons[j, 1] -= x_u
        x_e *= steps[LEAVE_EXC, c]
        x_i = 0.0 if one else x_i * steps[LEAVE_INH, c]
        before = met[MET, c - 1]
        for k in range(kept - 1, before - 1, -1):
            _arrived(
                into[j, row[k]], row[k], arriving[k], j, 0.0, x_e, x_i, one, per_exc, per_inh,
                of_spikes, of_into, of_delays, of_extra,
            )  # fmt: skip
            if k > before:
                x_e *= table[OF_EXC, k]
                x_i = 0.0 if one else x_i * table[OF_INH, k]
        x_e *= steps[ENTER_EXC, c]
        x_i = 0.0 if one else x_i * steps[ENTER_INH, c]


@njit(cache=True, nogil=True)
def _back_through(  # type: ignore[no-untyped-def]
    group, beyond, bounds, arrival, row, arriving, table, shared, into, neurons, times, numbers,
    steps, met, said, min_slope, cap, of_spikes, of_into, of_delays, of_extra, of_neurons, factors,
    counts,
):  # fmt: skip
    """Forward and back through the neurons of a group in a sample; see ``chain_sweep``."""
    shift = bounds[0]
    for j in range(group, beyond):
        start, end = bounds[j - group], bounds[j - group + 1]
        if start == end:
            continue
        if not shared:
            fill(table, arrival, len(arrival), math.inf, neurons[j])
        slopes_of_neuron(j, start, end, shift, row, table, into, neurons, times, steps, met, said)
        counts[0] += end - start
        for c in range(start - shift, end - shift):
            rises = said[c, BEFORE] > min_slope
            counts[1] += not rises
            said[c, _PER_BEFORE] = 1.0 / said[c, BEFORE] if rises else 0.0
        _back(
            j, start, end, shift, arrival, row, arriving, table, into, neurons, times, numbers,
            steps, met, said, cap, of_spikes, of_into, of_delays, of_extra, of_neurons, factors,
            counts,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def chain_sweep(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, arriving, weights, extra, neurons, cells, times, numbers,
    min_slope, cap, of_spikes, factors, of_weights, of_delays, of_extra, of_neurons, counts,
):  # fmt: skip
    """Gradients of the weights and delays of a population, and of the spikes that arrive in it.

    Args: the samples; arrivals ``base, rows`` as of ``hxloop.engine.compiled.chain_block``, and of
    each the number of the spike that it is; spikes sorted by sample, neuron and time: those of
    neuron j in sample b are ``times[cells[b * post + j]:cells[b * post + j + 1]]``, with their
    numbers.

    Results as of ``hxloop.engine.compiled.loop_backward.sweep``, and ``factors (spikes,)``: dL/dT
    of each spike over the slope of the membrane before it, 0 where it passes no gradient on.
    """
    post, own = weights.shape[1], extra.size > 0
    shared, width = alike(neurons) and not own, 1 if own else GROUP
    into, of_into = np.ascontiguousarray(weights.T), np.zeros((post, len(weights)))
    steps, met = room(cells, post, width, first, last)
    said = np.empty((met.shape[1], 4))
    for b in range(first, last):
        low, high = offsets[b], offsets[b + 1]
        arrival, row = base[low:high].copy(), rows[low:high].copy()
        number = arriving[low:high].copy()
        table = np.empty((5, high - low + 1))
        if shared:
            fill(table, arrival, high - low, math.inf, neurons[0])
        for group in range(0, post, width):
            beyond = min(group + width, post)
            bounds = cells[b * post + group : b * post + beyond + 1]
            if bounds[0] == bounds[-1]:
                continue
            if own:
                order = own_arrivals(base[low:high], rows[low:high], extra, group, arrival, row)
                for k in range(high - low):
                    number[k] = arriving[low + order[k]]
            fill_steps(arrival, bounds, times, neurons[group:beyond], steps, met)
            _back_through(
                group, beyond, bounds, arrival, row, number, table, shared, into, neurons, times,
                numbers, steps, met, said, min_slope, cap, of_spikes, of_into, of_delays, of_extra,
                of_neurons, factors, counts,
            )  # fmt: skip
    of_weights += of_into.T
