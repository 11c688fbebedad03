"""One faulty chip, calibrated once for all tests that need a calibration."""

from __future__ import annotations

from functools import cache

from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.calibration import (
    CalibrationOptions,
    CalibrationResult,
    CalibrationTarget,
    calibrate,
    scale_network,
)
from hxloop.chip.readout import Readout


class Keyhole:
    """A session of which nothing can be seen but what the protocol says."""

    ALLOWED = frozenset(name for name in dir(Readout) if not name.startswith("_"))

    def __init__(self, session: object) -> None:
        def get(name: str) -> object:
            if name not in self.ALLOWED:
                raise AttributeError(f"a calibration has no business with {name!r}")
            return getattr(session, name)

        object.__setattr__(self, "_get", get)

    def __getattr__(self, name: str) -> object:
        return self._get(name)


# Less precise than the default, in half of its time.
QUICK = CalibrationOptions(search="prediction", repeats=4, refine_steps=1)
TARGET = CalibrationTarget()
FAULTY = {
    "imperfections": {"preset": "uncalibrated", "dead": 0.01},
    "knob_options": {"stuck": 0.02, "weak": 0.02},
}


def faulty_chip(**options: object) -> EmulatedChipBackend:
    """A chip with far more faults than usual."""
    return EmulatedChipBackend(**{"chip": 5, "solver": "event", **FAULTY, **options})


@cache
def calibrated() -> CalibrationResult:
    """Its calibration, with the quick options, of a session seen through a keyhole."""
    with faulty_chip().open(scale_network(512), seed=1) as session:
        return calibrate(Keyhole(session), TARGET, QUICK)
