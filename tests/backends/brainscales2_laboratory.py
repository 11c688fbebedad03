"""A chip behind a stand-in of the vendor's software, and what is run on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hxloop import (
    NetworkSpec,
    get_backend,
)
from tests.contract_double.control import Laboratory, install, write_calibration

NAME = "pynn-brainscales2"


NETWORK = NetworkSpec.feed_forward(10, 30, 3, t_window=4.0)


RNG = np.random.default_rng(5)


WEIGHTS = [RNG.normal(0.35, 0.2, (10, 30)), RNG.normal(0.25, 0.2, (30, 3))]


INPUTS = RNG.uniform(0, 2, (12, 10))
INPUTS[3, 4:] = np.inf


TICK = 8e-9 / 6e-6


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Laboratory]:
    def use(**values: Any) -> Laboratory:
        return install(monkeypatch, Laboratory(**{"imperfections": "none", **values}))

    return use


@pytest.fixture
def calibration_file(tmp_path: Path) -> str:
    return str(write_calibration(tmp_path / "spiking2_cocolist.pbin"))


def differences(activity: Any, network: NetworkSpec = NETWORK) -> list[np.ndarray]:
    """Spike times minus those of the ideal substrate with the same weights and inputs.

    Layer by layer, so that deviations do not pass on.
    """
    found, before = [], activity.input_times
    for index, times in enumerate(activity.first_spike_times):
        alone = NetworkSpec(before.shape[1], (network.layers[index],), network.t_window)
        with get_backend("ideal").open(alone) as session:
            ideal = session.run([activity.weights_used[index]], before).output_times
        both = np.isfinite(times) & np.isfinite(ideal)
        assert (np.isfinite(times) == np.isfinite(ideal)).mean() > 0.99
        found.append(times[both] - ideal[both])
        before = times
    return found
