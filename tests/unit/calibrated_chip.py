"""One faulty chip, calibrated once for all tests that need a calibration."""

from __future__ import annotations

from functools import cache

from hxloop.backends.emulated_chip import EmulatedChipBackend
from hxloop.calibration import (
    CalibrationOptions,
    CalibrationResult,
    CalibrationTarget,
    calibrate,
    scale_network,
)

# Two searches less precise than the default, in a third of its time.
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
    """Its calibration, with the quick options."""
    with faulty_chip().open(scale_network(512), seed=1) as session:
        return calibrate(session, TARGET, QUICK)
