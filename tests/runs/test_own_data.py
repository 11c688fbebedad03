"""Data of the user's own, and paths, are those that the training was made with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hxloop.activity import ActivityLog
from hxloop.cli.entry import main
from hxloop.data import Dataset
from hxloop.errors import ConfigError
from hxloop.experiments.registry import load_experiment
from hxloop.network import NetworkSpec
from hxloop.runs.folder import RunDirectory
from hxloop.runs.run import (
    evaluate_prepared,
    evaluate_run,
    prepare,
    resume,
    resume_prepared,
    train_prepared,
)
from hxloop.training.initialisation import initial_weights
from hxloop.training.loop import LoopNetwork
from hxloop.training.options import SpikeData
from tests.runs.short_runs import CONFIG, TINY, stopped
from tests.runs.short_runs import no_provenance as no_provenance

# --- own data -----------------------------------------------------------------------------


def own(kind, **changes):
    """Data of one's own in the place of Yin-Yang: Iris has its shape, Wine has not."""
    n_features = 4 if kind == "iris" else 13
    rng = np.random.default_rng(5)
    centres = rng.random((3, n_features))
    config = load_experiment("yin-yang", [*TINY, *(f"{k}={v}" for k, v in changes.items())])
    prepared = prepare(config)
    encoding, datasets, data = config.spike_encoding(), {}, {}
    for split, n in (("train", 60), ("validation", 30), ("test", 30)):
        labels = np.arange(n) % 3
        samples = np.clip(centres[labels] + 0.1 * rng.standard_normal((n, n_features)), 0, 1)
        datasets[split] = Dataset(kind, samples, labels, 3, ("a", "b", "c"))
        data[split] = SpikeData(encoding.encode(samples), labels)
    network = NetworkSpec.feed_forward(encoding.n_channels(n_features), 4, 3, t_window=4.0)
    weights = initial_weights(network, [1.5, 0.5], [0.8, 0.8], seed=3)
    return replace(prepared, datasets=datasets, data=data, network=network, weights=weights)


@pytest.mark.parametrize("kind", ["iris", "wine"])
def test_own_data_are_not_taken_for_those_of_the_configuration(tmp_path, kind):
    """Iris was right in 96.7 %, and then in 15.2 %, of Yin-Yang; Wine crashed at the end."""
    prepared, run = own(kind), tmp_path / f"run-{kind}"
    result = train_prepared(prepared, run)
    page = (run / "report.html").read_text()
    assert kind in page and "Yin-Yang disk" not in page
    assert not result.problems and "finished" in json.loads((run / "provenance.json").read_text())
    # Evaluating looks at the test split alone.
    for again, split, samples, others in (
        (evaluate_run, "test", 30, 10),
        (resume, "train", 60, 60),
    ):
        with pytest.raises(
            ConfigError,
            match=rf"its {split} data were '{kind}', {samples} samples .*these are 'yin-yang', "
            rf"{others} samples of 5 .*resume_prepared",
        ):
            again(run)
    weights = RunDirectory.open(run).weights(prepared.network)
    assert evaluate_prepared(prepared, weights, run).test.accuracy == result.test.accuracy
    assert resume_prepared(prepared, run).test.accuracy == result.test.accuracy


def test_a_data_set_under_the_name_of_another_is_noticed(tmp_path):
    prepared = own("iris")
    named = {k: replace(d, name="yin-yang") for k, d in prepared.datasets.items()}
    prepared = replace(prepared, datasets=named)
    assert prepared.data_name == "own data"
    train_prepared(prepared, tmp_path / "run")
    assert "own data" in (tmp_path / "run" / "report.html").read_text()
    with pytest.raises(ConfigError, match="its test data were 'own data'"):
        evaluate_run(tmp_path / "run")


def test_own_data_are_noticed_before_the_first_checkpoint(tmp_path, no_reports):
    """Killed before it, the run would have begun anew with Yin-Yang."""
    prepared = own("iris")

    def fail(network, inputs, trial=None):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoopNetwork, "forward", fail)
        with pytest.raises(KeyboardInterrupt):
            train_prepared(prepared, tmp_path / "run")
    with pytest.raises(ConfigError, match="its train data were 'iris'"):
        resume(tmp_path / "run")
    yin_yang = prepare(prepared.config)
    only_weights = replace(yin_yang, weights=tuple(2 * w for w in yin_yang.weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoopNetwork, "forward", fail)
        with pytest.raises(KeyboardInterrupt):
            train_prepared(only_weights, tmp_path / "weights")
    with pytest.raises(ConfigError, match="other initial weights"):
        resume(tmp_path / "weights")


def test_logs_name_own_data(tmp_path, no_reports):
    prepared = own("wine", **{"activity.epochs": "['final']"})
    train_prepared(prepared, tmp_path / "run")
    with ActivityLog.open(tmp_path / "run" / "activity.h5") as log:
        assert log.about["dataset"] == "wine"


# --- paths --------------------------------------------------------------------------------


def test_paths_are_relative_to_the_file_that_names_them(tmp_path, monkeypatch, no_reports):
    """They were looked up where ``resume`` was typed."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "elsewhere").mkdir()
    text = CONFIG.to_toml().replace("[backend]\n", '[backend]\nrecord = "chip.h5"\n')
    (tmp_path / "experiments" / "mine.toml").write_text(text)
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_experiment("../experiments/mine.toml")
    assert Path(config.backend.record) == tmp_path / "experiments" / "chip.h5"
    typed = load_experiment("../experiments/mine.toml", ["backend.calibration=c.h5"])
    assert Path(typed.backend.calibration) == tmp_path / "elsewhere" / "c.h5"
    assert load_experiment("yin-yang", ["backend.record=~/x.h5"]).backend.record == str(
        Path("~/x.h5").expanduser()
    )
    # Given in Python: relative to where one is, absolute in the folder.
    made = CONFIG.model_copy(
        update={"backend": CONFIG.backend.model_copy(update={"record": "made.h5"})}
    )
    stopped(made, tmp_path / "run")
    stored = RunDirectory.open(tmp_path / "run").config()
    assert Path(stored.backend.record) == tmp_path / "elsewhere" / "made.h5"
    monkeypatch.chdir(tmp_path)
    resume(tmp_path / "run")
    assert (tmp_path / "elsewhere" / "made.h5").is_file() and not (tmp_path / "made.h5").exists()


def test_resume_to_more_epochs_on_the_command_line(begun, tmp_path, no_reports, capsys):
    shutil.copytree(begun, tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        main(["resume", str(tmp_path / "run"), "--epochs", "4", "--json"])
    assert ended.value.code == 0
    result = json.loads(capsys.readouterr().out)
    assert result["epochs"] == 4 and "other-epochs" in {note["key"] for note in result["notes"]}
