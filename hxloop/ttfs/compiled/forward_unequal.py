"""First spike times of a layer of unequal neurons with two synaptic currents: an analog chip.

As ``forward``, with decays of every neuron's own. Over a short interval they are the decay of
a common rate times a polynomial in what the neuron's rate differs by: vector instructions
again, and no exponential. A neuron's state and rates lie in one buffer at fixed distances, for
the compiler has to see that they do not overlap.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hxloop.ttfs.compiled.forward import (
    GROUP,
    HUGE,
    LARGEST,
    LONGEST,
    NARROW,
    VECTOR_MATH,
    WIDE,
)
from hxloop.ttfs.compiled.membrane import first_crossing, peak_time, psp

# The polynomials are of degree 4: y^5/120 < 1e-15 up to this |y|; of degree 2 in float32, where
# y^3/6 < 3e-9 is below rounding. Longer intervals are cut in pieces (that is exact, there is no
# input within), up to so many; still longer ones are done with exponentials.
SMALL = 2.5e-3
MOST_PIECES = 8
SHORT = 0.015
A2, A3, A4, A5, A6 = 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720  # 1/n!


@njit(cache=True, nogil=True)
def _intervals(  # type: ignore[no-untyped-def]
    times, t_window, longest, rates, top, fastest_mem, n_inputs, lengths, scalars, pieces
):
    """What all neurons of a layer share, for the interval that follows each input.

    ``rates``: the common one, and how far others are from it at most. Writes ``scalars``: length
    of a piece, its decay at the common rate, the bound of the kernel, and how much of it
    inhibition holds at least (k_inh >= rho k_exc); and ``pieces``, 0 for an interval that is too
    long for pieces.
    """
    common, spread = rates
    count, pre = times.shape
    for b in range(count):
        for i in range(pre):
            now = times[b, i]
            if now > t_window or now == math.inf:
                break
            n_inputs[b] = i + 1
            following = t_window
            if i + 1 < pre and times[b, i + 1] < t_window:
                following = times[b, i + 1]
            length = min(following - now, longest)
            lengths[b, i] = length
            n = 1 + int(min(length * spread / SMALL, 1e6))
            if n > MOST_PIECES:
                pieces[b, i] = 0
                n = 1
            else:
                pieces[b, i] = n
            scalars[b, i, 0] = length / n
            scalars[b, i, 1] = math.exp(-length / n * common)
            peak = min(length, top) * math.exp(min(length * fastest_mem, HUGE))
            scalars[b, i, 2] = min(peak, LARGEST) * (1.0 + 1e-6)
            scalars[b, i, 3] = math.exp(-2.0 * spread * length)


# Decays and kernels over a short step, relative to the common rate: y = -step (rate - common).
# Inlined into the vector loop, where ``single`` is a constant.
@njit(inline="always")
def _decay(y, one, single):  # type: ignore[no-untyped-def]
    # ``one`` has the type computed in; constants of another would make it float64.
    kind = type(one)
    if single:
        return one + y * (one + y * kind(A2))
    return one + y * (one + y * (kind(A2) + y * (kind(A3) + y * kind(A4))))


@njit(inline="always")
def _kernel(y, z, one, single):  # type: ignore[no-untyped-def]
    """k/step: sums of all products of 1, 2, 3 factors y or z."""
    kind = type(one)
    if single:
        return one + kind(A2) * (y + z)
    h2 = y * y + z * (y + z)
    h3 = y * y * y + z * h2
    return one + kind(A2) * (y + z) + kind(A3) * h2 + kind(A4) * h3


@njit(cache=True, nogil=True)
def _short_crossing(  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def _far(state, t_mem, t_exc, t_inh, delta):  # type: ignore[no-untyped-def]
    """Propagate over an interval of any length."""
    width = t_mem.shape[0]
    for j in range(width):
        if state[j + 3 * width] == math.inf:
            continue
        u, exc, inh = state[j], state[j + width], state[j + 2 * width]
        u = u * math.exp(-delta / t_mem[j]) + exc * psp(delta, t_mem[j], t_exc[j])
        if inh != 0.0:
            u += inh * psp(delta, t_mem[j], t_inh[j])
        state[j] = u
        state[j + width] = exc * math.exp(-delta / t_exc[j])
        state[j + 2 * width] = inh * math.exp(-delta / t_inh[j])


# A closure over nothing but two constants (to the compiler): with a function among its
# variables numba would not find it in its cache and compile it anew in every process.
def _make(width, single):  # type: ignore[no-untyped-def]
    @njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
    def forward(  # type: ignore[no-untyped-def]
        times, order, weights, tau_mem, tau_exc, tau_inh, threshold, t_window, result
    ):
        pre, post = weights.shape
        count = times.shape[0]
        kind = weights.dtype
        real = kind.type
        one, zero = real(1.0), real(0.0)
        slowest, fastest, fastest_mem, top, longest = math.inf, 0.0, 0.0, 0.0, 0.0
        same = True
        for j in range(post):
            same = same and tau_exc[j] == tau_inh[j]
            fastest_mem = max(fastest_mem, 1.0 / tau_mem[j])
            when = peak_time(tau_exc[j], 1.0 - tau_exc[j] / tau_mem[j])
            top = max(top, psp(when, tau_mem[j], tau_exc[j]))
            for tau in (tau_mem[j], tau_exc[j], tau_inh[j]):
                slowest, fastest = min(slowest, 1.0 / tau), max(fastest, 1.0 / tau)
                longest = max(longest, LONGEST * tau)
        common = 0.5 * (slowest + fastest)
        rates = common, 0.5 * (fastest - slowest)
        n_inputs, lengths = np.zeros(count, np.int64), np.zeros((count, pre))
        scalars, pieces = np.zeros((count, pre, 4), kind), np.zeros((count, pre), np.int64)
        _intervals(
            times, t_window, longest, rates, top, fastest_mem, n_inputs, lengths, scalars, pieces
        )

        tile = np.zeros((pre + 1, width), kind)  # the last row is no input
        # u, exc. and inh. current, threshold, then rates of membrane, exc., inh. minus common
        state = np.zeros(7 * width, kind)
        t_mem, t_exc, t_inh = np.ones(width), np.ones(width), np.ones(width)
        for start in range(0, post, width):
            n = min(width, post - start)
            tile[:, n:] = 0.0
            for i in range(pre):
                for j in range(n):
                    tile[i, j] = weights[i, start + j]
            for j in range(n):
                t_mem[j] = tau_mem[start + j]
                t_exc[j] = tau_exc[start + j]
                t_inh[j] = tau_inh[start + j]
                state[j + 4 * width] = 1.0 / t_mem[j] - common
                state[j + 5 * width] = 1.0 / t_exc[j] - common
                state[j + 6 * width] = 1.0 / t_inh[j] - common
            for b in range(count):
                alive = 0
                for j in range(width):
                    state[j] = state[j + width] = state[j + 2 * width] = 0.0
                    state[j + 3 * width] = math.inf
                    if j < n:
                        if threshold[start + j] <= 0.0:
                            result[b, start + j] = 0.0
                        elif threshold[start + j] < math.inf:
                            state[j + 3 * width] = threshold[start + j] * (1.0 - 1e-15)
                            alive += 1
                step, base, n_pieces = zero, one, 1
                for i in range(n_inputs[b]):
                    if alive == 0:
                        break
                    if n_pieces == 0:
                        _far(state, t_mem, t_exc, t_inh, lengths[b, i - 1])
                        step, base, n_pieces = zero, one, 1
                    peak, rho = scalars[b, i, 2], scalars[b, i, 3]
                    reaching = 0
                    for piece in range(n_pieces):
                        index = (order[b, i] if piece == n_pieces - 1 else pre) & 0xFFFFFF
                        reaching = 0
                        for j in range(width):
                            ym = -step * state[j + 4 * width]
                            ye = -step * state[j + 5 * width]
                            yi = -step * state[j + 6 * width]
                            dm, de = _decay(ym, one, single), _decay(ye, one, single)
                            di = _decay(yi, one, single)
                            ke = step * _kernel(ym, ye, one, single)
                            ki = step * _kernel(ym, yi, one, single)
                            exc, inh = state[j + width], state[j + 2 * width]
                            u = base * (state[j] * dm + exc * ke + inh * ki)
                            w = tile[index, j]
                            # With one time constant all weights belong to one current.
                            e = w if same or w > zero else zero
                            exc = exc * base * de + e
                            inh = inh * base * di + (w - e)
                            state[j] = u
                            state[j + width] = exc
                            state[j + 2 * width] = inh
                            reaching += u + (exc + rho * inh) * peak >= state[j + 3 * width]
                    # Of the interval that follows; the loops above come to it next.
                    step, base, n_pieces = scalars[b, i, 0], scalars[b, i, 1], pieces[b, i]
                    for group in range(width // GROUP):
                        if reaching == 0:
                            break
                        first = group * GROUP
                        here = 0
                        for j in range(first, first + GROUP):
                            bound = (
                                state[j] + (state[j + width] + rho * state[j + 2 * width]) * peak
                            )
                            here += bound >= state[j + 3 * width]
                        if here == 0:
                            continue
                        reaching -= here
                        for j in range(first, first + GROUP):
                            u, exc, inh = state[j], state[j + width], state[j + 2 * width]
                            level = state[j + 3 * width]
                            if u + (exc + rho * inh) * peak < level:
                                continue
                            crossing = -1.0
                            if lengths[b, i] * rates[1] <= SHORT:
                                crossing = _short_crossing(
                                    float(u), float(exc), float(inh), t_mem[j], t_exc[j],
                                    t_inh[j], common, threshold[start + j], lengths[b, i],
                                )  # fmt: skip
                            if crossing < 0.0:
                                crossing = first_crossing(
                                    float(u), float(exc), float(inh), t_mem[j], t_exc[j],
                                    t_inh[j], threshold[start + j], lengths[b, i],
                                )  # fmt: skip
                            if crossing < math.inf:
                                state[j + 3 * width] = math.inf
                                alive -= 1
                                if times[b, i] + crossing <= t_window:
                                    result[b, start + j] = times[b, i] + crossing

    return forward


_wide, _narrow = _make(WIDE, False), _make(NARROW, False)
_wide_single, _narrow_single = _make(WIDE, True), _make(NARROW, True)


def forward_unequal(times, order, weights, *arguments):  # type: ignore[no-untyped-def]
    """As ``forward_equal``, with time constants ``(post,)`` of each neuron.

    Arguments: ``tau_mem, tau_exc, tau_inh, threshold, t_window, result``.
    """
    narrow = weights.shape[1] <= NARROW
    if weights.itemsize == 4:
        kernel = _narrow_single if narrow else _wide_single
    else:
        kernel = _narrow if narrow else _wide
    kernel(times, order, weights, *arguments)
