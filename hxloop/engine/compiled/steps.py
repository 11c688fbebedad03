"""What passes between a recorded spike and the arrivals around it, compiled.

All times are recorded, so that every exponential is known before anything is summed up: they are
computed in vectors, for all spikes of a sample, and what goes forward or back through the spikes of
a neuron only multiplies and adds.
"""

from __future__ import annotations

import numpy as np

from hxloop.engine.compiled.membrane import psp_of_rates, rates
from hxloop.engine.compiled.spiking_neuron import EXC, HOLD, INH, MEM, ONE
from hxloop.engine.compiled.vectors import EXACT_MATH, decay, widest_vectors
from hxloop.machine.jit import njit

# Rows of the steps of spikes. Lengths: while the neuron is held, from the spike before to the first
# arrival, and from the last one to the release; from there to the first arrival after it; from the
# last event to the spike. Without an arrival the first of each two is 0.
ENTER, LEAVE, FREED, LAST = range(4)
PER_MEM, PER_EXC, PER_INH, RATE, PER_RATE, RATE_INH, PER_RATE_INH = range(4, 11)
# What is left of currents and membrane, and what the currents add to it.
ENTER_EXC, LEAVE_EXC, FREED_EXC, LAST_EXC, ENTER_INH, LEAVE_INH, FREED_INH, LAST_INH = range(11, 19)
FREED_MEM, LAST_MEM, FREED_BY_EXC, LAST_BY_EXC, FREED_BY_INH, LAST_BY_INH = range(19, 25)
ROWS = 25
# So many neurons are taken together: their steps stay in the processor's nearest cache.
GROUP = 32
# Rows of ``met``: how many arrivals came before the release, and before the spike.
KEPT, MET = range(2)


@njit(cache=True, nogil=True, forceinline=True)
def _lengths(arrival, times, start, end, neuron, steps, met, shift):  # type: ignore[no-untyped-def]
    """Lengths and constants of the steps of a neuron, in columns ``shift`` before its spikes.

    Args: its arrivals, sorted, and its spikes, those from ``start`` to ``end`` of ``times``.
    """
    mem, exc, inh, k, n = neuron[MEM], neuron[EXC], neuron[INH], 0, len(arrival)
    rate, rate_inh = rates(mem, exc), rates(mem, inh)
    for number in range(start, end):
        s, when, before, until = number - shift, times[number], 0.0, 0.0
        enter, leave = 0.0, 0.0
        if number > start:
            before = times[number - 1]
            until = min(before + neuron[HOLD], when)
            kept = k
            while k < n and arrival[k] < until:
                k += 1
            if k > kept:
                enter, before = arrival[kept] - before, arrival[k - 1]
            leave = until - before
        met[KEPT, s], at = k, until
        while k < n and arrival[k] < when:
            k += 1
        met[MET, s] = k
        steps[FREED, s] = 0.0
        if k > met[KEPT, s]:
            at = arrival[k - 1]
            if number > start:
                steps[FREED, s] = arrival[met[KEPT, s]] - until
        steps[ENTER, s], steps[LEAVE, s], steps[LAST, s] = enter, leave, when - at
        steps[PER_MEM, s], steps[PER_EXC, s], steps[PER_INH, s] = 1.0 / mem, 1.0 / exc, 1.0 / inh
        steps[RATE, s], steps[PER_RATE, s] = rate
        steps[RATE_INH, s], steps[PER_RATE_INH, s] = rate_inh


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def _decays(length, per_tau, found, n):  # type: ignore[no-untyped-def]
    widest_vectors()
    for s in range(n):
        found[s] = decay(-length[s] * per_tau[s])


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def _kernels(length, of_mem, of_syn, rate, per_rate, found, n):  # type: ignore[no-untyped-def]
    widest_vectors()
    for s in range(n):
        found[s] = psp_of_rates(length[s], of_mem[s], of_syn[s], rate[s], per_rate[s])


@njit(cache=True, nogil=True)
def _complete(steps, n, held, two):  # type: ignore[no-untyped-def]
    """The exponentials of the first n steps, whose lengths are known."""
    for length, mem in ((FREED, FREED_MEM), (LAST, LAST_MEM)):
        _decays(steps[length], steps[PER_MEM], steps[mem], n)
    for kind in range(2 if two else 1):
        per, rate, per_rate = PER_EXC, RATE, PER_RATE
        enter, leave, freed, last = ENTER_EXC, LEAVE_EXC, FREED_EXC, LAST_EXC
        freed_by, last_by = FREED_BY_EXC, LAST_BY_EXC
        if kind == 1:
            per, rate, per_rate = PER_INH, RATE_INH, PER_RATE_INH
            enter, leave, freed, last = ENTER_INH, LEAVE_INH, FREED_INH, LAST_INH
            freed_by, last_by = FREED_BY_INH, LAST_BY_INH
        _decays(steps[FREED], steps[per], steps[freed], n)
        _decays(steps[LAST], steps[per], steps[last], n)
        for length, mem, syn, by in (
            (FREED, FREED_MEM, freed, freed_by), (LAST, LAST_MEM, last, last_by)
        ):  # fmt: skip
            _kernels(
                steps[length],
                steps[mem],
                steps[syn],
                steps[rate],
                steps[per_rate],
                steps[by],
                n,
            )
        if held:
            _decays(steps[ENTER], steps[per], steps[enter], n)
            _decays(steps[LEAVE], steps[per], steps[leave], n)
        else:
            steps[enter, :n], steps[leave, :n] = 1.0, 1.0


@njit(cache=True, nogil=True)
def fill_steps(arrival, cells, times, neurons, steps, met):  # type: ignore[no-untyped-def]
    """The steps of the spikes of some neurons with common arrivals in a sample.

    Args: the arrivals, sorted; ``times``, of which those of neuron j are from ``cells[j]`` to
    ``cells[j + 1]``; ``steps (ROWS, spikes)`` and ``met (2, spikes)``, written to from the first.
    """
    held, two = False, False
    for j in range(len(neurons)):
        low, high = cells[j], cells[j + 1]
        if low < high:
            held |= neurons[j, HOLD] != 0.0
            two |= neurons[j, ONE] != 1.0
            _lengths(arrival, times, low, high, neurons[j], steps, met, cells[0])
    _complete(steps, cells[len(neurons)] - cells[0], held, two)


@njit(cache=True, nogil=True)
def room(cells, post, width, first, last):  # type: ignore[no-untyped-def]
    """``steps`` and ``met`` for as many spikes as so many neurons have in a sample at most."""
    most = 0
    for b in range(first, last):
        for group in range(0, post, width):
            low, high = b * post + group, b * post + min(group + width, post)
            most = max(most, cells[high] - cells[low])
    return np.empty((ROWS, most)), np.empty((2, most), np.int64)
