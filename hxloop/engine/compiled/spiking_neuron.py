"""One neuron that spikes again and again, between two arrivals, compiled.

Its state is a membrane (from leak), two currents, when that was, and until when it is held.
"""

from __future__ import annotations

import math

from hxloop.engine.compiled.any_crossing import any_crossing
from hxloop.engine.compiled.membrane import first_crossing
from hxloop.engine.compiled.psp import psp
from hxloop.machine.jit import njit

# Columns of the parameters of a neuron: time constants, threshold and reset from leak, refractory
# time, whether its two currents decay alike (1), so that they are one, and the highest value of the
# kernel of excitation.
MEM, EXC, INH, LEVEL, RESET, HOLD, ONE, PEAK = range(8)
# Columns of its state: membrane, currents, when that was, until when it is held, and until when
# no crossing is to come.
U, I_EXC, I_INH, AT, HELD, CHECKED = range(6)


@njit(cache=True, nogil=True)
def crossing(u, e, i, neuron, length):  # type: ignore[no-untyped-def]
    """When a free membrane next reaches its threshold, within a length; ``inf``: it does not."""
    level = neuron[LEVEL]
    if u >= level:
        return 0.0
    if level <= 0.0:
        return any_crossing(u, e, i, neuron[MEM], neuron[EXC], neuron[INH], level, length)
    if level == math.inf:
        return math.inf
    # It cannot rise by more than the excitation's part.
    if max(u, 0.0) + max(e, 0.0) * min(length, neuron[PEAK]) < level:
        return math.inf
    return first_crossing(u, e, i, neuron[MEM], neuron[EXC], neuron[INH], level, length)


@njit(cache=True, nogil=True)
def advance(state, neuron, now):  # type: ignore[no-untyped-def]
    """Bring a state to a later time, up to which no spike is to come."""
    at, held = state[AT], state[HELD]
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    if held > at:
        until = min(held, now)
        state[I_EXC] *= math.exp(-(until - at) / exc)
        if state[I_INH] != 0.0:
            state[I_INH] *= math.exp(-(until - at) / inh)
        state[U] = neuron[RESET]
        at = until
    delta = now - at
    if delta > 0.0:
        u = state[U] * math.exp(-delta / mem) + state[I_EXC] * psp(delta, mem, exc)
        if state[I_INH] != 0.0:
            u += state[I_INH] * psp(delta, mem, inh)
            state[I_INH] *= math.exp(-delta / inh)
        state[U] = u
        state[I_EXC] *= math.exp(-delta / exc)
    state[AT] = now


@njit(cache=True, nogil=True)
def next_spike(state, neuron, until):  # type: ignore[no-untyped-def]
    """The next spike of a neuron up to a time, if nothing arrives before; else ``inf``.

    A neuron that is held is brought to its release.
    """
    if state[HELD] > state[AT]:
        if state[HELD] >= until:
            return math.inf
        advance(state, neuron, state[HELD])
    found = crossing(state[U], state[I_EXC], state[I_INH], neuron, until - state[AT])
    return state[AT] + found


@njit(cache=True, nogil=True)
def spike(state, neuron, when):  # type: ignore[no-untyped-def]
    """Let a neuron spike: its membrane is held at reset, its currents go on."""
    delta = when - state[AT]
    state[I_EXC] *= math.exp(-delta / neuron[EXC])
    if state[I_INH] != 0.0:
        state[I_INH] *= math.exp(-delta / neuron[INH])
    state[U], state[AT], state[HELD] = neuron[RESET], when, when + neuron[HOLD]


@njit(cache=True, nogil=True)
def receive(state, neuron, weight):  # type: ignore[no-untyped-def]
    """Add a weight to the current that it belongs to."""
    if weight > 0.0 or neuron[ONE] == 1.0:
        state[I_EXC] += weight
    else:
        state[I_INH] += weight
