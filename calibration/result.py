"""What a calibration comes to: its steps, the scales, the result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.calibration.options import QUANTITIES, CalibrationOptions
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes
from hxloop.errors import CalibrationError
from hxloop.files import sha256_of
from hxloop.text import Brief
from hxloop.version import __version__

Array = NDArray[np.float64]

# Of a result's file, and of what a result means. Up to 1, the strengths estimated of a chip that
# was not calibrated yet were charges.
SCHEMA = "hxloop-calibration-2"
# Among the estimates, where it was measured.
REFRACTORY = "t_refractory"


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
            the units of ``QUANTITIES``; NaN: not measurable. After, with ``options.refractory``,
            "t_refractory": us by which a circuit is held longer than its counter says.
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

    @property
    def refractory_excess_us(self) -> Array | None:
        """``(circuits,)``: by how much longer each is held than counted; None: not measured."""
        return self.estimates.get(REFRACTORY)

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
            {name + units[name.partition("_")[0]]: chosen[name] for name in QUANTITIES}
        )


def request_key(
    target: OperatingPoint, options: CalibrationOptions, chip_id: str | None, version: str
) -> str:
    """SHA-256 of what is asked for."""
    request = {
        "schema": SCHEMA,
        "target": target.as_dict(),
        "options": options.as_dict(),
        "chip": chip_id,
        "version": version,
    }
    return sha256_of(json.dumps(request, sort_keys=True))
