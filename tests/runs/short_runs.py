"""Runs that were stopped, and runs that were finished."""

from __future__ import annotations

import pytest

from hxloop.errors import TrainingInterrupted
from hxloop.experiments.registry import load_experiment
from hxloop.runs.report import training_report as experiment_report
from hxloop.runs.run import (
    train,
)
from hxloop.training.events import TrainingEvents

TINY = ["dataset.train_size=60", "dataset.validation_size=5", "dataset.test_size=10",
        "training.batch_size=20", "network.hidden=[4]", "training.epochs=3",
        'initialisation.method="balanced"', "activity.epochs=[]"]  # fmt: skip

CONFIG = load_experiment("yin-yang", TINY)


@pytest.fixture(scope="module", autouse=True)
def no_provenance():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hxloop.runs.run.provenance", lambda **more: {"started": "now", **more})
        yield


@pytest.fixture
def no_reports(monkeypatch):
    monkeypatch.setattr(experiment_report, "training_report", lambda *arguments: None)
    monkeypatch.setattr(experiment_report, "write_report", lambda *arguments: None)


def stopped_after(epoch):
    """For ``on_trainer``: stop after so many epochs."""

    class Stop(TrainingEvents):
        def __init__(self, trainer):
            self.trainer = trainer

        def epoch(self, metrics):
            if metrics["epoch"] == epoch:
                self.trainer.request_stop()

    return lambda trainer: trainer.events.watchers.append(Stop(trainer))


def stopped(config, folder, epoch=1, **keywords):
    with pytest.raises(TrainingInterrupted):
        train(config, folder, on_trainer=stopped_after(epoch), **keywords)
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return stopped(CONFIG, tmp_path_factory.mktemp("begun") / "run")
