"""A plan makes what is asked for: evaluating reads one split, draws nothing, runs nothing twice."""

from __future__ import annotations

import pickle

import pytest

from hxloop.backends.ideal import IdealBackend, IdealSession
from hxloop.experiments.registry import load_experiment
from hxloop.runs import config_sections, evaluate_run, plan, train
from hxloop.runs.lazy import LazyMapping, LazySequence
from hxloop.runs.plan import prepare

TINY = ["dataset.train_size=60", "dataset.validation_size=20", "dataset.test_size=40",
        "training.batch_size=20", "network.hidden=[4]", "training.epochs=1",
        "activity.epochs=[]"]  # fmt: skip


@pytest.fixture
def read(monkeypatch):
    """The splits that are read, in their order."""
    found, load = [], config_sections.load_dataset

    def counted(name, split, size):
        found.append(split)
        return load(name, split, size)

    monkeypatch.setattr(config_sections, "load_dataset", counted)
    return found


def test_evaluating_reads_the_test_split_and_draws_no_weights(tmp_path, read, monkeypatch):
    trained = train(load_experiment("yin-yang", TINY), tmp_path / "run")
    assert sorted(read) == ["test", "train", "validation"]
    read.clear()
    runs = []

    class Counted(IdealSession):
        def run(self, weights, input_times, **options):
            runs.append(len(input_times))
            return super().run(weights, input_times, **options)

    def drawn(*arguments):
        raise AssertionError("initial weights were drawn")

    monkeypatch.setattr(IdealBackend, "session", Counted)
    monkeypatch.setattr("hxloop.runs.config.ExperimentConfig.weights_drawn_by", lambda self: drawn)
    result = evaluate_run(tmp_path / "run")
    assert read == ["test"]
    assert runs == [20, 20]
    assert result.test.accuracy == trained.test.accuracy


def test_a_plan_reads_one_split_and_preparing_all(read):
    config = load_experiment("yin-yang", TINY)
    made = plan.plan(config)
    assert read == ["train"]
    assert made.network.sizes == (5, 4, 3)
    prepare(config)
    assert sorted(read) == ["test", "train", "train", "validation"]


def test_what_is_prepared_is_whole_and_can_be_sent_to_another_process():
    prepared = prepare(load_experiment("yin-yang", TINY))
    parts = prepared.data, prepared.datasets, prepared.configured
    assert {type(part) for part in parts} == {dict}
    assert type(prepared.weights) is tuple
    sent = pickle.loads(pickle.dumps(prepared))
    assert sent.digests == prepared.digests == prepared.configured
    assert sent.data_name == prepared.data_name == "yin-yang"


def test_things_are_made_once_and_when_asked_for():
    made = []
    values = LazyMapping(("a", "b"), lambda key: made.append(key) or key.upper())
    assert list(values) == ["a", "b"] and len(values) == 2 and made == []
    assert values["b"] == values["b"] == "B" and made == ["b"]
    assert "c" not in values and dict(values) == {"a": "A", "b": "B"}
    with pytest.raises(KeyError):
        values["c"]
    calls = []
    items = LazySequence(lambda: calls.append(1) or [1, 2])
    assert "asked for" in repr(items) and not calls
    assert len(items) == 2 and items[-1] == 2 and calls == [1]
