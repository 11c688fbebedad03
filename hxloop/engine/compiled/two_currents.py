"""One neuron with two currents between two inputs, quickly: the cases that are common."""

from __future__ import annotations

import math

from hxloop.machine.jit import njit

# Beyond, the exponential of a bound is of no use, and could overflow.
HUGE = 80.0
# Of an interval, times the largest difference of a rate from the common one.
SHORT = 0.015
A2, A3, A4, A5, A6 = 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720  # 1/n!


@njit(cache=True, nogil=True)
def highest_bound(u, exc, inh, tau_mem, tau_exc, tau_inh, top, length):  # type: ignore[no-untyped-def]
    """Bound on the membrane within an interval: that of the loop, with the neuron's own rates.

    The maximum over s of ``(u + y s) exp(-s/tau_mem)``, ``y = x g``; no more than ``x top``
    above u. -1 for a membrane that only falls.
    """
    mem, exc_rate, inh_rate = 1.0 / tau_mem, 1.0 / tau_exc, 1.0 / tau_inh
    x = exc + inh * math.exp(-max(inh_rate - exc_rate, 0.0) * length)
    growth = max(mem - exc_rate, 0.0) * length
    y = x * math.exp(min(growth, HUGE))
    if y <= max(u, 0.0) * mem and (growth <= HUGE or x <= 0.0):
        return max(u, 0.0)
    highest = max(u, 0.0) + x * top
    if growth > HUGE:
        return highest
    # At s = tau_mem - u/y, or at the end of the interval, if that is earlier.
    s = tau_mem - u / y
    if s < length:
        return min(highest, y * tau_mem * math.exp(-s * mem))
    return min(highest, (u + y * length) * math.exp(-length * mem))


@njit(cache=True, nogil=True)
def short_crossing(  # type: ignore[no-untyped-def]
    u, exc, inh, tau_mem, tau_exc, tau_inh, common, threshold, length
):
    """First crossing within an interval of up to ``SHORT``, for a membrane that rises in it.

    By polynomials of degree 6 (y^7/5040 < 1e-16), with one exponential a step of Newton's method.

    Returns:
        The time, ``inf`` for none, or -1 where this cannot tell.
    """
    mem, exc_rate, inh_rate = 1.0 / tau_mem, 1.0 / tau_exc, 1.0 / tau_inh
    d_mem, d_exc, d_inh = mem - common, exc_rate - common, inh_rate - common
    s = length
    for iteration in range(8):
        ym, ye, yi = -s * d_mem, -s * d_exc, -s * d_inh
        base = math.exp(-s * common)
        decay_e, decay_i = base * _decay_6(ye), base * _decay_6(yi)
        value = base * (u * _decay_6(ym) + s * (exc * _kernel_6(ym, ye) + inh * _kernel_6(ym, yi)))
        if iteration == 0:
            # While below threshold it rises at least this fast; so there is no peak to be missed.
            slope = exc * decay_e + inh - threshold * mem
            if not (u < threshold and exc > 0.0 and slope > 0.0):
                return -1.0
            if value < threshold * (1.0 - 1e-13):
                return math.inf
            if value < threshold:
                return -1.0
            s = min((threshold - u) / (exc + inh - u * mem), length)
            continue
        e, i = exc * decay_e, inh * decay_i
        slope = e + i - value * mem
        if slope <= 0.0:
            return -1.0
        step = (value - threshold) / slope
        s -= step
        if not 0.0 <= s <= length:
            return -1.0
        curvature = -slope * mem - e * exc_rate - i * inh_rate
        if step * step * abs(curvature) <= 1e-17 * slope:
            return s
    return -1.0


@njit(cache=True, nogil=True)
def _decay_6(y):  # type: ignore[no-untyped-def]
    return 1.0 + y * (1.0 + y * (A2 + y * (A3 + y * (A4 + y * (A5 + y * A6)))))


@njit(cache=True, nogil=True)
def _kernel_6(y, z):  # type: ignore[no-untyped-def]
    """k/step: sums of all products of 1 to 5 factors y or z."""
    power, total = y, y + z
    result = 1.0 + A2 * total
    for factor in (A3, A4, A5, A6):
        power *= y
        total = power + z * total
        result += factor * total
    return result
