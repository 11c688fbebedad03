"""One neuron between two inputs, compiled: the functions of ``hxloop.engine.crossing``."""

from __future__ import annotations

import math

from hxloop.engine.compiled.psp import psp
from hxloop.machine.jit import njit

EPSILON = 2.220446049250313e-16
MAX_ITERATIONS = 200


@njit(cache=True, nogil=True)
def peak_time(z: float, x: float) -> float:
    """``-z log(1 - x)/x``: when the slope vanishes; ``inf`` if it never does."""
    if x >= 1.0:
        return math.inf
    if x == 0.0:
        return z
    return -z * math.log1p(-x) / x


@njit(cache=True, nogil=True)
def membrane(s, u, current, tau_mem, tau_syn):  # type: ignore[no-untyped-def]
    """Membrane a time s later, with one current."""
    if tau_mem == tau_syn:
        return (u + current * s) * math.exp(-s / tau_mem)
    return u * math.exp(-s / tau_mem) + current * psp(s, tau_mem, tau_syn)


@njit(cache=True, nogil=True)
def membrane_slope(s: float, tau_mem: float, tau_syn: float) -> float:
    """``k'(s)``, without cancellation, see ``hxloop.engine.psp.psp_derivative``."""
    mem, syn = 1.0 / tau_mem, 1.0 / tau_syn
    if max(mem, syn) > 2.0 * min(mem, syn):
        return (syn * math.exp(-s * syn) - mem * math.exp(-s * mem)) / (syn - mem)
    found: float = math.exp(-s * syn) - psp(s, tau_mem, tau_syn) * mem
    return found


@njit(cache=True, nogil=True)
def time_of_peak(u, current, tau_mem, tau_syn):  # type: ignore[no-untyped-def]
    """When a membrane with one positive current is highest; not positive: it only falls."""
    z = (1.0 - u / (current * tau_mem)) * tau_syn
    return peak_time(z, z * (1.0 / tau_syn - 1.0 / tau_mem))


@njit(cache=True, nogil=True)
def psp_of_decays(s, of_mem, of_syn, tau_mem, tau_syn):  # type: ignore[no-untyped-def]
    """``k(s)`` from the two decays over s, which are known: no exponential, 13 digits."""
    rate = 1.0 / tau_syn - 1.0 / tau_mem
    x = s * rate
    if abs(x) > 0.01:
        return (of_mem - of_syn) / rate
    return _psp_near(s, x, of_mem)


@njit(cache=True, nogil=True, forceinline=True)
def _psp_near(s, x, of_mem):  # type: ignore[no-untyped-def]
    return s * of_mem * (1.0 - x * (1 / 2 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120)))))


@njit(cache=True, nogil=True, error_model="numpy")
def rates(tau_mem, tau_syn):  # type: ignore[no-untyped-def]
    """``1/tau_syn - 1/tau_mem``, and its inverse, of which 0 stands for that of 0."""
    rate = 1.0 / tau_syn - 1.0 / tau_mem
    return rate, 1.0 / rate if rate != 0.0 else 0.0


@njit(cache=True, nogil=True, forceinline=True)
def psp_of_rates(s, of_mem, of_syn, rate, per_rate):  # type: ignore[no-untyped-def]
    """As ``psp_of_decays``, with the ``rates``: no division, to be computed in vectors."""
    x = s * rate
    return (of_mem - of_syn) * per_rate if abs(x) > 0.01 else _psp_near(s, x, of_mem)


@njit(cache=True, nogil=True)
def _state(s, u, i_e, i_i, tau_mem, tau_e, tau_i):  # type: ignore[no-untyped-def]
    """Membrane, slope and curvature a time s later."""
    of_e = math.exp(-s / tau_e)
    of_mem = of_e if tau_mem == tau_e else math.exp(-s / tau_mem)
    e = i_e * of_e
    value = u * of_mem + i_e * psp_of_decays(s, of_mem, of_e, tau_mem, tau_e)
    i = 0.0
    if i_i != 0.0:
        of_i = of_e if tau_i == tau_e else math.exp(-s / tau_i)
        value += i_i * psp_of_decays(s, of_mem, of_i, tau_mem, tau_i)
        i = i_i * of_i
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
def first_crossing(u, i_e, i_i, tau_mem, tau_e, tau_i, threshold, length):  # type: ignore[no-untyped-def]
    """See ``hxloop.engine.crossing.first_crossing``; one current has ``i_i = 0``."""
    if u >= threshold:
        return 0.0
    if i_e <= 0.0:
        return math.inf
    if i_i == 0.0:
        slope = i_e - u / tau_mem
        if slope <= 0.0:
            return math.inf
        z = slope * tau_e / i_e
        # Without a peak the membrane comes from below leak, and stays there.
        top = peak_time(z, z * (1.0 / tau_e - 1.0 / tau_mem))
        if top == math.inf or _state(top, u, i_e, 0.0, tau_mem, tau_e, tau_i)[0] < threshold:
            return math.inf
        if length < top and _state(length, u, i_e, 0.0, tau_mem, tau_e, tau_i)[0] < threshold:
            return math.inf
        guess = _parabola(top, 0.0, threshold, u, i_e, 0.0, tau_mem, tau_e, tau_i)
        crossing = _root(0.0, top, guess, False, threshold, u, i_e, 0.0, tau_mem, tau_e, tau_i)
        return min(crossing, length)
    # Looking further than this neuron's own last possible crossing, the slope underflows: a
    # slope of 0 is no peak.
    end = min(length, last_crossing(u, i_e, tau_mem, tau_e, threshold))
    if end <= 0.0:
        return math.inf
    cut = 0.0
    rate = 1.0 / tau_i - 1.0 / tau_e
    if i_i < 0.0 and rate != 0.0:
        cut = min(max(math.log((-i_i / tau_i) / (i_e / tau_e)) / rate, 0.0), end)
    low = 0.0
    for piece in range(2):
        high = cut if piece == 0 else end
        if high > low:
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
def last_crossing(u, i_e, tau_mem, tau_e, threshold):  # type: ignore[no-untyped-def]
    """A time after which this membrane cannot reach its threshold; at most 0 if it never can.

    From ``u(s) <= max(u, 0) exp(-s/tau_mem) + i_e k(s)``, ``k(s) <= s exp(-s/slow)``, and
    ``y exp(-y/2) <= 2/e``. It depends on the neuron alone, and what is slower of membrane and
    excitation has not decayed by more than the square of ``threshold / (u + i_e slow)`` then.
    """
    slow = max(tau_mem, tau_e)
    return 2.0 * slow * math.log((max(u, 0.0) + i_e * slow) / threshold)


@njit(cache=True, nogil=True)
def rising_crossing(u, i_e, i_i, tau_mem, tau_e, tau_i, threshold, length):  # type: ignore[no-untyped-def]
    """The crossing of a membrane that rises from below to above its threshold within length.

    Newton's method from the parabola at the start of the interval, or from the tangent, where
    the parabola does not reach. One current's membrane is concave while it rises, so that a
    tangent cannot overshoot. It stops when the next error, ``f''/(2 f') step^2``, is below
    rounding.

    Where it stops does not depend on the length, so that a spike is the same to the bit
    whatever follows it.

    Returns:
        The time, or -1 where this did not settle at once; ``first_crossing`` then does.
    """
    slope = i_e + i_i - u / tau_mem
    curvature = -slope / tau_mem - i_e / tau_e - i_i / tau_i
    gap = threshold - u
    discriminant = slope * slope + 2.0 * curvature * gap
    if slope <= 0.0:
        return -1.0
    x = 2.0 * gap / (slope + math.sqrt(discriminant)) if discriminant > 0.0 else gap / slope
    for _ in range(8):
        if not x >= 0.0:
            return -1.0
        value, slope, curvature = _state(x, u, i_e, i_i, tau_mem, tau_e, tau_i)
        if slope <= 0.0:
            return -1.0
        step = (value - threshold) / slope
        x -= step
        if step * step * abs(curvature) <= 1e-17 * slope:
            x = max(x, 0.0)
            return x if x <= length else -1.0
    return -1.0


@njit(cache=True, nogil=True)
def rising_crossing_equal(u, current, tau, threshold, length):  # type: ignore[no-untyped-def]
    """As ``rising_crossing``, for one current and equal time constants.

    There the crossing is where ``u + x I tau`` meets ``threshold exp(x)``, ``x = s/tau``: one
    exponential a step, and all higher derivatives for nothing. From the parabola at the start,
    first by Halley's method, then by the inverse series to fourth order, ``d = n + b (d^2/2 +
    d^3/6 + ...)`` solved for d, whose error is of the fifth order of the step.
    """
    drive = current * tau
    slope = drive - threshold
    gap = threshold - u
    discriminant = slope * slope - 2.0 * threshold * gap
    if slope <= 0.0 or discriminant <= 0.0:
        return -1.0
    x = 2.0 * gap / (slope + math.sqrt(discriminant))
    for _ in range(8):
        if not x >= 0.0:
            return -1.0
        exponential = threshold * math.exp(x)
        value, slope = u + x * drive - exponential, drive - exponential
        if slope <= 0.0:
            return -1.0
        newton = value / slope
        b = exponential / slope
        if abs(newton) * (1.0 + b) > 0.3:
            x -= newton / (1.0 + 0.5 * newton * b)
            continue
        n = -newton
        fourth = b * (b * (5 / 8 * b + 5 / 12) + 1 / 24)
        x += n * (1.0 + n * (0.5 * b + n * (b * (0.5 * b + 1 / 6) + n * fourth)))
        size = abs(n) * (1.0 + b)
        if size * size * size * size * abs(n) * b <= 1e-17:
            x = max(x, 0.0) * tau
            return x if x <= length else -1.0
    return -1.0


@njit(cache=True, nogil=True)
def crossing_within(  # type: ignore[no-untyped-def]
    u, current, end, end_current, tau_mem, tau_syn, threshold, length
):
    """First crossing from state (u, current) to the state at the end of an interval, or ``inf``."""
    top = length
    crossing = -1.0
    if end < threshold:
        if current * tau_mem <= 0.0:
            return math.inf  # never rising
        top = time_of_peak(u, current, tau_mem, tau_syn)
        if 0.0 < top <= length:
            peak = membrane(top, u, current, tau_mem, tau_syn)
            if peak < threshold * (1.0 - 1e-13):
                return math.inf
    if u < threshold and 0.0 < top <= length:
        if tau_mem == tau_syn:
            crossing = rising_crossing_equal(u, current, tau_mem, threshold, top)
        else:
            crossing = rising_crossing(u, current, 0.0, tau_mem, tau_syn, tau_syn, threshold, top)
    if crossing < 0.0:
        crossing = first_crossing(u, current, 0.0, tau_mem, tau_syn, tau_syn, threshold, length)
    return crossing
