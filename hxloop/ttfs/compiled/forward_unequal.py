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

from hxloop.ttfs.compiled.forward import HUGE, LARGEST, LONGEST, VECTOR_MATH
from hxloop.ttfs.compiled.membrane import first_crossing, peak_time, psp, rising_crossing

# Neurons of a tile; a small layer would waste most of a wide one.
WIDE, NARROW = 104, 16
# The polynomials are of degree 4: y^5/120 < 1e-15 up to this |y|. Longer intervals are cut in
# pieces (that is exact, there is no input within), up to so many; still longer ones are done
# with exponentials.
SMALL = 2.5e-3
MOST_PIECES = 8
A2, A3, A4 = 1 / 2, 1 / 6, 1 / 24  # 1/n!


@njit(cache=True, nogil=True)
def _crossing_any(u, i_exc, i_inh, tau_mem, tau_exc, tau_inh, threshold, length):  # type: ignore[no-untyped-def]
    """``first_crossing``, by short cuts where the membrane rises all the way to threshold."""
    # While below threshold it rises at least this fast; so there is no peak to be missed.
    slowest = i_exc * math.exp(-length / tau_exc) + i_inh - threshold / tau_mem
    if u < threshold and slowest > 0.0 and i_exc > 0.0:
        end = u * math.exp(-length / tau_mem) + i_exc * psp(length, tau_mem, tau_exc)
        end += i_inh * psp(length, tau_mem, tau_inh)
        if end < threshold * (1.0 - 1e-13):
            return math.inf
        if end >= threshold:
            crossing = rising_crossing(
                u, i_exc, i_inh, tau_mem, tau_exc, tau_inh, threshold, length
            )
            if crossing >= 0.0:
                return crossing
    return first_crossing(u, i_exc, i_inh, tau_mem, tau_exc, tau_inh, threshold, length)


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


# A closure over nothing but the width, a constant to the compiler: with a function among its
# variables numba would not find it in its cache and compile it anew in every process.
def _make(width):  # type: ignore[no-untyped-def]
    @njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
    def forward(  # type: ignore[no-untyped-def]
        times, order, weights, tau_mem, tau_exc, tau_inh, threshold, t_window, result
    ):
        pre, post = weights.shape
        slowest, fastest, fastest_mem, top, longest = math.inf, 0.0, 0.0, 0.0, 0.0
        one = True
        for j in range(post):
            one = one and tau_exc[j] == tau_inh[j]
            fastest_mem = max(fastest_mem, 1.0 / tau_mem[j])
            when = peak_time(tau_exc[j], 1.0 - tau_exc[j] / tau_mem[j])
            top = max(top, psp(when, tau_mem[j], tau_exc[j]))
            for tau in (tau_mem[j], tau_exc[j], tau_inh[j]):
                slowest, fastest = min(slowest, 1.0 / tau), max(fastest, 1.0 / tau)
                longest = max(longest, LONGEST * tau)
        common, spread = 0.5 * (slowest + fastest), 0.5 * (fastest - slowest)

        tile = np.zeros((pre + 1, width))  # the last row is no input
        # u, exc. and inh. current, threshold, then rates of membrane, exc., inh. minus common
        state = np.zeros(7 * width)
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
            for b in range(times.shape[0]):
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
                delta = 0.0
                for i in range(pre):
                    now = times[b, i]
                    if now > t_window or now == math.inf or alive == 0:
                        break
                    following = t_window
                    if i + 1 < pre and times[b, i + 1] < t_window:
                        following = times[b, i + 1]
                    length = min(following - now, longest)
                    peak = min(length, top) * math.exp(min(length * fastest_mem, HUGE))
                    peak = min(peak, LARGEST) * (1.0 + 1e-6)
                    # Inhibition holds against excitation: k_inh >= rho k_exc in the interval.
                    rho = math.exp(-2.0 * spread * length)
                    pieces = 1 + int(min(delta * spread / SMALL, 1e6))
                    if pieces > MOST_PIECES:
                        _far(state, t_mem, t_exc, t_inh, delta)
                        delta, pieces = 0.0, 1
                    delta /= pieces
                    base = math.exp(-delta * common)
                    reaching = 0
                    for piece in range(pieces):
                        index = order[b, i] if piece == pieces - 1 else pre
                        reaching = 0
                        for j in range(width):
                            ym = -delta * state[j + 4 * width]
                            ye = -delta * state[j + 5 * width]
                            yi = -delta * state[j + 6 * width]
                            dm = 1 + ym * (1 + ym * (A2 + ym * (A3 + ym * A4)))
                            de = 1 + ye * (1 + ye * (A2 + ye * (A3 + ye * A4)))
                            di = 1 + yi * (1 + yi * (A2 + yi * (A3 + yi * A4)))
                            # k/delta: sums of all products of 1, 2, 3 factors ym or ye.
                            mm = ym * ym
                            e2, i2 = mm + ye * (ym + ye), mm + yi * (ym + yi)
                            e3, i3 = ym * mm + ye * e2, ym * mm + yi * i2
                            ke = delta * (1 + A2 * (ym + ye) + A3 * e2 + A4 * e3)
                            ki = delta * (1 + A2 * (ym + yi) + A3 * i2 + A4 * i3)
                            exc, inh = state[j + width], state[j + 2 * width]
                            u = base * (state[j] * dm + exc * ke + inh * ki)
                            w = tile[index, j]
                            # With one time constant all weights belong to one current.
                            e = w if one or w > 0.0 else 0.0
                            exc = exc * base * de + e
                            state[j] = u
                            state[j + width] = exc
                            inh = inh * base * di + (w - e)
                            state[j + 2 * width] = inh
                            reaching += u + (exc + rho * inh) * peak >= state[j + 3 * width]
                    if reaching > 0:
                        for j in range(n):
                            u, exc, inh = state[j], state[j + width], state[j + 2 * width]
                            if u + (exc + rho * inh) * peak < state[j + 3 * width]:
                                continue
                            crossing = _crossing_any(
                                u, exc, inh, t_mem[j], t_exc[j], t_inh[j], threshold[start + j],
                                length,
                            )  # fmt: skip
                            if crossing < math.inf:
                                state[j + 3 * width] = math.inf
                                alive -= 1
                                if now + crossing <= t_window:
                                    result[b, start + j] = now + crossing
                    delta = length

    return forward


_wide, _narrow = _make(WIDE), _make(NARROW)


def forward_unequal(times, order, weights, *arguments):  # type: ignore[no-untyped-def]
    """As ``forward_equal`` in float64, with time constants ``(post,)`` of each neuron.

    Arguments: ``tau_mem, tau_exc, tau_inh, threshold, t_window, result``.
    """
    kernel = _narrow if weights.shape[1] <= NARROW else _wide
    kernel(times, order, weights, *arguments)
