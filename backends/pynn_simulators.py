"""What the backends of simulators share: their options, and the environment of their packages."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hxloop.errors import CapacityError, ConfigError


def check_options(backend: Any, *, largest_dt: float) -> None:
    """Check the options that all simulators share.

    Raises:
        ConfigError: ``dt``, ``weight_limit`` or ``clip_weights`` out of range.
    """

    def number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    if not (number(backend.dt) and 1e-5 <= backend.dt <= largest_dt):
        raise ConfigError(
            f"{backend.name}: dt must be from 1e-5 to {largest_dt:g} (in units of tau_syn); got "
            f"{backend.dt!r}"
        )
    limit = backend.weight_limit
    if limit is not None and not (number(limit) and 0 < limit < math.inf):
        raise ConfigError(
            f"{backend.name}: weight_limit must be a positive number or None; got {limit!r}"
        )
    if not isinstance(backend.clip_weights, bool):
        raise ConfigError(
            f"{backend.name}: clip_weights must be true or false; got {backend.clip_weights!r}"
        )


def refuse_calibration(name: str, calibration: Any) -> None:
    """A simulator has nothing to calibrate.

    Raises:
        CapacityError: a calibration was given.
    """
    if calibration is not None:
        raise CapacityError(
            f"backend {name!r}: expected calibration=None, a simulator has nothing to calibrate; "
            f"got {calibration!r}"
        )


@contextmanager
def environment(**changes: str) -> Iterator[None]:
    """Environment variables changed for a while: simulators read theirs when imported."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
