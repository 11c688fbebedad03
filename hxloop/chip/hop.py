"""From one run to the next: recorded spikes, played again by the host.

On BrainScaleS-2 a hop adds about 80 ns, and the link takes one spike a cycle, in their order
(arXiv 2401.16840 and the vendor's sources). A network that takes several runs has this hop between
its layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.chip.clock import SLACK, truncate

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Hop:
    """What becomes of spikes between two runs.

    Args:
        latency: by how much later they arrive than they were recorded, model time.
        tick: cycle of the clock that they are played by, model time; 0: there is none.

    Raises:
        ConfigError: a negative number, or none.

    Example:
        >>> spikes = Spikes.from_first([[0.52, 0.51, 1.0]])
        >>> Hop(latency=0.2, tick=0.1).hand_over(spikes, 4.0)[0].first.round(9)
        array([[0.8, 0.7, 1.2]])
    """

    latency: float = 0.0
    tick: float = 0.0

    def __post_init__(self) -> None:
        checks.settle(
            self,
            latency=checks.number("Hop.latency", self.latency, low=0, below=1e9),
            tick=checks.number("Hop.tick", self.tick, low=0, below=1e9),
        )

    def hand_over(self, spikes: Spikes, t_window: float) -> tuple[Spikes, int]:
        """Spikes as the next run gets them.

        Args:
            spikes: as recorded.
            t_window: of the network.

        Returns:
            They, and how many came too late for the window, and are left out.
        """
        if self.latency == 0 and self.tick == 0:
            return spikes, 0
        times = spikes.times + self.latency
        if self.tick:
            times = self._one_a_cycle(times, spikes)
        late = times > t_window
        if not spikes.once:
            return spikes.at(times, t_window), int(late.sum())
        dense = np.full(spikes.shape, np.inf)
        kept = ~late
        dense[spikes.samples[kept], spikes.units[kept]] = times[kept]
        return Spikes.from_first(dense), int(late.sum())

    def _one_a_cycle(self, times: Array, spikes: Spikes) -> Array:
        """Every spike in a cycle of its own: its own one, or the first that is free.

        In order, spike i goes at ``max(own_i, before + 1)``; without the waiting, ``own_i - i``,
        that is a running maximum.
        """
        own = np.rint(truncate(times, self.tick) / self.tick).astype(np.int64)
        for start, end in zip(spikes.offsets[:-1], spikes.offsets[1:], strict=True):
            place = np.arange(end - start)
            own[start:end] = np.maximum.accumulate(own[start:end] - place) + place
        cycles: Array = own.astype(np.float64) * self.tick
        return cycles

    @property
    def largest_step(self) -> float:
        """By how much a spike of a free link is moved at most, model time."""
        return self.latency + self.tick * (1 + SLACK)
