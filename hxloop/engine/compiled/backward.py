"""Gradients at recorded spike times, compiled.

With one time constant each for all membranes and synapses the kernel separates: for an input
at ``t`` and a spike at ``T``, both relative to a common time,

    k(T - t) = p(T) E1(t) + q(T) E2(t),        exp(-(T - t)/tau_syn) = r(T) E1(t)

with ``E1 = exp(t/tau_syn)``, ``E2 = exp(t/tau_mem)`` (``t exp(t/tau_syn)`` where the two time
constants are equal). Exponentials are needed once for every input and every spike, not for
every pair of them. What is left for a pair is to compare its times and a few multiplications
and additions, in three loops that are matrix products but for the comparison: the sums over
inputs that give the slopes, the gradient of the weights, and that of the input times. Each
takes four inputs or samples at a time, so that what it adds to is loaded and stored once for
four pairs, and works on tiles and blocks of samples that stay in the first two caches.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.forward import VECTOR_MATH
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.vectors import widest_vectors
from hxloop.machine.jit import njit

# By the precision computed in, that of the weights; what a form cannot do is done pair by pair, in
# double. Beyond WIDEST, in units of the shorter time constant, exponentials relative to the common
# time could overflow; they and their products stay within the square root of the largest number.
WIDEST = {
    kind.itemsize: 0.4227 * math.log(np.finfo(kind).max)
    for kind in (np.dtype(np.float32), np.dtype(np.float64))
}
# Rates closer than this part of the larger, but not equal: the separated form would lose digits.
NEAR = {4: 1 / 16, 8: 1e-3}
# The separated form is a difference. A spike whose membrane or slope is so much smaller than the
# terms it is made of is lost in it: soon after its causes, the sooner the closer the two rates
# are. What is not lost keeps rounding / LOST.
LOST = {4: 1e-3, 8: 1e-6}
# Samples of a block, neurons of a tile; a small layer would waste most of a wide one.
BLOCK = 16
WIDE, NARROW = 64, 16


@njit(cache=True, nogil=True)
def _inputs(  # type: ignore[no-untyped-def]
    times, recorded, tau_mem, tau_syn, widest, origins, distant, t_in, e1, e2
):
    """Times ``(inputs, samples)`` relative to each sample's last spike, and exponentials.

    An input that comes later, or never, gets an infinite time and exponentials of 0.
    """
    t_in[:] = math.inf
    e1[:] = 0.0
    e2[:] = 0.0
    for b in range(times.shape[0]):
        earliest, latest = math.inf, -math.inf
        for j in range(recorded.shape[1]):
            if recorded[b, j] < math.inf:
                earliest = min(earliest, recorded[b, j])
                latest = max(latest, recorded[b, j])
        origins[b] = latest
        distant[b] = latest - earliest > widest * min(tau_mem, tau_syn)
        for i in range(times.shape[1]):
            if times[b, i] < latest:
                t = times[b, i] - latest
                x = math.exp(t / tau_syn)
                t_in[i, b] = t
                e1[i, b] = x
                e2[i, b] = t * x if tau_mem == tau_syn else math.exp(t / tau_mem)


# The three loops over pairs. They become vector instructions only where the width is a constant
# (hence inlined), all that is written to is one array (the compiler gives up on proving more of
# them apart), and no index can be negative.
@njit(inline="always")
def _sums(width, tile, t_in, e1, e2, b, state):  # type: ignore[no-untyped-def]
    """``state``: spike times, then sums of w E1 and of w E2 over the inputs before them."""
    zero = tile.dtype.type(0.0)
    for quad in range(t_in.shape[0] // 4):
        i = 4 * quad
        o = i * width
        t0, t1, t2, t3 = t_in[i, b], t_in[i + 1, b], t_in[i + 2, b], t_in[i + 3, b]
        x0, x1, x2, x3 = e1[i, b], e1[i + 1, b], e1[i + 2, b], e1[i + 3, b]
        y0, y1, y2, y3 = e2[i, b], e2[i + 1, b], e2[i + 2, b], e2[i + 3, b]
        for j in range(width):
            spike = state[j]
            w0, w1 = tile[o + j], tile[o + j + width]
            w2, w3 = tile[o + j + 2 * width], tile[o + j + 3 * width]
            w0 = w0 if t0 < spike else zero
            w1 = w1 if t1 < spike else zero
            w2 = w2 if t2 < spike else zero
            w3 = w3 if t3 < spike else zero
            state[j + width] += w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
            state[j + 2 * width] += w0 * y0 + w1 * y1 + w2 * y2 + w3 * y3


@njit(inline="always")
def _of_weights(width, t_in, e1, e2, spikes, p, q, grad_tile):  # type: ignore[no-untyped-def]
    """Subtract ``p E1 + q E2`` of the block's samples."""
    zero = grad_tile.dtype.type(0.0)
    for i in range(t_in.shape[0]):
        for quad in range(BLOCK // 4):
            b = 4 * quad
            o, a = b * width, i * width
            t0, t1, t2, t3 = t_in[i, b], t_in[i, b + 1], t_in[i, b + 2], t_in[i, b + 3]
            x0, x1, x2, x3 = e1[i, b], e1[i, b + 1], e1[i, b + 2], e1[i, b + 3]
            y0, y1, y2, y3 = e2[i, b], e2[i, b + 1], e2[i, b + 2], e2[i, b + 3]
            for j in range(width):
                k0 = p[o + j] * x0 + q[o + j] * y0
                k1 = p[o + j + width] * x1 + q[o + j + width] * y1
                k2 = p[o + j + 2 * width] * x2 + q[o + j + 2 * width] * y2
                k3 = p[o + j + 3 * width] * x3 + q[o + j + 3 * width] * y3
                k0 = k0 if t0 < spikes[o + j] else zero
                k1 = k1 if t1 < spikes[o + j + width] else zero
                k2 = k2 if t2 < spikes[o + j + 2 * width] else zero
                k3 = k3 if t3 < spikes[o + j + 3 * width] else zero
                grad_tile[a + j] -= (k0 + k1) + (k2 + k3)


@njit(inline="always")
def _of_times(width, tile, t_in, e1, e2, spikes, g, h, grad_in):  # type: ignore[no-untyped-def]
    """Add ``E1 sum_j w g + E2 sum_j w h`` for every input of the block's samples."""
    zero = tile.dtype.type(0.0)
    for i in range(t_in.shape[0]):
        for quad in range(BLOCK // 4):
            b = 4 * quad
            o, a = b * width, i * width
            t0, t1, t2, t3 = t_in[i, b], t_in[i, b + 1], t_in[i, b + 2], t_in[i, b + 3]
            g0 = g1 = g2 = g3 = h0 = h1 = h2 = h3 = zero
            for j in range(width):
                w = tile[a + j]
                w0 = w if t0 < spikes[o + j] else zero
                w1 = w if t1 < spikes[o + j + width] else zero
                w2 = w if t2 < spikes[o + j + 2 * width] else zero
                w3 = w if t3 < spikes[o + j + 3 * width] else zero
                g0 += w0 * g[o + j]
                h0 += w0 * h[o + j]
                g1 += w1 * g[o + j + width]
                h1 += w1 * h[o + j + width]
                g2 += w2 * g[o + j + 2 * width]
                h2 += w2 * h[o + j + 2 * width]
                g3 += w3 * g[o + j + 3 * width]
                h3 += w3 * h[o + j + 3 * width]
            grad_in[i, b] += g0 * e1[i, b] + h0 * e2[i, b]
            grad_in[i, b + 1] += g1 * e1[i, b + 1] + h1 * e2[i, b + 1]
            grad_in[i, b + 2] += g2 * e1[i, b + 2] + h2 * e2[i, b + 2]
            grad_in[i, b + 3] += g3 * e1[i, b + 3] + h3 * e2[i, b + 3]


@njit(cache=True, nogil=True)
def _factors(spike, tau_mem, tau_syn, factors):  # type: ignore[no-untyped-def]
    """Of E1 and E2: in ``k``, then in its derivative."""
    r = math.exp(-spike / tau_syn)
    if tau_mem == tau_syn:
        factors[0], factors[1] = spike * r, -r
    else:
        c = 1.0 / (1.0 / tau_syn - 1.0 / tau_mem)
        factors[0], factors[1] = -c * r, c * math.exp(-spike / tau_mem)
    factors[2] = r - factors[0] / tau_mem
    factors[3] = -factors[1] / tau_mem


@njit(cache=True, nogil=True)
def _pair_by_pair(  # type: ignore[no-untyped-def]
    times, weights, j, spike, grad, tau_mem, tau_exc, tau_inh, min_slope, max_dw_norm, batch,
    grad_weights, grad_times, counts,
):  # fmt: skip
    """One spike, of neuron ``j``; two exponentials for each input before it."""
    if spike == math.inf:
        return
    counts[0] += 1
    total = largest = 0.0
    for i in range(times.shape[0]):
        if times[i] < spike:
            w = float(weights[i, j])
            s = spike - times[i]
            tau = tau_exc if w > 0.0 else tau_inh
            k = psp(s, tau_mem, tau)
            total += w * (math.exp(-s / tau) - k / tau_mem)
            largest = max(largest, k)
    if not total > min_slope:
        counts[1] += 1
        return
    factor = grad / total
    if abs(factor) * largest * batch > max_dw_norm:
        counts[2] += 1
        return
    if factor == 0.0:
        return
    for i in range(times.shape[0]):
        if times[i] < spike:
            w = float(weights[i, j])
            s = spike - times[i]
            tau = tau_exc if w > 0.0 else tau_inh
            k = psp(s, tau_mem, tau)
            grad_weights[i, j] -= factor * k
            grad_times[i] += factor * w * (math.exp(-s / tau) - k / tau_mem)


# A closure over nothing but constants to the compiler: see ``forward_unequal``.
def _make(width, size):  # type: ignore[no-untyped-def]
    widest, lost = WIDEST[size], LOST[size]

    @njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
    def backward(  # type: ignore[no-untyped-def]
        times, weights, recorded, grad, tau_mem, tau_syn, min_slope, max_dw_norm, batch,
        need_times, grad_weights, grad_times, counts,
    ):  # fmt: skip
        widest_vectors()
        count, pre = times.shape
        post = weights.shape[1]
        kind = weights.dtype
        rows = (pre + 3) // 4 * 4
        tile = np.zeros(rows * width, kind)
        grad_tile = np.zeros(rows * width, kind)
        state = np.zeros(3 * width, kind)
        factors = np.zeros(4)
        origins, distant = np.zeros(BLOCK), np.zeros(BLOCK, np.bool_)
        fast = min(tau_mem, tau_syn)
        t_in, e1, e2 = (
            np.zeros((rows, BLOCK), kind),
            np.zeros((rows, BLOCK), kind),
            np.zeros((rows, BLOCK), kind),
        )
        grad_in = np.zeros((rows, BLOCK), kind)
        spikes, p, q = (
            np.zeros(BLOCK * width, kind),
            np.zeros(BLOCK * width, kind),
            np.zeros(BLOCK * width, kind),
        )
        g, h = np.zeros(BLOCK * width, kind), np.zeros(BLOCK * width, kind)
        for first in range(0, count, BLOCK):
            n_samples = min(BLOCK, count - first)
            _inputs(
                times[first : first + n_samples], recorded[first : first + n_samples], tau_mem,
                tau_syn, widest, origins, distant, t_in, e1, e2,
            )  # fmt: skip
            grad_in[:] = 0.0
            for start in range(0, post, width):
                n = min(width, post - start)
                tile[:] = 0.0
                for i in range(pre):
                    for j in range(n):
                        tile[i * width + j] = weights[i, start + j]
                grad_tile[:] = 0.0
                spikes[:] = -math.inf
                p[:] = 0.0
                q[:] = 0.0
                g[:] = 0.0
                h[:] = 0.0
                for b in range(n_samples):
                    s = first + b
                    if distant[b]:
                        for j in range(n):
                            _pair_by_pair(
                                times[s], weights, start + j, recorded[s, start + j],
                                grad[s, start + j], tau_mem, tau_syn, tau_syn, min_slope,
                                max_dw_norm, batch, grad_weights, grad_times[s], counts,
                            )  # fmt: skip
                        continue
                    state[:width] = -math.inf
                    state[width:] = 0.0
                    n_spikes = 0
                    for j in range(n):
                        if recorded[s, start + j] < math.inf:
                            state[j] = recorded[s, start + j] - origins[b]
                            n_spikes += 1
                    if n_spikes == 0:
                        continue
                    _sums(width, tile, t_in, e1, e2, b, state)
                    for j in range(n):
                        if recorded[s, start + j] == math.inf:
                            continue
                        spike = recorded[s, start + j] - origins[b]
                        _factors(spike, tau_mem, tau_syn, factors)
                        slope = factors[2] * state[j + width] + factors[3] * state[j + 2 * width]
                        # From other products than the slope's, so that it is rounded as ever.
                        size1, size2 = abs(state[j + width]), abs(state[j + 2 * width])
                        terms = abs(factors[2]) * size1 + abs(factors[3]) * size2
                        u = factors[0] * state[j + width] + factors[1] * state[j + 2 * width]
                        u_terms = abs(factors[0]) * size1 + abs(factors[1]) * size2
                        # Exponents are rounded as times are.
                        u_terms *= 1.0 - spike / fast
                        if not (abs(u) > lost * u_terms and abs(slope) > lost * terms):
                            _pair_by_pair(
                                times[s], weights, start + j, recorded[s, start + j],
                                grad[s, start + j], tau_mem, tau_syn, tau_syn, min_slope,
                                max_dw_norm, batch, grad_weights, grad_times[s], counts,
                            )  # fmt: skip
                            continue
                        counts[0] += 1
                        if not slope > min_slope:
                            counts[1] += 1
                            continue
                        factor = grad[s, start + j] / slope
                        if max_dw_norm < math.inf:
                            largest = 0.0
                            for i in range(pre):
                                if t_in[i, b] < state[j]:
                                    k = factors[0] * e1[i, b] + factors[1] * e2[i, b]
                                    largest = max(largest, k)
                            if abs(factor) * largest * batch > max_dw_norm:
                                counts[2] += 1
                                continue
                        at = b * width + j
                        spikes[at] = state[j]
                        p[at], q[at] = factor * factors[0], factor * factors[1]
                        g[at], h[at] = factor * factors[2], factor * factors[3]
                _of_weights(width, t_in, e1, e2, spikes, p, q, grad_tile)
                for i in range(pre):
                    for j in range(n):
                        grad_weights[i, start + j] += grad_tile[i * width + j]
                if need_times:
                    _of_times(width, tile, t_in, e1, e2, spikes, g, h, grad_in)
            for b in range(n_samples):
                for i in range(pre):
                    grad_times[first + b, i] += grad_in[i, b]

    return backward


_wide, _narrow = _make(WIDE, 8), _make(NARROW, 8)
_wide_single, _narrow_single = _make(WIDE, 4), _make(NARROW, 4)


def backward_equal(times, weights, *arguments):  # type: ignore[no-untyped-def]
    """Gradients of a layer whose neurons have the same time constants.

    Args:
        times: ``(batch, pre)`` float64.
        weights: ``(pre, post)``, float32 or float64: the type computed in.
        arguments: ``recorded`` and ``grad``, ``(batch, post)`` float64: spike times and the
            gradient with respect to them; ``tau_mem, tau_syn``, ``separable``;
            ``min_slope, max_dw_norm``, see ``hxloop.engine.recorded_spike_times``; ``batch``,
            samples of the whole batch, of which these may be a part; ``need_times``, whether
            the gradient of the times is wanted; and what is added to: ``grad_weights``
            ``(pre, post)``, ``grad_times`` ``(batch, pre)``, and ``counts`` of spikes, of spikes
            that do not rise, and of capped spikes.
    """
    narrow = weights.shape[1] <= NARROW
    if weights.itemsize == 4:
        kernel = _narrow_single if narrow else _wide_single
    else:
        kernel = _narrow if narrow else _wide
    kernel(times, weights, *arguments)


def separable(tau_mem: float, tau_syn: float, size: int) -> bool:
    """Whether ``backward_equal`` can do with weights of so many bytes: not if they are near."""
    mem, syn = 1 / tau_mem, 1 / tau_syn
    return mem == syn or abs(mem - syn) > NEAR[size] * max(mem, syn)


@njit(cache=True, nogil=True)
def backward_unequal(  # type: ignore[no-untyped-def]
    times, weights, recorded, grad, tau_mem, tau_exc, tau_inh, min_slope, max_dw_norm, batch,
    need_times, grad_weights, grad_times, counts,
):  # fmt: skip
    """As ``backward_equal``, with parameters ``(post,)`` of each neuron."""
    for b in range(times.shape[0]):
        for j in range(weights.shape[1]):
            _pair_by_pair(
                times[b], weights, j, recorded[b, j], grad[b, j], tau_mem[j], tau_exc[j],
                tau_inh[j], min_slope, max_dw_norm, batch, grad_weights, grad_times[b], counts,
            )  # fmt: skip
