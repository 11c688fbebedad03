"""Accuracy against the age of the chip: later is the same chip further on, and is worse."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec
from hxloop.runs import drift_curve, train
from hxloop.runs.config import ExperimentConfig

CHIP = {
    "solver": "event",
    "chip": 1,
    "imperfections": "uncalibrated",
    "knob_options": {"drift": 0.3},
}


def a_run(path, backend="emulated-chip", options=CHIP):
    config = ExperimentConfig.from_mapping(
        {
            "name": "drifting",
            "dataset": {"train_size": 600, "validation_size": 100, "test_size": 300},
            "encoding": {"replicate": 5},
            "network": {"hidden": [40], "t_window": 4.0},
            "initialisation": {"means": [0.3, 0.1], "stdevs": [0.2, 0.2]},
            "backend": {"name": backend, "options": dict(options)},
            "loss": {"options": {"xi": 0.05}},
            "training": {"epochs": 6, "batch_size": 50, "learning_rate": 0.02},
            "activity": {"epochs": []},
        },
        "test",
    )
    train(config, path)
    return path


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    return a_run(tmp_path_factory.mktemp("drift") / "run")


def test_the_older_the_chip_the_worse(drifting):
    points = drift_curve(drifting, [0, 10, 1000, 1e5])
    accuracies = [point.accuracy for point in points]
    assert accuracies == sorted(accuracies, reverse=True) and accuracies[0] > accuracies[-1] + 0.1
    assert points[0].drift == {}
    # 0.3 of the spread of 20/168 in a day, as a random walk.
    expected = 0.3 * 20 / 168 * np.sqrt(1000 / 24)
    assert points[2].drift["v_threshold"] == pytest.approx(expected, rel=0.4)


def test_twelve_years_are_as_quick_as_a_season_and_the_same_path():
    network = NetworkSpec.feed_forward(4, 40, 3)

    def thresholds(hours):
        chip = EmulatedChipBackend(**CHIP, hours=hours)
        return chip.substrate_parameters(network)["v_threshold"]

    began = time.process_time()
    late = thresholds(100_000)
    assert time.process_time() - began < 2.0
    # The walk goes on where it was: a hundred hours more are a small step, whatever came before.
    step = np.std(late - thresholds(99_900))
    assert step == pytest.approx(0.3 * 20 / 168 * np.sqrt(100 / 24), rel=0.5)
    assert np.std(late - thresholds(0.0)) > 10 * step


def test_what_cannot_drift_says_so(drifting):
    with pytest.raises(ConfigError, match="nothing drifts on backend 'emulated-chip'"):
        drift_curve(drifting, [0, 10], options={"knob_options": {"drift": 0.0}})
    with pytest.raises(ConfigError, match="nothing can drift on backend 'ideal'"):
        drift_curve(drifting, [0, 10], "ideal")
    for wrong in ([], [10, 1], [1, 1], [-1, 2]):
        with pytest.raises(ConfigError, match="hours"):
            drift_curve(drifting, wrong)
