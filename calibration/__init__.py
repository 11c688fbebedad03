"""Calibration: measure a chip through its own interface, and correct it.

It sees a session and its knobs (``hxloop.chip.readout``), never a backend's inside::

    from hxloop import get_backend
    from hxloop.calibration import calibrate, scale_network

    chip = get_backend("emulated-chip", chip=3, imperfections="uncalibrated", solver="event")
    with chip.open(scale_network(512), seed=1) as session:
        result = calibrate(session)
    session = chip.open(network, calibration=result)
"""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.calibration.files import load_calibration, save_calibration
    from hxloop.calibration.measured_scales import (
        MeasuredScales,
        load_scales,
        measure_scales,
        save_scales,
    )
    from hxloop.calibration.options import CalibrationOptions, CalibrationTarget
    from hxloop.calibration.procedures import calibrate
    from hxloop.calibration.result import CalibrationResult
    from hxloop.calibration.scales import fit_scales, scale_network
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "CalibrationOptions",
    "CalibrationResult",
    "CalibrationTarget",
    "MeasuredScales",
    "calibrate",
    "fit_scales",
    "load_calibration",
    "load_scales",
    "measure_scales",
    "save_calibration",
    "save_scales",
    "scale_network",
]
