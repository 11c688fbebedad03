"""Runs opened again: what a run object tells, and several beside each other."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hxloop.errors import ConfigError, FileFormatError
from hxloop.experiments.registry import experiment_names, load_experiment
from hxloop.runs import evaluate_run, prepare, train
from hxloop.runs.comparison import compare
from hxloop.runs.complete import complete_toml
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.opened import Run, runs_in

TINY = ["dataset.train_size=60", "dataset.validation_size=20", "dataset.test_size=40",
        "training.batch_size=20", "network.hidden=[6]", "training.epochs=2"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for name, more in (("a", ["seed=1"]), ("b", ["seed=2"]), ("c", ["training.learning_rate=0.1"])):
        train(load_experiment("yin-yang", [*TINY, *more]), root / name)
    return root


def test_a_run_tells_what_it_was_and_runs_again(folder: Path) -> None:
    run = Run.open(folder / "a")
    assert run.config.seed == 1 and run.provenance["seed"] == 1
    assert [entry["epoch"] for entry in run.metrics] == [1, 2]
    assert list(run.metrics_frame()["train_loss"]) == [e["train_loss"] for e in run.metrics]
    assert run.evaluation is not None
    with run.activity as log:
        assert log.states == ("untrained", "trained")
    data = run.plan.data["test"]
    with run.network() as network:
        times = network(data.input_times)[0].detach().numpy()
    decisions = times.argmin(axis=1)
    assert (decisions == data.labels).mean() == run.evaluation["test_accuracy"]
    with run.network("emulated-chip", {"solver": "event"}) as network:
        assert network.session.chip_id.startswith("emulated-0")
        trained = [parameter.detach().numpy() for parameter in network.parameters()]
    for weights, kept in zip(trained, run.parameters, strict=True):
        np.testing.assert_array_equal(weights, kept)


def test_a_line_that_is_being_written_is_left_out_and_a_damaged_one_told(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "a", tmp_path / "a")
    metrics = tmp_path / "a" / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole + '{"epoch": 3, "tra')
    assert len(Run.open(tmp_path / "a").metrics) == 2
    metrics.write_text("nothing\n" + whole)
    with pytest.raises(FileFormatError, match=r"metrics.jsonl, line 1: damaged"):
        _ = Run.open(tmp_path / "a").metrics
    with pytest.raises(FileFormatError, match=r"no config\.toml"):
        Run.open(tmp_path)


def test_runs_beside_each_other_are_grouped_by_what_differs_but_seed_and_chip(folder: Path) -> None:
    runs = runs_in(folder)
    assert [run.path.name for run in runs] == ["a", "b", "c"]
    found = compare(runs)
    assert found.keys == ("seed", "training.learning_rate")
    assert [run.group for run in found.runs] == [0, 0, 1]
    (members, mean, spread), (single, *_, none) = found.groups()
    own = [run.evaluation["test_accuracy"] for run in runs if run.evaluation]
    assert (len(members), len(single), none) == (2, 1, None)
    assert mean == pytest.approx(np.mean(own[:2])) and spread == pytest.approx(
        np.std(own[:2], ddof=1)
    )
    for run in found.runs:
        assert run.interval is not None and run.accuracy is not None
        assert run.interval[0] < run.accuracy < run.interval[1]
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [run["group"] for run in told["runs"]] == [1, 1, 2]
    for wrong in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(ConfigError, match="two runs at least"):
            compare(wrong)


def test_runs_of_a_study_are_its_trainings(folder: Path, tmp_path: Path) -> None:
    study = load_experiment("yin-yang-delays")
    (tmp_path / "config.toml").write_text(study.to_toml())
    shutil.copytree(folder / "a", tmp_path / "inner" / "seed1")
    assert [run.path.name for run in runs_in(tmp_path)] == ["seed1"]


@pytest.mark.parametrize("name", experiment_names())
def test_a_complete_configuration_is_the_same_configuration(name: str) -> None:
    config = load_experiment(name)
    text = complete_toml(config)
    assert ExperimentConfig.from_mapping(tomllib.loads(text), name) == config
    for section in ("dataset", "encoding", "network", "backend", "loss", "training", "activity"):
        known = getattr(config, section)
        for key in set(type(known).model_fields) - set(type(known).model_fields) & {"options"}:
            if section not in ("encoding",):  # keys of other encodings
                assert key in text, (section, key)


def test_a_training_begins_with_what_another_one_ended_with(folder: Path, tmp_path: Path) -> None:
    begin = [*TINY, "initialisation.method=from-run", f"initialisation.run={folder / 'a'}"]
    kept = Run.open(folder / "a").parameters
    assert prepare(load_experiment("yin-yang", begin)).initial.digest == kept.digest
    # What it began with is needed for that alone.
    shutil.copytree(folder / "a", tmp_path / "source")
    begin[-1] = f"initialisation.run={tmp_path / 'source'}"
    train(load_experiment("yin-yang", begin), tmp_path / "again")
    shutil.rmtree(tmp_path / "source")
    assert evaluate_run(tmp_path / "again").test.accuracy > 0
    with pytest.raises(FileFormatError, match="expected shapes"):
        train(
            load_experiment(
                "yin-yang",
                [*begin[:-1], "network.hidden=[7]", f"initialisation.run={folder / 'a'}"],
            )
        )
    with pytest.raises(ConfigError, match=r"initialisation.run: expected the folder"):
        train(load_experiment("yin-yang", begin[:-1]))
