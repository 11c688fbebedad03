"""First spike times of a layer of unequal neurons with two synaptic currents: an analog chip.

As ``forward``, with decays of every neuron's own. Relative to a common rate in the middle of
all, what is left of the matrix that moves (membrane, exc., inh. current) is small, and its
exponential a short Taylor series: vector instructions again, and no exponential. A neuron's
state and rates lie in one buffer at fixed distances, for the compiler has to see that they do
not overlap. Inputs at the same time, of which a clock makes many, only add to the currents.

Of a neuron below threshold and with ``x = I_exc + rho I_inh``, where ``k_inh >= rho k_exc`` in
the interval, no spike is found before ``s`` while

    u(s) <= (u + x g s) exp(-s/tau_mem) <= u + (x g - u/tau_mem) s

does not reach threshold; ``g >= 1`` is what ``k_exc`` may exceed ``s exp(-s/tau_mem)`` by. The
second step holds where the bracket is positive; where it is not, ``u`` falls.
"""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.forward import GROUP, LARGEST, LONGEST, NARROW, VECTOR_MATH, WIDE
from hxloop.engine.compiled.membrane import first_crossing, peak_time
from hxloop.engine.compiled.psp import psp
from hxloop.engine.compiled.two_currents import SHORT, highest_bound, short_crossing
from hxloop.engine.compiled.vectors import widest_vectors
from hxloop.machine.jit import njit

# By the precision of the states. The series of an interval may leave out so much: of a current, or
# of a membrane in units of the current. Rounding is as large, and what is left out decays as
# the membrane does.
LEFT_OUT = {4: 3e-9, 8: 4e-15}
# Degrees with a loop of their own are the lowest useful ones, 3 and 4, or 2 and 3 in float32.
# Up to the highest degree all others share one loop; beyond, exponentials.
LOWEST, HIGHEST = {4: 2, 8: 3}, 20
# Of the bound, for the rounding of u.
MARGIN = {4: 1.0 - 2e-6, 8: 1.0 - 1e-13}


@njit(cache=True, nogil=True)
def series_degree(length, spread, lowest, left_out):  # type: ignore[no-untyped-def]
    """Of the series over an interval; ``HIGHEST + 1`` where none will do."""
    y = length * spread
    term = 1.0  # y^n/n!, for n = degree
    for degree in range(1, HIGHEST + 1):
        term *= y / degree
        if degree >= lowest and term * max(length, y / (degree + 1)) <= left_out:
            return degree
    return HIGHEST + 1


@njit(cache=True, nogil=True)
def _intervals(  # type: ignore[no-untyped-def]
    times, t_window, longest, rates, lowest, left_out, largest, n_inputs, lengths, scalars, degrees
):
    """What all neurons of a layer share, for the interval that follows each input.

    ``rates``: the common one, and how far others are from it at most. Writes ``scalars``: the
    length, the decay at the common rate, bound of the kernel ``g s``, and ``rho``; and
    ``degrees`` of the series, 0 before another input at the same time.
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
                if following == now:
                    continue
            length = min(following - now, longest)
            lengths[b, i] = length
            degrees[b, i] = series_degree(length, spread, lowest, left_out)
            scalars[b, i, 0] = length
            scalars[b, i, 1] = math.exp(-length * common)
            rho = math.exp(-2.0 * spread * length)
            scalars[b, i, 2] = min(length / max(rho, 1.0 / largest), largest) * (1.0 + 1e-6)
            scalars[b, i, 3] = rho


@njit(inline="always")
def _term(u, exc, inh, a, b, c, step, one_nth, tu, te, ti):  # type: ignore[no-untyped-def]
    """Horner's scheme: (u, exc, inh) + matrix (tu, te, ti)/n."""
    return (
        u + one_nth * (a * tu + step * (te + ti)),
        exc + one_nth * (b * te),
        inh + one_nth * (c * ti),
    )


# To the next input, which arrives, and the bound on what follows: inlined into the loop over
# neurons, where ``degree`` is a constant.
@njit(inline="always")
def _advance(  # type: ignore[no-untyped-def]
    degree, width, state, row, same, step, base, length, peak, rho
):
    kind = type(base)
    zero = kind(0.0)
    reaching = 0
    for j in range(width):
        u, exc, inh = state[j], state[j + width], state[j + 2 * width]
        if degree > 0:
            a, b, c = (
                -step * state[j + 4 * width],
                -step * state[j + 5 * width],
                -step * state[j + 6 * width],
            )
            tu, te, ti = u, exc, inh
            if degree > 3:
                tu, te, ti = _term(u, exc, inh, a, b, c, step, kind(1 / 4), tu, te, ti)
            if degree > 2:
                tu, te, ti = _term(u, exc, inh, a, b, c, step, kind(1 / 3), tu, te, ti)
            tu, te, ti = _term(u, exc, inh, a, b, c, step, kind(1 / 2), tu, te, ti)
            tu, te, ti = _term(u, exc, inh, a, b, c, step, kind(1), tu, te, ti)
            u, exc, inh = base * tu, base * te, base * ti
        w = row[j]
        # With one time constant all weights belong to one current.
        e = w if same or w > zero else zero
        exc += e
        inh += w - e
        state[j] = u
        state[j + width] = exc
        state[j + 2 * width] = inh
        bound = u + (exc + rho * inh) * peak - length * (state[j + 7 * width] * u)
        reaching += bound >= state[j + 3 * width]
    return reaching


@njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
def _long(state, terms, degree, step, base):  # type: ignore[no-untyped-def]
    """Propagate by a series of any degree. ``terms``: as long as the state; scratch."""
    widest_vectors()
    width = state.shape[0] // 8
    terms[:] = state[: 3 * width]
    for n in range(degree):
        h = step / (degree - n)
        for j in range(width):
            tu, te, ti = terms[j], terms[j + width], terms[j + 2 * width]
            terms[j] = state[j] + h * (te + ti - state[j + 4 * width] * tu)
            terms[j + width] = state[j + width] - h * (state[j + 5 * width] * te)
            terms[j + 2 * width] = state[j + 2 * width] - h * (state[j + 6 * width] * ti)
    for j in range(3 * width):
        state[j] = base * terms[j]


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
def _make(width, size):  # type: ignore[no-untyped-def]
    lowest, left_out, margin = LOWEST[size], LEFT_OUT[size], MARGIN[size]
    largest = LARGEST[size]

    @njit(cache=True, nogil=True, fastmath=VECTOR_MATH)
    def forward(  # type: ignore[no-untyped-def]
        times, order, weights, tau_mem, tau_exc, tau_inh, threshold, t_window, result
    ):
        widest_vectors()
        pre, post = weights.shape
        count = times.shape[0]
        kind = weights.dtype
        real = kind.type
        one, zero = real(1.0), real(0.0)
        slowest, fastest, top, longest = math.inf, 0.0, 0.0, 0.0
        same = True
        for j in range(post):
            same = same and tau_exc[j] == tau_inh[j]
            when = peak_time(tau_exc[j], 1.0 - tau_exc[j] / tau_mem[j])
            top = max(top, psp(when, tau_mem[j], tau_exc[j]) * (1.0 + 1e-6))
            for tau in (tau_mem[j], tau_exc[j], tau_inh[j]):
                slowest, fastest = min(slowest, 1.0 / tau), max(fastest, 1.0 / tau)
                longest = max(longest, LONGEST * tau)
        common = 0.5 * (slowest + fastest)
        rates = common, 0.5 * (fastest - slowest)
        n_inputs, lengths = np.zeros(count, np.int64), np.zeros((count, pre))
        scalars, degrees = np.zeros((count, pre, 4), kind), np.zeros((count, pre), np.int64)
        _intervals(
            times, t_window, longest, rates, lowest, left_out, largest, n_inputs, lengths, scalars,
            degrees,
        )  # fmt: skip

        tile = np.zeros((pre, width), kind)
        # u, exc. and inh. current, threshold; rates of membrane, exc., inh. minus the common one;
        # rate of the membrane
        state, terms = np.zeros(8 * width, kind), np.zeros(3 * width, kind)
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
                state[j + 7 * width] = 1.0 / t_mem[j]
            for b in range(count):
                alive = 0
                for j in range(width):
                    state[j] = state[j + width] = state[j + 2 * width] = 0.0
                    state[j + 3 * width] = math.inf
                    if j < n:
                        if threshold[start + j] <= 0.0:
                            result[b, start + j] = 0.0
                        elif threshold[start + j] < math.inf:
                            state[j + 3 * width] = threshold[start + j] * margin
                            alive += 1
                step, base, degree = zero, one, 0
                for i in range(n_inputs[b]):
                    if alive == 0:
                        break
                    if degree > HIGHEST:
                        _far(state, t_mem, t_exc, t_inh, lengths[b, i - 1])
                        degree = 0
                    elif degree > lowest + 1:
                        _long(state, terms, degree, step, base)
                        degree = 0
                    row = tile[order[b, i]]
                    length, peak, rho = scalars[b, i, 0], scalars[b, i, 2], scalars[b, i, 3]
                    if degree == 0:
                        reaching = _advance(
                            0, width, state, row, same, step, base, length, peak, rho
                        )
                    elif degree == lowest:
                        reaching = _advance(
                            lowest, width, state, row, same, step, base, length, peak, rho
                        )
                    else:
                        reaching = _advance(
                            lowest + 1, width, state, row, same, step, base, length, peak, rho
                        )
                    step, base, degree = length, scalars[b, i, 1], degrees[b, i]
                    for group in range(width // GROUP):
                        if reaching == 0:
                            break
                        first = group * GROUP
                        here = 0
                        for j in range(first, first + GROUP):
                            u, x = state[j], state[j + width] + rho * state[j + 2 * width]
                            bound = u + x * peak - length * (state[j + 7 * width] * u)
                            here += bound >= state[j + 3 * width]
                        if here == 0:
                            continue
                        reaching -= here
                        for j in range(first, first + GROUP):
                            u, exc, inh = state[j], state[j + width], state[j + 2 * width]
                            level, x = state[j + 3 * width], exc + rho * inh
                            bound = u + x * peak - length * (state[j + 7 * width] * u)
                            # What has spiked does so only once, even where a bound overflows.
                            if bound < level or level == math.inf:
                                continue
                            crossing = -1.0
                            if lengths[b, i] * rates[1] <= SHORT:
                                crossing = short_crossing(
                                    float(u), float(exc), float(inh), t_mem[j], t_exc[j],
                                    t_inh[j], common, threshold[start + j], lengths[b, i],
                                )  # fmt: skip
                            if crossing < 0.0:
                                highest = highest_bound(
                                    float(u), float(exc), float(inh), t_mem[j], t_exc[j],
                                    t_inh[j], top, lengths[b, i],
                                )  # fmt: skip
                                if highest < level:
                                    continue
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


_wide, _narrow = _make(WIDE, 8), _make(NARROW, 8)
_wide_single, _narrow_single = _make(WIDE, 4), _make(NARROW, 4)


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
