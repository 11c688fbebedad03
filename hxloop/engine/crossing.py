"""First threshold crossing of a membrane between two inputs, exactly, for many neurons.

Between inputs the membrane, measured from the leak potential, obeys::

    u' = -u/tau_mem + sum_c I_c,      I_c' = -I_c/tau_c

with one synaptic current, or with two (excitatory >= 0, inhibitory <= 0) of different time
constants. All functions take flat arrays, one entry for each neuron and sample looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hxloop.engine.psp import minus_log_ratio, psp, psp_derivative

MAX_ITERATIONS = 200


@dataclass(frozen=True)
class Membrane:
    """State of a set of neurons right after an input; every field is a flat array.

    Attributes:
        u: membrane potential above leak.
        currents: one or two synaptic currents.
        tau_mem: membrane time constants.
        tau_syn: time constant of each current.
        threshold: threshold above leak, positive.
    """

    u: Tensor
    currents: tuple[Tensor, ...]
    tau_mem: Tensor
    tau_syn: tuple[Tensor, ...]
    threshold: Tensor

    def at(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """``(u - threshold, u')`` at time ``s`` after the input."""
        u = propagate(self.u, self.currents, s, self.tau_mem, self.tau_syn)
        slope = -self.u / self.tau_mem * torch.exp(-s / self.tau_mem)
        for current, tau in zip(self.currents, self.tau_syn, strict=True):
            slope = slope + current * psp_derivative(s, self.tau_mem, tau)
        return u - self.threshold, slope

    def slope_at(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """``(u', u'')`` at time ``s`` after the input."""
        _, slope = self.at(s)
        curvature = -slope / self.tau_mem
        for current, tau in zip(self.currents, self.tau_syn, strict=True):
            curvature = curvature - current / tau * torch.exp(-s / tau)
        return slope, curvature

    def fall_at(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """``(-u', -u'')``: rises through 0 where the membrane is highest."""
        slope, curvature = self.slope_at(s)
        return -slope, -curvature

    def select(self, index: Tensor) -> Membrane:
        """The neurons at ``index`` only."""
        return Membrane(
            self.u[index],
            tuple(current[index] for current in self.currents),
            self.tau_mem[index],
            tuple(tau[index] for tau in self.tau_syn),
            self.threshold[index],
        )


def propagate(
    u: Tensor,
    currents: tuple[Tensor, ...],
    s: Tensor,
    tau_mem: Tensor,
    tau_syn: tuple[Tensor, ...],
) -> Tensor:
    """Membrane potential a time ``s`` later without input; all arguments broadcast."""
    result = u * torch.exp(-s / tau_mem)
    for current, tau in zip(currents, tau_syn, strict=True):
        result = result + current * psp(s, tau_mem, tau)
    return result


def first_crossing(membrane: Membrane, length: Tensor) -> Tensor:
    """Time until the membrane first reaches its threshold, without further input.

    Args:
        membrane: the state now.
        length: until when to look, >= 0; may be ``inf``.

    Returns:
        Times in ``[0, length]``; ``inf`` where the threshold is not reached. A membrane that
        touches its threshold with its peak has reached it.
    """
    if len(membrane.currents) == 1:
        return _first_crossing_one_current(membrane, length)
    return _first_crossing_two_currents(membrane, length)


def _first_crossing_one_current(m: Membrane, length: Tensor) -> Tensor:
    # With one current, u can rise through a positive threshold only while I > 0 and u' > 0;
    # there u is concave, up to its only maximum. exp(s/tau_mem) u'(s) falls as
    # u'(0) - I/tau_syn (1 - exp(-a s))/a, a = 1/tau_syn - 1/tau_mem, which gives its time.
    (current,), (tau_syn,) = m.currents, m.tau_syn
    slope = current - m.u / m.tau_mem
    rising = (slope > 0) & (current > 0)
    z = slope * tau_syn / torch.where(rising, current, torch.ones_like(current))
    z = torch.where(rising, z, torch.zeros_like(z))
    top = z * minus_log_ratio(z * (1 / tau_syn - 1 / m.tau_mem))
    # Without a peak (inf) the membrane comes from below leak, and stays there.
    peaks = rising & torch.isfinite(top)
    top = torch.where(peaks, top, torch.zeros_like(top))
    above, _ = m.at(top)
    above_at_end, _ = m.at(torch.minimum(top, length))
    reached = peaks & (above >= 0) & ((top <= length) | (above_at_end >= 0))
    result = torch.full_like(m.u, torch.inf)
    index = reached.nonzero().squeeze(1)
    if index.numel():
        # Between now and the peak, however long the interval: no spike depends on what follows.
        part = m.select(index)
        guess = _closed_form(part, top[index])
        crossing = _rising_root(part, torch.zeros_like(part.u), top[index], guess)
        result[index] = torch.minimum(crossing, length[index])
    return torch.where(m.u >= m.threshold, torch.zeros_like(result), result)


def _first_crossing_two_currents(m: Membrane, length: Tensor) -> Tensor:
    # g = exp(s/tau_mem) u'(s) has at most one extremum, where I_e/tau_e + I_i/tau_i = 0. It
    # cuts the interval in two pieces; on each, g is monotone, so u has at most one extremum
    # and the first crossing of the piece is bracketed by its start and its highest point.
    excitatory, inhibitory = m.currents
    tau_e, tau_i = m.tau_syn
    length = torch.minimum(length, _last_crossing(m)).clamp(min=0)
    rate = 1 / tau_i - 1 / tau_e
    ratio = (-inhibitory / tau_i) / torch.where(excitatory > 0, excitatory / tau_e, 1.0)
    has_cut = (excitatory > 0) & (inhibitory < 0) & (rate != 0)
    safe_ratio = torch.where(has_cut, ratio, torch.ones_like(ratio))
    cut = torch.log(safe_ratio) / torch.where(has_cut, rate, torch.ones_like(rate))
    cut = torch.where(has_cut, cut, torch.zeros_like(cut))
    cut = torch.minimum(cut.clamp(min=0), length)

    result = torch.full_like(m.u, torch.inf)
    for low, high in ((torch.zeros_like(cut), cut), (cut, length)):
        slope_low, slope_high = m.slope_at(low)[0], m.slope_at(high)[0]
        top = high.clone()
        humps = ((slope_low > 0) & (slope_high <= 0) & torch.isinf(result)).nonzero().squeeze(1)
        if humps.numel():
            top[humps] = _bracketed_newton(
                m.select(humps).fall_at,
                low[humps],
                high[humps],
                0.5 * (low[humps] + high[humps]),
            )
        above, _ = m.at(top)
        rises = (slope_low > 0) | (slope_high > 0)
        index = (torch.isinf(result) & rises & (above >= 0)).nonzero().squeeze(1)
        if index.numel():
            part = m.select(index)
            guess = _parabola(part, top[index], low[index])
            result[index] = _rising_root(part, low[index], top[index], guess)
    return torch.where(m.u >= m.threshold, torch.zeros_like(result), result)


def _last_crossing(m: Membrane) -> Tensor:
    """A time after which a membrane cannot reach its threshold; at most 0 if it never can.

    Looking further, the slope of a fast neuron would underflow in an interval that is long for
    a slow one, and a slope of 0 would be taken for a peak. From ``u(s) <= max(u, 0)
    exp(-s/tau_mem) + I k(s)`` with the excitation I, ``k(s) <= s exp(-s/slow)``, and
    ``y exp(-y/2) <= 2/e``.
    """
    excitation = m.currents[0].clamp(min=0)
    slow = torch.maximum(m.tau_mem, m.tau_syn[0])
    highest = (m.u.clamp(min=0) + excitation * slow) / m.threshold
    return 2 * slow * torch.log(torch.where(excitation > 0, highest, 1))


# --- roots --------------------------------------------------------------------------------


def _rising_root(m: Membrane, low: Tensor, high: Tensor, guess: Tensor) -> Tensor:
    """The crossing in ``[low, high]``, where ``u`` is below threshold at ``low`` only."""
    return _bracketed_newton(m.at, low, high, guess)


def _bracketed_newton(
    function: Callable[[Tensor], tuple[Tensor, ...]], low: Tensor, high: Tensor, guess: Tensor
) -> Tensor:
    """Root of a function that changes sign once, from - at ``low`` to >= 0 at ``high``.

    Newton's method; wherever a step leaves the bracket, or halves it too slowly, bisection.
    Stops when every step is below the rounding of its argument.
    """
    x = torch.minimum(torch.maximum(guess, low), high)
    epsilon = torch.finfo(x.dtype).eps
    previous = high - low
    for _ in range(MAX_ITERATIONS):
        value, slope = function(x)
        below = value < 0
        low = torch.where(below, x, low)
        high = torch.where(below, high, x)
        step = value / torch.where(slope == 0, torch.ones_like(slope), slope)
        newton = x - step
        tolerance = 2 * epsilon * torch.maximum(x.abs(), torch.ones_like(x) * epsilon)
        # A Newton step that is as small as the rounding of x has arrived, bracket or not.
        arrived = (step.abs() <= tolerance) & (slope != 0)
        inside = (slope != 0) & (newton > low) & (newton < high)
        shrinking = 2 * step.abs() <= previous.abs()
        bisection = 0.5 * (low + high)
        following = torch.where(inside & shrinking, newton, bisection)
        following = torch.where(arrived | (value == 0), x, following)
        previous = following - x
        done = arrived | (value == 0) | (high - low <= tolerance)
        x = following
        if bool(done.all()):
            break
    return x


def _closed_form(m: Membrane, top: Tensor) -> Tensor:
    """Crossing time in closed form where there is one, else a guess; refined by the caller.

    Göltz et al. 2021: Lambert W for ``tau_mem = tau_syn`` (eq. 6), a quadratic equation for
    ``tau_mem = 2 tau_syn`` (eq. 7). Near a grazing crossing both lose half of their digits,
    which the Newton steps that follow restore.
    """
    (current,), (tau_syn,) = m.currents, m.tau_syn
    ratio = m.tau_mem / tau_syn
    guess = _parabola(m, top, torch.zeros_like(top))
    one, two = ratio == 1, ratio == 2
    if bool(one.any()):
        scaled = m.u / (current * m.tau_mem)
        argument = -m.threshold / (current * m.tau_mem) * torch.exp(-scaled)
        s = -m.tau_mem * (lambert_w0(argument.clamp(min=-1 / math.e)) + scaled)
        guess = torch.where(one & torch.isfinite(s), s, guess)
    if bool(two.any()):
        a = current * m.tau_mem
        b = m.u + a
        root = b + torch.sqrt((b * b - 4 * a * m.threshold).clamp(min=0))
        s = -m.tau_mem * torch.log(root / (2 * a))
        guess = torch.where(two & torch.isfinite(s), s, guess)
    return guess


def _parabola(m: Membrane, top: Tensor, low: Tensor) -> Tensor:
    """Crossing of the parabola that osculates the membrane at ``top``, clipped to the bracket."""
    above, slope = m.at(top)
    _, curvature = m.slope_at(top)
    bent = torch.where(curvature < 0, curvature, torch.full_like(curvature, -1.0))
    discriminant = torch.sqrt((slope * slope - 2 * bent * above).clamp(min=0))
    step = (discriminant - slope) / bent
    return torch.minimum(torch.maximum(top + step, low), top)


def lambert_w0(x: Tensor) -> Tensor:
    """Principal branch of the Lambert W function for ``-1/e <= x <= 0``.

    Started from the branch-point series in ``sqrt(2 (e x + 1))`` (Corless et al. 1996,
    eq. 4.22) and refined by Halley's method (ibid., eq. 5.9).
    """
    p = torch.sqrt((2 * (math.e * x + 1)).clamp(min=0))
    w = -1 + p - p * p / 3 + 11 * p**3 / 72
    # Far from the branch point the series is poor, and W(x) ~ x (1 - x) near 0.
    w = torch.where(x > -0.15, x * (1 - x), w)
    for _ in range(8):
        exponential = torch.exp(w)
        error = w * exponential - x
        safe = torch.where(w > -1 + 1e-9, w + 1, torch.full_like(w, 1e-9))
        w = w - error / (exponential * safe - (w + 2) * error / (2 * safe))
    return w
