"""Calibrating the chip of a backend: what ``hxloop calibrate`` does, in Python.

The calibration sees a session only. What it came to is judged here, against the hidden truth
where a backend can tell it, and the search never learns of that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.calibration import (
    CalibrationOptions,
    CalibrationResult,
    calibrate,
    load_calibration,
    save_calibration,
    scale_network,
)
from hxloop.calibration.options import QUANTITIES, wanted
from hxloop.calibration.procedures import Progress
from hxloop.calibration.result import request_key
from hxloop.calibration.verify import Verification, verify
from hxloop.chip.calibration import truth_at_codes
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.placement import N_CIRCUITS
from hxloop.chip.readout import as_readout
from hxloop.errors import CalibrationInterrupted, OutputError
from hxloop.files import writing
from hxloop.files.lock import FileLock
from hxloop.network import NetworkSpec
from hxloop.substrate import Backend, get_backend
from hxloop.substrate.registry import backend_options

Array = NDArray[np.float64]

# Preferred options of the emulated chip: what has to be calibrated, and a fast solver.
EMULATED = {"imperfections": "uncalibrated", "solver": "event"}
# The seven ratios of spread that are reported, and the bounds up to which real chips are
# accepted (calix, test_neuron_distribution).
RATIO_BOUNDS: Mapping[str, float | None] = {
    "v_leak": 0.30,
    "v_reset": 0.20,
    "v_threshold": 0.35,
    "tau_mem": 0.45,
    "tau_syn_exc": 0.20,
    "tau_syn_inh": 0.20,
    "strength": None,
}


@dataclass(frozen=True)
class Judgement:
    """How good a calibration is.

    Attributes:
        by: "truth", or "measurement" where the substrate cannot tell.
        before, after: ``(circuits,)`` deviations from the target by quantity, in its own unit
            (strengths relative to the median); before is with all knobs at the median of the
            calibrated codes.
        ratios: spread after over spread before, 5 % of circuits trimmed at each end.
        strength_spread: of the strengths after, trimmed, relative.
        left: standard deviation of each quantity over the circuits in use after, in model units
            as of ``Imperfections``: relative, potentials in units of the leak-threshold distance.
        dead: circuits that were drawn dead.
        passed_bad: circuits reported good that are out of tolerance.
        failed_good: circuits reported failed that are within tolerance.
    """

    by: str
    before: Mapping[str, Array]
    after: Mapping[str, Array]
    ratios: Mapping[str, float]
    strength_spread: float
    left: Mapping[str, float]
    dead: tuple[int, ...]
    passed_bad: tuple[int, ...]
    failed_good: tuple[int, ...]


def chip_backend(
    name: str, chip: int | None, options: Mapping[str, Any], target: OperatingPoint
) -> Backend:
    """The backend to be calibrated.

    Args:
        name: of the backend.
        chip: number of the chip; None: the backend's default.
        options: of the backend; for the emulated chip on top of ``EMULATED``.
        target: one unit of model time is its ``tau_syn_us``, where the backend has a say.
    """
    known = backend_options(name)
    preferred = {**EMULATED, "tau_syn_us": target.tau_syn_us, "chip": chip}
    own = {k: v for k, v in preferred.items() if k in known and v is not None}
    if chip is not None:
        own["chip"] = chip  # refused by name where there is no such option
    return get_backend(name, **{**own, **options})


def calibration_network(target: OperatingPoint) -> NetworkSpec:
    """The network a session is opened with for a calibration: a neuron for every circuit."""
    return scale_network(N_CIRCUITS, target.tau_mem_us / target.tau_syn_us)


def calibrate_backend(
    backend: Backend,
    target: OperatingPoint,
    options: CalibrationOptions,
    *,
    out: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Calibrate the chip of a backend.

    Args:
        backend: not yet opened.
        target, options: what and how.
        out: where the result is written; beside it an interrupted calibration is kept, and
            gone on from. None writes nothing.
        cache: folder of earlier results by target, options, chip and version; one that is
            there is returned without a run.
        seed: of the session's noise, where it has a seed.
        progress: who is told.

    Raises:
        CalibrationInterrupted: stopped (Ctrl-C); another call goes on.
        OutputError: ``out`` cannot be written, or another process calibrates into it.
        CapacityError: a backend without knobs.
        CalibrationError: see ``hxloop.calibration.calibrate``.
    """
    out = None if out is None else checks.path("out", out, error=OutputError)
    cache = None if cache is None else checks.path("cache", cache)
    with _only_writer(out):
        resume = None if out is None else out.with_name(out.name + ".unfinished")
        try:
            with backend.open(calibration_network(target), seed=seed) as session:
                chip_id = as_readout(session).chip_id
                kept = cache and cache / f"{request_key(target, options, chip_id, _version())}.h5"
                if kept is not None and kept.exists():
                    result = load_calibration(kept, chip_id=chip_id)
                else:
                    result = calibrate(
                        session, target, options, progress=progress, resume=resume, out=out
                    )
                    if kept is not None:
                        save_calibration(kept, result)
                    return result
        except KeyboardInterrupt as error:
            where = (
                f"; what is done is kept in {resume}, the same command goes on" if resume else ""
            )
            raise CalibrationInterrupted(f"calibration stopped{where}") from error
        if out is not None:
            save_calibration(out, result)
        return result


@contextmanager
def _only_writer(out: Path | None) -> Iterator[None]:
    """Of two calibrations into one file, each would go on from the other's steps."""
    if out is None:
        yield
        return
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock.beside(out):
        yield


def verify_backend(backend: Backend, result: CalibrationResult, *, seed: int = 1) -> Verification:
    """Measure whether the chip of a backend is still as it was calibrated."""
    with backend.open(calibration_network(result.target), seed=seed) as session:
        return verify(session, result)


def judge_result(backend: Backend, result: CalibrationResult) -> Judgement:
    """Judge a calibration against what the backend knows of its chip.

    Where it knows nothing (a real chip), the measurements before and after are compared.
    """
    target = result.target
    truth = truth_at_codes(backend)
    if truth is None:
        before, after = result.before, result.estimates
        dead = np.zeros(result.n_circuits, dtype=np.bool_)
    else:
        network = calibration_network(target)
        medians = {
            name: np.full_like(codes, int(np.median(codes))) for name, codes in result.codes.items()
        }
        pattern = truth.parameters_at(network, result.codes, target)
        before = _absolute(truth.parameters_at(network, medians, target), target)
        after, dead = _absolute(pattern, target), pattern["dead"] > 0
    usable = result.usable
    # Strengths have no absolute target: they are relative to the median of those in use.
    unit = {
        name: float(np.nanmedian(values["strength_exc"][usable]))
        for name, values in (("before", before), ("after", after))
    }
    off = {
        when: {
            name: values[name] / (unit[when] if name.startswith("strength") else 1.0)
            - wanted(name, target)
            for name in QUANTITIES
        }
        for when, values in (("before", before), ("after", after))
    }
    good = ~dead
    for name in QUANTITIES:
        good &= np.abs(off["after"][name]) <= result.options.tolerance(name, target)
    spread = {when: {k: _trimmed(v) for k, v in values.items()} for when, values in off.items()}
    for values in spread.values():
        values["strength"] = max(values["strength_exc"], values["strength_inh"])
    return Judgement(
        by="measurement" if truth is None else "truth",
        before=off["before"],
        after=off["after"],
        ratios={name: spread["after"][name] / spread["before"][name] for name in RATIO_BOUNDS},
        strength_spread=spread["after"]["strength"],
        left={
            name: float(np.nanstd(off["after"][name][usable])) / _unit(name, target)
            for name in QUANTITIES
        },
        dead=_numbers(dead),
        passed_bad=_numbers(usable & ~good),
        failed_good=_numbers(~usable & good),
    )


def summary(result: CalibrationResult, judgement: Judgement, backend: Backend) -> dict[str, Any]:
    """Plain values, what ``--json`` prints."""
    return {
        "chip": result.chip_id,
        "backend": backend.name,
        "target": result.target.as_dict(),
        "ratios": dict(judgement.ratios),
        "ratios_judged_by": judgement.by,
        "strength_spread": judgement.strength_spread,
        "failed": list(result.failed),
        "failures": {str(circuit): text for circuit, text in result.failures.items()},
        "drawn_dead": list(judgement.dead),
        "passed_bad": list(judgement.passed_bad),
        "failed_good": list(judgement.failed_good),
        "weight_scale": result.weight_scale,
        "time_scale": result.time_scale,
        "spike_offset": result.spike_offset,
        "seconds": round(result.seconds, 2),
        "runs": result.runs,
        "digest": result.digest,
    }


def _absolute(pattern: Mapping[str, Array], target: OperatingPoint) -> dict[str, Array]:
    """A relative pattern in the units of ``QUANTITIES``."""
    values = {}
    for name in QUANTITIES:
        nominal = wanted(name, target) if name.startswith("v_") else 0.0
        values[name] = nominal + _unit(name, target) * pattern[name]
    return values


def _unit(name: str, target: OperatingPoint) -> float:
    """One model unit of a quantity, in the unit of ``QUANTITIES``."""
    return target.distance_lsb if name.startswith("v_") else wanted(name, target)


def _trimmed(values: Array) -> float:
    """Standard deviation without the 5 % lowest and the 5 % highest."""
    ordered = np.sort(values[np.isfinite(values)])
    cut = int(0.05 * len(ordered))
    return float(ordered[cut : len(ordered) - cut].std())


def _numbers(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(circuit) for circuit in np.flatnonzero(chosen))


def _version() -> str:
    from hxloop.version import __version__

    return __version__
