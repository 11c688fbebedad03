"""A recorded chip, for the tests of what is replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hxloop import (
    NetworkSpec,
    get_backend,
    record,
)

NETWORK = NetworkSpec.feed_forward(5, 20, 3, t_window=4.0)


RNG = np.random.default_rng(3)


WEIGHTS = [RNG.normal(1.2, 0.6, (5, 20)), RNG.normal(0.3, 0.4, (20, 3))]


INPUTS = RNG.uniform(0, 2, (7, 5))
INPUTS[2, 3] = np.inf


CHIP: dict[str, Any] = {"solver": "event", "chip": 2}


def chip(seed: int = 9) -> Any:
    return get_backend("emulated-chip", **CHIP).open(NETWORK, seed=seed)


def replay(path: Path, **options: Any) -> Any:
    return get_backend("replay", path=str(path), **options).open(NETWORK)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list[Any]]:
    """Five runs: A, B, A (other noise), A on other inputs, A with trial 7."""
    path = tmp_path / "chip.h5"
    with record(chip(), path) as session:
        runs = [
            session.run(WEIGHTS, INPUTS),
            session.run([-w for w in WEIGHTS], INPUTS),
            session.run(WEIGHTS, INPUTS),
            session.run(WEIGHTS, INPUTS[::-1]),
            session.run(WEIGHTS, INPUTS, trial=7),
        ]
    return path, runs


def same(a: Any, b: Any) -> bool:
    arrays = [
        (a.input_times, b.input_times),
        *zip(a.first_spike_times, b.first_spike_times, strict=True),
        *zip(a.weights_used, b.weights_used, strict=True),
    ]
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in arrays)
