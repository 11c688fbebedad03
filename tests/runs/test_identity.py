"""A run knows what it is: what is resumed or evaluated as something else is refused by name."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop.errors import ConfigError, FileFormatError, HxloopWarning
from hxloop.experiments.registry import load_experiment
from hxloop.runs.folder import RunDirectory
from hxloop.runs.report import training_report as experiment_report
from hxloop.runs.run import (
    evaluate_run,
    prepare,
    resume,
    train,
)
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import get_loss
from hxloop.training.options import SpikeData, TrainingOptions
from hxloop.training.state import check_epochs
from hxloop.training.trainer import Trainer
from hxloop.training.trainer_state import TrainerState
from tests.runs.short_runs import CONFIG, TINY, stopped
from tests.runs.short_runs import no_provenance as no_provenance


def same_weights(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


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
    state = TrainerState(epoch=5, best_epoch=3)
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
