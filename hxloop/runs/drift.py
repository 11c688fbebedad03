"""How the accuracy of a finished training falls as its chip drifts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from hxloop import checks
from hxloop.errors import ConfigError, UnknownNameError
from hxloop.runs.evaluate import evaluate_prepared, planned_evaluation
from hxloop.runs.plan import Prepared
from hxloop.substrate import get_backend
from hxloop.substrate.optional import true_parameters

# What curves through the fixed pattern lose of it without any drift.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class DriftPoint:
    """The chip after some time.

    Attributes:
        hours: since its calibration.
        accuracy: on the test split.
        drift: root mean square of what the neurons' parameters have moved since hour 0, each in
            its unit of ``substrate_parameters`` (relative, or leak-threshold distances), by name.
    """

    hours: float
    accuracy: float
    drift: Mapping[str, float]


def drift_curve(
    run_dir: str | os.PathLike[str],
    hours: Sequence[float],
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    calibration: str | os.PathLike[str] | None = None,
) -> list[DriftPoint]:
    """Evaluate a finished training on the chip as it is after some hours.

    The chip's drift is one path: a later hour is the same chip, further on. Trial noise is that of
    every evaluation, the same at all hours.

    Args:
        run_dir: of the training.
        hours: ages of the chip, growing.
        backend, options, calibration: as for ``evaluate_run``.

    Raises:
        ConfigError: no hours, or not growing; a backend without hours, or one in which nothing
            drifts.
        FileFormatError, UnknownNameError, CalibrationError: as ``evaluate_run``.
    """
    ages = [checks.number("hours", hour, low=0) for hour in hours]
    if not ages or any(b <= a for a, b in pairwise(ages)):
        raise ConfigError(f"hours: expected growing numbers, such as 0,1,10,100; got {hours!r}")
    prepared, weights = planned_evaluation(run_dir, backend, options, calibration=calibration)
    fresh, points = _truth(_aged(prepared, 0.0)), []
    if ages[-1] > 0 and _moved(fresh, _truth(_aged(prepared, ages[-1]))) == {}:
        raise ConfigError(
            f"hours: nothing drifts on backend {prepared.config.backend.name!r} with these "
            "options; a drift is asked for with knob_options={drift=0.1} (in spreads a day)"
        )
    for age in ages:
        aged = _aged(prepared, age)
        result = evaluate_prepared(aged, weights, run_dir)
        points.append(DriftPoint(age, result.test.accuracy, _moved(fresh, _truth(aged))))
    return points


def _aged(prepared: Prepared, hours: float) -> Prepared:
    """The same on the chip of that age."""
    own = prepared.config.backend
    chosen = {**own.options, "hours": hours}
    try:
        backend = get_backend(own.name, **chosen)
    except UnknownNameError as error:
        raise ConfigError(
            f"hours: nothing can drift on backend {own.name!r}, which has no option 'hours'; "
            "'emulated-chip' has it"
        ) from error
    config = prepared.config.model_copy(
        update={"backend": own.model_copy(update={"options": chosen})}
    )
    return replace(prepared, config=config, backend=backend)


def _truth(prepared: Prepared) -> Mapping[str, Any]:
    found = true_parameters(prepared.backend, prepared.network, prepared.calibration)
    return found or {}


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Root mean square of every change beyond rounding."""
    changes = {
        name: float(np.sqrt(np.mean((np.asarray(after[name]) - before[name]) ** 2)))
        for name in before
    }
    return {name: change for name, change in changes.items() if change > _ROUNDING}
