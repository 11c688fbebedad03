"""A run may be stopped at any moment: what is left is resumed, or trained into again."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors import safe_open

from hxloop.backends.ideal import IdealBackend, IdealSession
from hxloop.cli.entry import main
from hxloop.errors import FileFormatError, HxloopError, HxloopWarning, OutputError, RunFailed
from hxloop.experiments.registry import load_experiment
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import FolderState, state_of
from hxloop.runs.report import training_report as experiment_report
from hxloop.runs.run import resume, train

from .stopped import Killed, stopping

TINY = ["dataset.train_size=20", "dataset.validation_size=5", "dataset.test_size=10",
        "training.batch_size=10", "network.hidden=[4]", "training.epochs=2",
        "training.checkpoint_every=1", 'initialisation.method="balanced"',
        "activity.compress=false", 'activity.epochs=["final"]']  # fmt: skip
CONFIG = load_experiment("yin-yang", TINY)


@pytest.fixture(scope="module", autouse=True)
def no_reports():
    # These take most of the time of so small a training; one file stands for the report.
    with pytest.MonkeyPatch.context() as patch:
        plain = "hxloop.runs.training_run.provenance"
        patch.setattr(plain, lambda **more: {"started": "now", **more})
        patch.setattr(os, "fsync", lambda file: None)
        patch.setattr(experiment_report, "training_report", lambda *arguments: None)
        patch.setattr(experiment_report, "write_report", lambda _, path: path.write_text("report"))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not stopped, and how many file operations it took."""
    folder = tmp_path_factory.mktemp("whole")
    with stopping(folder, None) as counted:
        train(CONFIG, folder / "run")
    return folder / "run", counted.done


def outcome(run):
    """All of a finished run that does not tell the time."""
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluation = json.loads((run / "evaluation.json").read_text())
    timed = ("seconds", "seconds_per_epoch", "run_dir")
    with safe_open(run / "weights.safetensors", framework="numpy") as file:
        # The names in a safetensors file are in any order.
        weights = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        weights |= file.metadata()
    rows = [{k: v for k, v in row.items() if k not in timed} for row in [*metrics, evaluation]]
    return rows, weights, (run / "report.html").is_file(), "finished" in provenance(run)


def provenance(run):
    return json.loads((run / "provenance.json").read_text())


def carry_on(run):
    """What a user does: resume, and where that says to start over, start over."""
    try:
        resume(run)
    except FileFormatError as error:
        assert ("no config.toml in it" if run.exists() else "no such folder") in str(error)
        if run.exists() and any(run.iterdir()):
            assert "hxloop train" in str(error) or not (run / ".unfinished").exists()
        train(CONFIG, run)


def test_a_training_killed_at_any_file_operation_comes_to_the_same(whole, tmp_path, moments):
    finished, operations = whole
    assert operations > 30
    for after in moments(range(operations)):
        run = tmp_path / str(after) / "run"
        with pytest.raises(Killed), stopping(run.parent, after):
            train(CONFIG, run)
        carry_on(run)
        assert outcome(run) == outcome(finished), after


def test_a_resume_killed_at_any_file_operation_comes_to_the_same(whole, tmp_path, moments):
    finished, operations = whole
    # Stopped in the first epoch, after its first checkpoint.
    begun = tmp_path / "begun"
    for after in range(operations):
        shutil.rmtree(begun, ignore_errors=True)
        with pytest.raises(Killed), stopping(begun, after):
            train(CONFIG, begun)
        if (begun / "checkpoints" / "last.safetensors").is_file():
            break
    with stopping(tmp_path, None) as counted:
        shutil.copytree(begun, tmp_path / "copy")
        copied = counted.done
        resume(tmp_path / "copy")
    for after in moments(range(counted.done - copied)):
        run = tmp_path / str(after)
        shutil.copytree(begun, run)
        with pytest.raises(Killed), stopping(run, after):
            resume(run)
        carry_on(run)
        assert outcome(run) == outcome(finished), after


def test_a_replacement_killed_at_any_file_operation_can_be_done_again(whole, tmp_path, moments):
    """Never a folder that can be neither resumed nor trained into nor replaced."""
    finished = whole[0]
    shutil.copytree(finished, tmp_path / "old")
    (tmp_path / "old" / "notes.txt").write_text("mine")
    other = load_experiment("yin-yang", [*TINY, "seed=7"])
    train(other, tmp_path / "new")
    with stopping(tmp_path, None) as counted:
        shutil.copytree(tmp_path / "old", tmp_path / "counted")
        copied = counted.done
        RunDirectory.create(tmp_path / "counted", force=True)
    for after in moments(range(counted.done - copied + 8)):
        run = tmp_path / str(after)
        shutil.copytree(tmp_path / "old", run)
        with pytest.raises(Killed), stopping(run, after):
            train(other, run, force=True)
        if (run / "config.toml").is_file():
            resumed = resume(run)  # the whole old run, or the new one from its beginning
            assert outcome(run) == outcome(finished if resumed.config.seed != 7 else
                                           tmp_path / "new"), after  # fmt: skip
            continue
        with pytest.raises(FileFormatError, match=r"no config\.toml in it.* Start over: .*--force"):
            resume(run)
        if state_of(run) is not FolderState.EMPTY:
            with pytest.raises(OutputError, match="--force removes that and starts over"):
                train(other, run)
        train(other, run, force=True)
        assert outcome(run) == outcome(tmp_path / "new"), after


def test_a_full_disk_at_any_file_operation_is_one_error_and_no_dead_folder(
    whole, tmp_path, moments
):
    """One operation fails, and what follows it may work: cleaning up, or worse."""
    finished, operations = whole

    def no_room():
        return OSError(errno.ENOSPC, "No space left on device")

    for after in moments(range(operations)):
        run = tmp_path / str(after) / "run"
        try:
            with stopping(run.parent, after, no_room, for_good=False):
                train(CONFIG, run)
        except HxloopError:
            pass  # an OSError is no answer
        if (run / "config.toml").is_file():
            resume(run)
        else:
            train(CONFIG, run)
        assert outcome(run) == outcome(finished), after


def test_interrupted_between_checkpoints_and_config(tmp_path):
    # Interrupted there, a folder could be neither resumed nor trained into nor replaced.
    for number, force in enumerate((False, True)):
        run = tmp_path / str(number)
        (run / "checkpoints").mkdir(parents=True)
        command = ["train", "yin-yang", "--out", str(run), *(part for s in TINY for part in
                   ("--set", s))]  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main([*command, *(["--force"] if force else [])])
        assert ended.value.code == 0
        assert (run / "weights.safetensors").is_file()


def test_remains_of_a_forced_replacement_that_an_earlier_version_left(whole, tmp_path):
    # It removed what it found in any order; the config.toml may have been the first to go.
    left = (
        ["checkpoints"],
        ["metrics.jsonl", "report.html"],
        ["activity.h5", "weights.safetensors", "checkpoints"],
    )
    for number, kept in enumerate(left):
        run = tmp_path / str(number)
        run.mkdir()
        for name in kept:
            source = whole[0] / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, run / name)
        with pytest.raises(OutputError, match="what is left of a run"):
            train(CONFIG, run)
        train(CONFIG, run, force=True)
        assert outcome(run) == outcome(whole[0])


def test_resume_between_the_first_metrics_and_the_first_checkpoint(whole, tmp_path):
    # Earlier versions wrote the one before the other.
    run = RunDirectory.create(tmp_path / "run")
    run.write_config(CONFIG)
    line = (whole[0] / "metrics.jsonl").read_text().splitlines()[0]
    for text in (line + "\n", line[:20], ""):
        (run.path / "metrics.jsonl").write_text(text)
        resume(run.path)
        assert outcome(run.path) == outcome(whole[0])
        (run.path / "checkpoints" / "last.safetensors").unlink()
        (run.path / "weights.safetensors").unlink()


def test_a_lost_checkpoint_is_not_taken_for_a_run_that_never_began(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "last.safetensors").unlink()
    with pytest.raises(FileFormatError, match=r"last\.safetensors is missing, although"):
        resume(tmp_path / "run")
    (tmp_path / "run" / "weights.safetensors").unlink()
    with pytest.raises(FileFormatError, match=r"last\.safetensors is missing, although"):
        resume(tmp_path / "run")


def test_a_run_that_failed_at_once_does_not_block_the_corrected_command(tmp_path, whole):
    run = tmp_path / "run"

    class Broken(IdealSession):
        def run(self, weights, input_times, **options):
            raise RunFailed("no answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IdealBackend, "session", Broken)
        with pytest.raises(RunFailed):
            train(CONFIG, run)
    assert (run / "config.toml").is_file() and state_of(run) is FolderState.UNTRAINED
    train(CONFIG, run)
    assert outcome(run) == outcome(whole[0])


def test_a_report_that_fails_costs_only_the_report(tmp_path, whole):
    def fail(*arguments):
        raise ZeroDivisionError("a figure of no size")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment_report, "training_report", fail)
        with pytest.warns(HxloopWarning, match=r"no size.*hxloop resume"):
            result = train(CONFIG, tmp_path / "run")
    assert "report-failed" in [note["key"] for note in result.as_dict()["notes"]]
    assert outcome(tmp_path / "run") == (*outcome(whole[0])[:2], False, False)
    assert not resume(tmp_path / "run").problems
    assert outcome(tmp_path / "run") == outcome(whole[0])


@pytest.mark.parametrize(
    "end", ["killed", "finished", pytest.param("TrainingInterrupted", marks=pytest.mark.slow)]
)
def test_one_writer_at_a_time(whole, tmp_path, end):
    """Two resumptions of one folder both ended well, with the metrics doubled."""
    run = tmp_path / "run"
    program = (
        "import sys, hxloop.runs.run as e, hxloop.experiments.registry as r, torch\n"
        "import hxloop.runs.report.training_report as report\n"
        "torch.set_num_threads(1)\n"  # as here, and no figures either
        "report.training_report = lambda *a: None\n"
        "report.write_report = lambda _, path: path.write_text('report')\n"
        "class Wait:\n"
        "    def on_start(self, *a): pass\n"
        "    def on_batch(self, *a): pass\n"
        "    def on_epoch(self, m):\n"
        "        print('epoch', flush=True); command = sys.stdin.readline()\n"
        "        if 'stop' in command: t[0].request_stop()\n"
        "t = []\n"
        "e.train(r.load_experiment('yin-yang', sys.argv[2:]), sys.argv[1],"
        " progress=Wait(), on_trainer=t.append)\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(run), *TINY],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert first.stdout.readline() == "epoch\n"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for other in (lambda: resume(run), lambda: train(CONFIG, run, force=True)):
        with pytest.raises(OutputError, match=f"process {first.pid} .* only one can at a time"):
            other()
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    if end == "killed":
        first.kill()
    else:
        first.stdin.write("stop\n" if end == "TrainingInterrupted" else "\n\n")
    first.communicate()
    resume(run)
    metrics = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in metrics] == [1, 2]
    assert not (run / ".lock").exists()
    assert outcome(run) == outcome(whole[0])


def test_a_config_of_the_users_own_is_not_taken_for_a_run_that_failed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.toml").write_text(CONFIG.to_toml())
    with pytest.raises(OutputError, match="not empty"):
        train(CONFIG, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["config.toml"]


def test_what_is_beside_the_parts_of_a_run_is_never_removed(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole[0], run)
    (run / "config.toml").unlink()
    assert state_of(run) is FolderState.REMAINS
    for name in ("thesis.txt", "checkpoints/thesis.txt", "more/thesis.txt"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("years of work")
        assert state_of(run) is FolderState.FOREIGN
        with pytest.raises(OutputError, match="not even --force"):
            train(CONFIG, run, force=True)
        (run / name).unlink()
