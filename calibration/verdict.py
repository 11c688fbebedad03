"""Which circuits are good, judged by what was measured of them; and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hxloop.calibration.options import QUANTITIES, CalibrationOptions, wanted
from hxloop.chip.operating_point import OperatingPoint
from hxloop.errors import CalibrationError

Array = NDArray[np.float64]


def judge(
    estimates: Mapping[str, Array],
    errors: Mapping[str, Array],
    target: OperatingPoint,
    options: CalibrationOptions,
) -> dict[int, str]:
    """Circuits that are not good, and why.

    A circuit is good if every quantity, with two standard errors added to its deviation, is
    within the tolerance: one that may be bad is not passed.
    """
    reasons: dict[int, list[str]] = {}
    for name, unit in QUANTITIES.items():
        goal, tolerance = wanted(name, target), options.tolerance(name, target)
        deviation = np.abs(estimates[name] - goal) + 2 * np.nan_to_num(errors[name])
        for circuit in np.flatnonzero(~(deviation <= tolerance)):
            value = estimates[name][circuit]
            seen = f"{value:.4g} {unit}" if np.isfinite(value) else "not measurable"
            text = f"{name} {seen}, expected {goal:g} +- {tolerance:.3g}"
            reasons.setdefault(int(circuit), []).append(text)
    return {circuit: "; ".join(texts) for circuit, texts in sorted(reasons.items())}


def check_failures(
    failures: Mapping[int, str],
    estimates: Mapping[str, Array],
    target: OperatingPoint,
    options: CalibrationOptions,
) -> None:
    """Refuse a calibration that has left too many circuits outside the tolerances.

    Raises:
        CalibrationError: more than ``options.max_failed``; says by how much each quantity is off.
    """
    n_circuits = len(estimates["v_leak"])
    if len(failures) <= options.max_failed * n_circuits:
        return
    lines = []
    for name, unit in QUANTITIES.items():
        goal, tolerance = wanted(name, target), options.tolerance(name, target)
        off = np.abs(estimates[name] - goal)
        out = int((~(off <= tolerance)).sum())
        median = float(np.nanmedian(off)) if np.isfinite(off).any() else np.nan
        lines.append(
            f"  {name}: {out} circuits out of tolerance or not measurable; median deviation "
            f"{median:.3g} {unit}, tolerance {tolerance:.3g}"
        )
    raise CalibrationError(
        f"calibration: {len(failures)} of {n_circuits} circuits failed; at most "
        f"{options.max_failed:.0%} may (max_failed):\n" + "\n".join(lines) + "\nIs the target "
        "within reach of the knobs, and the read-out quiet enough for these tolerances?"
    )
