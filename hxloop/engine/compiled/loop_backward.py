"""Gradients at recorded spike trains, compiled: one sweep back over the events of a block.

A spike at T of a neuron whose previous spike let it go at s, with ``V' = V'(T-)``, moves with an
arrival at a and its weight w by

    a >= s:  dT/dw = -k(T - a)/V'                      dT/da = w k'(T - a)/V'
    a <  s:  dT/dw = -exp(-(s - a)/tau_syn) k(T - s)/V'    dT/da = w (that)/tau_syn
             dT/dT_r = exp(-(T - s)/tau_mem) V'(s+)/V'     (T_r the previous spike, s = T_r + t_ref)

for the current outlives the reset (the adjoint of Wunderlich and Pehle, Sci. Rep. 11, 12829, 2021,
in closed form, and at spikes that may be measured).
All times are known, and every dependence runs forward in time: backward, each neuron carries the
sums over its later spikes

    x_V(t) = sum g/V' exp(-(T - t)/tau_mem),      x_I(t) = sum g/V' k(T - t)

with ``g = dL/dT``, of which x_V ends at the release s and x_I goes on. An arrival then finds
``dL/dw = -x_I(a)`` and ``dL/da = w (x_V(a) - x_I(a)/tau_syn)`` waiting.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.spiking_neuron import EXC, INH, MEM, ONE
from hxloop.machine.jit import njit


@njit(cache=True, nogil=True)
def _back(x, neuron, release, now):  # type: ignore[no-untyped-def]
    """Bring the sums ``(x_V, x_exc, x_inh, at)`` back to an earlier time."""
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    while x[3] > now:
        if x[3] <= release:  # what arrives at the release itself is not held
            x[0] = 0.0
        to = release if now < release < x[3] else now
        delta = x[3] - to
        x[1] *= math.exp(-delta / exc)
        if neuron[ONE] != 1.0:
            x[2] *= math.exp(-delta / inh)
        if x[0] != 0.0:
            x[1] += x[0] * psp(delta, mem, exc)
            if neuron[ONE] != 1.0:
                x[2] += x[0] * psp(delta, mem, inh)
            x[0] *= math.exp(-delta / mem)
        x[3] = to


@njit(cache=True, nogil=True)
def sweep(  # type: ignore[no-untyped-def]
    first, last, offsets, times, rows, targets, numbers, before, after, released, previous, kernel,
    weights, ranges, neurons, min_slope, cap, of_spikes, of_weights, of_delays, of_extra,
    of_neurons, counts,
):  # fmt: skip
    """Gradients of the weights and delays of a block, and of the spikes that arrive in it.

    Args: the samples; events sorted by sample and time, spikes of the block before arrivals at
    the same time. Of a spike: row -1, its neuron as target, its number, and what ``slopes`` said,
    with the number of the ``previous`` spike of the neuron, or -1. Of an arrival: its row, the
    neuron it is for (-1: all of the row), and the number of the spike that it is.

    Results, added to: ``of_spikes``, dL/dT by number, whole for the spikes of the block once they
    are reached; ``of_weights (rows, post)``, ``of_delays (rows,)``, ``of_extra``; ``of_neurons
    (post, 2)``, dL/d threshold and dL/d reset; ``counts`` of spikes, of those at which the
    membrane does not rise, and of those beyond the cap.
    """
    post = weights.shape[1]
    sums, release = np.zeros((post, 4)), np.zeros(post)
    for b in range(first, last):
        sums[:] = 0.0
        release[:] = -math.inf
        for k in range(offsets[b + 1] - 1, offsets[b] - 1, -1):
            now, row = times[k], rows[k]
            if row < 0:
                j = targets[k]
                _back(sums[j], neurons[j], release[j], now)
                counts[0] += 1
                factor = 0.0
                if not before[k] > min_slope:
                    counts[1] += 1
                else:
                    factor = of_spikes[numbers[k]] / before[k]
                    if abs(factor) * kernel[k] > cap:
                        counts[2] += 1
                        factor = 0.0
                sums[j, 0], sums[j, 3], release[j] = factor, now, released[k]
                of_neurons[j, 0] += factor
                if previous[k] >= 0 and factor != 0.0:
                    left = factor * math.exp(-(now - released[k]) / neurons[j, MEM])
                    of_spikes[previous[k]] += left * after[k]
                    of_neurons[j, 1] -= left
                continue
            low, high = ranges[row, 0], ranges[row, 1]
            if targets[k] >= 0:
                low, high = targets[k], targets[k] + 1
            moved = 0.0
            for j in range(low, high):
                x = sums[j]
                if x[0] == 0.0 and x[1] == 0.0 and x[2] == 0.0:
                    continue
                neuron = neurons[j]
                _back(x, neuron, release[j], now)
                weight = weights[row, j]
                if weight > 0.0 or neuron[ONE] == 1.0:
                    current, tau = x[1], neuron[EXC]
                else:
                    current, tau = x[2], neuron[INH]
                of_weights[row, j] -= current
                change = weight * (x[0] - current / tau)
                moved += change
                if of_extra.size > 0:
                    of_extra[row, j] += change
            of_delays[row] += moved
            of_spikes[numbers[k]] += moved
