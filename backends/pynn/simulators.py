"""What the backends of simulators share: their options, and the environment of their packages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hxloop import checks


def check_options(backend: Any, *, largest_dt: float) -> None:
    """Check the options that all simulators share.

    Raises:
        ConfigError: ``dt``, ``weight_limit`` or ``clip_weights`` out of range.
    """

    where = f"{backend.name}: "
    checks.settle(
        backend,
        dt=checks.number(
            f"{where}dt", backend.dt, low=1e-5, high=largest_dt, what="number of tau_syn"
        ),
        clip_weights=checks.flag(f"{where}clip_weights", backend.clip_weights),
    )
    if backend.weight_limit is not None:
        limit = checks.number(f"{where}weight_limit", backend.weight_limit, above=0)
        checks.settle(backend, weight_limit=limit)


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
