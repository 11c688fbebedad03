"""Tracing credit back through one layer, compiled.

With one pair of time constants the kernel separates (see ``hxloop.ttfs.compiled.backward``):
the factor that depends on the postsynaptic spike alone cancels in shares where the time
constants are equal, so that no exponential is needed for a pair.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Beyond, relative exponentials could underflow: pair by pair instead.
WIDEST = 300.0
# Rates closer than this, but not equal: the separated form would lose digits.
NEAR = 1e-3


@njit(cache=True, nogil=True, inline="always")
def _psp(s, tau_mem, tau_syn):  # type: ignore[no-untyped-def]
    """Postsynaptic potential up to a constant factor; no cancellation for near time constants."""
    if tau_mem == tau_syn:
        return s * math.exp(-s / tau_mem)
    rate = 1.0 / tau_syn - 1.0 / tau_mem
    return -math.exp(-s / tau_mem) * math.expm1(-s * rate) / rate


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def trace_layer(  # type: ignore[no-untyped-def]
    pre_times, post_times, excitatory, credit, tau_mem, tau_syn, out, lost
):
    """Hand the credit of postsynaptic spikes on to the presynaptic ones that caused them.

    Args:
        pre_times: ``(samples, pre)``, ``inf`` = silent.
        post_times: ``(samples, post)``.
        excitatory: ``(post, pre)``, positive parts of the weights.
        credit: ``(samples, post)``.
        tau_mem, tau_syn: time constants of the layer.
        out: ``(samples, pre)``, receives the credit.
        lost: ``(samples,)``, receives the credit of spikes without an excitatory cause.
    """
    n_pre = pre_times.shape[1]
    t, e1, e2, part = np.empty(n_pre), np.empty(n_pre), np.empty(n_pre), np.empty(n_pre)
    equal = tau_mem == tau_syn
    near = not equal and abs(1.0 / tau_mem - 1.0 / tau_syn) <= NEAR
    for b in range(pre_times.shape[0]):
        out[b] = 0.0
        lost[b] = 0.0
        latest, earliest = -math.inf, math.inf
        for j in range(post_times.shape[1]):
            if credit[b, j] > 0.0 and post_times[b, j] < math.inf:
                latest = max(latest, post_times[b, j])
        for i in range(n_pre):
            earliest = min(earliest, pre_times[b, i])
        direct = near or latest - earliest > WIDEST * min(tau_mem, tau_syn)
        for i in range(n_pre):
            # A spike after all postsynaptic ones counts nowhere; a finite stand-in keeps the
            # loop over pairs free of branches.
            if pre_times[b, i] < latest:
                t[i] = pre_times[b, i] - latest
                e1[i] = math.exp(t[i] / tau_mem)
                e2[i] = math.exp(t[i] / tau_syn)
            else:
                t[i], e1[i], e2[i] = 1.0, 0.0, 0.0
        for j in range(post_times.shape[1]):
            if not credit[b, j] > 0.0:
                continue
            if not post_times[b, j] < math.inf:
                lost[b] += credit[b, j]
                continue
            at = post_times[b, j] - latest
            weights = excitatory[j]
            total = 0.0
            if direct:
                for i in range(n_pre):
                    part[i] = 0.0
                    if t[i] < at and weights[i] > 0.0:
                        part[i] = weights[i] * _psp(at - t[i], tau_mem, tau_syn)
                    total += part[i]
            elif equal:
                for i in range(n_pre):
                    part[i] = weights[i] * e1[i] * max(at - t[i], 0.0)
                    total += part[i]
            else:
                sign = 1.0 if tau_mem > tau_syn else -1.0
                p = sign * math.exp(-at / tau_mem)
                q = sign * math.exp(-at / tau_syn)
                for i in range(n_pre):
                    part[i] = weights[i] * max(p * e1[i] - q * e2[i], 0.0) * (t[i] < at)
                    total += part[i]
            if total > 0.0:
                scale = credit[b, j] / total
                for i in range(n_pre):
                    out[b, i] += scale * part[i]
            else:
                lost[b] += credit[b, j]
