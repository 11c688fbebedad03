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

from hxloop.engine.compiled.membrane import crossing_within, peak_time
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.vectors import widest_vectors
from hxloop.machine.jit import njit

# Neurons of a tile; a small layer would waste most of a wide one. Candidates are looked for in
# groups that make a vector or two.
WIDE, NARROW = 64, 16
GROUP = 8
# What is left of a state after so many time constants is nothing: it underflows.
LONGEST = 746.0

# By the precision of the states. Bounds end at LARGEST, so that times 0 they are 0. Within BRIEF
# times the slower time constant a decay keeps its digits (it does not underflow), so that the
# sign of the slope at the end of an interval can be told, but for a RISING part of the membrane.
# Within MARGIN of the threshold only the careful comparison counts.
LARGEST = {4: 1e30, 8: 1e300}
HUGE = {4: 80.0, 8: 690.0}  # more than the logarithm of LARGEST, or as good
BRIEF = {4: 50.0, 8: 600.0}
RISING = {4: 1.0 + 1e-5, 8: 1.0 + 1e-12}
MARGIN = {4: 1.0 - 1e-5, 8: 1.0 - 1e-13}

# No NaN reaches the vector loops (weights and times are checked), infinities do.
VECTOR_MATH = {"nnan", "nsz", "contract", "reassoc", "arcp"}


@njit(cache=True, nogil=True)
def _intervals(  # type: ignore[no-untyped-def]
    times, tau_mem, tau_syn, t_window, largest, huge, n_inputs, lengths, d_mem, d_syn, k, bound
):
    """What all neurons of a layer share. Index i: over the interval that ends with input i."""
    count, pre = times.shape
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
            bound[s, i] = min(min(length, top) * math.exp(min(length / tau_mem, huge)), largest)
            bound[s, i] *= 1.0 + 1e-6
            d_mem[s, i + 1] = decay
            if tau_mem == tau_syn:
                d_syn[s, i + 1] = decay
                k[s, i + 1] = length * decay
            else:
                d_syn[s, i + 1] = math.exp(-length / tau_syn)
                k[s, i + 1] = psp(length, tau_mem, tau_syn)


# A closure over nothing but constants to the compiler: with a function among its variables numba
# would not find it in its cache and compile it anew in every process.
def _make(width, size):  # type: ignore[no-untyped-def]
    largest, huge, brief = LARGEST[size], HUGE[size], BRIEF[size]
    rising, margin = RISING[size], MARGIN[size]

    @njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
    def forward(  # type: ignore[no-untyped-def]
        times, order, weights, tau_mem, tau_syn, threshold, t_window, result
    ):
        widest_vectors()
        pre, post = weights.shape
        count = times.shape[0]
        kind = weights.dtype
        n_inputs, lengths = np.zeros(count, np.int64), np.zeros((count, pre))
        d_mem, d_syn = np.zeros((count, pre + 1), kind), np.zeros((count, pre + 1), kind)
        k, bound = np.zeros((count, pre + 1), kind), np.zeros((count, pre), kind)
        _intervals(
            times, tau_mem, tau_syn, t_window, largest, huge, n_inputs, lengths, d_mem, d_syn, k,
            bound,
        )  # fmt: skip
        keeps_digits = brief * max(tau_mem, tau_syn)
        tile = np.zeros((pre, width), kind)
        # u, current, and threshold: at fixed distances in one array, see ``backward``.
        state = np.zeros(3 * width, kind)
        below = kind.type(margin)
        for start in range(0, post, width):
            n = min(width, post - start)
            tile[:, n:] = 0.0
            for i in range(pre):
                for j in range(n):
                    tile[i, j] = weights[i, start + j]
            for s in range(count):
                alive = 0
                for j in range(width):
                    state[j] = state[j + width] = 0.0
                    state[j + 2 * width] = math.inf
                    if j < n:
                        if threshold[start + j] <= 0.0:
                            result[s, start + j] = 0.0
                        elif threshold[start + j] < math.inf:
                            # A hair below: the rounding of u must not hide a crossing.
                            state[j + 2 * width] = threshold[start + j] * (1.0 - 1e-15)
                            alive += 1
                for i in range(n_inputs[s]):
                    if alive == 0:
                        break
                    dm, ds, kk, peak = d_mem[s, i], d_syn[s, i], k[s, i], bound[s, i]
                    index = order[s, i]
                    reaching = 0
                    for j in range(width):
                        v = state[j] * dm + state[j + width] * kk
                        x = state[j + width] * ds + tile[index, j]
                        state[j] = v
                        state[j + width] = x
                        reaching += v + x * peak >= state[j + 2 * width]
                    for group in range(width // GROUP):
                        if reaching == 0:
                            break
                        first = group * GROUP
                        here = 0
                        for j in range(first, first + GROUP):
                            here += state[j] + state[j + width] * peak >= state[j + 2 * width]
                        if here == 0:
                            continue
                        reaching -= here
                        for j in range(first, first + GROUP):
                            v, x, level = state[j], state[j + width], state[j + 2 * width]
                            # What has spiked does so only once, even where a bound overflows.
                            if v + x * peak < level or level == math.inf:
                                continue
                            end = v * d_mem[s, i + 1] + x * k[s, i + 1]
                            end_current = x * d_syn[s, i + 1]
                            if (
                                end < level * below
                                and end_current * tau_mem > end * rising
                                and lengths[s, i] <= keeps_digits
                            ):
                                continue  # still rising at the end: no peak before
                            crossing = crossing_within(
                                float(v), float(x), float(end), float(end_current), tau_mem,
                                tau_syn, threshold[start + j], lengths[s, i],
                            )  # fmt: skip
                            if crossing < math.inf:
                                state[j + 2 * width] = math.inf
                                alive -= 1
                                if times[s, i] + crossing <= t_window:
                                    result[s, start + j] = times[s, i] + crossing

    return forward


_wide, _narrow = _make(WIDE, 8), _make(NARROW, 8)
_wide_single, _narrow_single = _make(WIDE, 4), _make(NARROW, 4)


def forward_equal(times, order, weights, *arguments):  # type: ignore[no-untyped-def]
    """First spike times of a layer whose neurons have the same time constants.

    Args:
        times: ``(batch, pre)`` float64, sorted in each row.
        order: ``(batch, pre)``, which input each of them is.
        weights: ``(pre, post)``, float32 or float64: the type computed in.
        arguments: ``tau_mem, tau_syn``, numbers; ``threshold``, ``(post,)`` above leak, float64,
            ``<= 0`` fires at once, ``inf`` never; ``t_window``, later spikes do not count;
            ``result``, ``(batch, post)``, filled with ``inf``; written to.
    """
    narrow = weights.shape[1] <= NARROW
    if weights.itemsize == 4:
        kernel = _narrow_single if narrow else _wide_single
    else:
        kernel = _narrow if narrow else _wide
    kernel(times, order, weights, *arguments)
