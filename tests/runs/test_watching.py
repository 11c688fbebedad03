"""Who watches a run: one protocol, and all the arguments that there were before it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hxloop.errors import TrainingInterrupted
from hxloop.experiments.registry import load_experiment
from hxloop.experiments.study_parts import Study, run_of_study
from hxloop.runs import prepare, resume, train
from hxloop.runs.training_run import TrainingRun
from hxloop.training.events import TrainingEvents
from tests.runs.short_runs import TINY
from tests.runs.short_runs import no_provenance as no_provenance
from tests.runs.short_runs import no_reports as no_reports

CONFIG = load_experiment("yin-yang", TINY)


class Told(TrainingEvents):
    """What happened, and a stop after a batch of so many."""

    def __init__(self, stop_after=None) -> None:
        self.names, self.batches, self.stop_after = [], 0, stop_after

    def started(self, epoch, epochs, batches, batch):
        self.names.append(f"started {epoch}.{batch}")

    def batch(self, epoch, batch, loss):
        self.batches += 1

    def epoch(self, metrics):
        self.names.append(f"epoch {metrics['epoch']}")

    def recorded(self, state):
        self.names.append(f"recorded {state}")

    def stopped(self, epoch, batch):
        self.names.append(f"stopped {epoch}.{batch}")

    def finished(self, result):
        self.names.append("finished")

    def news(self, text):
        self.names.append(text)

    def wants_stop(self):
        return self.batches == self.stop_after


@pytest.mark.usefixtures("no_reports")
def test_who_watches_is_told_what_was_recorded_and_may_ask_for_a_stop(tmp_path):
    settings = [*TINY[:-1], 'activity.epochs=[0, 1, "final"]', "activity.samples=20"]
    config = load_experiment("yin-yang", settings)
    told = Told(stop_after=4)
    with pytest.raises(TrainingInterrupted, match="epoch 2 of 3, after batch 1"):
        train(config, tmp_path / "run", events=[told])
    expected = ["recorded untrained", "started 0.0", "epoch 1", "recorded epoch-001"]
    assert told.names == [*expected, "stopped 1.1"]
    again = Told()
    result = resume(tmp_path / "run", events=[again])
    assert again.names == [
        "started 1.1", "epoch 2", "epoch 3", "finished", "recorded trained",
    ]  # fmt: skip
    whole = train(config)
    assert result.training.parameters.digest == whole.training.parameters.digest


def test_a_stop_at_the_end_of_the_last_epoch_is_none():
    told = Told(stop_after=9)
    assert len(train(CONFIG, events=[told]).training.metrics) == 3 and told.batches == 9


@dataclass(frozen=True)
class Empty:
    """Options of a study that has none."""


class Listener:
    """As it was before there were events."""

    def __init__(self) -> None:
        self.told = []

    def on_start(self, epoch, epochs, batches):
        self.told.append(("start", epoch, epochs, batches))

    def on_batch(self, epoch, batch, loss):
        self.told.append(("batch", epoch, batch))

    def on_epoch(self, metrics):
        self.told.append(("epoch", metrics["epoch"]))


def test_the_arguments_of_before_still_work():
    listener, trainers, events = Listener(), [], Told()
    train(CONFIG, progress=listener, on_trainer=trainers.append, events=[events])
    assert listener.told[:2] == [("start", 0, 3, 3), ("batch", 0, 1)]
    assert listener.told[-1] == ("epoch", 3)
    assert events.names == ["started 0.0", "epoch 1", "epoch 2", "epoch 3", "finished"]
    assert [trainer.epochs_done for trainer in trainers] == [3]


@pytest.mark.usefixtures("no_reports")
def test_a_study_tells_its_news_and_its_trainings_to_the_same_watchers(tmp_path):
    @run_of_study
    def run(config, out, force, events):
        study = Study.open(config, out, Empty(), {}, lambda results: "", force=force, events=events)
        events.news("a part begins")
        study.train("part", prepare(CONFIG))
        return study.results

    told, said, trainers, listener = Told(), [], [], Listener()
    study = CONFIG.model_copy(update={"study": {"name": "mine"}})
    run(
        study, tmp_path, events=[told], progress=listener, on_trainer=trainers.append,
        say=said.append,
    )  # fmt: skip
    assert told.names[:2] == ["a part begins", "started 0.0"] and told.names[-1] == "finished"
    assert said == ["a part begins"] and len(trainers) == 1
    assert listener.told[-1] == ("epoch", 3)


def test_one_object_has_all_that_belongs_to_a_run():
    prepared = prepare(CONFIG)
    told = Told()
    with prepared.open_session() as session:
        run = TrainingRun(prepared, session, events=[told])
        assert run.folder is None and run.recorder is None
        assert run.trainer.network.session is session
        result = run.run()
    assert result.run_dir is None and result.training.epoch == run.trainer.epochs_done == 3
    assert told.names[-1] == "finished"
