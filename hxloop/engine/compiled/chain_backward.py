"""Gradients at recorded spike trains of a population that does not feed itself, compiled.

The equations of ``hxloop.engine.compiled.loop_backward``, neuron by neuron: forward through its
arrivals for what the model says of each spike, then back through the same.
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
    passing,
)
from hxloop.engine.compiled.slopes import (
    AFTER,
    BEFORE,
    RELEASED,
    largest_kernel,
    slopes_of_neuron,
)
from hxloop.engine.compiled.spiking_neuron import EXC, INH, MEM, ONE
from hxloop.machine.jit import njit


@njit(cache=True, nogil=True)
def _earlier(x_u, x_e, x_i, delta, neuron):  # type: ignore[no-untyped-def]
    """The sums a time delta earlier."""
    of_mem, of_exc, of_inh, by_exc, by_inh = passing(delta, neuron)
    return x_u * of_mem, x_e * of_exc + x_u * by_exc, x_i * of_inh + x_u * by_inh


@njit(cache=True, nogil=True)
def _factor(s, grad, arrival, row, weights, neuron, times, said, met, min_slope, cap, counts):  # type: ignore[no-untyped-def]
    """``dL/dT / V'`` of a spike, or 0 where it passes no gradient on; counted."""
    counts[0] += 1
    if not said[s, BEFORE] > min_slope:
        counts[1] += 1
        return 0.0
    factor = grad / said[s, BEFORE]
    # No kernel is higher than s exp(-s/slow) ever is.
    highest = max(neuron[MEM], neuron[EXC], neuron[INH]) * math.exp(-1.0) * (1.0 + 1e-12)
    if abs(factor) * highest > cap:
        kernel = largest_kernel(
            arrival, row, met[s], weights, neuron, times[s], said[s, RELEASED]
        )  # fmt: skip
        if abs(factor) * kernel > cap:
            counts[2] += 1
            return 0.0
    return factor


@njit(cache=True, nogil=True)
def _back(  # type: ignore[no-untyped-def]
    arrival, row, arriving, table, weights, neuron, times, numbers, said, met, min_slope, cap,
    of_spikes, of_weights, of_delays, of_extra, j, of_neuron, factors, counts,
):  # fmt: skip
    """Back through the spikes and arrivals of a neuron in a sample; see ``chain_sweep``."""
    one = neuron[ONE] == 1.0
    x_u, x_e, x_i = 0.0, 0.0, 0.0
    for s in range(len(times) - 1, -1, -1):
        at, along, release = times[s], False, said[s, RELEASED]
        x_u = factors[s] = _factor(
            s, of_spikes[numbers[s]], arrival, row, weights, neuron, times, said, met, min_slope,
            cap, counts,
        )  # fmt: skip
        of_neuron[0] += x_u
        for k in range(met[s] - 1, (met[s - 1] if s > 0 else 0) - 1, -1):
            if x_u == 0.0 and x_e == 0.0 and x_i == 0.0:
                break
            if x_u != 0.0 and arrival[k] < release:
                x_u, x_e, x_i = _earlier(x_u, x_e, x_i, at - release, neuron)
                of_spikes[numbers[s - 1]] += x_u * said[s, AFTER]
                of_neuron[1] -= x_u
                x_u, at, along = 0.0, release, False
            if along:
                x_e = x_e * table[OF_EXC, k + 1] + x_u * table[BY_EXC, k + 1]
                x_i = x_i * table[OF_INH, k + 1] + x_u * table[BY_INH, k + 1]
                x_u *= table[OF_MEM, k + 1]
            else:
                x_u, x_e, x_i = _earlier(x_u, x_e, x_i, at - arrival[k], neuron)
            at, along = arrival[k], True
            weight = weights[row[k]]
            if one or weight > 0.0:
                current, tau = x_e, neuron[EXC]
            else:
                current, tau = x_i, neuron[INH]
            of_weights[row[k]] -= current
            change = weight * (x_u - current / tau)
            of_spikes[arriving[k]] += change
            of_delays[row[k]] += change
            if of_extra.size > 0:
                of_extra[row[k], j] += change
        if s > 0:
            if x_u != 0.0:
                x_u, x_e, x_i = _earlier(x_u, x_e, x_i, at - release, neuron)
                of_spikes[numbers[s - 1]] += x_u * said[s, AFTER]
                of_neuron[1] -= x_u
                x_u, at = 0.0, release
            x_e *= math.exp((times[s - 1] - at) / neuron[EXC])
            x_i *= math.exp((times[s - 1] - at) / neuron[INH])


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
    post = weights.shape[1]
    shared = alike(neurons) and extra.size == 0
    into, of_into = np.ascontiguousarray(weights.T), np.zeros((post, len(weights)))
    for b in range(first, last):
        low, high = offsets[b], offsets[b + 1]
        arrival, row = base[low:high].copy(), rows[low:high].copy()
        number = arriving[low:high].copy()
        table = np.empty((5, high - low + 1))
        filled = False
        for j in range(post):
            own = cells[b * post + j], cells[b * post + j + 1]
            if own[0] == own[1]:
                continue
            if extra.size > 0:
                order = own_arrivals(base[low:high], rows[low:high], extra, j, arrival, row)
                for k in range(high - low):
                    number[k] = arriving[low + order[k]]
            if not (shared and filled):
                fill(table, arrival, high - low, math.inf, neurons[j])
                filled = True
            spikes = times[own[0] : own[1]]
            said, met = np.empty((len(spikes), 3)), np.empty(len(spikes), np.int64)
            slopes_of_neuron(arrival, row, table, into[j], neurons[j], spikes, said, met)
            _back(
                arrival, row, number, table, into[j], neurons[j], spikes,
                numbers[own[0] : own[1]], said, met, min_slope, cap, of_spikes, of_into[j],
                of_delays, of_extra, j, of_neurons[j], factors[own[0] : own[1]], counts,
            )  # fmt: skip
    of_weights += of_into.T
