"""In which runs a backend would play a network, and how long chips would take for it.

Nothing is opened and nothing is run. A backend that plays networks in parts says its own plan; any
other one is asked about its size, and one without limits stands for a chip of BrainScaleS-2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from hxloop.chip.cost import estimated_cost
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.partition import partition
from hxloop.chip.placement import N_CIRCUITS
from hxloop.chip.run_plan import Limits, Plan
from hxloop.network import NetworkSpec
from hxloop.substrate import Backend, Calibration
from hxloop.substrate.optional import cost_of_sample, offers, usable_circuits


class InParts(Protocol):
    """A backend that plays a network in several runs, on the chips that it has."""

    @property
    def chips(self) -> Sequence[Backend]:
        """The chips, side by side."""
        ...

    def plan(self, network: NetworkSpec, calibration: Calibration | None = None) -> Plan:
        """The runs.

        Raises:
            CapacityError: there is no such plan.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan, and what it would take.

    Attributes:
        plan: the runs.
        chips: that play side by side.
        slot_us: an estimate of the time of one sample in one run, see ``hxloop.chip.cost``.
        remark: what to know where the backend itself would not play it so; "" = nothing.
    """

    plan: Plan
    chips: int
    slot_us: float
    remark: str = ""

    def seconds(self, samples: int) -> float:
        """An estimate: how long the chips would play so many samples, without the host's work."""
        return self.plan.seconds_on_chip(samples, self.slot_us, self.chips)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; see ``Plan.as_dict``."""
        return {
            "network": str(self.plan.network),
            "chips": self.chips,
            "slot_us": self.slot_us,
            "remark": self.remark,
            **self.plan.as_dict(),
        }


def planned(
    backend: Backend, network: NetworkSpec, calibration: Calibration | None = None
) -> Planned:
    """Plan a network for a backend.

    Args:
        backend: any.
        network: to be played.
        calibration: circuits that it left unusable are not counted on.

    Raises:
        CapacityError: there is no plan; the message names the population and the limit.
    """
    if offers(backend, InParts):
        in_parts = cast(InParts, backend)
        chips = in_parts.chips
        slot_us = max(_slot_us(chip) for chip in chips)
        plan = in_parts.plan(network, calibration)
        return Planned(plan=plan, chips=len(chips), slot_us=slot_us)
    capabilities = backend.capabilities
    circuits = capabilities.max_neurons or N_CIRCUITS
    if calibration is not None:
        circuits = int(usable_circuits(calibration, circuits).sum())
    plan = partition(network, Limits(circuits=circuits, max_fan_in=capabilities.max_fan_in))
    remark = ""
    if capabilities.max_neurons is None:
        remark = f"backend {backend.name!r} has no limits; this is the plan for a chip"
    elif len(plan.parts) > 1:
        remark = (
            f"backend {backend.name!r} plays what fits in one run; for these, backend "
            "'partitioned' over it"
        )
    return Planned(plan=plan, chips=1, slot_us=_slot_us(backend), remark=remark)


def _slot_us(chip: Backend) -> float:
    """Time of one sample in one run; of a substrate that is no chip, that of the usual one."""
    cost = cost_of_sample(chip, 0.0, 0.0)
    nominal = estimated_cost(OperatingPoint().tau_syn_us, 0.0, 0.0)
    return float(cost.get("time_us", nominal.time_us))
