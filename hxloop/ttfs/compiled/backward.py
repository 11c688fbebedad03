"""Gradients at recorded spike times, compiled.

With one time constant each for all membranes and synapses the kernel separates: for an input
at ``t`` and a spike at ``T``, both relative to a common time,

    k(T - t) = p(T) E1(t) + q(T) E2(t),        exp(-(T - t)/tau_syn) = r(T) E1(t)

with ``E1 = exp(t/tau_syn)``, ``E2 = exp(t/tau_mem)`` (``t exp(t/tau_syn)`` where the two time
constants are equal). Exponentials are needed once for every input and every spike, not for
every pair of them; what is left for a pair is four multiplications and additions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hxloop.ttfs.compiled.forward import VECTOR_MATH, tile_width
from hxloop.ttfs.compiled.membrane import psp

# Beyond, exponentials relative to the common time could overflow: pair by pair instead.
WIDEST = 300.0
# Rates closer than this, but not equal: the separated form would lose digits.
NEAR = 1e-3


@njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
def backward_equal(  # type: ignore[no-untyped-def]
    times, order, weights, recorded, grad, tau_mem, tau_syn, min_slope, max_dw_norm, batch,
    need_times, grad_weights, grad_times, counts,
):  # fmt: skip
    """Gradients of a layer whose neurons have the same time constants.

    Args:
        times: ``(batch, pre)`` float64, sorted in each row.
        order: ``(batch, pre)``, which input each of them is.
        weights: ``(pre, post)``, float32 or float64: the type computed in.
        recorded: ``(batch, post)`` float64.
        grad: ``(batch, post)`` float64, gradient of the recorded times.
        tau_mem, tau_syn: numbers, equal or not near each other.
        min_slope, max_dw_norm: see ``hxloop.ttfs.recorded_spike_times``.
        need_times: whether ``grad_times`` is wanted.
        batch: samples of the whole batch, of which these may be a part.
        grad_weights: ``(pre, post)``, added to.
        grad_times: ``(batch, pre)``, added to.
        counts: spikes, spikes that do not rise, capped spikes; added to.
    """
    count, pre = times.shape
    post = weights.shape[1]
    kind = weights.dtype.type
    zero = kind(0.0)
    width = tile_width(post)
    tile = np.zeros((pre, width), weights.dtype)
    grad_tile = np.zeros((pre, width), weights.dtype)
    spikes = np.empty(width, weights.dtype)
    factors = np.empty((7, width))
    sum1, sum2 = np.empty(width, weights.dtype), np.empty(width, weights.dtype)
    largest = np.empty(width, weights.dtype)
    p, q = np.empty(width, weights.dtype), np.empty(width, weights.dtype)
    g, h = np.empty(width, weights.dtype), np.empty(width, weights.dtype)

    # Times relative to the last spike of the sample, and the exponentials of the inputs.
    zero_times = np.full(count, -math.inf)
    n_causal = np.zeros(count, np.int64)
    t_in = np.zeros((count, pre), weights.dtype)
    e1 = np.zeros((count, pre), weights.dtype)
    e2 = np.zeros((count, pre), weights.dtype)
    slow = np.zeros(count, np.bool_)
    for s in range(count):
        earliest = math.inf
        for j in range(post):
            if recorded[s, j] < math.inf:
                zero_times[s] = max(zero_times[s], recorded[s, j])
                earliest = min(earliest, recorded[s, j])
        slow[s] = zero_times[s] - earliest > WIDEST * min(tau_mem, tau_syn)
        for i in range(pre):
            if not times[s, i] < zero_times[s]:
                break
            n_causal[s] = i + 1
            t = times[s, i] - zero_times[s]
            t_in[s, i] = t
            e1[s, i] = math.exp(t / tau_syn)
            e2[s, i] = t * math.exp(t / tau_syn) if tau_mem == tau_syn else math.exp(t / tau_mem)

    for start in range(0, post, width):
        n = min(width, post - start)
        tile[:, n:] = 0.0
        for i in range(pre):
            for j in range(n):
                tile[i, j] = weights[i, start + j]
        grad_tile[:] = 0.0
        for s in range(count):
            if slow[s]:
                for j in range(n):
                    _pair_by_pair(
                        times[s], order[s], tile, j, recorded[s, start + j], grad[s, start + j],
                        tau_mem, tau_syn, tau_syn, min_slope, max_dw_norm, batch, grad_tile,
                        grad_times[s], counts,
                    )  # fmt: skip
                continue
            earliest, latest = math.inf, -math.inf
            for j in range(width):
                spikes[j] = -math.inf
                if j < n and recorded[s, start + j] < math.inf:
                    counts[0] += 1
                    spikes[j] = recorded[s, start + j] - zero_times[s]
                    latest = max(latest, spikes[j])
                    earliest = min(earliest, spikes[j])
            if latest == -math.inf:
                continue
            sum1[:] = 0.0
            sum2[:] = 0.0
            largest[:] = 0.0
            # Inputs before all spikes of the tile need no test; silent neurons get a factor of 0.
            before_all = 0
            while before_all < n_causal[s] and t_in[s, before_all] < earliest:
                before_all += 1
            inputs = before_all
            while inputs < n_causal[s] and t_in[s, inputs] < latest:
                inputs += 1
            for i in range(before_all):
                index, x1, x2 = order[s, i], e1[s, i], e2[s, i]
                for j in range(width):
                    sum1[j] += tile[index, j] * x1
                    sum2[j] += tile[index, j] * x2
            for i in range(before_all, inputs):
                index, t, x1, x2 = order[s, i], t_in[s, i], e1[s, i], e2[s, i]
                for j in range(width):
                    w = tile[index, j] if t < spikes[j] else zero
                    sum1[j] += w * x1
                    sum2[j] += w * x2
            for j in range(width):
                p[j] = q[j] = g[j] = h[j] = 0.0
                factors[:, j] = 0.0
                if spikes[j] == -math.inf:
                    continue
                spike = recorded[s, start + j] - zero_times[s]
                r = math.exp(-spike / tau_syn)
                if tau_mem == tau_syn:
                    factors[0, j], factors[1, j] = spike * r, -r
                else:
                    c = 1.0 / (1.0 / tau_syn - 1.0 / tau_mem)
                    factors[0, j], factors[1, j] = -c * r, c * math.exp(-spike / tau_mem)
                factors[2, j] = r - factors[0, j] / tau_mem
                factors[3, j] = -factors[1, j] / tau_mem
                p[j], q[j] = factors[0, j], factors[1, j]
            if max_dw_norm < math.inf:
                for i in range(inputs):
                    t, x1, x2 = t_in[s, i], e1[s, i], e2[s, i]
                    for j in range(width):
                        k = p[j] * x1 + q[j] * x2 if t < spikes[j] else zero
                        largest[j] = max(largest[j], k)
            for j in range(n):
                if spikes[j] == -math.inf:
                    continue
                slope = factors[2, j] * sum1[j] + factors[3, j] * sum2[j]
                factor = 0.0
                if not slope > min_slope:
                    counts[1] += 1
                else:
                    factor = grad[s, start + j] / slope
                    if abs(factor) * largest[j] * batch > max_dw_norm:
                        counts[2] += 1
                        factor = 0.0
                p[j], q[j] = factor * factors[0, j], factor * factors[1, j]
                g[j], h[j] = factor * factors[2, j], factor * factors[3, j]
            if need_times:
                for i in range(before_all):
                    index, x1, x2 = order[s, i], e1[s, i], e2[s, i]
                    total = zero
                    for j in range(width):
                        grad_tile[index, j] -= p[j] * x1 + q[j] * x2
                        total += tile[index, j] * (g[j] * x1 + h[j] * x2)
                    grad_times[s, index] += total
                for i in range(before_all, inputs):
                    index, t, x1, x2 = order[s, i], t_in[s, i], e1[s, i], e2[s, i]
                    total = zero
                    for j in range(width):
                        w = tile[index, j]
                        causal = t < spikes[j]
                        grad_tile[index, j] -= p[j] * x1 + q[j] * x2 if causal else zero
                        total += w * (g[j] * x1 + h[j] * x2) if causal else zero
                    grad_times[s, index] += total
            else:
                for i in range(before_all):
                    index, x1, x2 = order[s, i], e1[s, i], e2[s, i]
                    for j in range(width):
                        grad_tile[index, j] -= p[j] * x1 + q[j] * x2
                for i in range(before_all, inputs):
                    index, t, x1, x2 = order[s, i], t_in[s, i], e1[s, i], e2[s, i]
                    for j in range(width):
                        grad_tile[index, j] -= p[j] * x1 + q[j] * x2 if t < spikes[j] else zero
        for i in range(pre):
            for j in range(n):
                grad_weights[i, start + j] += grad_tile[i, j]


@njit(cache=True, nogil=True)
def _pair_by_pair(  # type: ignore[no-untyped-def]
    times, order, weights, j, spike, grad, tau_mem, tau_exc, tau_inh, min_slope, max_dw_norm,
    batch, grad_weights, grad_times, counts,
):  # fmt: skip
    """One spike: column ``j`` of the weights; two exponentials for each input."""
    if spike == math.inf:
        return
    counts[0] += 1
    pre = times.shape[0]
    total = largest = 0.0
    n = 0
    while n < pre and times[n] < spike:
        w = float(weights[order[n], j])
        s = spike - times[n]
        tau = tau_exc if w > 0.0 else tau_inh
        k = psp(s, tau_mem, tau)
        total += w * (math.exp(-s / tau) - k / tau_mem)
        largest = max(largest, k)
        n += 1
    if not total > min_slope:
        counts[1] += 1
        return
    factor = grad / total
    if abs(factor) * largest * batch > max_dw_norm:
        counts[2] += 1
        return
    if factor == 0.0:
        return
    for i in range(n):
        w = float(weights[order[i], j])
        s = spike - times[i]
        tau = tau_exc if w > 0.0 else tau_inh
        k = psp(s, tau_mem, tau)
        grad_weights[order[i], j] -= factor * k
        grad_times[order[i]] += factor * w * (math.exp(-s / tau) - k / tau_mem)


@njit(cache=True, nogil=True)
def backward_unequal(  # type: ignore[no-untyped-def]
    times, order, weights, recorded, grad, tau_mem, tau_exc, tau_inh, min_slope, max_dw_norm,
    batch, need_times, grad_weights, grad_times, counts,
):  # fmt: skip
    """As ``backward_equal``, with parameters ``(post,)`` of each neuron."""
    for b in range(times.shape[0]):
        for j in range(weights.shape[1]):
            _pair_by_pair(
                times[b], order[b], weights, j, recorded[b, j], grad[b, j], tau_mem[j],
                tau_exc[j], tau_inh[j], min_slope, max_dw_norm, batch, grad_weights,
                grad_times[b], counts,
            )  # fmt: skip
