"""What a finished run is evaluated on: its own substrate, another one, or its own calibrated anew.

A calibration belongs to one chip, and a measured twin to that calibration; neither goes along to
another substrate.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hxloop.errors import CalibrationError
from hxloop.runs.config import BackendConfig
from hxloop.runs.plan import Prepared
from hxloop.substrate.optional import check_calibration


def evaluation_backend(
    own: BackendConfig,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    calibration: str | os.PathLike[str] | None = None,
) -> BackendConfig:
    """The backend of an evaluation.

    Args:
        own: that of the training.
        name: of another one; None: the same.
        options: of the backend; for the run's own backend, added to the run's.
        calibration: file of a calibration. None: the run's own, on its own backend; "": none.

    Returns:
        Without what only a training needs: a recording to add to, a twin for the gradient.
    """
    same = name in (None, own.name)
    if calibration is not None:
        file: str | None = os.fspath(calibration) or None
    else:
        file = own.calibration if same else None
    return own.model_copy(
        update={
            "name": own.name if name is None else name,
            "options": {**(own.options if same else {}), **(options or {})},
            "calibration": file,
            "twin": False,
            "record": None,
        }
    )


def without_foreign_calibration(prepared: Prepared) -> Prepared:
    """The same, without a calibration that is of another chip than the one chosen."""
    try:
        check_calibration(prepared.backend, prepared.network, prepared.calibration)
    except CalibrationError:
        backend = prepared.config.backend.model_copy(update={"calibration": None})
        config = prepared.config.model_copy(update={"backend": backend})
        return replace(prepared, config=config, calibration=None)
    return prepared
