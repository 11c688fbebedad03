"""What trainings and evaluations record, and that recording changes nothing else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from hxloop.activity import ActivityLog, StateWriter, read_activity
from hxloop.cli.entry import main
from hxloop.errors import ConfigError, FileFormatError, HxloopWarning, OutputError
from hxloop.experiments.registry import load_experiment
from hxloop.files import replacing
from hxloop.files.lock import FileLock
from hxloop.runs.folder import RunDirectory
from hxloop.runs.plan import prepare
from hxloop.runs.recorder import ActivityRecorder
from hxloop.runs.report import training_report as experiment_report
from hxloop.runs.run import evaluate_run, resume, train
from hxloop.training.evaluation import EVALUATION_TRIAL, evaluate
from hxloop.training.loop import LoopNetwork

SMALL = ["dataset.train_size=60", "dataset.validation_size=20", "dataset.test_size=50",
         "training.batch_size=20", "network.hidden=[8,8]", "training.epochs=3",
         'initialisation.method="balanced"']  # fmt: skip
EVERY = 'activity.epochs=[0,1,2,3,"final"]'
CHIP = ['backend.name="emulated-chip"', 'backend.options={solver="event",weight_lsb=0.05}']


def config(*options):
    return load_experiment("yin-yang", [*SMALL, *options])


def weights(folder):
    run = RunDirectory.open(folder)
    return run.weights(prepare(run.config()).network)


def same_weights(first, second):
    return all(np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def assert_same_log(first, second):
    one, two = read_activity(first), read_activity(second)
    assert list(one) == list(two)
    for name in one:
        a, b = one[name], two[name]
        assert (a.epoch, a.split) == (b.epoch, b.split)
        for x, y in zip(
            (a.input_times, *a.layer_times, *a.weights, a.labels, a.decisions),
            (b.input_times, *b.layer_times, *b.weights, b.labels, b.decisions),
            strict=True,
        ):
            assert np.array_equal(x, y)
        for x, y in zip(a.runs, b.runs, strict=True):
            assert replace(x, duration_seconds=0.0) == replace(y, duration_seconds=0.0)


@pytest.fixture(scope="module", autouse=True)
def no_reports():
    # Figures take most of the time of so small a training, and are tested elsewhere.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment_report, "training_report", lambda *arguments: None)
        patch.setattr(experiment_report, "write_report", lambda *arguments: None)
        yield


@pytest.fixture(scope="module")
def options():
    # The backend whose noise would show if recording moved a random stream.
    return [EVERY, *CHIP]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, options):
    folder = tmp_path_factory.mktemp("recorded") / "run"
    train(config(*options), folder)
    return folder


def test_states_are_those_of_the_training(recorded, options):
    states = read_activity(recorded)
    assert list(states) == ["untrained", "epoch-001", "epoch-002", "epoch-003", "trained"]
    evaluation = json.loads((recorded / "evaluation.json").read_text())
    assert states["trained"].accuracy == evaluation["test_accuracy"]
    assert states["trained"].epoch == evaluation["epoch"]
    prepared = prepare(config(*options))
    with prepared.open_session() as session:
        for name, used in {"untrained": prepared.weights, "trained": weights(recorded)}.items():
            network, data = LoopNetwork(session, used), prepared.data["test"]
            result = evaluate(network, prepared.loss, data, 20, EVALUATION_TRIAL)
            for got, expected in zip(
                states[name].layer_times, result.first_spike_times, strict=True
            ):
                assert np.array_equal(got, expected)
            assert np.array_equal(states[name].decisions, result.decisions)
            assert len(states[name].runs) == 3  # batches of 20, 20 and 10
    with ActivityLog.open(recorded / "activity.h5") as log:
        assert log.about["seed"] == 1 and log.about["experiment"] == "yin-yang"
        assert log.network == prepared.network


def test_recording_changes_nothing_in_the_training(recorded, options, tmp_path):
    train(config(*options, "activity.epochs=[]"), tmp_path / "run")
    assert not (tmp_path / "run" / "activity.h5").exists()
    assert same_weights(recorded, tmp_path / "run")
    for name in ("evaluation.json", "metrics.jsonl"):
        texts = [(folder / name).read_text() for folder in (recorded, tmp_path / "run")]
        loaded = [[json.loads(line) for line in text.splitlines()] for text in texts] if (
            name == "metrics.jsonl"
        ) else [[json.loads(text)] for text in texts]  # fmt: skip
        timed = ("seconds", "seconds_per_epoch", "run_dir")
        one, two = ([{k: v for k, v in x.items() if k not in timed} for x in y] for y in loaded)
        assert one == two


class Stopped(BaseException):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("call", [0, 4, 9, 14])
def test_a_training_stopped_while_it_records_goes_on_and_loses_nothing(
    recorded, options, tmp_path, monkeypatch, call
):
    calls, real = [], StateWriter.append

    def append(self, *arguments):
        calls.append(1)
        if len(calls) == call + 1:
            raise Stopped
        real(self, *arguments)

    monkeypatch.setattr(StateWriter, "append", append)
    with pytest.raises(Stopped):
        train(config(*options), tmp_path / "run")
    resume(tmp_path / "run")
    assert same_weights(recorded, tmp_path / "run")
    assert_same_log(recorded, tmp_path / "run")


def test_a_training_killed_at_a_random_moment_goes_on(tmp_path):
    settings = [*SMALL, "training.epochs=20", 'activity.epochs=[0,1,2,3,4,5,20,"final"]']
    words = [word for setting in settings for word in ("--set", setting)]
    code = "import sys; from hxloop.cli.entry import main; main(sys.argv[1:])"
    folder = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "train", "yin-yang", *words, "--out", str(folder)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in child.stderr:
        if line.startswith("epoch 3/20"):
            break
    time.sleep(float(np.random.default_rng().uniform(0, 0.2)))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (folder / "weights.safetensors").exists()
    assert list(read_activity(folder))[:3] == ["untrained", "epoch-001", "epoch-002"]
    resume(folder)
    train(load_experiment("yin-yang", settings), tmp_path / "whole")
    assert_same_log(tmp_path / "whole", folder)


def test_a_finished_run_resumed_and_epochs_beyond_the_checkpoint(recorded, tmp_path):
    folder = shutil.copytree(recorded, tmp_path / "run")
    # As if the log were ahead of the checkpoint: real hardware would not do the same again.
    with replacing(folder / "evaluation.json") as new:
        new.write_text("{}")
    resume(folder)
    assert_same_log(recorded, folder)


@pytest.mark.parametrize("n", [7, 33])
def test_the_first_samples_are_those_of_all(recorded, options, tmp_path, n):
    train(config(*options, f"activity.samples={n}", "activity.epochs=[3]"), tmp_path / "run")
    few, all_ = (read_activity(folder)["epoch-003"] for folder in (tmp_path / "run", recorded))
    assert len(few) == min(n, 50)
    for a, b in zip(few.layer_times, all_.layer_times, strict=True):
        assert np.array_equal(a, b[:n])


@pytest.mark.parametrize(("split", "n"), [("train", 60), ("validation", 20)])
def test_another_split(tmp_path, split, n):
    result = train(config(f'activity.split="{split}"', "activity.compress=false"), tmp_path / "run")
    states = read_activity(tmp_path / "run")
    assert list(states) == ["untrained", "trained"]
    labels = prepare(config()).data[split].labels
    for state in states.values():
        assert state.split == split and np.array_equal(state.labels, labels) and len(state) == n
    if split == "validation":
        assert states["trained"].accuracy == result.training.validation_accuracy


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("activity.epochs=[4]", "from 0 to training.epochs = 3, or .final.; got 4"),
        ("activity.epochs=[-1]", "activity.epochs"),
        ('activity.epochs=["last"]', "activity.epochs"),
        ("activity.samples=0", "activity.samples"),
        ('activity.split="all"', "activity.split"),
        ("activity.sample=3", r"key in \[activity\] 'sample'; .* Did you mean 'samples'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(option, told):
    with pytest.raises(ConfigError, match=told):
        config(option)


# --- evaluations --------------------------------------------------------------------------


def test_an_evaluation_records_all_samples_and_adds_to_a_log(recorded, tmp_path):
    log = tmp_path / "log.h5"
    result = evaluate_run(recorded, activity=log)
    other = evaluate_run(
        recorded, "emulated-chip", {"solver": "event", "weight_lsb": 0.05, "chip": 5},
        activity=log, state="another-chip",
    )  # fmt: skip
    states = read_activity(log)
    assert list(states) == ["trained", "another-chip"]
    assert np.array_equal(states["trained"].decisions, result.test.decisions)
    assert states["another-chip"].accuracy == other.test.accuracy
    assert states["another-chip"].runs[0].chip_id == other.chip_id
    with pytest.raises(OutputError, match="holds a state 'trained' already; give another file"):
        evaluate_run(recorded, activity=log)
    (tmp_path / "text.h5").write_text("mine")
    with pytest.raises(FileFormatError, match="it is no HDF5 file"):
        evaluate_run(recorded, activity=tmp_path / "text.h5")
    assert (tmp_path / "text.h5").read_text() == "mine"


def test_the_command_line(recorded, tmp_path, capsys):
    log = tmp_path / "log.h5"
    words = ["evaluate", recorded, "--activity", log, "--state", "again", "--json"]
    for command in (words, ["export", log, "--to", "npz", "--out", tmp_path / "a.npz"],
                    ["export", recorded, "--to", "nwb", "--out", tmp_path / "a.nwb",
                     "--samples", "3", "--tau-syn-ms", "5", "--json"]):  # fmt: skip
        with pytest.raises(SystemExit) as status:
            main([str(word) for word in command])
        assert status.value.code == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1] == f"50 samples of again, 1104 spikes: {tmp_path / 'a.npz'}"
    assert out[2] == "Not in it, because npz has no place for them: network, runs, split"
    assert json.loads(out[3])["states"] == ["trained"]
    with pytest.raises(SystemExit) as status:
        main(["export", str(log), "--to", "nwb", "--out", str(tmp_path / "a.nwb")])
    assert status.value.code == 2 and "is there already" in capsys.readouterr().err


# --- what goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("write", [0, 75])
def test_a_full_disk_costs_the_log_and_not_the_training(recorded, options, tmp_path, write):
    writes, real = [], os.pwrite

    def pwrite(*arguments):
        writes.append(1)
        if len(writes) > write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(OutputError, match=r"No space left on device\. The training is"):
            train(config(*options), tmp_path / "run")
    assert same_weights(recorded, tmp_path / "run")
    assert (tmp_path / "run" / "evaluation.json").is_file()
    resume(tmp_path / "run")  # with room again: what can be recorded now
    states = read_activity(tmp_path / "run")
    assert {"untrained", "epoch-003", "trained"} <= set(states)


def test_a_damaged_log_is_told_before_the_training_goes_on(recorded, tmp_path):
    folder = shutil.copytree(recorded, tmp_path / "run")
    (folder / "activity.h5").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"activity\.h5: .*it is empty.* move it away and"):
        resume(folder)
    assert same_weights(recorded, folder)
    (folder / "activity.h5").unlink()
    resume(folder)
    assert {"untrained", "epoch-003", "trained"} == set(read_activity(folder))


@pytest.mark.parametrize("how", ["removed", "damaged", "taken", "replaced"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_log_lost_during_the_training_does_not_cost_the_weights(
    recorded, options, tmp_path, how, epoch
):
    folder = tmp_path / "run"
    log = folder / "activity.h5"
    held, real = [], ActivityRecorder.between

    def between(self, done):
        real(self, done)
        if done != epoch:
            return
        if how == "removed":
            log.unlink()
        elif how == "damaged":
            log.write_bytes(log.read_bytes()[:3000])
        elif how == "replaced":
            log.write_text("notes")
        else:
            held.append(FileLock.beside(log).acquire())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActivityRecorder, "between", between)
        with (
            pytest.raises((OutputError, FileFormatError), match="The training is complete"),
            pytest.warns(HxloopWarning, match="goes on without recording its activity"),
        ):
            train(config(*options), folder)
    # Told when it was seen, and kept where the training is told of.
    noted = json.loads((folder / "evaluation.json").read_text())["notes"]
    assert "activity-not-recorded" in [note["key"] for note in noted]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    for lock in held:
        lock.release()
    assert same_weights(recorded, folder)
    assert (folder / "evaluation.json").is_file()


def test_two_evaluations_into_one_log(recorded, tmp_path):
    log = tmp_path / "log.h5"
    evaluate_run(recorded, activity=log)
    with FileLock.beside(log), pytest.raises(OutputError, match="only one can at a time"):
        evaluate_run(recorded, activity=log, state="second")
    evaluate_run(recorded, activity=log, state="second")
    assert list(read_activity(log)) == ["trained", "second"]
