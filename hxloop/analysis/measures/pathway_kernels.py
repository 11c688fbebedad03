"""Tracing credit back through one layer, compiled.

With one pair of time constants the kernel separates (see ``hxloop.engine.compiled.backward``):
the factor that depends on the postsynaptic spike alone cancels in shares where the time
constants are equal, so that no exponential is needed for a pair. Where the separated form would
lose digits or underflow, shares are computed pair by pair, relative to the latest cause: every
cause of which anything is left at the spike (a double can hold 1e-323) has its exact share, and
credit is lost only where there is none.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.psp import psp, scaled_psp
from hxloop.machine.jit import njit

# Beyond so many time constants the separated exponentials could over- or underflow: they and
# their products stay within the square root of what a number can hold.
WIDEST = 0.4 * math.log(np.finfo(np.float64).max)
# The separated form is a difference of two sums; less than this part of them is left to digits
# that were rounded (spikes very close together, time constants nearly equal).
CANCELLED = 1e-6
TINY = float(np.finfo(np.float64).tiny)


@njit(cache=True, nogil=True)
def _pair_by_pair(pre, post, weights, tau_mem, tau_syn, part):  # type: ignore[no-untyped-def]
    """The share of each presynaptic spike in the drive; returns their sum, 0 without a cause."""
    since = math.inf
    for i in range(len(pre)):
        if pre[i] < post and weights[i] > 0.0:
            since = min(since, post - pre[i])
    if since == math.inf or psp(since, tau_mem, tau_syn) == 0.0:
        part[:] = 0.0
        return 0.0
    total = 0.0
    for i in range(len(pre)):
        part[i] = 0.0
        if pre[i] < post and weights[i] > 0.0:
            part[i] = weights[i] * scaled_psp(post - pre[i], since, tau_mem, tau_syn)
        total += part[i]
    for i in range(len(pre)):
        part[i] /= total
    return 1.0


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
    for b in range(pre_times.shape[0]):
        out[b] = 0.0
        lost[b] = 0.0
        latest, earliest = -math.inf, math.inf
        for j in range(post_times.shape[1]):
            if credit[b, j] > 0.0 and post_times[b, j] < math.inf:
                latest = max(latest, post_times[b, j])
        for i in range(n_pre):
            earliest = min(earliest, pre_times[b, i])
        wide = latest - earliest > WIDEST * min(tau_mem, tau_syn)
        for i in range(n_pre):
            # A spike after all postsynaptic ones counts nowhere; a finite stand-in keeps the
            # loop over pairs free of branches.
            if pre_times[b, i] < latest and not wide:
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
            total, terms = 0.0, 0.0
            if not wide and equal:
                for i in range(n_pre):
                    part[i] = weights[i] * e1[i] * max(at - t[i], 0.0)
                    total += part[i]
            elif not wide:
                sign = 1.0 if tau_mem > tau_syn else -1.0
                p = sign * math.exp(-at / tau_mem)
                q = sign * math.exp(-at / tau_syn)
                for i in range(n_pre):
                    before = weights[i] * (t[i] < at)
                    part[i] = before * max(p * e1[i] - q * e2[i], 0.0)
                    total += part[i]
                    terms += before * abs(p) * e1[i]
            if not total > max(CANCELLED * terms, TINY):
                total = _pair_by_pair(
                    pre_times[b], post_times[b, j], weights, tau_mem, tau_syn, part
                )
            if total > 0.0:
                scale = credit[b, j] / total
                for i in range(n_pre):
                    out[b, i] += scale * part[i]
            else:
                lost[b] += credit[b, j]
