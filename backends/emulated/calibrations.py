"""Which calibrations fit an emulated chip, and what to do about one that does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from hxloop.backends.emulated.chip import EmulatedChip
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.knob_options import KnobOptions
from hxloop.backends.emulated.model import circuits_needed
from hxloop.chip.calibration import KnobCalibration, as_knob_calibration
from hxloop.errors import CalibrationError, CapacityError
from hxloop.network import NetworkSpec
from hxloop.substrate import Calibration

Chip = TypeVar("Chip", bound=EmulatedChip)


def chip_under(backend: Chip, calibration: KnobCalibration) -> Chip:
    """The chip that a calibration is put on.

    The preset "calibrated" stands in for a calibration: when there is one, the chip is the one
    that it was made on, of the preset "uncalibrated". Everywhere else it is the backend's own.
    """
    stands_in = backend.imperfections == Imperfections.calibrated()
    if stands_in and calibration.chip_id != backend.chip_id:
        before = replace(backend, imperfections=Imperfections.uncalibrated())
        if calibration.chip_id == before.chip_id:
            return before
    return backend


def check_fit(
    backend: EmulatedChip, network: NetworkSpec, calibration: Calibration
) -> KnobCalibration:
    """Refuse what is no calibration of this chip, or none for this network.

    Returns:
        The calibration.

    Raises:
        CalibrationError: no calibration, or one of another chip or for other time constants.
        CapacityError: it left too few circuits usable.
    """
    where = f"backend {backend.name!r}"
    made = as_knob_calibration(calibration)
    if made is None:
        raise CalibrationError(
            f"{where}: calibration: expected a result of hxloop.calibration.calibrate, or None; "
            f"got {type(calibration).__name__}"
        )
    chip_id = chip_under(backend, made).chip_id
    if made.chip_id is not None and made.chip_id != chip_id:
        raise CalibrationError(
            f"{where}: the calibration was made on chip {made.chip_id}; this is "
            f"{backend.chip_id}. {_way_out(backend, made.chip_id)}"
        )
    made.target.check_network(network, backend.tau_syn_us)
    needed, usable = circuits_needed(network), int(made.usable.sum())
    if needed > usable:
        raise CapacityError(
            f"{where}: network {network} needs {needed} neuron circuits; of "
            f"{len(made.usable)} on chip {chip_id} the calibration left {usable} usable"
        )
    return made


def _way_out(backend: EmulatedChip, made_on: str) -> str:
    """What to type, in the words of the command line."""
    number = re.match(r"emulated-(\d+)-", made_on)
    if number is None:
        open_it = "Open the chip it was made on"
    elif int(number[1]) != backend.chip:
        open_it = f"Open the chip it was made on (--set backend.options.chip={number[1]})"
    else:
        open_it = (
            f"Chip {backend.chip} had other imperfections or knob_options then: open it with those "
            "(--set backend.options.imperfections=..., backend.options.knob_options=...)"
        )
    return (
        f"{open_it}, or calibrate this one: {_calibrate_command(backend)}. To use the calibration "
        "here all the same, in Python: calibration.for_any_chip()"
    )


def _calibrate_command(backend: EmulatedChip) -> str:
    words = f"hxloop calibrate --chip {backend.chip}"
    imperfections = Imperfections.resolve(backend.imperfections)
    raw = Imperfections.uncalibrated()
    if imperfections not in (raw, Imperfections.calibrated()):
        table = _table(imperfections.as_dict(), raw.as_dict(), 'preset="uncalibrated"')
        words += f" --set 'backend.options.imperfections={table}'"
    knobs = KnobOptions.resolve(backend.knob_options)
    if knobs != KnobOptions():
        table = _table(knobs.as_dict(), KnobOptions().as_dict())
        words += f" --set 'backend.options.knob_options={table}'"
    return f"{words} --out FILE"


def _table(values: Mapping[str, float], usual: Mapping[str, float], *first: str) -> str:
    """A TOML table of what is not usual."""
    others = (f"{name}={value!r}" for name, value in values.items() if value != usual[name])
    return "{" + ", ".join([*first, *others]) + "}"
