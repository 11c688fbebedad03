"""Calibrations on disk: HDF5, whole or not at all, checked when read.

Layout of a result: attributes ``schema``, ``header`` (JSON: target, options, chip, scales,
failures, runs, seconds, time, version) and ``checksum``; groups ``codes``, ``before``,
``estimates``, ``errors_of_estimates`` with an array ``(circuits,)`` for each name; and
``steps/0``, ``steps/1``, ... with ``errors``, ``at_end``, ``convergence`` and a JSON header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.calibration.options import CalibrationOptions
from hxloop.calibration.result import SCHEMA, CalibrationResult, Scales, StepRecord, Unfinished
from hxloop.chip.operating_point import OperatingPoint
from hxloop.errors import CalibrationError, FileFormatError, HxloopError, OutputError
from hxloop.files import replacing, sha256_of
from hxloop.files.hdf5 import open_checked
from hxloop.files.hdf5_new_file import new_file
from hxloop.files.json_text import parse_json
from hxloop.network import NetworkSpec

UNFINISHED = "hxloop-calibration-unfinished-1"
_GROUPS = ("codes", "before", "estimates", "errors_of_estimates")
_STEP_ARRAYS = ("errors", "at_end", "convergence")
_STEP_HEADER = ("name", "knob", "unit", "runs", "seconds")


def save_calibration(path: Path | str, result: CalibrationResult) -> None:
    """Write a result.

    Raises:
        OutputError: the folder cannot be written to.
    """
    header = {
        "target": result.target.as_dict(),
        "options": result.options.as_dict(),
        "chip_id": result.chip_id,
        "scales": asdict(result.scales),
        "failures": {str(circuit): text for circuit, text in result.failures.items()},
        "runs": result.runs,
        "seconds": result.seconds,
        "made": result.made,
        "version": result.version,
        "key": result.key,
        "digest": result.digest,
    }
    groups = {name: getattr(result, name) for name in _GROUPS}
    _write(checks.path("path", path, error=OutputError), SCHEMA, header, groups, result.steps)


def load_calibration(
    path: Path | str,
    *,
    chip_id: str | None = None,
    network: NetworkSpec | None = None,
    tau_syn_us: float | None = None,
    force: bool = False,
) -> CalibrationResult:
    """Read a result.

    Args:
        path: the file.
        chip_id: the chip that it is wanted for; None: whichever.
        network: the network that it is wanted for; None: whichever.
        tau_syn_us: length of one unit of model time; None: that of the calibration.
        force: also for another chip and another network; the result is then good for any chip.

    Raises:
        FileFormatError: missing, truncated, corrupt, or of another schema.
        CalibrationError: made for another chip or network.
    """
    header, arrays, steps = _read(checks.path("path", path), SCHEMA)
    try:
        target = OperatingPoint(**header["target"])
        result = CalibrationResult(
            target=target,
            options=CalibrationOptions(**header["options"]),
            chip_id=header["chip_id"],
            failures={int(k): v for k, v in header["failures"].items()},
            scales=Scales(**header["scales"]),
            steps=steps,
            runs=header["runs"],
            seconds=header["seconds"],
            made=header["made"],
            version=header["version"],
            **{name: arrays[name] for name in _GROUPS},
        )
        _check_shapes(result)
    except (KeyError, TypeError, ValueError, AttributeError, HxloopError) as error:
        raise FileFormatError(
            f"calibration {path}: not what schema {SCHEMA!r} says: {error}"
        ) from error
    if force:
        return result.for_any_chip()
    try:
        if chip_id is not None:
            result.check_chip(chip_id)
        if network is not None:
            result.target.check_network(network, tau_syn_us or result.target.tau_syn_us)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    return result


def _check_shapes(result: CalibrationResult) -> None:
    """Check that all arrays are of the same circuits.

    Raises:
        ValueError: they are not, or a circuit that failed is none of them.
    """
    n = result.n_circuits
    for group in _GROUPS:
        for name, values in getattr(result, group).items():
            if values.shape != (n,) or values.dtype.kind not in "fi":
                raise ValueError(f"{group}/{name} is of {values.dtype} {values.shape}, not ({n},)")
    if any(not 0 <= circuit < n for circuit in result.failures):
        raise ValueError(f"failures are not all of circuits 0 to {n - 1}")


def save_unfinished(path: Path, key: str, state: Unfinished) -> None:
    """Write what it takes to go on.

    Raises:
        OutputError: the folder cannot be written to.
    """
    header = {"key": key, "targets": state.targets, "runs": state.runs, "seconds": state.seconds,
              "trials": state.trials}  # fmt: skip
    _write(path, UNFINISHED, header, {"codes": state.codes, "before": state.before}, state.steps)


def load_unfinished(path: Path, key: str) -> Unfinished | None:
    """Read what it takes to go on; None if there is no file.

    Raises:
        FileFormatError: truncated, corrupt, or something else.
        CalibrationError: of another target, chip, version or options.
    """
    if not path.exists():
        return None
    header, arrays, steps = _read(path, UNFINISHED)
    if header.get("key") != key:
        raise CalibrationError(
            f"{path}: holds an interrupted calibration of another target, other options, another "
            "chip or version of hxloop. Remove it to begin anew, or give another file."
        )
    return Unfinished(
        arrays["codes"], arrays["before"], list(steps), dict(header["targets"]),
        header["runs"], header["seconds"],
        header.get("trials", 0),  # earlier versions did not keep it
    )  # fmt: skip


# --- HDF5 ---------------------------------------------------------------------------------


def _write(
    path: Path,
    schema: str,
    header: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, NDArray[Any]]],
    steps: Any,
) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    with replacing(path) as new, new_file(new) as file:
        file.attrs["schema"] = schema
        file.attrs["header"] = json.dumps(header)
        for group, arrays in groups.items():
            for name, values in arrays.items():
                file.create_dataset(f"{group}/{name}", data=values)
        for index, step in enumerate(steps):
            for name in _STEP_ARRAYS:
                file.create_dataset(f"steps/{index}/{name}", data=getattr(step, name))
            described = {name: getattr(step, name) for name in _STEP_HEADER}
            file[f"steps/{index}"].attrs["header"] = json.dumps(described)
        file.attrs["checksum"] = _checksum(file)


def _read(
    path: Path, schema: str
) -> tuple[dict[str, Any], dict[str, dict[str, NDArray[Any]]], tuple[StepRecord, ...]]:
    if not path.is_file():
        raise FileFormatError(f"calibration {path}: no such file")
    try:
        with open_checked(path, "a calibration") as file:
            found = file.attrs.get("schema")
            if found != schema:
                raise _Refused(
                    f"expected schema {schema!r}; got {found!r}. Calibrate again with this version "
                    "of hxloop."
                )
            if file.attrs.get("checksum") != _checksum(file):
                raise _Refused("corrupt, its checksum does not match")
            header = parse_json(file.attrs["header"])
            groups = {
                group: {name: values[()] for name, values in file[group].items()}
                for group in file
                if group != "steps"
            }
            stored = file.get("steps", {})
            steps = tuple(_step(stored[str(index)]) for index in range(len(stored)))
    except _Refused as error:
        raise FileFormatError(f"calibration {path}: {error}") from error
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        told = str(error).removeprefix(f"{path}: ")
        raise FileFormatError(f"calibration {path}: truncated or corrupt ({told})") from error
    return header, groups, steps


class _Refused(FileFormatError):
    """What is there can be read, and is not wanted."""


def _step(group: Any) -> StepRecord:
    arrays = {name: group[name][()] for name in _STEP_ARRAYS}
    return StepRecord(**parse_json(group.attrs["header"]), **arrays)


def _checksum(file: Any) -> str:
    """Of the header, and of all arrays with their names and shapes."""
    parts: list[str | NDArray[Any]] = [str(file.attrs["header"])]

    def add(name: str, item: Any) -> None:
        if "header" in item.attrs:
            parts.append(str(item.attrs["header"]))
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item[()])
            parts.extend([f"{name} {values.dtype.str} {values.shape}", values])

    file.visititems(add)
    return sha256_of(*parts)
