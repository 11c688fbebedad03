"""What a calibration of knobs is, and who knows the truth about what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes
from hxloop.network import NetworkSpec
from hxloop.substrate import Backend, Calibration
from hxloop.substrate.optional import offers


class KnobCalibration(Calibration, Protocol):
    """A calibration of a chip with knobs, circuit by circuit."""

    @property
    def target(self) -> OperatingPoint:
        """What it was made for."""
        ...

    @property
    def chip_id(self) -> str | None:
        """The chip it was made on; None: any chip will do."""
        ...

    @property
    def digest(self) -> str:
        """Identifies it."""
        ...

    @property
    def codes(self) -> Mapping[str, Codes]:
        """``(circuits,)`` for each knob."""
        ...

    @property
    def usable(self) -> NDArray[np.bool_]:
        """``(circuits,)``: which may be used."""
        ...


class RefractoryCalibration(Protocol):
    """A calibration that may know what circuits are held for beyond what their counters say."""

    @property
    def refractory_excess_us(self) -> NDArray[np.float64] | None:
        """``(circuits,)``, NaN where it could not be measured; None: not measured."""
        ...


class KnobTruth(Protocol):
    """An emulator that knows what its circuits are at given codes. For reports."""

    def parameters_at(
        self,
        network: NetworkSpec,
        codes: Mapping[str, Codes] | None = None,
        target: OperatingPoint | None = None,
    ) -> Mapping[str, NDArray[np.float64]]:
        """The fixed pattern of the whole chip, in the form of ``OperatingPoint.relative``.

        Args:
            network: says how large the chip is.
            codes: of all knobs; None: the median codes.
            target: what deviations are relative to; None: the default operating point.
        """
        ...


def as_knob_calibration(calibration: Any) -> KnobCalibration | None:
    """The calibration, if it is one of knobs; else None."""
    return calibration if offers(calibration, KnobCalibration) else None


def refractory_excess_of(calibration: Any) -> NDArray[np.float64] | None:
    """What a calibration says that counters must make up for, us; None: nothing. NaN count 0."""
    known = calibration if offers(calibration, RefractoryCalibration) else None
    excess = None if known is None else known.refractory_excess_us
    return None if excess is None else np.nan_to_num(excess)


def truth_at_codes(backend: Backend) -> KnobTruth | None:
    """The backend, if it knows what its circuits are; None: a real chip."""
    known: Any = backend
    return known if offers(known, KnobTruth) else None
