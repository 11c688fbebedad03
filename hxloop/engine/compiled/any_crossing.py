"""Where a membrane turns, and its next crossing of any level, compiled.

A neuron of an analog chip may rest above its threshold. It fires by itself; after a spike it comes
back from its reset, against whatever inhibition there is.
"""

from __future__ import annotations

import math

from hxloop.engine.compiled.psp import psp
from hxloop.machine.jit import njit

_ITERATIONS = 200


@njit(cache=True, nogil=True)
def _value(s, u, e, i, mem, exc, inh):  # type: ignore[no-untyped-def]
    value = u * math.exp(-s / mem)
    if e != 0.0:
        value += e * psp(s, mem, exc)
    if i != 0.0:
        value += i * psp(s, mem, inh)
    return value


@njit(cache=True, nogil=True)
def _slope(s, u, e, i, mem, exc, inh):  # type: ignore[no-untyped-def]
    slope = -_value(s, u, e, i, mem, exc, inh) / mem
    if e != 0.0:
        slope += e * math.exp(-s / exc)
    if i != 0.0:
        slope += i * math.exp(-s / inh)
    return slope


@njit(cache=True, nogil=True)
def _extreme_of_scaled_slope(e, i, exc, inh, end):  # type: ignore[no-untyped-def]
    """Where ``exp(s/mem) u'(s)`` is extreme, within ``end``: ``I_e/exc + I_i/inh = 0``."""
    rate = 1.0 / inh - 1.0 / exc
    if e > 0.0 and i < 0.0 and rate != 0.0:
        return min(max(math.log((-i / inh) / (e / exc)) / rate, 0.0), end)
    return end


@njit(cache=True, nogil=True)
def turning_times(u, e, i, mem, exc, inh, length):  # type: ignore[no-untyped-def]
    """The two times at most at which a membrane turns within a length; else 0 or ``length``."""
    cut = _extreme_of_scaled_slope(e, i, exc, inh, length)
    first = _turn(0.0, cut, u, e, i, mem, exc, inh)
    return first, _turn(cut, length, u, e, i, mem, exc, inh)


@njit(cache=True, nogil=True)
def any_crossing(u, e, i, mem, exc, inh, level, length):  # type: ignore[no-untyped-def]
    """When a membrane first reaches a level that it starts below, within a length, or ``inf``.

    For any sign of the level. ``exp(s/mem) u'(s)`` has at most one extremum, so that the membrane
    has at most two, one on each side of it: on the pieces between them it is monotone, and a
    bisection finds the crossing in the first piece that ends above the level.
    """
    # After this time what is left cannot keep it below a negative level: |u(s)| is at most
    # (|u| + (|e| + |i|) slow) exp(-s/(2 slow)).
    end = length
    if level < 0.0:
        slow = max(mem, exc, inh)
        size = (abs(u) + (abs(e) + abs(i)) * slow) / -level
        end = min(length, 2.0 * slow * math.log(max(size, 1.0)) + slow)
    else:
        end = min(length, 700.0 * mem)  # then nothing is left of the membrane
    cut = _extreme_of_scaled_slope(e, i, exc, inh, end)
    low = 0.0
    for piece in range(2):
        high = cut if piece == 0 else end
        if high <= low:
            continue
        turn = _turn(low, high, u, e, i, mem, exc, inh)
        for stop in (turn, high):
            if stop > low and _value(stop, u, e, i, mem, exc, inh) >= level:
                return _bisect(low, stop, level, u, e, i, mem, exc, inh)
            low = max(low, stop)
    return math.inf


@njit(cache=True, nogil=True)
def _turn(low, high, u, e, i, mem, exc, inh):  # type: ignore[no-untyped-def]
    """Where the membrane turns between two times, at most once; else the first of them."""
    at_low, at_high = _slope(low, u, e, i, mem, exc, inh), _slope(high, u, e, i, mem, exc, inh)
    if (at_low > 0.0) == (at_high > 0.0):
        return low
    for _ in range(_ITERATIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if (_slope(middle, u, e, i, mem, exc, inh) > 0.0) == (at_low > 0.0):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(cache=True, nogil=True)
def _bisect(low, high, level, u, e, i, mem, exc, inh):  # type: ignore[no-untyped-def]
    for _ in range(_ITERATIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if _value(middle, u, e, i, mem, exc, inh) >= level:
            high = middle
        else:
            low = middle
    return high
