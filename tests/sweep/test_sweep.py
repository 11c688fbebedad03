"""Sweeps in this process: what is trained, what is kept, what is refused."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest

from hxloop.errors import BusyError, ConfigError, FileFormatError, OutputError, UnknownNameError
from hxloop.experiments.registry import load_experiment
from hxloop.files import FileLock
from hxloop.runs import Run, runs_in, train
from hxloop.substrate import get_backend
from hxloop.substrate.optional import device_of
from hxloop.sweep import Grid, resume_sweep, sweep
from hxloop.sweep.crew import InTurn
from hxloop.sweep.job import Job, do
from hxloop.training.events import TrainingEvents
from tests.runs.short_runs import TINY, no_provenance  # noqa: F401 - a fixture

CONFIG = load_experiment("yin-yang", [*TINY, "training.epochs=2"])
GRID = {"training.learning_rate": [0.01, 0.02], "seed": [1, 2]}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    return out, sweep(CONFIG, GRID, out, workers=1)


def accuracies(result):
    return [row.accuracy for row in result.rows]


def test_each_run_is_the_training_it_would_be_alone(swept):
    out, result = swept
    assert len(runs_in(out)) == 4
    point = Grid.of(GRID).points()[3]
    alone = train(point.config(CONFIG))
    assert result.rows[3].values == {"training.learning_rate": 0.02, "seed": 2}
    assert result.rows[3].accuracy == alone.test.accuracy
    kept = Run.open(out / point.name).parameters.weights
    assert all(np.array_equal(a, b) for a, b in zip(kept, alone.training.weights, strict=True))


def test_what_is_written_is_what_is_returned(swept):
    out, result = swept
    assert json.loads((out / "results.json").read_text()) == result.as_dict()
    assert (out / "results.md").read_text() == result.markdown()
    assert "sweep by hxloop" in (out / "sweep.html").read_text()
    assert (out / "figure.png").stat().st_size > 1000


def test_nothing_is_done_twice_and_a_grid_may_grow(swept, monkeypatch):
    out, result = swept
    done = []
    honest = InTurn.do

    def watched(self, jobs):
        done.extend(job.name for job in jobs)
        return honest(self, jobs)

    monkeypatch.setattr(InTurn, "do", watched)
    assert resume_sweep(out, workers=1).as_dict() == result.as_dict()
    assert done == []
    more = sweep(CONFIG, {**GRID, "seed": [1, 2, 3]}, out, workers=1)
    assert done == ["learning_rate=0.01,seed=3", "learning_rate=0.02,seed=3"]
    assert accuracies(more)[:2] == accuracies(result)[:2]
    assert sweep(CONFIG, GRID, out, workers=1).as_dict() == result.as_dict()


def test_a_stopped_run_goes_on(swept, tmp_path):
    _, result = swept

    class Stop(TrainingEvents):
        def epoch(self, metrics):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    point = Grid.of(GRID).points()[0]
    job = Job(name="x", folder=str(out / point.name), config=point.config(CONFIG).to_toml())
    with pytest.raises(KeyboardInterrupt):
        do(job, None, (Stop(),))
    assert Run.open(out / point.name).evaluation is None
    again = do(job, None)
    assert again["test_accuracy"] == result.rows[0].accuracy
    assert len(Run.open(out / point.name).provenance["resumed"]) == 1


def test_a_failing_run_is_a_row_and_tried_again(tmp_path, monkeypatch):
    out, told = tmp_path / "out", []
    grid = {"training.silent.bump": [0.01, 0.02]}

    def failing(config):
        if config.training.silent.bump == 0.02:
            raise ZeroDivisionError("of another package")
        return prepare(config)

    from hxloop.runs.plan import prepare

    with monkeypatch.context() as patch:
        patch.setattr("hxloop.sweep.job.prepare", failing)
        result = sweep(CONFIG, grid, out, workers=1, say=told.append)
    assert result.rows[1].error == "ZeroDivisionError: of another package"
    assert result.rows[0].accuracy is not None
    assert told[-1].endswith("ZeroDivisionError: of another package")
    assert "of another package" in (out / "sweep.html").read_text()
    mended = resume_sweep(out, workers=1)
    assert mended.rows[1].error is None
    assert mended.rows[0] == result.rows[0]


def test_a_device_is_reserved_while_a_run_uses_it(tmp_path, monkeypatch):
    point = Grid.of({"seed": [1]}).points()[0]
    config = point.config(CONFIG)
    job = Job(name="x", folder=str(tmp_path / "run"), config=config.to_toml())
    happened = []

    @contextmanager
    def reserve(device):
        happened.append(device)
        yield
        happened.append("free")

    class Watch(TrainingEvents):
        def finished(self, result):
            happened.append("trained")

    do(job, reserve, (Watch(),))
    assert happened == ["trained"]  # software is nobody's
    monkeypatch.setattr("hxloop.sweep.job.device_of", lambda backend: f"{backend.name} 7")
    happened.clear()
    other = Job(name="y", folder=str(tmp_path / "other"), config=job.config)
    do(other, reserve, (Watch(),))
    assert happened == ["ideal 7", "trained", "free"]
    assert do(other, reserve)["test_accuracy"] > 0 and len(happened) == 3  # it is done


def test_a_chip_says_which_device_it_is(monkeypatch):
    monkeypatch.setenv("SLURM_FPGA_IPS", "192.0.2.7")
    chip = get_backend("pynn-brainscales2")
    assert "192.0.2.7" in (device_of(chip) or "")
    assert device_of(get_backend("emulated-chip")) is None


def test_bad_points_are_refused_before_anything_is_trained(tmp_path):
    out = tmp_path / "out"
    for grid, said in [
        ({"training.epochz": [1]}, "epochz"),
        ({"seed": [1, -1]}, "seed=-1"),
        ({"loss.name": ["no-such"]}, "no-such"),
        ({"dataset.name": ["no-such"]}, "no-such"),
        ({"backend.options.precision": ["single", "half"]}, "precision"),
    ]:
        with pytest.raises((ConfigError, UnknownNameError), match=said):
            sweep(CONFIG, grid, out, workers=1)
    with pytest.raises(ConfigError, match="--by"):
        sweep(CONFIG, GRID, out, workers=1, by=["chip"])
    with pytest.raises(ConfigError, match="workers"):
        sweep(CONFIG, GRID, out, workers=0)
    with pytest.raises(ConfigError, match="--workers with --cluster"):
        sweep(CONFIG, GRID, out, workers=2, cluster="tcp://127.0.0.1:1")
    with pytest.raises(ConfigError, match="is a study"):
        sweep(load_experiment("yin-yang-spikes"), GRID, out, workers=1)
    assert not out.exists()


def test_a_folder_of_something_else_is_refused(swept, tmp_path):
    out, _ = swept
    with pytest.raises(OutputError, match="sweep of another configuration"):
        sweep(CONFIG.model_copy(update={"name": "other"}), GRID, out, workers=1)
    with pytest.raises(OutputError, match="other --threads"):
        sweep(CONFIG, GRID, out, workers=1, threads=2)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        sweep(CONFIG, GRID, tmp_path, workers=1, force=True)
    with FileLock.inside(out), pytest.raises(BusyError, match="is writing it"):
        sweep(CONFIG, GRID, out, workers=1)
    with pytest.raises(FileFormatError, match=r"no sweep\.json"):
        resume_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text('{"config": "seed = 1"}')
    with pytest.raises(FileFormatError, match="damaged"):
        resume_sweep(tmp_path)


def test_force_trains_anew_what_differs(swept, tmp_path):
    out, grid = tmp_path / "out", {"seed": [1]}
    before = sweep(CONFIG, grid, out, workers=1)
    values = CONFIG.model_dump()
    values["training"]["epochs"] = 1
    other = type(CONFIG).from_mapping(values, "test")
    after = sweep(other, grid, out, workers=1, force=True)
    assert (before.rows[0].outcome["epochs"], after.rows[0].outcome["epochs"]) == (2, 1)


def test_somebody_elses_run_in_a_folder_is_told(tmp_path):
    point = Grid.of({"seed": [1]}).points()[0]
    train(CONFIG.model_copy(update={"name": "mine"}), tmp_path / "out" / point.name)
    (tmp_path / "out" / "sweep.json").write_text(
        json.dumps({"config": CONFIG.to_toml(), "threads": 1})
    )
    result = sweep(CONFIG, {"seed": [1]}, tmp_path / "out", workers=1)
    assert "holds a run of another configuration" in result.rows[0].error
