"""What a calibration is asked for and what it comes to: target, options, result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes
from hxloop.errors import CalibrationError, UnknownNameError, unknown_name
from hxloop.files import sha256_of
from hxloop.text import Brief
from hxloop.version import __version__

Array = NDArray[np.float64]
CalibrationTarget = OperatingPoint

# Of a result's file, and of what a result means. Up to 1, the strengths estimated of a chip that
# was not calibrated yet were charges.
SCHEMA = "hxloop-calibration-2"
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

    def __post_init__(self) -> None:
        if self.search not in SEARCHES:
            raise UnknownNameError(unknown_name("search", str(self.search), SEARCHES))
        for name, low in (("repeats", 2), ("refine_steps", 0), ("seed", 0)):
            value = checks.whole(f"calibration {name}", getattr(self, name), low=low)
            checks.settle(self, **{name: value})
        for name in ("tolerance_lsb", "tolerance_tau", "tolerance_strength", "max_failed"):
            limit = checks.number(f"calibration {name}", getattr(self, name), above=0)
            checks.settle(self, **{name: limit})
        checks.settle(self, scales=checks.flag("calibration scales", self.scales))

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


@dataclass(frozen=True)
class StepRecord:
    """One step of the sequence.

    Attributes:
        name: of the step.
        knob: that it turned.
        unit: of its errors.
        errors: ``(circuits,)`` measured minus wanted at the codes it chose; NaN: not measurable.
        at_end: ``(circuits,)``: the code is at an end of the range.
        convergence: see ``search.Found``.
        runs: chip runs it took.
        seconds: time it took.
    """

    name: str
    knob: str
    unit: str
    errors: Array
    at_end: NDArray[np.bool_]
    convergence: Array
    runs: int
    seconds: float


@dataclass(frozen=True)
class Scales:
    """Model units in units of the substrate's nominal ones.

    Attributes:
        weight_scale: weight of one bit.
        time_scale: length of one unit of model time.
        spike_offset: what every recorded spike is late by, model time.
        residual: root mean square of the spike times' deviation that is left, model time.
    """

    weight_scale: float = 1.0
    time_scale: float = 1.0
    spike_offset: float = 0.0
    residual: float = math.nan


@dataclass
class Unfinished:
    """A calibration under way: what it takes to go on with it.

    Attributes:
        codes: present codes of all knobs.
        before: measured before anything was turned, by quantity.
        steps: done so far.
        targets: values that steps found for themselves (the median strength).
        runs, seconds: spent so far.
        trials: measurements so far, which the noise of the next ones hangs on.
    """

    codes: dict[str, Codes]
    before: dict[str, Array]
    steps: list[StepRecord] = field(default_factory=list)
    targets: dict[str, float] = field(default_factory=dict)
    runs: int = 0
    seconds: float = 0.0
    trials: int = 0


@dataclass(frozen=True, repr=False)
class CalibrationResult(Brief):
    """A finished calibration; what ``backend.open(network, calibration=...)`` takes.

    Attributes:
        target, options: what was asked for.
        chip_id: chip it was made on; None: it may be used on any.
        codes: ``(circuits,)`` for each knob.
        before, estimates: what was measured of every circuit before and after, by quantity, in
            the units of ``QUANTITIES``; NaN: not measurable.
        errors_of_estimates: standard errors of ``estimates``.
        failures: circuit -> what is wrong with it, in words.
        scales: of weight and time.
        steps: the sequence.
        runs, seconds: all chip runs and all time.
        made: when, UTC.
        version: of hxloop.
    """

    target: OperatingPoint
    options: CalibrationOptions
    chip_id: str | None
    codes: Mapping[str, Codes]
    before: Mapping[str, Array]
    estimates: Mapping[str, Array]
    errors_of_estimates: Mapping[str, Array]
    failures: Mapping[int, str]
    scales: Scales
    steps: tuple[StepRecord, ...]
    runs: int
    seconds: float
    made: str
    version: str = __version__

    @property
    def n_circuits(self) -> int:
        """Number of circuits of the chip."""
        return len(next(iter(self.codes.values())))

    @property
    def usable(self) -> NDArray[np.bool_]:
        """``(circuits,)``: which are good."""
        good = np.ones(self.n_circuits, dtype=np.bool_)
        good[list(self.failures)] = False
        return good

    @property
    def failed(self) -> tuple[int, ...]:
        """Numbers of the circuits that are not good."""
        return tuple(sorted(self.failures))

    @property
    def weight_scale(self) -> float:
        """See ``Scales``."""
        return self.scales.weight_scale

    @property
    def time_scale(self) -> float:
        """See ``Scales``."""
        return self.scales.time_scale

    @property
    def spike_offset(self) -> float:
        """See ``Scales``."""
        return self.scales.spike_offset

    @property
    def key(self) -> str:
        """Digest of what was asked for: target, options, chip, version."""
        return request_key(self.target, self.options, self.chip_id, self.version)

    @property
    def digest(self) -> str:
        """Digest of what was asked for and of what came of it, not of when and how fast."""
        head = f"{self.key} {asdict(self.scales)} {self.failed}"
        codes = [np.asarray(self.codes[name], dtype="<i8") for name in sorted(self.codes)]
        found = [np.asarray(self.estimates[name], dtype="<f8") for name in sorted(self.estimates)]
        return sha256_of(head, *codes, *found)[:16]

    def for_any_chip(self) -> CalibrationResult:
        """The same, to be used on whatever chip: one's own risk."""
        return replace(self, chip_id=None)

    def check_chip(self, chip_id: str) -> None:
        """Refuse another chip than it was made on.

        Raises:
            CalibrationError: another chip.
        """
        if self.chip_id not in (None, chip_id):
            raise CalibrationError(
                f"calibration: made on chip {self.chip_id}; this is chip {chip_id}. Calibrate this "
                "chip, or say that any chip will do: for_any_chip()"
            )

    def pattern(self, *, before: bool = False) -> dict[str, Array]:
        """Estimated fixed pattern in model units, as ``OperatingPoint.relative`` gives it.

        Strengths are in units of the median excitatory one, the fitted weight of one bit.

        Args:
            before: of the chip before it was calibrated, at the codes it had then.
        """
        chosen = self.before if before else self.estimates
        units = {"v": "_lsb", "tau": "_us", "strength": ""}
        return self.target.relative(
            {name + units[name.partition("_")[0]]: values for name, values in chosen.items()}
        )


def request_key(
    target: OperatingPoint, options: CalibrationOptions, chip_id: str | None, version: str
) -> str:
    """SHA-256 of what is asked for."""
    request = {
        "schema": SCHEMA,
        "target": target.as_dict(),
        "options": asdict(options),
        "chip": chip_id,
        "version": version,
    }
    return sha256_of(json.dumps(request, sort_keys=True))


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
