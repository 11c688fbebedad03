"""How far work is, told at every width, off terminals and in Python."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from hxloop import LoopNetwork, NetworkSpec, SpikeData, Trainer, TrainingOptions, get_backend
from hxloop.calibration.options import CalibrationOptions
from hxloop.calibration.sequence import plan_steps
from hxloop.chip.operating_point import OperatingPoint
from hxloop.experiments.registry import load_experiment
from hxloop.runs.run import train
from hxloop.training import progress as module
from hxloop.training.losses import get_loss
from hxloop.training.progress import (
    CALIBRATION_EFFORT,
    CalibrationSteps,
    Pace,
    Steps,
    TrainingLines,
)

METRICS = {"train_loss": 0.1234, "train_accuracy": 0.97, "validation_accuracy": 0.96}


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when told to."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("width", [60, 80, 200])
def test_time_left_is_shown_at_every_width(clock, monkeypatch, width):
    screen = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(module, "console", lambda: screen)
    with module.training() as watcher:
        watcher.started(0, 100, 20, 0)
        clock[0] = 30.0
        watcher.batch(0, 10, 0.5)
        watcher.epoch({**METRICS, "epoch": 1, "seconds": 1.0})
    # The bar is drawn again and again, and at the end; the last line is what one sees.
    lines = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "\n", screen.file.getvalue()).splitlines()
    shown = [line for line in lines if "Epoch 1/100" in line][-1]
    assert "about 1.7 h left" in shown  # 10 of 2000 batches took 30 s
    assert len(shown.rstrip()) <= width


def test_lines_tell_the_time_left_and_are_not_too_many(clock):
    told = []
    lines = TrainingLines(every=10, tell=told.append)
    lines.started(0, 100, 20, 0)
    for epoch in range(1, 101):
        clock[0] += 1.0
        lines.epoch({**METRICS, "epoch": epoch, "seconds": 1.0})
    assert told[1].startswith("epoch 1/100")
    assert "about 2 min left" in told[1] and told[-1].startswith("epoch 100/100")
    assert len(told) == 1 + 10 + 1


def test_a_study_tells_which_part_of_how_many(clock):
    told = []
    steps = Steps(told.append, 4, done=1)
    steps.begin("first")
    clock[0] = 60.0
    steps.begin("second")
    assert told == ["[2 of 4] first", "[3 of 4, about 2 min left] second"]


def test_progress_of_a_calibration_grows_with_time_not_with_steps(clock):
    shares = []
    steps = CalibrationSteps(lambda share, step, left: shares.append((share, left)))
    total = sum(seconds for _, seconds in CALIBRATION_EFFORT.values())
    runs = 0
    for index, (name, (count, seconds)) in enumerate(CALIBRATION_EFFORT.items()):
        steps.on_step(name, index, len(CALIBRATION_EFFORT))
        for _ in range(4):
            clock[0] += seconds / 4
            runs += count / 4
            steps.on_run(runs)
            assert shares[-1][0] == pytest.approx(clock[0] / total)
    assert shares[-1][0] == pytest.approx(1)
    assert all(left for share, left in shares[1:-1])


def test_the_first_run_of_a_calibration_is_not_the_pace_of_the_others(clock):
    told = []
    steps = CalibrationSteps(lambda share, step, left: told.append(left))
    steps.on_step("before", 0, len(CALIBRATION_EFFORT))
    clock[0] = 14  # compiling; taken for the pace of the rest it made 42 hours
    steps.on_run(2)
    assert told[-1] == ""
    clock[0] = 16
    steps.on_run(CALIBRATION_EFFORT["before"][0])
    assert told[-1].endswith("min left")


def test_effort_of_a_calibration_names_its_steps():
    planned = [name for name, _, _ in plan_steps(OperatingPoint(), CalibrationOptions())]
    assert list(CALIBRATION_EFFORT) == ["before", *planned, "verify"]


def test_nothing_is_promised_before_anything_is_known(clock):
    pace = Pace(5)
    assert pace.left(5, 10) == "" and pace.left(10, 10) == ""
    clock[0] = 10
    assert pace.left(6, 10) == "about 40 s left"
    assert pace.left(9.999, 10) == ""  # not "about 0 s left"


def test_python_sees_progress_if_it_asks_for_it(capsys):
    data = SpikeData(np.random.default_rng(0).uniform(0.1, 2, (20, 3)), np.arange(20) % 2)
    spec = NetworkSpec.feed_forward(3, 2)
    for asked, lines in ((True, 3), (False, 0), (None, 0)):
        with get_backend("ideal").open(spec) as session:
            network = LoopNetwork(session, [np.full((3, 2), 1.0)])
            options = TrainingOptions(epochs=2, batch_size=10)
            loss = get_loss("time-to-first-spike")
            Trainer(network, loss, data, data, options, progress=asked).fit()
        assert capsys.readouterr().err.count("\n") == lines


def test_results_say_what_they_are_in_a_few_lines():
    settings = ["training.epochs=1", "dataset.train_size=40", "dataset.validation_size=20"]
    result = train(load_experiment("yin-yang", [*settings, "dataset.test_size=500"]))
    for shown in (result, result.test, result.training):
        assert len(repr(shown)) < 1000
    assert "<500x120 float64>" in repr(result.test) and "accuracy=" in repr(result)
