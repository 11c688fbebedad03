"""Layers whose time constants, weights and windows lie far apart, and an oracle for them."""

from __future__ import annotations

import mpmath
import numpy as np

from hxloop import NeuronParameters


def kernel(s, tau_mem, tau_syn):
    """``k(s)`` for arrays, without cancellation; close enough to find a sign change with."""
    slow, fast = max(tau_mem, tau_syn), min(tau_mem, tau_syn)
    x = s * (1 / fast - 1 / slow)
    ratio = np.where(x == 0, 1.0, -np.expm1(-x) / np.where(x == 0, 1.0, x))
    return s * np.exp(-s / slow) * ratio


def membrane(at, times, weights, taus):
    """Membrane above leak at a moment, to 40 digits; ``taus``: membrane, exc., inh."""
    with mpmath.workdps(40):
        total, mem = mpmath.mpf(0), mpmath.mpf(taus[0])
        for t, w in zip(times, weights, strict=True):
            if t < at and w != 0:
                syn, s = mpmath.mpf(taus[1 if w > 0 else 2]), mpmath.mpf(at) - mpmath.mpf(float(t))
                if mem == syn:
                    total += w * s * mpmath.exp(-s / mem)
                else:
                    rate = 1 / syn - 1 / mem
                    total += w * (mpmath.exp(-s / mem) - mpmath.exp(-s / syn)) / rate
        return total


def first_spike(times, weights, taus, threshold, window):
    """``(time or inf, how close the membrane came otherwise, relative to the threshold)``.

    A grid in every interval that is fine near its start, then bisection with 40 digits.
    """
    times, weights = np.asarray(times, float), np.asarray(weights, float)
    moments = np.unique(times[np.isfinite(times) & (times <= window)])
    highest = -np.inf
    ends = [*moments[1:], window][: len(moments)]
    for start, end in zip(moments, ends, strict=True):
        length = min(end - start, 60 * max(taus))
        if not length > 0:
            continue
        s = np.unique(np.concatenate([
            np.geomspace(1e-9 * min(*taus, length), length, 3000), np.linspace(0, length, 2000)
        ]))  # fmt: skip
        s[-1] = length
        u = np.zeros_like(s)
        for t, w in zip(times, weights, strict=True):
            if t <= start:
                u += w * kernel(s + (start - t), taus[0], taus[1 if w > 0 else 2])
        if not (u >= threshold).any():
            highest = max(highest, u.max() / threshold)
            continue
        hit = int(np.argmax(u >= threshold))
        if hit == 0:
            return start, 1.0
        highest = max(highest, u[:hit].max() / threshold if hit > 1 else -np.inf)
        with mpmath.workdps(40):
            low, high = mpmath.mpf(s[hit - 1]) + start, mpmath.mpf(s[hit]) + start
            for _ in range(70):
                middle = (low + high) / 2
                if membrane(middle, times, weights, taus) >= threshold:
                    high = middle
                else:
                    low = middle
            return float(high), highest
    return np.inf, highest


def drawn(seed, post=5, one_sign=False, two_currents=True):
    """``(times (3, pre), weights, layer, window)``: all scales from 0.01 to 100 in one layer."""
    rng = np.random.default_rng(seed)
    pre = int(rng.integers(1, 7))
    window = 10.0 ** rng.uniform(-3, 4)
    scale = 10.0 ** rng.uniform(-2, 2)
    times = rng.uniform(0, 0.5 * min(window, 5 * scale), (3, pre))
    times[rng.random(times.shape) < 0.1] = np.inf
    times[rng.random(times.shape) < 0.2] = times[0, 0]  # simultaneous
    mem, exc = 10.0 ** rng.uniform(-2, 2, (2, post))
    equal = rng.random(post) < 0.2
    exc[equal] = mem[equal]
    inh = 10.0 ** rng.uniform(-2, 2, post) if two_currents else exc.copy()
    # In units of the weight that just makes one input spike.
    weights = 10.0 ** rng.uniform(-0.7, 2.5, (pre, post)) / np.minimum(mem, exc)
    if not one_sign:
        weights *= rng.choice([-1, 1, 1], weights.shape)
    layer = NeuronParameters(mem, exc, inh, np.ones(post), np.zeros(post))
    return times, weights, layer, window
