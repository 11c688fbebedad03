"""Neurons side by side up to a common time: which spike, and when, in vectors; compiled.

What one neuron needs is a lane of an array of columns, ``WIDTH`` numbers each: every loop over
lanes is without a branch and becomes vector instructions. What they cannot settle (two currents,
membranes that graze the threshold, neurons at rest above it) is looked at one by one.
"""

from __future__ import annotations

import math

from hxloop.engine.compiled.forward import BRIEF, MARGIN, RISING
from hxloop.engine.compiled.intervals import decays
from hxloop.engine.compiled.membrane import crossing_within, rates
from hxloop.engine.compiled.spiking_neuron import EXC, HOLD, INH, LEVEL, MEM, PEAK, RESET, crossing
from hxloop.engine.compiled.vectors import EXACT_MATH, decay, logarithm, widest_vectors
from hxloop.machine.jit import njit

WIDTH = 64
# Columns: membrane and currents, until when it is held, and when that is; what differs between
# neurons of one kind; the state at the end of what is left of the interval, if it does not spike,
# and that length; what is known of its next spike, and after which time it comes.
U, I_EXC, I_INH, HELD, AT, THRESHOLD, TO, HOLDS, END_U, END_E, END_I, LENGTH, CODE, X = (
    WIDTH * column for column in range(14)
)
# Time constants and what follows from them.
TAU_MEM, PER_MEM, PER_EXC, PER_INH, RATE, PER_RATE, RATE_INH, PER_RATE_INH = (
    WIDTH * column for column in range(14, 22)
)
DIFFERS, PER_DIFFERS, LONGEST, HIGHEST = (WIDTH * column for column in range(22, 26))
_STATE, COLUMNS = 14, 26
# Codes: no spike; one at a known time; one that ``_root`` finds; one or none, to be looked at.
NONE, KNOWN, SOUGHT, UNCLEAR = 0.0, 1.0, 2.0, 3.0

_BELOW, _RISING, _BRIEF = MARGIN[8], RISING[8], BRIEF[8]
# Nearer to its threshold than this a peak is looked at closely.
_GRAZING = 1e-9
# Where the time constants are nearer to each other, the peak has a series of its own.
_EQUAL, _SMALL = 1e-3, 0.05
_STEPS = 8


@njit(cache=True, nogil=True)
def place(lanes, lane, neuron):  # type: ignore[no-untyped-def]
    """Put the constants of a neuron into a lane."""
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    lanes[THRESHOLD + lane], lanes[TO + lane] = neuron[LEVEL], neuron[RESET]
    lanes[HOLDS + lane], lanes[HIGHEST + lane] = neuron[HOLD], neuron[PEAK]
    lanes[TAU_MEM + lane], lanes[LONGEST + lane] = mem, _BRIEF * max(mem, exc)
    lanes[PER_MEM + lane], lanes[PER_EXC + lane] = 1.0 / mem, 1.0 / exc
    lanes[PER_INH + lane] = 1.0 / inh
    lanes[RATE + lane], lanes[PER_RATE + lane] = rates(mem, exc)
    lanes[RATE_INH + lane], lanes[PER_RATE_INH + lane] = rates(mem, inh)
    differs = (mem - exc) / mem
    lanes[DIFFERS + lane] = differs
    lanes[PER_DIFFERS + lane] = 0.0 if abs(differs) <= _EQUAL else 1.0 / differs


@njit(cache=True, nogil=True)
def whole_vectors(lanes, n):  # type: ignore[no-untyped-def]
    """How many lanes to go through for n neurons: a vector takes no longer than two numbers.

    What is in the others is of no neuron, and asks for nothing.
    """
    full = n if n % 8 < 2 else (n + 7) // 8 * 8
    for k in range(n, full):
        lanes[CODE + k], lanes[X + k] = KNOWN, 0.0
        lanes[HELD + k] = lanes[AT + k]
    return full


@njit(cache=True, nogil=True)
def copy_lane(source, lane, target, to, whole):  # type: ignore[no-untyped-def]
    """Copy the state of a neuron, or all of it, into a lane of another array, or the same."""
    for column in range(COLUMNS if whole else _STATE):
        target[WIDTH * column + to] = source[WIDTH * column + lane]


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def look_ahead(lanes, n, end, two):  # type: ignore[no-untyped-def]
    """Bring n neurons to their release, and fill ``END_*``, ``LENGTH`` and ``CODE``."""
    widest_vectors()
    held = 0
    for k in range(n):
        held += lanes[HELD + k] > lanes[AT + k]
    for k in range(n):
        lanes[CODE + k] = UNCLEAR
    if held > 0:
        for k in range(n):
            at, until = lanes[AT + k], lanes[HELD + k]
            free = min(max(at, until), end)
            lanes[I_EXC + k] *= decay((at - free) * lanes[PER_EXC + k])
            if two:
                lanes[I_INH + k] *= decay((at - free) * lanes[PER_INH + k])
            lanes[U + k] = lanes[TO + k] if until > at else lanes[U + k]
            lanes[CODE + k] = NONE if until > at and until >= end else UNCLEAR
            lanes[AT + k] = free
    for k in range(n):
        length = end - lanes[AT + k]
        of_mem, of_exc, by_exc = decays(
            length, lanes[PER_MEM + k], lanes[PER_EXC + k], lanes[RATE + k], lanes[PER_RATE + k]
        )
        lanes[LENGTH + k] = length
        lanes[END_U + k] = lanes[U + k] * of_mem + lanes[I_EXC + k] * by_exc
        lanes[END_E + k] = lanes[I_EXC + k] * of_exc
    if not two:
        return
    for k in range(n):
        _, of_inh, by_inh = decays(
            lanes[LENGTH + k], lanes[PER_MEM + k], lanes[PER_INH + k], lanes[RATE_INH + k],
            lanes[PER_RATE_INH + k],
        )  # fmt: skip
        lanes[END_U + k] += lanes[I_INH + k] * by_inh
        lanes[END_I + k] = lanes[I_INH + k] * of_inh


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def judge(lanes, n):  # type: ignore[no-untyped-def]
    """Which of n neurons spike before the end of the interval: ``CODE`` of those not held.

    The membrane peaks where the current is what leaks away: at ``tau_mem I exp(-s/tau_exc)``, by
    the time s of the peak ``tau_mem I (1 - x)^(1/d)`` with ``d = 1 - tau_exc/tau_mem`` and
    ``x = d (1 - u/(I tau_mem))``.
    """
    widest_vectors()
    for k in range(n):
        u, e, level, tau_mem = (
            lanes[U + k],
            lanes[I_EXC + k],
            lanes[THRESHOLD + k],
            lanes[TAU_MEM + k],
        )
        end_u, differs = lanes[END_U + k], lanes[DIFFERS + k]
        drive = (e if e > 0.0 else 1.0) * tau_mem
        y = 1.0 - u / drive
        x = y * differs
        equal = lanes[PER_DIFFERS + k] == 0.0
        far = logarithm(max(1.0 - x, 1e-300)) * lanes[PER_DIFFERS + k]
        series = 1.0 + x * (1 / 2 + x * (1 / 3 + x * (1 / 4 + x * (1 / 5 + x * (1 / 6)))))
        top = drive * decay(min(-y * series if equal else far, 0.0))
        below = end_u < level * _BELOW
        rises = lanes[END_E + k] * tau_mem > end_u * _RISING and (
            lanes[LENGTH + k] <= lanes[LONGEST + k]
        )
        falls = e <= 0.0 or y <= 0.0 or (x >= 1.0)
        known = not equal or abs(x) < _SMALL
        # Inhibition only lowers what it would be without.
        alone = lanes[I_INH + k] == 0.0
        low = falls or (known and top < level * (1.0 - _GRAZING))
        none = (low and (below or not alone)) or (below and rises and alone)
        sought = end_u >= level or (below and known and top > level * (1.0 + _GRAZING))
        code = SOUGHT if sought and alone else UNCLEAR
        code = NONE if none else code
        code = UNCLEAR if level <= 0.0 else code
        code = KNOWN if u >= level else code
        lanes[CODE + k] = NONE if lanes[CODE + k] == NONE else code
        lanes[X + k] = 0.0


@njit(cache=True, nogil=True)
def settle(lanes, k, neuron, two):  # type: ignore[no-untyped-def]
    """What is unclear, or was not found, looked at closely: ``CODE`` and ``X`` of one neuron."""
    u, e, length = lanes[U + k], lanes[I_EXC + k], lanes[LENGTH + k]
    i, level = lanes[I_INH + k] if two else 0.0, lanes[THRESHOLD + k]
    if i != 0.0 or level <= 0.0 or level == math.inf:
        found = crossing(u, e, i, neuron, length)
    else:
        end_u, end_e = lanes[END_U + k], lanes[END_E + k]
        found = crossing_within(u, e, end_u, end_e, neuron[MEM], neuron[EXC], level, length)
    lanes[CODE + k], lanes[X + k] = (NONE, 0.0) if found == math.inf else (KNOWN, found)


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def seek(lanes, n):  # type: ignore[no-untyped-def]
    """The next spikes of n neurons of one current whose ``CODE`` is ``SOUGHT``.

    By Halley's method from the parabola at the start, so that where it stops does not depend on
    the length. One whose steps do not settle, or lead out of the interval, becomes ``UNCLEAR``.
    """
    widest_vectors()
    for k in range(n):
        u, e, per_mem = lanes[U + k], lanes[I_EXC + k], lanes[PER_MEM + k]
        slope, gap = e - u * per_mem, lanes[THRESHOLD + k] - u
        inner = slope * slope - 2.0 * (slope * per_mem + e * lanes[PER_EXC + k]) * gap
        sure = slope if slope > 0.0 else 1.0
        x = 2.0 * gap / (sure + math.sqrt(max(inner, 0.0))) if inner > 0.0 else gap / sure
        sought = lanes[CODE + k] == SOUGHT
        lanes[X + k] = x if sought else lanes[X + k]
        lanes[CODE + k] = UNCLEAR if sought and slope <= 0.0 else lanes[CODE + k]
    for _ in range(_STEPS):
        left = 0
        for k in range(n):
            left += lanes[CODE + k] == SOUGHT
        if left == 0:
            break
        for k in range(n):
            x, per_mem, per_exc = lanes[X + k], lanes[PER_MEM + k], lanes[PER_EXC + k]
            of_mem, of_exc, by_exc = decays(
                x, per_mem, per_exc, lanes[RATE + k], lanes[PER_RATE + k]
            )
            value, current = (
                lanes[U + k] * of_mem + lanes[I_EXC + k] * by_exc,
                lanes[I_EXC + k] * of_exc,
            )
            slope = current - value * per_mem
            rising = slope > 0.0
            per_slope = 1.0 / (slope if rising else 1.0)
            bent = -per_mem - current * per_exc * per_slope  # curvature over slope
            newton = (value - lanes[THRESHOLD + k]) * per_slope
            step = newton / max(1.0 - 0.5 * newton * bent, 0.5)
            # What is left is of the third order of this.
            size = abs(step) * (abs(bent) + per_exc)
            sought = lanes[CODE + k] == SOUGHT
            following = x - step
            good = rising and following >= 0.0
            code = (KNOWN if size <= 4e-6 else SOUGHT) if good else UNCLEAR
            lanes[CODE + k] = code if sought else lanes[CODE + k]
            lanes[X + k] = following if sought and good else x
    for k in range(n):
        lost = lanes[CODE + k] != KNOWN or lanes[X + k] > lanes[LENGTH + k]
        lanes[CODE + k] = UNCLEAR if lost else KNOWN


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def let_spike(lanes, n, two):  # type: ignore[no-untyped-def]
    """Let n neurons spike at ``X``: membranes are held at reset, currents go on."""
    widest_vectors()
    for k in range(n):
        x = lanes[X + k]
        lanes[I_EXC + k] *= decay(-x * lanes[PER_EXC + k])
        lanes[U + k], lanes[AT + k] = lanes[TO + k], lanes[AT + k] + x
        lanes[HELD + k] = lanes[AT + k] + lanes[HOLDS + k]
    if two:
        for k in range(n):
            lanes[I_INH + k] *= decay(-lanes[X + k] * lanes[PER_INH + k])
