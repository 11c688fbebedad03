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
        patch.setattr(
            "hxloop.runs.training_run.provenance", lambda **more: {"started": "now", **more}
        )
        yield


@pytest.fixture
def no_reports(monkeypatch):
    monkeypatch.setattr(experiment_report, "training_report", lambda *arguments: None)
    monkeypatch.setattr(experiment_report, "write_report", lambda *arguments: None)


def stopped_after(epoch):
    """A watcher that stops a training after so many epochs."""

    class Stop(TrainingEvents):
        done = 0

        def epoch(self, metrics):
            self.done = metrics["epoch"]

        def wants_stop(self):
            return self.done == epoch

    return Stop()


def stopped(config, folder, epoch=1, **keywords):
    with pytest.raises(TrainingInterrupted):
        train(config, folder, events=[stopped_after(epoch)], **keywords)
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return stopped(CONFIG, tmp_path_factory.mktemp("begun") / "run")
