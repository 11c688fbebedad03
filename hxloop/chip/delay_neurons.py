"""Axonal delays on a chip that has none: by an extra neuron for every presynaptic one.

As on BrainScaleS-2 by Göltz et al. (Nat. Commun. 16, 2025): a spike makes a delay neuron fire,
whose refractory counter, when it is done, makes its partner fire; that spike is the delayed one.
The counter has a clock of 128 ns, and 2 us pass besides. While it counts, the delay neuron takes
no other spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import CapacityError
from hxloop.machine import say_once
from hxloop.network import NetworkSpec

Array = NDArray[np.float64]

# Of the counter; its values as they are used on the chip, where a delay follows them reliably.
PERIOD_US, BESIDES_US = 0.128, 2.0
LOWEST, HIGHEST = 50, 250


@dataclass(frozen=True)
class DelayNeurons:
    """What delays a chip can make.

    Args:
        unit_us: one unit of the network's time, in microseconds.
        counted: delays are rounded to what a counter can do.
    """

    unit_us: float
    counted: bool = True

    @property
    def shortest(self) -> float:
        """Of the delays, model time."""
        return (BESIDES_US + LOWEST * PERIOD_US) / self.unit_us

    @property
    def longest(self) -> float:
        """Of the delays, model time."""
        return (BESIDES_US + HIGHEST * PERIOD_US) / self.unit_us

    def check(self, network: NetworkSpec, where: str) -> None:
        """Refuse a network with delays that delay neurons cannot make.

        Raises:
            CapacityError: delays that are not axonal, or that may be shorter than the shortest.
        """
        for projection in network.all_projections:
            if projection.delays is None:
                continue
            name = f"{where}: projection {projection.name}"
            if projection.delays != "axonal":
                raise CapacityError(
                    f"{name}: delay neurons make axonal delays, one for each presynaptic neuron; "
                    f"got {projection.delays} ones"
                )
            if projection.min_delay < self.shortest * (1 - 1e-9):
                raise CapacityError(
                    f"{name}: delay neurons make delays from {self.shortest:.4g} to "
                    f"{self.longest:.4g} (model time); expected a min_delay of "
                    f"{self.shortest:.4g} or more; got {projection.min_delay:g}"
                )

    def hold(self, delays: Sequence[Array | None], where: str) -> list[Array | None]:
        """Delays as delay neurons make them: rounded, and those beyond the longest cut down to it.

        That some are is said once; what became of each is in the result.
        """
        held: list[Array | None] = []
        for each in delays:
            if each is None:
                held.append(None)
                continue
            if (each > self.longest * (1 + 1e-9)).any():
                say_once(
                    f"{where}: delays longer than delay neurons make them are held as "
                    f"{self.longest:.4g}; delays_used has what became of each."
                )
            kept = np.minimum(each, self.longest)
            if self.counted:
                count = np.rint((kept * self.unit_us - BESIDES_US) / PERIOD_US)
                count = np.clip(count, LOWEST, HIGHEST)
                kept = (BESIDES_US + count * PERIOD_US) / self.unit_us
            held.append(kept)
        return held
