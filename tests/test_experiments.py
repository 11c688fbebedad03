"""The shipped experiments, short in every run of the suite, at length in ``make test-all``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hxloop.bench.measuring import resident_mb
from hxloop.experiment import evaluate_run, train
from hxloop.experiments.registry import FOLDER, experiment_names, load_experiment
from hxloop.prepared import prepare

SMALL = ["dataset.train_size=300", "dataset.validation_size=100", "dataset.test_size=100"]
SHORT = [*SMALL, "training.epochs=8", "training.batch_size=30", "network.hidden=[40]"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("yin-yang", []),
        ("yin-yang-in-the-loop", ['backend.options.solver="event"']),
        ("open-loop-vs-in-the-loop", []),
    ],
)
def test_short_version_learns(name, options):
    result = train(load_experiment(name, [*SHORT, *options]))
    losses = [epoch["train_loss"] for epoch in result.training.metrics]
    assert losses[-1] < 0.8 * losses[0]
    assert result.test.accuracy > 0.55  # a third by chance


@pytest.mark.skipif(
    "HXLOOP_DATA_DIR" not in os.environ, reason="needs the MNIST files below HXLOOP_DATA_DIR"
)
@pytest.mark.parametrize(
    ("name", "hidden", "epochs"),
    [("mnist", "[60]", 8), ("mnist-deep", "[100, 100, 100, 100]", 25)],
)
def test_short_version_of_mnist_learns(name, hidden, epochs):
    sizes = ["dataset.train_size=600", "dataset.validation_size=100", "dataset.test_size=300"]
    settings = [f"network.hidden={hidden}", f"training.epochs={epochs}", "training.batch_size=30"]
    options = [*sizes, *settings]
    result = train(load_experiment(name, options))
    assert result.test.accuracy > 0.4  # a tenth by chance


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_is_complete(name):
    folder = FOLDER / name.replace("-", "_")
    assert load_experiment(name).description
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"hxloop train {name}" in readme and "|---|" in readme


def test_committed_results_of_the_study_are_those_of_its_readme():
    folder = FOLDER / "open_loop_vs_in_the_loop"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert results["epochs"] == load_experiment("open-loop-vs-in-the-loop").training.epochs
    for row in results["chips"]:
        assert row["in_the_loop"] > row["open_loop"]
        cells = f"| {100 * row['open_loop']:.1f} | {100 * row['in_the_loop']:.1f} |"
        assert f"| {row['preset']} | {row['chip']} {cells}" in readme


@pytest.mark.slow
def test_yin_yang_in_software(tmp_path):
    result = train(load_experiment("yin-yang", ["training.epochs=60"]), tmp_path / "run")
    assert result.test.accuracy >= 0.97
    assert evaluate_run(tmp_path / "run").test.accuracy == result.test.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("chip", [1, 2])
def test_demo_learns_on_an_imperfect_chip(tmp_path, chip):
    options = ["training.epochs=20", f"backend.options.chip={chip}"]
    result = train(load_experiment("yin-yang-in-the-loop", options), tmp_path / "run")
    assert result.test.accuracy >= 0.92
    # The other solver, on the same chip, decides almost alike.
    again = evaluate_run(tmp_path / "run", options={"solver": "event"})
    assert (again.test.decisions == result.test.decisions).mean() > 0.98


@pytest.mark.slow
def test_300_runs_leave_neither_memory_nor_files_behind(tmp_path):
    config = load_experiment("yin-yang-in-the-loop", [f'backend.options.cache_dir="{tmp_path}"'])
    prepared = prepare(config)
    times = prepared.data["train"].input_times[:150]

    def files() -> int:
        return sum(1 for folder in (tmp_path, Path("/proc/self/fd")) for _ in folder.rglob("*"))

    with prepared.open_session() as session:
        for _ in range(20):
            session.run(prepared.weights, times)
        before = resident_mb(), files()
        for _ in range(300):
            session.run(prepared.weights, times)
        assert resident_mb() - before[0] < 5
        assert files() == before[1]
