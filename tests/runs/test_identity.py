"""A run knows what it is: what is resumed or evaluated as something else is refused by name."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hxloop.activity import ActivityLog
from hxloop.cli.entry import main
from hxloop.data import Dataset
from hxloop.errors import ConfigError, FileFormatError, HxloopWarning, TrainingInterrupted
from hxloop.experiments.registry import load_experiment
from hxloop.network import NetworkSpec
from hxloop.runs.folder import RunDirectory
from hxloop.runs.report import training_report as experiment_report
from hxloop.runs.run import (
    evaluate_prepared,
    evaluate_run,
    prepare,
    resume,
    resume_prepared,
    train,
    train_prepared,
)
from hxloop.training.initialisation import initial_weights
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import get_loss
from hxloop.training.options import SpikeData, TrainingOptions
from hxloop.training.state import check_epochs
from hxloop.training.trainer import Trainer

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

    def observe(trainer):
        trainer.after_epoch = lambda done: trainer.request_stop() if done == epoch else None
        end = trainer._end_epoch

        def stop(start):
            end(start)
            if trainer.epochs_done == epoch:
                trainer.request_stop()

        trainer._end_epoch = stop

    return observe


def stopped(config, folder, epoch=1, **keywords):
    with pytest.raises(TrainingInterrupted):
        train(config, folder, on_trainer=stopped_after(epoch), **keywords)
    return folder


def same_weights(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return stopped(CONFIG, tmp_path_factory.mktemp("begun") / "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, begun):
    folder = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(begun, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment_report, "training_report", lambda *arguments: None)
        patch.setattr(experiment_report, "write_report", lambda *arguments: None)
        resume(folder)
    return folder


def changed(folder, target, override):
    """A copy of a run whose config.toml was changed by hand."""
    shutil.copytree(folder, target)
    key, _, value = override.partition("=")
    name, lines = key.rpartition(".")[2], (folder / "config.toml").read_text().splitlines()
    section, result, done = "", [], False
    for line in [*lines, "[end]"]:
        if line.startswith("["):
            if not done and section == key.rpartition(".")[0]:
                result.append(f"{name} = {value}")
                done = True
            section = line.strip("[]")
        if section == key.rpartition(".")[0] and line.startswith(f"{name} = "):
            line, done = f"{name} = {value}", True
        if line != "[end]":
            result.append(line)
    assert done
    (target / "config.toml").write_text("\n".join(result))
    return target


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.batch_size=10", "training.batch_size was 20, is 10"),
        ("seed=7", "seed was 1, is 7"),
        ("training.learning_rate=0.02", r"training.learning_rate was [\d.]+, is 0.02"),
        ("training.beta1=0.5", "training.beta1 was 0.9, is 0.5"),
        ("training.silent.bump=0.5", r"training.silent.bump was [\d.e-]+, is 0.5"),
        ("loss.name='target-time'", 'loss.name was "time-to-first-spike", is "target-time"'),
        ("dataset.train_size=40", "dataset.train_size was 60, is 40"),
        ("dataset.validation_size=4", "dataset.validation_size was 5, is 4"),
        ("network.t_window=3.0", "network.t_window was 4.0, is 3.0"),
        ("encoding.t_late=1.5", "encoding.t_late was 2.0, is 1.5"),
        ("backend.name='emulated-chip'", 'backend.name was "ideal", is "emulated-chip"'),
        ("backend.options.precision='single'", 'precision was not set, is "single"'),
        ("initialisation.spread=0.1", "initialisation.spread was 0.5, is 0.1"),
    ],
)
def test_a_stopped_run_does_not_go_on_as_something_else(begun, tmp_path, override, told):
    run = changed(begun, tmp_path / "run", override)
    if override.startswith("loss"):
        text = (run / "config.toml").read_text()
        (run / "config.toml").write_text(re.sub(r"\[loss\.options\]\n(.+ = .+\n)*", "", text))
    before = (run / "checkpoints" / "last.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=told) as caught:
        resume(run)
    assert str(run) in str(caught.value) and "What may be other: " in str(caught.value)
    assert (run / "checkpoints" / "last.safetensors").read_bytes() == before


def test_what_may_change_is_noted_and_changes_no_weight(begun, finished, tmp_path, no_reports):
    run = changed(begun, tmp_path / "run", "training.retries=9")
    with pytest.warns(HxloopWarning, match="training.retries was 3, is 9"):
        result = resume(run)
    assert "resumed-with-changes" in {note.key for note in result.notes}
    network = prepare(CONFIG).network
    assert same_weights(result.training.weights, RunDirectory.open(finished).weights(network))
    resume(run)  # not told again: the run is now what its config.toml says


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.t_window=3.0", "network.t_window was 4.0, is 3.0"),
        ("network.neuron.tau_mem=2.0", "network.neuron.tau_mem was 1.0, is 2.0"),
        ("encoding.t_late=1.0", "encoding.t_late was 2.0, is 1.0"),
        ("dataset.name='mnist-16x16'", 'was "yin-yang", is "mnist-16x16"'),
    ],
)
def test_a_run_is_evaluated_as_it_was_trained(finished, tmp_path, override, told):
    """With a changed window it was silently found to be right in 0 %."""
    run = changed(finished, tmp_path / "run", override)
    with pytest.raises((ConfigError, FileFormatError), match=told):
        evaluate_run(run)


def test_evaluation_on_another_backend_or_more_samples_is_no_change(finished, tmp_path):
    assert evaluate_run(finished, "emulated-chip", {"solver": "event"}).test.accuracy >= 0
    run = changed(finished, tmp_path / "run", "dataset.test_size=20")
    assert len(evaluate_run(run).test.labels) == 20


def test_weights_of_another_run_are_noticed(finished, tmp_path, no_reports):
    other = tmp_path / "other"
    train(load_experiment("yin-yang", [*TINY, "dataset.train_size=40"]), other)
    shutil.copy(other / "weights.safetensors", tmp_path / "weights.safetensors")
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.copy(other / "weights.safetensors", run / "weights.safetensors")
    with pytest.raises(FileFormatError, match="of another training than the one in this folder"):
        evaluate_run(run)


def test_metadata_of_weights_are_within_the_checksum(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = run / "weights.safetensors"
    content = path.read_bytes()
    assert b'"ideal"' in content
    path.write_bytes(content.replace(b'"ideal"', b'"idaal"'))
    with pytest.raises(FileFormatError, match="checksum of its metadata"):
        evaluate_run(run)


# --- longer trainings ---------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "step"])
@pytest.mark.parametrize("at", ["stopped", "finished"])
def test_a_training_made_longer_is_one_planned_so(tmp_path, no_reports, schedule, at):
    options = [*TINY, f"training.schedule={schedule}", "training.step_epochs=2"]
    config = load_experiment("yin-yang", options)
    if at == "stopped":
        stopped(config, tmp_path / "run")
    else:
        train(config, tmp_path / "run")
    with pytest.warns(HxloopWarning, match="as if that had been asked for from the start"):
        longer = resume(tmp_path / "run", epochs=5)
    whole = train(load_experiment("yin-yang", [*options, "training.epochs=5"]))
    assert same_weights(longer.training.weights, whole.training.weights)
    assert RunDirectory.open(tmp_path / "run").config().training.epochs == 5
    assert [m["epoch"] for m in longer.training.metrics] == [1, 2, 3, 4, 5]


def test_a_cosine_made_longer_says_at_which_rate_it_goes_on(begun, tmp_path, no_reports):
    shutil.copytree(begun, tmp_path / "run")
    options = CONFIG.training_options()
    longer = replace(options, epochs=6)
    told = (
        f"goes on at {longer.learning_rate_at(1):.3g} instead of {options.learning_rate_at(1):.3g}"
    )
    with pytest.warns(HxloopWarning, match=re.escape(told)):
        result = resume(tmp_path / "run", epochs=6)
    rates = [m["learning_rate"] for m in result.training.metrics]
    # The last of three batches of every epoch; the first epoch was on the shorter schedule.
    expected = [o.learning_rate_at(e + 2 / 3) for e, o in enumerate([options, *[longer] * 5])]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_fewer_epochs_than_are_done_change_nothing(finished):
    before = (finished / "config.toml").read_text()
    with pytest.raises(ConfigError, match="3 epochs are done already; expected no fewer, got 2"):
        resume(finished, epochs=2)
    assert (finished / "config.toml").read_text() == before


def test_a_training_that_stopped_by_itself_needs_more_patience_to_go_on():
    state = {"epoch": 5, "best_epoch": 3, "batch": 0}
    options = TrainingOptions(epochs=20, patience=2)
    with pytest.raises(ConfigError, match="stopped by itself after epoch 5"):
        check_epochs(state, 10, options)
    assert check_epochs(state, 20, options) is None
    assert check_epochs(state, 10, replace(options, patience=3)) is not None
    assert check_epochs(state, 10, replace(options, epochs=5)) is not None


# --- the trainer alone --------------------------------------------------------------------


def test_a_trainer_does_not_go_on_from_another_training(tmp_path):
    prepared = prepare(CONFIG)
    options = CONFIG.training_options()
    data = prepared.data["train"], prepared.data["validation"]

    def trainer(loss=prepared.loss, options=options, data=data):
        return Trainer(LoopNetwork(session, prepared.weights), loss, *data, options,
                       run_dir=tmp_path)  # fmt: skip

    fewer = SpikeData(data[0].input_times[:40], data[0].labels[:40])
    other_loss = get_loss("time-to-first-spike", xi=0.3)
    with prepared.open_session() as session:
        trainer(options=replace(options, epochs=1)).fit()
        for changes, told in (
            ({"options": replace(options, batch_size=7)}, "training.batch_size was 20, is 7"),
            ({"options": replace(options, seed=7)}, "training.seed was 1, is 7"),
            ({"data": (fewer, data[1])}, "data.train.samples was 60, is 40"),
            ({"loss": other_loss}, "loss.xi was"),
        ):
            with pytest.raises(ConfigError, match=told):
                trainer(**changes).resume()
        with pytest.warns(HxloopWarning, match="Trained to epoch 3 instead of 1"):
            trainer().resume()


def test_another_number_of_threads_is_told(begun, tmp_path, no_reports):
    """It changed last digits without a word."""
    shutil.copytree(begun, tmp_path / "run")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        with pytest.warns(HxloopWarning, match=f"{threads} threads and goes on with {threads + 1}"):
            resume(tmp_path / "run")
    finally:
        torch.set_num_threads(threads)


# --- own data -----------------------------------------------------------------------------


def own(kind, **changes):
    """Data of one's own in the place of Yin-Yang: Iris has its shape, Wine has not."""
    n_features = 4 if kind == "iris" else 13
    rng = np.random.default_rng(5)
    centres = rng.random((3, n_features))
    config = load_experiment("yin-yang", [*TINY, *(f"{k}={v}" for k, v in changes.items())])
    prepared = prepare(config)
    encoding, datasets, data = config.latency_encoding(), {}, {}
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
    for again in (evaluate_run, resume):
        with pytest.raises(ConfigError, match=rf"its train data were '{kind}', 60 samples .*"
                           r"these are 'yin-yang', 60 samples of 5 .*resume_prepared"):  # fmt: skip
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
    with pytest.raises(ConfigError, match="its train data were 'own data'"):
        evaluate_run(tmp_path / "run")


def test_own_data_are_noticed_before_the_first_checkpoint(tmp_path, no_reports):
    """Killed before it, the run would have begun anew with Yin-Yang."""
    prepared = own("iris")

    def fail(trainer, samples):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", fail)
        with pytest.raises(KeyboardInterrupt):
            train_prepared(prepared, tmp_path / "run")
    with pytest.raises(ConfigError, match="its train data were 'iris'"):
        resume(tmp_path / "run")
    yin_yang = prepare(prepared.config)
    only_weights = replace(yin_yang, weights=tuple(2 * w for w in yin_yang.weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", fail)
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
