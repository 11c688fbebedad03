"""The experiment on spoken digits, on small files of the official format."""

from __future__ import annotations

import json

import pytest

from hxloop.activity import ActivityLog
from hxloop.cli.entry import main
from hxloop.errors import MissingDataError
from hxloop.experiments.registry import load_experiment
from hxloop.runs import prepare
from tests.data import heidelberg_files
from tests.runs.short_runs import no_reports as no_reports

SHORT = [
    "dataset.train_size=100", "training.epochs=2", "training.batch_size=20", "activity.samples=10",
    'network.populations=[{name="recurrent", size=20}, {name="output", readout=true}]',
    "training.learning_rate=0.02", "activity.epochs=['final']",
]  # fmt: skip


@pytest.fixture
def shd(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.usefixtures("no_reports")
def test_whoever_has_the_files_trains_with_one_command(shd, capsys):
    heidelberg_files.write(shd / "shd_train.h5", 200)
    heidelberg_files.write(shd / "shd_test.h5", 40, seed=1)
    folder = shd / "run"
    options = [word for option in SHORT for word in ("--set", option)]
    with pytest.raises(SystemExit) as done:
        main(["train", "shd", *options, "--out", str(folder), "--json"])
    assert done.value.code == 0
    assert json.loads(capsys.readouterr().out)["test_samples"] == 40
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["train_loss"] for line in lines]
    assert losses[-1] < 0.8 * losses[0]
    with ActivityLog(folder / "activity.h5") as log:
        inputs = log.inputs("trained")
        assert inputs.n_units == 70 and not inputs.once
        assert log.network.populations[0].name == "recurrent"


def test_without_the_files_it_is_told_where_they_belong(shd):
    with pytest.raises(MissingDataError, match=r"shd_train\.h5 not found; looked in .*/shd,"):
        prepare(load_experiment("shd"))
