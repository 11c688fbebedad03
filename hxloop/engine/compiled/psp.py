"""The kernel of ``hxloop.engine.psp`` for one spike at a time, compiled.

Whatever is compiled and needs ``k(s)`` takes it from here. A test holds it against the other.
"""

from __future__ import annotations

import math

from hxloop.machine.jit import njit


@njit(cache=True, nogil=True)
def scaled_psp(s: float, since: float, tau_mem: float, tau_syn: float) -> float:
    """``k(s) exp(since/slow)``: neither 0 nor infinite where ``k(s)`` itself underflows.

    For shares among several spikes, in which the factor cancels: with the shortest of their
    times as ``since`` the largest exponential is 1.
    """
    slow, fast = max(tau_mem, tau_syn), min(tau_mem, tau_syn)
    x = s * (1.0 / fast - 1.0 / slow)
    if x == 0.0:
        return s * math.exp((since - s) / slow)
    return s * math.exp((since - s) / slow) * (-math.expm1(-x) / x)


@njit(cache=True, nogil=True)
def psp(s: float, tau_mem: float, tau_syn: float) -> float:
    """``k(s)``, see ``hxloop.engine.psp.psp``."""
    found: float = scaled_psp(s, 0.0, tau_mem, tau_syn)
    return found
