"""What there is of the vendor's software on this machine, and of a chip behind it."""

from __future__ import annotations

from pathlib import Path

from hxloop.backends.brainscales2 import vendor
from hxloop.backends.brainscales2.operating_points import operating_point
from hxloop.errors import FileFormatError, MissingDependencyError
from hxloop.substrate.chip_software import SoftwareFindings


def examine(backend: str, calibration: Path | None, *, connect: bool) -> SoftwareFindings:
    """Look, and change nothing; see ``hxloop.substrate.chip_software``."""
    rows = {name: "not set" for name in vendor.CONNECTION} | vendor.connection()
    problems: list[str] = []
    try:
        sim = vendor.import_vendor(backend)
    except MissingDependencyError as error:
        rows["software"] = f"not installed ({error.__cause__})"
        if connect or calibration is not None:
            problems.append(str(error))
        return SoftwareFindings(rows=rows, problems=problems)
    rows["software"] = f"{vendor.versions()['pynn-brainscales']}, release: {vendor.release_of(sim)}"
    if connect:
        chip = vendor.chip_id(sim)
        rows["chip"] = chip or "does not say"
        if chip is None:
            problems.append(f"no chip answers. {vendor.how_to_connect()}")
    if calibration is not None:
        point = operating_point(str(calibration))
        rows["calibration"] = str(calibration)
        rows["operating point"] = (
            "unknown: not the name of a vendor's file"
            if point is None
            else ", ".join(f"{name} {value:g}" for name, value in vars(point).items())
        )
        if not calibration.is_file():
            problems.append(f"{calibration}: no such calibration file. {vendor.HOW_TO_GET_A_FILE}")
        else:
            try:
                vendor.read_calibration(sim, str(calibration))
            except FileFormatError as error:
                problems.append(str(error))
    return SoftwareFindings(rows=rows, problems=problems)
