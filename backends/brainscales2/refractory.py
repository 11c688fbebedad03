"""How long neurons of a calibrated chip are held after a spike: a counter, set without calibration.

The vendor's calibration files hold neurons for 2 us, a third of a synaptic time constant, so that
driven ones spike in bursts. Counter and clocks: ``hxloop.chip.refractory``. All neurons here take
the fast one of the chip's two clocks, as they do in the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hxloop.chip.refractory import COUNTER_MAX, SCALES, counter_of, period_us
from hxloop.errors import CapacityError

# The vendor's calibration takes 30 cycles at least: to 3 %.
COUNTED = 0.03


@dataclass(frozen=True)
class Refractory:
    """What the chip is told.

    Attributes:
        clock_scale: of the fast clock, for all neurons.
        counters: of each population.
    """

    clock_scale: int
    counters: tuple[int, ...]

    def counter(self, time_us: float) -> int:
        """Of neurons that are to be held for this time."""
        return counter_of(time_us, period_us(self.clock_scale))

    @property
    def held_us(self) -> tuple[float, ...]:
        """For how long neurons of each population are held."""
        return tuple((counter - 1) * period_us(self.clock_scale) for counter in self.counters)


def refractory_of(times_us: Sequence[float], where: str) -> Refractory:
    """Counters for these times, of the finest clock that reaches the longest.

    Args:
        times_us: of each population, positive.
        where: begins messages.

    Raises:
        CapacityError: times so different that no one clock counts all of them to 3 %.

    Example:
        >>> refractory_of([30.0], "chip")
        Refractory(clock_scale=4, counters=(235,))
    """
    longest = max(times_us)
    scale = next(
        (s for s in range(SCALES) if counter_of(longest, period_us(s)) <= COUNTER_MAX), SCALES - 1
    )
    found = Refractory(scale, tuple(counter_of(t, period_us(scale)) for t in times_us))
    for index, (asked, held) in enumerate(zip(times_us, found.held_us, strict=True)):
        if abs(held - asked) > COUNTED * asked:
            raise CapacityError(
                f"{where}: population {index} is to be held for {asked:g} us after a spike, and "
                f"another one for {max(times_us):g} us; the chip counts both by one clock, of "
                f"{period_us(scale):g} us then, so that it would be {held:g} us. Choose refractory "
                "times that are less different (tau_refrac_us, for neurons that spike once)"
            )
    return found
