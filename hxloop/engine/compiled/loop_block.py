"""All spikes of populations that feed themselves, event by event, compiled.

Between two arrivals a neuron is a membrane ``u`` (from leak) and one or two synaptic currents; a
spike sets the membrane to its reset, holds it there for the refractory time, and lets the currents
go on. A state is kept at the time of the neuron's own last change, so that no result depends on
what happens elsewhere in the network.

``loop_block``, and ``chain_block.chain_block`` for a population whose arrivals are all known, take
the samples from ``first`` to ``last``. Both write at most ``capacity`` spikes a sample, and count
one more where there are more.

An arrival has a row of ``weights (rows, post)``, one for every projection and presynaptic neuron;
it comes at ``base`` (the delay of the row included), and where delays differ between postsynaptic
neurons, ``extra (rows, post)`` later.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.heap import pop, push
from hxloop.engine.compiled.spiking_neuron import (
    CHECKED,
    advance,
    next_spike,
    receive,
    spike,
)
from hxloop.machine.jit import njit


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
