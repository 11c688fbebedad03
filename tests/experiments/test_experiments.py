"""The shipped experiments, short in every run of the suite, at length in ``make test-all``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hxloop.errors import FileFormatError
from hxloop.experiments.registry import FOLDER, experiment_names, load_experiment
from hxloop.experiments.results import keep
from hxloop.machine.memory import resident_mb
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.plan import prepare
from hxloop.runs.run import evaluate_run, train

SMALL = ["dataset.train_size=300", "dataset.validation_size=100", "dataset.test_size=100"]
BATCHES, SMALL_BATCHES = ["training.batch_size=30"], ["training.batch_size=20"]
LITTLE_NOISE = ["training.max_shift=0", "training.input_noise=0.1"]
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
    ("name", "hidden", "n_inhibitory", "epochs", "more"),
    [
        ("mnist", [60], 0, 8, BATCHES),
        ("mnist-16x16", [60], 0, 8, BATCHES),
        ("mnist-16x16-in-the-loop", [60], 0, 8, BATCHES),
        ("mnist-deep", [100] * 4, 0, 12, BATCHES),
        ("mnist-deep-dale", [100] * 4, 25, 16, BATCHES),
        ("mnist-eight", [50] * 8, 0, 20, BATCHES),
        ("mnist-eight-dale", [100] * 8, 25, 36, [*SMALL_BATCHES, *LITTLE_NOISE]),
    ],
)
def test_short_version_of_mnist_learns(name, hidden, n_inhibitory, epochs, more):
    sizes = ["dataset.train_size=600", "dataset.validation_size=100", "dataset.test_size=300"]
    network = [f"network.hidden={hidden}", f"network.n_inhibitory={n_inhibitory}"]
    options = [*sizes, *network, f"training.epochs={epochs}", *more]
    result = train(load_experiment(name, options))
    assert result.test.accuracy > 0.25  # a tenth by chance, standard deviation 0.02


RESULTS = sorted(path.parent for path in FOLDER.glob("*/results/evaluation.json"))


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.parent.name)
def test_kept_results_are_those_of_the_readme_and_of_the_shipped_configuration(folder):
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    readme = (folder.parent / "README.md").read_text(encoding="utf-8")
    assert f"| {evaluation['seed']} | {100 * evaluation['test_accuracy']:.2f} |" in readme
    kept = ExperimentConfig.load(folder / "config.toml")
    assert kept.digest == load_experiment(evaluation["experiment"]).digest
    assert "figure.png" in readme and (folder / "figure.png").is_file()
    weights = folder / "weights.safetensors"
    assert not weights.is_file() or weights.stat().st_size < 1_000_000


@pytest.mark.skipif(
    "HXLOOP_DATA_DIR" not in os.environ, reason="needs the MNIST files below HXLOOP_DATA_DIR"
)
def test_results_of_a_run_are_kept_and_evaluate_to_what_they_say(tmp_path):
    (tmp_path / "mnist_16x16").mkdir()
    sizes = ["dataset.train_size=300", "dataset.validation_size=100", "dataset.test_size=100"]
    options = ["network.hidden=[20]", "training.epochs=2", "training.batch_size=30"]
    train(load_experiment("mnist-16x16", [*sizes, *options]), tmp_path / "run")
    kept = keep(tmp_path / "run", tmp_path)
    assert kept == tmp_path / "mnist_16x16" / "results"
    evaluation = json.loads((kept / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluate_run(kept).test.accuracy == evaluation["test_accuracy_half_precision"]
    assert (kept / "weights.safetensors").stat().st_size < 256 * 20 * 2 + 20 * 10 * 2 + 1000
    assert str(tmp_path) not in "".join(path.read_text() for path in kept.glob("*.json*"))
    with pytest.raises(FileFormatError, match=r"no config\.toml"):
        keep(tmp_path)


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
