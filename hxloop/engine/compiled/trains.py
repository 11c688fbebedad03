"""All spikes of populations of leaky integrate-and-fire neurons, compiled.

Between two arrivals a neuron is a membrane ``u`` (from leak) and one or two synaptic currents; a
spike sets the membrane to its reset, holds it there for the refractory time, and lets the currents
go on. A state is kept at the time of the neuron's own last change, so that no result depends on
what happens elsewhere in the network.

Two kernels, each for the samples from ``first`` to ``last``: ``chain_block`` for a population whose
arrivals are all known, neuron by neuron; ``loop_block`` for populations that feed themselves, event
by event. Both write at most ``capacity`` spikes a sample, and go on counting beyond.

An arrival has a row of ``weights (rows, post)``, one for every projection and presynaptic neuron;
it comes at ``base`` (the delay of the row included), and where delays differ between postsynaptic
neurons, ``extra (rows, post)`` later.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.heap import pop, push
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.train_neuron import (
    AT,
    CHECKED,
    EXC,
    HELD,
    I_EXC,
    I_INH,
    INH,
    MEM,
    U,
    advance,
    next_spike,
    receive,
    spike,
)
from hxloop.machine.jit import njit


@njit(cache=True, nogil=True)
def _alike(neurons):  # type: ignore[no-untyped-def]
    """Whether all time constants of a kind are equal."""
    for j in range(1, len(neurons)):
        for k in (MEM, EXC, INH):
            if neurons[j, k] != neurons[0, k]:
                return False
    return True


@njit(cache=True, nogil=True)
def chain_block(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, weights, extra, neurons, t_window, times, units, counts
):
    """Spikes of one population, neuron by neuron; in every sample sorted by time at the end.

    Args: the samples; arrivals ``base, rows`` of sample b from ``offsets[b]`` to
    ``offsets[b + 1]``, sorted where ``extra`` is empty; ``neurons (post, 8)``; results
    ``times, units (batch, capacity)`` and ``counts (batch,)``.
    """
    post, capacity = weights.shape[1], times.shape[1]
    own_times = extra.size > 0
    alike = _alike(neurons)
    state = np.zeros(6)
    for b in range(first, last):
        low, n = offsets[b], offsets[b + 1] - offsets[b]
        arrival = base[low : low + n].copy()
        order = np.arange(n)
        # What a free membrane does from one arrival to the next, where it is the same for all.
        decays = np.zeros((n + 1, 5))
        if alike and not own_times:
            mem, exc, inh = neurons[0, MEM], neurons[0, EXC], neurons[0, INH]
            for k in range(1, n):
                delta = arrival[k] - arrival[k - 1]
                decays[k, 0] = math.exp(-delta / mem)
                decays[k, 1] = math.exp(-delta / exc)
                decays[k, 2] = psp(delta, mem, exc)
                if inh != exc:
                    decays[k, 3] = math.exp(-delta / inh)
                    decays[k, 4] = psp(delta, mem, inh)
        found = 0
        for j in range(post):
            neuron = neurons[j]
            if own_times:
                for k in range(n):
                    arrival[k] = base[low + k] + extra[rows[low + k], j]
                order = np.argsort(arrival, kind="mergesort")
            state[:] = 0.0
            for k in range(n + 1):
                now = min(arrival[order[k]], t_window) if k < n else t_window
                before = state[AT]
                while True:
                    when = next_spike(state, neuron, now)
                    if when == math.inf:
                        break
                    if found < capacity:
                        times[b, found], units[b, found] = when, j
                    found += 1
                    spike(state, neuron, when)
                    if found > capacity:
                        break
                if state[HELD] == math.inf or now >= t_window or found > capacity:
                    break
                shared = alike and not own_times and k > 0
                if shared and state[AT] == before and state[HELD] <= before:
                    u = state[U] * decays[k, 0] + state[I_EXC] * decays[k, 2]
                    if state[I_INH] != 0.0:
                        u += state[I_INH] * decays[k, 4]
                        state[I_INH] *= decays[k, 3]
                    state[U], state[AT] = u, now
                    state[I_EXC] *= decays[k, 1]
                else:
                    advance(state, neuron, now)
                receive(state, neuron, weights[rows[low + order[k]], j])
        counts[b] = found
        found = min(found, capacity)
        sorted_by = np.argsort(times[b, :found], kind="mergesort")
        times[b, :found] = times[b, :found][sorted_by]
        units[b, :found] = units[b, :found][sorted_by]


@njit(cache=True, nogil=True)
def loop_block(  # type: ignore[no-untyped-def]
    first, last, offsets, base, rows, weights, extra, ranges, delays, starts, outgoing, late,
    carried, neurons, t_window, times, units, counts,
):  # fmt: skip
    """Spikes of populations that feed themselves, event by event.

    As ``chain_block``, with ``base`` sorted; ``ranges (rows, 3)``: from and to which neuron a row
    reaches, and whether it has ``extra`` delays; ``delays (rows,)`` of the rows; the rows of
    the spikes of neuron j are ``outgoing[starts[j]:starts[j + 1]]``; ``late (ranks, batch, post)``:
    by how much later than it happens the k-th spike of a neuron leaves, ``inf``: never;
    ``carried (ranks, batch, rows)``: by how much later than by its delay it arrives through a row
    that carries one spike at a time; NaN: one that carries any number. Without ranks all do.
    """
    post, capacity = weights.shape[1], times.shape[1]
    states = np.zeros((post, 6))
    upcoming, ahead = np.empty(post), np.zeros(6)
    when, what = np.empty(1024), np.empty((1024, 2), np.int64)
    ranks, busy = np.zeros(post, np.int64), np.zeros(len(ranges))
    for b in range(first, last):
        states[:], ranks[:], busy[:] = 0.0, 0, 0.0
        upcoming[:] = math.inf
        external, end = offsets[b], offsets[b + 1]
        pending, found = 0, 0
        while found <= capacity:
            outside = base[external] if external < end else math.inf
            inside = when[0] if pending > 0 else math.inf
            now = min(outside, inside, t_window)
            earliest, which = math.inf, -1
            for j in range(post):
                state = states[j]
                if state[CHECKED] < now and upcoming[j] == math.inf:
                    # Another neuron may be earlier, and reach this one before its release.
                    ahead[:] = state
                    upcoming[j] = next_spike(ahead, neurons[j], now)
                    state[CHECKED] = now
                if upcoming[j] < earliest:
                    earliest, which = upcoming[j], j
            if earliest <= now:
                if found < capacity:
                    times[b, found], units[b, found] = earliest, which
                found += 1
                spike(states[which], neurons[which], earliest)
                states[which, CHECKED], upcoming[which] = earliest, math.inf
                leaves, k = earliest, ranks[which]
                ranks[which] = k + 1
                if k < late.shape[0]:
                    leaves += late[k, b, which]
                if leaves == math.inf:
                    continue
                for o in range(starts[which], starts[which + 1]):
                    row = outgoing[o]
                    each = ranges[row, 2] == 1
                    n = ranges[row, 1] - ranges[row, 0] if each else 1
                    while pending + n > len(when):
                        when = np.concatenate((when, np.empty(len(when))))
                        what = np.concatenate((what, np.empty(what.shape, np.int64)))
                    arrives = leaves + delays[row]
                    if k < carried.shape[0] and not math.isnan(carried[k, b, row]):
                        if leaves < busy[row]:
                            continue
                        arrives += carried[k, b, row]
                        busy[row] = arrives
                    if not each:
                        push(when, what, pending, arrives, row, -1)
                        pending += 1
                        continue
                    for j in range(ranges[row, 0], ranges[row, 1]):
                        push(when, what, pending, arrives + extra[row, j], row, j)
                        pending += 1
                continue
            if now >= t_window:
                break
            if inside <= outside:
                row, target = what[0, 0], what[0, 1]
                pop(when, what, pending)
                pending -= 1
            else:
                row, target = rows[external], -1
                external += 1
                if ranges[row, 2] == 1:
                    # Its parts come one by one; the next of them may be due at once.
                    n = ranges[row, 1] - ranges[row, 0]
                    while pending + n > len(when):
                        when = np.concatenate((when, np.empty(len(when))))
                        what = np.concatenate((what, np.empty(what.shape, np.int64)))
                    for j in range(ranges[row, 0], ranges[row, 1]):
                        push(when, what, pending, now + extra[row, j], row, j)
                        pending += 1
                    continue
            low, high = ranges[row, 0], ranges[row, 1]
            if target >= 0:
                low, high = target, target + 1
            for j in range(low, high):
                weight = weights[row, j]
                if weight != 0.0:
                    advance(states[j], neurons[j], now)
                    receive(states[j], neurons[j], weight)
                    states[j, CHECKED], upcoming[j] = now, math.inf
        counts[b] = found
