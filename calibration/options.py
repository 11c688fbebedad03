"""What a calibration is asked for: the target, how to reach it, and what counts as reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hxloop import checks
from hxloop.chip.operating_point import OperatingPoint
from hxloop.errors import UnknownNameError, unknown_name

CalibrationTarget = OperatingPoint
SEARCHES = ("noisy-bisection", "bisection", "prediction", "linear")
# What is judged of every circuit in the end, and its unit.
QUANTITIES = {
    "v_threshold": "LSB",
    "v_leak": "LSB",
    "v_reset": "LSB",
    "tau_mem": "us",
    "tau_syn_exc": "us",
    "tau_syn_inh": "us",
    "strength_exc": "of the median",
    "strength_inh": "of the median",
}


@dataclass(frozen=True)
class CalibrationOptions:
    """How to calibrate.

    Args:
        search: of the first search of every knob, see ``hxloop.calibration.search``.
        repeats: measurements averaged in refinement and in the final verification.
        refine_steps: corrections of every knob after its search.
        tolerance_lsb: a circuit is good if its potentials are this close to the target.
        tolerance_tau: the same for time constants, relative.
        tolerance_strength: the same for synaptic strengths, relative to the median.
        max_failed: largest share of circuits that may fail.
        scales: fit weight scale, time scale and spike-time offset at the end.
        refractory: measure by how much longer each circuit is held after a spike than its counter
            says, for networks whose neurons spike again; their counters then make up for it.
        seed: of the dither of the codes.

    Raises:
        ConfigError: an option out of range.
        UnknownNameError: an unknown search.
    """

    search: str = "noisy-bisection"
    repeats: int = 6
    refine_steps: int = 2
    tolerance_lsb: float = 4.0
    tolerance_tau: float = 0.08
    tolerance_strength: float = 0.10
    max_failed: float = 0.2
    scales: bool = True
    seed: int = 0
    refractory: bool = False

    def __post_init__(self) -> None:
        if self.search not in SEARCHES:
            raise UnknownNameError(unknown_name("search", str(self.search), SEARCHES))
        for name, low in (("repeats", 2), ("refine_steps", 0), ("seed", 0)):
            value = checks.whole(f"calibration {name}", getattr(self, name), low=low)
            checks.settle(self, **{name: value})
        for name in ("tolerance_lsb", "tolerance_tau", "tolerance_strength", "max_failed"):
            limit = checks.number(f"calibration {name}", getattr(self, name), above=0)
            checks.settle(self, **{name: limit})
        for name in ("scales", "refractory"):
            flag = checks.flag(f"calibration {name}", getattr(self, name))
            checks.settle(self, **{name: flag})

    def as_dict(self) -> dict[str, Any]:
        """All values by name; what earlier versions did not have, if it is asked for."""
        values = asdict(self)
        if not self.refractory:
            del values["refractory"]
        return values

    def tolerance(self, quantity: str, target: OperatingPoint) -> float:
        """How far a quantity may be off, in its own unit."""
        if quantity.startswith("strength"):
            return self.tolerance_strength
        if quantity.startswith("tau"):
            name = "tau_mem_us" if quantity == "tau_mem" else "tau_syn_us"
            return self.tolerance_tau * float(getattr(target, name))
        return self.tolerance_lsb


def wanted(quantity: str, target: OperatingPoint) -> float:
    """Value of a quantity at the target, in its own unit."""
    if quantity.startswith("strength"):
        return 1.0
    if quantity.startswith("tau_syn"):
        return target.tau_syn_us
    if quantity == "tau_mem":
        return target.tau_mem_us
    return float(getattr(target, f"{quantity}_lsb"))


def options_from(values: Mapping[str, Any]) -> CalibrationOptions:
    """Options from names and values.

    Raises:
        UnknownNameError: an unknown name.
        ConfigError: a value out of range.
    """
    known = [field.name for field in fields(CalibrationOptions)]
    for name in values:
        if name not in known:
            raise UnknownNameError(unknown_name("calibration option", name, known))
    return CalibrationOptions(**values)
