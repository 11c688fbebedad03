"""All spikes of one population whose arrivals are all known, compiled.

As in ``hxloop.engine.compiled.forward`` the neurons are taken in tiles, which go from arrival to
arrival in vectors, and a bound says which of them may spike on the way. But these do not stop at a
crossing: taken together, they go on from spike to spike side by side (``_through``), until none of
them spikes again before the next arrival.
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
    decays,
    fill,
    own_arrivals,
)
from hxloop.engine.compiled.lanes import (
    AT,
    CODE,
    COLUMNS,
    END_E,
    END_I,
    END_U,
    HELD,
    HIGHEST,
    I_EXC,
    I_INH,
    NONE,
    PER_EXC,
    PER_INH,
    PER_MEM,
    PER_RATE,
    PER_RATE_INH,
    RATE,
    RATE_INH,
    THRESHOLD,
    TO,
    UNCLEAR,
    WIDTH,
    U,
    copy_lane,
    judge,
    let_spike,
    look_ahead,
    place,
    seek,
    settle,
    whole_vectors,
)
from hxloop.engine.compiled.order import in_order
from hxloop.engine.compiled.spiking_neuron import ONE
from hxloop.engine.compiled.vectors import EXACT_MATH, widest_vectors
from hxloop.machine.jit import njit

# Columns of a tile after those of its lanes: the entries of an interval, and who may spike in it.
_OF_MEM, _OF_EXC, _OF_INH, _BY_EXC, _BY_INH, _BUSY = (
    WIDTH * column for column in range(COLUMNS, COLUMNS + 6)
)


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def _interval(tile, m, table, k, length, shared, two):  # type: ignore[no-untyped-def]
    """The entries of interval k for the m neurons of a tile."""
    widest_vectors()
    if shared:
        for j in range(m):
            tile[_OF_MEM + j], tile[_OF_EXC + j] = table[OF_MEM, k], table[OF_EXC, k]
            tile[_BY_EXC + j] = table[BY_EXC, k]
        if two:
            for j in range(m):
                tile[_OF_INH + j], tile[_BY_INH + j] = table[OF_INH, k], table[BY_INH, k]
        return
    for j in range(m):
        tile[_OF_MEM + j], tile[_OF_EXC + j], tile[_BY_EXC + j] = decays(
            length, tile[PER_MEM + j], tile[PER_EXC + j], tile[RATE + j], tile[PER_RATE + j]
        )
    if two:
        for j in range(m):
            _, tile[_OF_INH + j], tile[_BY_INH + j] = decays(
                length, tile[PER_MEM + j], tile[PER_INH + j], tile[RATE_INH + j],
                tile[PER_RATE_INH + j],
            )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def _busy(tile, m, start, end):  # type: ignore[no-untyped-def]
    """How many of the m neurons of a tile may spike, or are released, within an interval."""
    widest_vectors()
    length, busy = end - start, 0
    for j in range(m):
        u, e, held = tile[U + j], tile[I_EXC + j], tile[HELD + j]
        # It cannot rise by more than the excitation's part.
        reaches = max(u, 0.0) + max(e, 0.0) * min(length, tile[HIGHEST + j]) >= tile[THRESHOLD + j]
        here = (held > start and held < end) or (held <= start and reaches)
        tile[_BUSY + j] = 1.0 if here else 0.0
        busy += here
    return busy


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def _pass(tile, m, start, two):  # type: ignore[no-untyped-def]
    """The m neurons of a tile at the end of an interval in which none spikes."""
    widest_vectors()
    for j in range(m):
        u = tile[U + j] * tile[_OF_MEM + j] + tile[I_EXC + j] * tile[_BY_EXC + j]
        if two:
            u += tile[I_INH + j] * tile[_BY_INH + j]
            tile[I_INH + j] *= tile[_OF_INH + j]
        tile[U + j] = tile[TO + j] if tile[HELD + j] > start else u
        tile[I_EXC + j] *= tile[_OF_EXC + j]


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def _receive(tile, m, weights, ones, two):  # type: ignore[no-untyped-def]
    """Add the weights of an arrival to the currents that they belong to."""
    widest_vectors()
    for j in range(m):
        weight = weights[j]
        if two:
            exciting = weight > 0.0 or ones[j] == 1.0
            tile[I_EXC + j] += weight if exciting else 0.0
            tile[I_INH + j] += 0.0 if exciting else weight
        else:
            tile[I_EXC + j] += weight


@njit(cache=True, nogil=True)
def _chosen(tile, m, start, shared, lanes, which):  # type: ignore[no-untyped-def]
    """Copy the neurons of a tile that may spike; how many they are."""
    n = 0
    for j in range(m):
        if tile[_BUSY + j] != 0.0:
            copy_lane(tile, j, lanes, n, not shared)
            lanes[AT + n], which[n] = start, j
            n += 1
    return n


@njit(cache=True, nogil=True)
def _end(lanes, n, which, tile):  # type: ignore[no-untyped-def]
    j = which[n]
    tile[U + j], tile[I_EXC + j] = lanes[END_U + n], lanes[END_E + n]
    tile[I_INH + j], tile[HELD + j] = lanes[END_I + n], lanes[HELD + n]


@njit(cache=True, nogil=True)
def _through(  # type: ignore[no-untyped-def]
    lanes, n, which, tile, first, end, shared, two, neurons, times, units, found
):
    """n neurons of a tile to the end of an interval, from spike to spike.

    Args: their ``lanes``, and ``which`` of the tile each is; the ``first`` neuron of the tile;
    results ``times, units``, of which as many are written as there is room for.

    Returns: how many spikes there are then. After more than there is room for it stops.
    """
    while n > 0:
        full = whole_vectors(lanes, n)
        look_ahead(lanes, full, end, two)
        judge(lanes, full)
        left = 0
        for k in range(n):
            if lanes[CODE + k] == UNCLEAR:
                settle(lanes, k, neurons[first + which[k]], two)
            if lanes[CODE + k] == NONE:
                _end(lanes, k, which, tile)
                continue
            if k != left:
                copy_lane(lanes, k, lanes, left, not shared)
                which[left] = which[k]
            left += 1
        n, left = left, 0
        full = whole_vectors(lanes, n)
        seek(lanes, full)
        for k in range(n):
            if lanes[CODE + k] == UNCLEAR:
                settle(lanes, k, neurons[first + which[k]], two)
        let_spike(lanes, full, two)
        for k in range(n):
            if lanes[CODE + k] == NONE:  # it was not to be found after all
                _end(lanes, k, which, tile)
                continue
            if found < len(times):
                times[found], units[found] = lanes[AT + k], first + which[k]
            found += 1
            if lanes[HELD + k] == math.inf:
                _last(lanes, k, which, tile)
                continue
            if k != left:
                copy_lane(lanes, k, lanes, left, not shared)
                which[left] = which[k]
            left += 1
        n = left
        if found > len(times):
            break
    return found


@njit(cache=True, nogil=True)
def _last(lanes, n, which, tile):  # type: ignore[no-untyped-def]
    """After the last spike that a neuron ever has, nothing of it matters but that it is held."""
    j = which[n]
    tile[U + j], tile[I_EXC + j], tile[I_INH + j], tile[HELD + j] = (
        lanes[TO + n],
        0.0,
        0.0,
        math.inf,
    )


@njit(cache=True, nogil=True)
def _tile_of(neurons, first, m, tile, lanes):  # type: ignore[no-untyped-def]
    """Put m neurons into a tile; whether some have two currents."""
    two = False
    for j in range(m):
        place(tile, j, neurons[first + j])
        two |= neurons[first + j, ONE] != 1.0
    for j in range(WIDTH):
        place(lanes, j, neurons[first])
        lanes[END_I + j] = 0.0
    return two


@njit(cache=True, nogil=True)
def _spikes(  # type: ignore[no-untyped-def]
    tile, m, first, arrival, row, n, weights, table, shared, two, lanes, which, neurons, t_window,
    times, units, found,
):  # fmt: skip
    """Append the spikes of a tile in a sample to those ``found``; how many there are then."""
    for column in (U, I_EXC, I_INH, HELD):
        tile[column : column + m] = 0.0
    start = 0.0
    for k in range(n + 1):
        end = min(arrival[k], t_window) if k < n else t_window
        _interval(tile, m, table, k, end - start, shared, two)
        chosen = 0
        if _busy(tile, m, start, end) > 0:
            chosen = _chosen(tile, m, start, shared, lanes, which)
        _pass(tile, m, start, two)
        if chosen > 0:
            found = _through(
                lanes, chosen, which, tile, first, end, shared, two, neurons, times, units, found
            )
            if found > len(times):
                break
        if end >= t_window:
            break
        _receive(tile, m, weights[row[k], first:], neurons[first:, ONE], two)
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
    post, own = weights.shape[1], extra.size > 0
    shared = alike(neurons) and not own
    width = 1 if own else WIDTH
    most = np.diff(offsets[first : last + 1]).max()
    table, arrival, row = np.empty((5, most + 1)), np.empty(most), np.empty(most, np.int64)
    tile, lanes = np.zeros((COLUMNS + 6) * WIDTH), np.zeros(COLUMNS * WIDTH)
    which = np.zeros(WIDTH, np.int64)
    counts[first:last] = 0
    for start in range(0, post, width):
        m = min(width, post - start)
        two = _tile_of(neurons, start, m, tile, lanes)
        for b in range(first, last):
            if counts[b] > times.shape[1]:
                continue
            low, n = offsets[b], offsets[b + 1] - offsets[b]
            arrival[:n], row[:n] = base[low : low + n], rows[low : low + n]
            if own:
                own_arrivals(base[low : low + n], rows[low : low + n], extra, start, arrival, row)
            if shared:
                fill(table, arrival, n, t_window, neurons[0])
            counts[b] = _spikes(
                tile, m, start, arrival, row, n, weights, table, shared, two, lanes, which, neurons,
                t_window, times[b], units[b], counts[b],
            )  # fmt: skip
    for b in range(first, last):
        found = min(counts[b], times.shape[1])
        in_order(times[b, :found], units[b, :found], t_window)
