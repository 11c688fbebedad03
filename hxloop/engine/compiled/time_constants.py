"""How the membrane at recorded spikes depends on the time constants of its neuron, compiled.

With everything else as recorded (arrivals, the neuron's own earlier spikes), the derivatives of
membrane and currents follow the neuron from one arrival to the next:

    dV'/dtau_mem = (dV/dtau_mem + V delta/tau_mem^2) exp(-delta/tau_mem) + I dk/dtau_mem
    dV'/dtau_syn = dV/dtau_syn exp(-delta/tau_mem) + dI/dtau_syn k(delta) + I dk/dtau_syn
    dI'/dtau_syn = (dI/dtau_syn + I delta/tau_syn^2) exp(-delta/tau_syn)

    dk/dtau_mem = (t/tau_mem)^2 exp(-t/tau_mem) p(-x)
    dk/dtau_syn = (t/tau_syn)^2 exp(-t/tau_syn) p(x)
    p(x) = (exp(x) - 1 - x)/x^2,   x = t (1/tau_syn - 1/tau_mem)

from differentiating ``k`` and the solution of the membrane equation (``hxloop.network.spec``). A
reset sets the derivatives of the membrane to 0, those of the currents go on. A spike at T then
moves by ``dT/dtau = -(dV/dtau)/V'``.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.spiking_neuron import (
    AT,
    EXC,
    HELD,
    HOLD,
    I_EXC,
    I_INH,
    INH,
    MEM,
    RESET,
    U,
    advance,
    receive,
)
from hxloop.machine.jit import njit

# Columns of the derivatives: of the membrane by each time constant, of the currents by theirs.
V_MEM, V_EXC, V_INH, D_EXC, D_INH = range(5)


@njit(cache=True, nogil=True)
def _scaled(y, own, other):  # type: ignore[no-untyped-def]
    """``own p(y)`` where ``other = own exp(y)``; without overflow or cancellation."""
    if abs(y) > 0.5:
        return (other - (1.0 + y) * own) / (y * y)
    total, term = 0.0, 0.5
    for n in range(3, 19):
        total += term
        term *= y / n
    return own * total


@njit(cache=True, nogil=True)
def kernel_slopes(t, mem, syn):  # type: ignore[no-untyped-def]
    """``dk/dtau_mem`` and ``dk/dtau_syn`` a time t after the input."""
    x = t * (1.0 / syn - 1.0 / mem)
    of_mem, of_syn = math.exp(-t / mem), math.exp(-t / syn)
    by_mem = (t / mem) ** 2 * _scaled(-x, of_mem, of_syn)
    return by_mem, (t / syn) ** 2 * _scaled(x, of_syn, of_mem)


@njit(cache=True, nogil=True)
def _follow(slopes, state, neuron, now):  # type: ignore[no-untyped-def]
    """Bring the derivatives of a state to a later time; the state itself is still to follow."""
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    free = now - max(state[AT], min(state[HELD], now))
    e, i = state[I_EXC], state[I_INH]
    held = now - state[AT] - free
    if held > 0.0:
        slopes[D_EXC] = (slopes[D_EXC] + e * held / exc**2) * math.exp(-held / exc)
        slopes[D_INH] = (slopes[D_INH] + i * held / inh**2) * math.exp(-held / inh)
        e, i = e * math.exp(-held / exc), i * math.exp(-held / inh)
        slopes[V_MEM], slopes[V_EXC], slopes[V_INH] = 0.0, 0.0, 0.0
    if free <= 0.0:
        return
    u = neuron[RESET] if held > 0.0 else state[U]
    decay = math.exp(-free / mem)
    by_mem, by_exc = kernel_slopes(free, mem, exc)
    slopes[V_MEM] = (slopes[V_MEM] + u * free / mem**2) * decay + e * by_mem
    slopes[V_EXC] = slopes[V_EXC] * decay + slopes[D_EXC] * psp(free, mem, exc) + e * by_exc
    slopes[D_EXC] = (slopes[D_EXC] + e * free / exc**2) * math.exp(-free / exc)
    if i != 0.0 or slopes[D_INH] != 0.0:
        by_mem, by_inh = kernel_slopes(free, mem, inh)
        slopes[V_MEM] += i * by_mem
        slopes[V_INH] = slopes[V_INH] * decay + slopes[D_INH] * psp(free, mem, inh) + i * by_inh
        slopes[D_INH] = (slopes[D_INH] + i * free / inh**2) * math.exp(-free / inh)
    else:
        slopes[V_INH] *= decay


@njit(cache=True, nogil=True)
def membrane_by_time_constants(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, weights, extra, neurons, cells, times, found
):
    """Derivatives of the membrane at each recorded spike, neuron by neuron.

    Args: as of ``hxloop.engine.compiled.slopes.slopes``. Result ``found (spikes, 3)``: by
    the time constants of membrane, excitation and inhibition; of a neuron with one current all of
    it stands with excitation.
    """
    post = weights.shape[1]
    state, slopes = np.zeros(6), np.zeros(5)
    for b in range(first, last):
        low, n = offsets[b], offsets[b + 1] - offsets[b]
        arrival = base[low : low + n].copy()
        order = np.arange(n)
        for j in range(post):
            start, end = cells[b * post + j], cells[b * post + j + 1]
            if start == end:
                continue
            neuron = neurons[j]
            if extra.size > 0:
                for k in range(n):
                    arrival[k] = base[low + k] + extra[rows[low + k], j]
                order = np.argsort(arrival, kind="mergesort")
            state[:], slopes[:] = 0.0, 0.0
            k = 0
            for s in range(start, end):
                when = times[s]
                while k < n and arrival[order[k]] < when:
                    now = arrival[order[k]]
                    weight = weights[rows[low + order[k]], j]
                    if weight != 0.0:
                        _follow(slopes, state, neuron, now)
                        advance(state, neuron, now)
                        receive(state, neuron, weight)
                    k += 1
                _follow(slopes, state, neuron, when)
                advance(state, neuron, when)
                found[s, 0], found[s, 1], found[s, 2] = slopes[0], slopes[1], slopes[2]
                state[U], state[HELD] = neuron[RESET], when + neuron[HOLD]
                slopes[V_MEM], slopes[V_EXC], slopes[V_INH] = 0.0, 0.0, 0.0
