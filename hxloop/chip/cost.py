"""What a sample costs on a chip of the kind of BrainScaleS-2: an estimate from published figures.

Nothing of it is measured here. Time: samples are laid one after another on the chip's time axis,
30 tau_syn apart in published trainings and 7 in a published classification
(JulianGoeltz/fastAndDeep, ``src/networks.py``, ``src/hwdemo.ipynb``: 42 us at 6 us). Power: below
200 mW (abstract of Cramer et al., PNAS 119, 2022). Events: one each 8 ns on the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hxloop.chip.clock import CLOCK_SECONDS

SLOT, SHORTEST_SLOT = 30.0, 7.0
POWER_WATT = 0.2


@dataclass(frozen=True, kw_only=True)
class SampleCost:
    """An estimate for one sample, on the mean.

    Attributes:
        events_in, events_out: over the link.
        time_us: on the chip, with slots as in training; longer where the link takes longer.
        shortest_time_us: with the shortest slots that were published.
        energy_uj: at the power that the chip stays below, for ``time_us``.
        slot: from one sample to the next, model time.
    """

    events_in: float
    events_out: float
    time_us: float
    shortest_time_us: float
    energy_uj: float
    slot: float = SLOT

    def as_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.time_us:.0f} us and {self.energy_uj:.0f} uJ a sample in slots of {self.slot:g} "
            f"tau_syn, {self.shortest_time_us:.0f} us in the shortest published; "
            f"{self.events_in:.0f} events in, {self.events_out:.0f} out"
        )


def cost_in_words(cost: Mapping[str, float]) -> str:
    """An estimate as a line, of the mapping that ``SampleCost.as_dict`` is."""
    return str(SampleCost(**cost))


def estimated_cost(
    unit_us: float, events_in: float, events_out: float, slot: float = SLOT
) -> SampleCost:
    """Estimate it.

    Args:
        unit_us: one unit of model time on the chip.
        events_in, events_out: of a sample, on the mean.
        slot: from one sample to the next, model time.
    """
    link_us = (events_in + events_out) * CLOCK_SECONDS * 1e6
    time_us = max(slot * unit_us, link_us)
    return SampleCost(
        events_in=events_in,
        events_out=events_out,
        time_us=time_us,
        shortest_time_us=max(SHORTEST_SLOT * unit_us, link_us),
        energy_uj=POWER_WATT * time_us,
        slot=slot,
    )
