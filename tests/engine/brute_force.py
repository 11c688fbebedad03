"""Oracle for first spike times: scans the membrane on a fine grid, then brentq. No shortcuts."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq


def kernel(s, tau_mem, tau_syn):
    """PSP kernel, straight from its definition (for clearly different or equal constants)."""
    s = np.maximum(s, 0.0)
    if tau_mem == tau_syn:
        return s * np.exp(-s / tau_mem)
    factor = tau_mem * tau_syn / (tau_mem - tau_syn)
    return factor * (np.exp(-s / tau_mem) - np.exp(-s / tau_syn))


def membrane(x, times, weights, tau_mem, tau_exc, tau_inh):
    """Membrane above leak at the times ``x``."""
    x = np.asarray(x, dtype=float)
    value = np.zeros(x.shape)
    for t, w in zip(times, weights, strict=True):
        if np.isfinite(t):
            value = value + w * kernel(x - t, tau_mem, tau_exc if w > 0 else tau_inh)
    return value


def first_spike(times, weights, tau_mem, tau_exc, tau_inh, threshold, window, points=20001):
    """First crossing and the closest approach: ``(time or inf, max(u) - threshold so far)``."""
    if threshold <= 0:
        return 0.0, np.inf

    def above(x):
        return membrane(x, times, weights, tau_mem, tau_exc, tau_inh) - threshold

    inside = np.asarray(times)[np.isfinite(times) & (np.asarray(times) <= window)]
    grid = np.unique(np.concatenate([np.linspace(0, window, points), inside]))
    values = above(grid)
    hits = np.flatnonzero(values >= 0)
    if not len(hits):
        return np.inf, values.max()
    first = hits[0]
    return brentq(above, grid[first - 1], grid[first], xtol=1e-14, rtol=8.9e-16), values.max()
