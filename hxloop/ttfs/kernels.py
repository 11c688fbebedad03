"""The exact engine, compiled for the CPU: same algorithm as ``crossing`` and ``reference``.

Loops over samples and inputs outside, neurons inside; float64. Where all neurons of a layer
are equal the exponentials of an interval are computed once. No array larger than the result
is ever allocated.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from hxloop.ttfs.parameters import NeuronParameters

Array = NDArray[np.float64]

EPSILON = 2.220446049250313e-16
MAX_ITERATIONS = 200


def use_kernels(weights: torch.Tensor) -> bool:
    """Whether a layer with these weights is computed here: on the CPU, in float64."""
    return weights.device.type == "cpu" and weights.dtype == torch.float64


def first_spike_times_cpu(
    input_times: Array, weights: Array, layer: NeuronParameters, t_window: float
) -> Array:
    """First spike times of a layer; see ``hxloop.ttfs.first_spike_times``.

    Args:
        input_times: ``(batch, pre)`` float64, checked by the caller.
        weights: ``(pre, post)`` float64.
        layer: parameters of the ``post`` neurons.
        t_window: later spikes do not count.

    Returns:
        ``(batch, post)`` float64.
    """
    order = np.argsort(input_times, axis=1, kind="stable")
    tau_mem, exc, inh = layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh
    uniform = _all_equal(tau_mem) and _all_equal(exc) and _all_equal(inh)
    result = np.full((input_times.shape[0], weights.shape[1]), np.inf)
    _forward(
        np.take_along_axis(input_times, order, axis=1),
        order,
        np.ascontiguousarray(weights),
        tau_mem,
        exc,
        inh,
        layer.v_threshold - layer.v_leak,
        t_window,
        bool(uniform),
        bool((exc == inh).all()),
        result,
    )
    return result


def gradients_cpu(
    input_times: Array,
    weights: Array,
    recorded: Array,
    grad: Array,
    layer: NeuronParameters,
    min_slope: float,
    max_dw_norm: float,
) -> tuple[Array, Array, tuple[int, int, int]]:
    """Gradients at recorded times; see ``hxloop.ttfs.gradient``.

    Returns:
        Gradient of the weights ``(pre, post)``, of the input times ``(batch, pre)``, and the
        numbers of spikes, of spikes that do not rise, and of capped spikes.
    """
    grad_weights = np.zeros(weights.shape)
    grad_times = np.zeros(input_times.shape)
    counts = np.zeros(3, dtype=np.int64)
    _backward(
        np.ascontiguousarray(input_times),
        np.ascontiguousarray(weights),
        np.ascontiguousarray(recorded),
        np.ascontiguousarray(grad),
        layer.tau_mem,
        layer.tau_syn_exc,
        layer.tau_syn_inh,
        min_slope,
        max_dw_norm,
        grad_weights,
        grad_times,
        counts,
    )
    return grad_weights, grad_times, (int(counts[0]), int(counts[1]), int(counts[2]))


def _all_equal(values: Array) -> bool:
    return bool((values == values[0]).all())


@njit(cache=True, nogil=True)
def _psp(s: float, tau_mem: float, tau_syn: float) -> float:
    slow, fast = max(tau_mem, tau_syn), min(tau_mem, tau_syn)
    x = s * (1.0 / fast - 1.0 / slow)
    if x == 0.0:
        return s * math.exp(-s / slow)
    return s * math.exp(-s / slow) * (-math.expm1(-x) / x)


@njit(cache=True, nogil=True)
def _peak_time(z: float, x: float) -> float:
    # z * (-log(1 - x)/x): when the slope vanishes; inf if it never does.
    if x >= 1.0:
        return math.inf
    if x == 0.0:
        return z
    return -z * math.log1p(-x) / x


@njit(cache=True, nogil=True)
def _state(s, u, i_e, i_i, tau_mem, tau_e, tau_i):  # type: ignore[no-untyped-def]
    """Membrane, slope and curvature a time s later."""
    value = u * math.exp(-s / tau_mem) + i_e * _psp(s, tau_mem, tau_e)
    e = i_e * math.exp(-s / tau_e)
    i = 0.0
    if i_i != 0.0:
        value += i_i * _psp(s, tau_mem, tau_i)
        i = i_i * math.exp(-s / tau_i)
    slope = e + i - value / tau_mem
    return value, slope, -slope / tau_mem - e / tau_e - i / tau_i


@njit(cache=True, nogil=True)
def _root(low, high, guess, of_slope, threshold, u, i_e, i_i, tau_mem, tau_e, tau_i):  # type: ignore[no-untyped-def]
    """Safeguarded Newton: the threshold crossing, or the maximum (root of -slope)."""
    x = min(max(guess, low), high)
    previous = high - low
    for _ in range(MAX_ITERATIONS):
        value, slope, curvature = _state(x, u, i_e, i_i, tau_mem, tau_e, tau_i)
        if of_slope:
            f, df = -slope, -curvature
        else:
            f, df = value - threshold, slope
        if f == 0.0:
            return x
        if f < 0.0:
            low = x
        else:
            high = x
        tolerance = 2.0 * EPSILON * abs(x)
        following = 0.5 * (low + high)
        if df != 0.0:
            step = f / df
            if abs(step) <= tolerance:
                return x
            if low < x - step < high and 2.0 * abs(step) <= abs(previous):
                following = x - step
        previous = following - x
        x = following
        if high - low <= tolerance:
            return x
    return x


@njit(cache=True, nogil=True)
def _parabola(top, low, threshold, u, i_e, i_i, tau_mem, tau_e, tau_i):  # type: ignore[no-untyped-def]
    value, slope, curvature = _state(top, u, i_e, i_i, tau_mem, tau_e, tau_i)
    if curvature >= 0.0:
        return 0.5 * (low + top)
    discriminant = slope * slope - 2.0 * curvature * (value - threshold)
    return top + (math.sqrt(max(discriminant, 0.0)) - slope) / curvature


@njit(cache=True, nogil=True)
def _first_crossing(u, i_e, i_i, tau_mem, tau_e, tau_i, threshold, length):  # type: ignore[no-untyped-def]
    """See ``hxloop.ttfs.crossing.first_crossing``; one current has ``i_i = 0``."""
    if u >= threshold:
        return 0.0
    if i_i == 0.0:
        slope = i_e - u / tau_mem
        if slope <= 0.0 or i_e <= 0.0:
            return math.inf
        z = slope * tau_e / i_e
        top = min(_peak_time(z, z * (1.0 / tau_e - 1.0 / tau_mem)), length)
        if _state(top, u, i_e, 0.0, tau_mem, tau_e, tau_i)[0] < threshold:
            return math.inf
        guess = _parabola(top, 0.0, threshold, u, i_e, 0.0, tau_mem, tau_e, tau_i)
        return _root(0.0, top, guess, False, threshold, u, i_e, 0.0, tau_mem, tau_e, tau_i)
    cut = 0.0
    rate = 1.0 / tau_i - 1.0 / tau_e
    if i_e > 0.0 and i_i < 0.0 and rate != 0.0:
        cut = min(max(math.log((-i_i / tau_i) / (i_e / tau_e)) / rate, 0.0), length)
    low = 0.0
    for piece in range(2):
        high = cut if piece == 0 else length
        if high > low or piece == 1:
            slope_low = _state(low, u, i_e, i_i, tau_mem, tau_e, tau_i)[1]
            slope_high = _state(high, u, i_e, i_i, tau_mem, tau_e, tau_i)[1]
            top = high
            if slope_low > 0.0 and slope_high <= 0.0:
                middle = 0.5 * (low + high)
                top = _root(low, high, middle, True, threshold, u, i_e, i_i, tau_mem, tau_e, tau_i)
            rises = slope_low > 0.0 or slope_high > 0.0
            if rises and _state(top, u, i_e, i_i, tau_mem, tau_e, tau_i)[0] >= threshold:
                guess = _parabola(top, low, threshold, u, i_e, i_i, tau_mem, tau_e, tau_i)
                return _root(low, top, guess, False, threshold, u, i_e, i_i, tau_mem, tau_e, tau_i)
        low = high
    return math.inf


@njit(cache=True, nogil=True)
def _forward(  # type: ignore[no-untyped-def]
    times, order, weights, tau_mem, tau_exc, tau_inh, threshold, t_window, uniform, one, result
):
    batch, pre = times.shape
    post = weights.shape[1]
    longest = 0.0
    peak = np.empty(post)
    for j in range(post):
        longest = max(longest, 100.0 * max(tau_mem[j], max(tau_exc[j], tau_inh[j])))
        x = 1.0 - tau_exc[j] / tau_mem[j]
        top = _peak_time(tau_exc[j], x)
        peak[j] = _psp(top, tau_mem[j], tau_exc[j]) * (1.0 + 1e-6)
    u, i_e, i_i = np.empty(post), np.empty(post), np.empty(post)
    alive = np.empty(post, dtype=np.bool_)
    for b in range(batch):
        n_alive = 0
        for j in range(post):
            u[j] = i_e[j] = i_i[j] = 0.0
            alive[j] = threshold[j] > 0.0 and threshold[j] < math.inf
            if threshold[j] <= 0.0:
                result[b, j] = 0.0
            n_alive += alive[j]
        for i in range(pre):
            now = times[b, i]
            if now > t_window or now == math.inf or n_alive == 0:
                break
            following = t_window
            if i + 1 < pre and times[b, i + 1] < t_window:
                following = times[b, i + 1]
            length = min(following - now, longest)
            row = weights[order[b, i]]
            d_m = d_e = d_i = k_e = k_i = 0.0
            for j in range(post):
                if not alive[j]:
                    continue
                w = row[j]
                if one or w > 0.0:
                    i_e[j] += w
                else:
                    i_i[j] += w
                bound = max(u[j], 0.0) + max(i_e[j], 0.0) * peak[j]
                if bound >= threshold[j]:
                    crossing = _first_crossing(
                        u[j],
                        i_e[j],
                        i_i[j],
                        tau_mem[j],
                        tau_exc[j],
                        tau_inh[j],
                        threshold[j],
                        length,
                    )
                    if crossing < math.inf:
                        alive[j] = False
                        n_alive -= 1
                        if now + crossing <= t_window:
                            result[b, j] = now + crossing
                        continue
                if length == 0.0:
                    continue
                if not uniform or d_m == 0.0:
                    d_m = math.exp(-length / tau_mem[j])
                    d_e = math.exp(-length / tau_exc[j])
                    k_e = _psp(length, tau_mem[j], tau_exc[j])
                    if not one:
                        d_i = math.exp(-length / tau_inh[j])
                        k_i = _psp(length, tau_mem[j], tau_inh[j])
                u[j] = u[j] * d_m + i_e[j] * k_e + i_i[j] * k_i
                i_e[j] *= d_e
                i_i[j] *= d_i


@njit(cache=True, nogil=True)
def _backward(  # type: ignore[no-untyped-def]
    times,
    weights,
    recorded,
    grad,
    tau_mem,
    tau_exc,
    tau_inh,
    min_slope,
    max_dw_norm,
    grad_weights,
    grad_times,
    counts,
):
    batch, pre = times.shape
    post = weights.shape[1]
    kernel, slopes = np.empty(pre), np.empty(pre)
    for b in range(batch):
        for j in range(post):
            spike = recorded[b, j]
            if spike == math.inf:
                continue
            counts[0] += 1
            total = largest = 0.0
            for i in range(pre):
                s = spike - times[b, i]
                if s > 0.0:
                    w = weights[i, j]
                    tau = tau_exc[j] if w > 0.0 else tau_inh[j]
                    decay = math.exp(-s / tau)
                    k = s * decay if tau == tau_mem[j] else _psp(s, tau_mem[j], tau)
                    kernel[i] = k
                    slopes[i] = w * (decay - k / tau_mem[j])
                    total += slopes[i]
                    largest = max(largest, k)
                else:
                    kernel[i] = slopes[i] = 0.0
            if not total > min_slope:
                counts[1] += 1
                continue
            factor = grad[b, j] / total
            if abs(factor) * largest * batch > max_dw_norm:
                counts[2] += 1
                continue
            if factor == 0.0:
                continue
            for i in range(pre):
                grad_weights[i, j] -= factor * kernel[i]
                grad_times[b, i] += factor * slopes[i]
