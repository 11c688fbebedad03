"""First spike times of a layer: the loops over samples, inputs and neurons, compiled.

The neurons of a layer are taken in tiles whose weights stay in the processor's cache. Within
a tile the state (membrane ``u``, currents) goes from input to input in local time by loops
over neurons without a branch, which the compiler turns into vector instructions. The same
loop takes the largest of the bounds

    u(s) <= max(u, 0) + max(I_exc, 0) min(s, peak),     0 <= s <= length of the interval,

(``k(s) <= s``, and ``k`` never exceeds its peak) minus threshold. As long as it is negative no
neuron of the tile can spike before the next input, and nothing else is computed. Else the
neurons that may spike are looked at one by one, exactly. A neuron that has spiked gets an
infinite threshold; when all have, the tile is done.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hxloop.ttfs.compiled.membrane import first_crossing, peak_time, psp, rising_crossing

# Neurons of a tile: 64 columns of 784 weights are 400 kB, which a second-level cache holds.
TILE = 104
VECTOR = 8
# What is left of a state after this many time constants is nothing; longer intervals would
# underflow, and the sign of the slope would be lost.
LONGEST = 100.0

# No NaN reaches the vector loops (weights and times are checked), infinities do.
VECTOR_MATH = {"nnan", "nsz", "contract", "reassoc", "arcp"}


@njit(cache=True, nogil=True)
def tile_width(post):  # type: ignore[no-untyped-def]
    """Columns of a tile: as equal as possible, a multiple of the length of a vector."""
    n_tiles = (post + TILE - 1) // TILE
    return (post + n_tiles * VECTOR - 1) // (n_tiles * VECTOR) * VECTOR


@njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
def forward_equal(  # type: ignore[no-untyped-def]
    times, order, weights, tau_mem, tau_syn, threshold, t_window, result
):
    """First spike times of a layer whose neurons have the same time constants.

    Args:
        times: ``(batch, pre)`` float64, sorted in each row.
        order: ``(batch, pre)``, which input each of them is.
        weights: ``(pre, post)``, float32 or float64: the type computed in.
        tau_mem, tau_syn: numbers.
        threshold: ``(post,)`` above leak, float64; ``<= 0`` fires at once, ``inf`` never.
        t_window: later spikes do not count.
        result: ``(batch, post)``, filled with ``inf``; written to.
    """
    pre, post = weights.shape
    count = times.shape[0]
    n_inputs = np.zeros(count, np.int64)
    lengths = np.zeros((count, pre))
    # Index i: over the interval that ends with input i.
    d_mem = np.zeros((count, pre + 1), weights.dtype)
    d_syn = np.zeros((count, pre + 1), weights.dtype)
    k = np.zeros((count, pre + 1), weights.dtype)
    bound = np.zeros((count, pre), weights.dtype)
    longest = LONGEST * max(tau_mem, tau_syn)
    top = psp(peak_time(tau_syn, 1.0 - tau_syn / tau_mem), tau_mem, tau_syn)
    for s in range(count):
        for i in range(pre):
            now = times[s, i]
            if now > t_window or now == math.inf:
                break
            n_inputs[s] = i + 1
            following = t_window
            if i + 1 < pre and times[s, i + 1] < t_window:
                following = times[s, i + 1]
            length = min(following - now, longest)
            lengths[s, i] = length
            decay = math.exp(-length / tau_mem)
            # The margin covers the rounding of the bound itself.
            bound[s, i] = min(length, top) / decay * (1.0 + 1e-6)
            d_mem[s, i + 1] = decay
            if tau_mem == tau_syn:
                d_syn[s, i + 1] = decay
                k[s, i + 1] = length * decay
            else:
                d_syn[s, i + 1] = math.exp(-length / tau_syn)
                k[s, i + 1] = psp(length, tau_mem, tau_syn)

    # Within rounding of the threshold only the careful comparison counts.
    margin = weights.dtype.type(1.0 - 1e-5 if weights.itemsize == 4 else 1.0 - 1e-13)
    width = tile_width(post)
    tile = np.empty((pre, width), weights.dtype)
    u = np.empty(width, weights.dtype)
    current = np.empty(width, weights.dtype)
    level = np.empty(width, weights.dtype)
    for start in range(0, post, width):
        n = min(width, post - start)
        for i in range(pre):
            for j in range(n):
                tile[i, j] = weights[i, start + j]
            for j in range(n, width):
                tile[i, j] = 0.0
        for s in range(count):
            alive = 0
            for j in range(width):
                u[j] = current[j] = 0.0
                level[j] = math.inf
                if j < n:
                    if threshold[start + j] <= 0.0:
                        result[s, start + j] = 0.0
                    elif threshold[start + j] < math.inf:
                        # A hair below: the rounding of u must not hide a crossing.
                        level[j] = threshold[start + j] * (1.0 - 1e-15)
                        alive += 1
            for i in range(n_inputs[s]):
                if alive == 0:
                    break
                dm, ds, kk, peak = d_mem[s, i], d_syn[s, i], k[s, i], bound[s, i]
                index = order[s, i]
                reaching = 0
                for j in range(width):
                    v = u[j] * dm + current[j] * kk
                    x = current[j] * ds + tile[index, j]
                    u[j] = v
                    current[j] = x
                    reaching += v + x * peak >= level[j]
                if reaching > 0:
                    dm, ds, kk = d_mem[s, i + 1], d_syn[s, i + 1], k[s, i + 1]
                    for j in range(n):
                        if u[j] + current[j] * peak < level[j]:
                            continue
                        crossing = -1.0
                        end = u[j] * dm + current[j] * kk
                        if end >= level[j]:
                            crossing = rising_crossing(
                                float(u[j]), float(current[j]), 0.0, tau_mem, tau_syn, tau_syn,
                                threshold[start + j], lengths[s, i],
                            )  # fmt: skip
                        elif end < level[j] * margin and current[j] * ds * tau_mem > end:
                            continue  # still rising at the end: no peak before
                        if crossing < 0.0:
                            crossing = first_crossing(
                                float(u[j]), float(current[j]), 0.0, tau_mem, tau_syn, tau_syn,
                                threshold[start + j], lengths[s, i],
                            )  # fmt: skip
                        if crossing < math.inf:
                            level[j] = math.inf
                            alive -= 1
                            if times[s, i] + crossing <= t_window:
                                result[s, start + j] = times[s, i] + crossing
