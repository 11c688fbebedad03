"""The refractory time of BrainScaleS-2 neurons: an 8-bit counter of one of two clocks.

A clock is 250 MHz divided by a power of two, from 8 ns to 262 us; neurons choose between a fast
and a slow one, which they share. Nothing is measured: codes follow from the times wanted, as in the
vendor's calibration (calix).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import CapacityError

Array = NDArray[np.float64]

CLOCK_MHZ, SCALES, COUNTER_MAX = 250.0, 16, 255
# What neurons are calibrated for begins here (calix).
SHORTEST_US = 0.040


@dataclass(frozen=True)
class RefractoryCode:
    """What a neuron is told.

    Attributes:
        counter: 0 to 255.
        period_us: of the clock that it counts.
    """

    counter: int
    period_us: float

    @property
    def time_us(self) -> float:
        """For how long the membrane is held; the neuron may spike a cycle later."""
        return (self.counter - 1) * self.period_us


def period_us(clock_scale: int) -> float:
    """Of a clock that divides by ``2 ** (clock_scale + 1)``."""
    return 2.0 ** (clock_scale + 1) / CLOCK_MHZ


def counter_of(time_us: float, period: float) -> int:
    """What a neuron counts whose membrane is to be held for a time; perhaps beyond 255."""
    return round(time_us / period) + 1


def refractory_codes(times_us: Sequence[float], *, where: str) -> tuple[RefractoryCode, ...]:
    """What to tell neurons that are to be held for these times.

    Each is counted by the finest clock that reaches it. Where that would be more than two, the
    shortest times have the fast clock, and all others the one of the longest.

    Args:
        times_us: finite, in microseconds; those below 40 ns count as 40 ns.
        where: begins messages.

    Raises:
        CapacityError: a time that no clock reaches.

    Example:
        >>> [code.counter for code in refractory_codes([2.0, 16.3], where="chip")]
        [251, 128]
    """
    wanted = np.maximum(np.asarray(times_us, np.float64), SHORTEST_US)
    periods = [period_us(scale) for scale in range(SCALES)]
    longest = periods[-1] * (COUNTER_MAX - 0.5)
    if wanted.size and not wanted.max() < longest:
        raise CapacityError(
            f"{where}: t_refractory: expected at most {longest / 1000:g} ms, the longest time that "
            f"the counter reaches; got {wanted.max() / 1000:g} ms. t_refractory = inf: a neuron "
            "spikes once"
        )
    finest = [
        next(period for period in periods if counter_of(time, period) <= COUNTER_MAX)
        for time in wanted
    ]
    slow = max(finest, default=0.0)
    fast = min(finest, default=0.0)
    clocks = [period if period == fast else slow for period in finest]
    return tuple(
        RefractoryCode(counter_of(time, period), period)
        for time, period in zip(wanted, clocks, strict=True)
    )


def trimmed_us(code: RefractoryCode, time_us: float, excess_us: NDArray[np.float64]) -> Array:
    """For how long circuits count that are held longer than that: each by a counter of its own.

    Args:
        code: of the population, which has the clock.
        time_us: for which they are to be held.
        excess_us: ``(circuits,)``, by how much longer they are held than they count.
    """
    counters = np.clip(np.rint((time_us - excess_us) / code.period_us), 0, COUNTER_MAX)
    return np.asarray(counters * code.period_us)


def held_us(codes: Sequence[RefractoryCode]) -> NDArray[np.float64]:
    """``(codes,)``: for how long membranes are held."""
    return np.array([code.time_us for code in codes], dtype=np.float64)
