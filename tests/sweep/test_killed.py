"""Sweeps on Dask whose workers, client or scheduler are killed: the same table, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hxloop.experiments.registry import load_experiment
from hxloop.sweep import sweep
from hxloop.sweep.crew import Cluster

pytest.importorskip("distributed")

SETTINGS = ["dataset.train_size=60", "dataset.validation_size=5", "dataset.test_size=10",
            "training.batch_size=20", "network.hidden=[4]", "training.epochs=EPOCHS",
            'initialisation.method="balanced"', "activity.epochs=[]"]  # fmt: skip
ALONE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def settings(epochs):
    return [setting.replace("EPOCHS", str(epochs)) for setting in SETTINGS]


def program(*words):
    """A process of its own session, so that nothing but itself is killed."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ALONE},
    )


def sweeping(out, epochs, seeds, *more):
    words = [word for setting in settings(epochs) for word in ("--set", setting)]
    grid = f"seed=1..{seeds}"
    return program("hxloop", "sweep", "yin-yang", "--grid", grid, "--out", str(out), *words, *more)


def until(happened, seconds=120.0):
    """What ``happened`` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def trainer_of(out):
    """The process that trains a run of which an epoch is done, and more are to come."""
    for run in Path(out).glob("seed=*"):
        try:
            if (run / "metrics.jsonl").stat().st_size and not (run / "evaluation.json").exists():
                return int(json.loads((run / ".lock").read_text())["process"])
        except (OSError, ValueError):
            continue
    return None


def finished(out):
    """Evaluations with the moment each was written."""
    return {
        path.parent.name: path.stat().st_mtime_ns for path in Path(out).glob("*/evaluation.json")
    }


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def judged(out, epochs, seeds, tmp_path):
    """The table is that of a sweep in which nothing happened."""
    config = load_experiment("yin-yang", settings(epochs))
    expected = sweep(config, {"seed": range(1, seeds + 1)}, tmp_path / "alone", workers=1)
    found = json.loads((out / "results.json").read_text())
    wanted = expected.as_dict()
    for row in (*found["runs"], *wanted["runs"]):
        row.pop("seconds")
    assert found == wanted


def test_a_worker_is_killed(tmp_path, monkeypatch):
    out, epochs, seeds = tmp_path / "out", 60, 2
    # One, and the one that takes its place: importing torch is most of what this test costs.
    monkeypatch.setattr("hxloop.sweep.run.crew_for", lambda *asked: Cluster(1))
    killed = []

    def kill():
        killed.append(until(lambda: trainer_of(out)))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        config = load_experiment("yin-yang", settings(epochs))
        sweep(config, {"seed": range(1, seeds + 1)}, out, workers=2)
    finally:
        killer.join()
    assert not is_alive(killed[0])
    judged(out, epochs, seeds, tmp_path)


@pytest.mark.slow  # processes that are begun again: 20 seconds
def test_workers_and_client_are_killed(tmp_path):
    out, epochs, seeds = tmp_path / "out", 120, 3
    first = sweeping(out, epochs, seeds, "--workers", "2")
    try:
        worker = until(lambda: trainer_of(out))
        os.kill(worker, signal.SIGKILL)
        # Somebody else goes on with that run, or begins another one.
        until(lambda: (other := trainer_of(out)) and other != worker)
    finally:
        first.kill()
        first.wait()
    kept = finished(out)
    left = trainer_of(out)
    if left is not None:  # whoever works for a client that is gone ends
        until(lambda: not is_alive(left))
    again = sweeping(out, epochs, seeds, "--workers", "2")
    assert again.wait(180) == 0
    assert {name: at for name, at in finished(out).items() if name in kept} == kept
    judged(out, epochs, seeds, tmp_path)


@pytest.mark.slow  # a scheduler and workers that are programs of their own: 20 seconds
def test_the_scheduler_is_killed(tmp_path):
    out, epochs, seeds = tmp_path / "out", 120, 3
    programs = []

    def cluster():
        file = tmp_path / f"scheduler-{len(programs)}.json"
        programs.append(
            program(
                "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                "--no-dashboard", "--scheduler-file", str(file),
            )
        )  # fmt: skip
        address = until(lambda: file.exists() and json.loads(file.read_text())["address"])
        programs.append(
            program(
                "distributed.cli.dask_worker", address, "--nthreads", "1", "--nworkers", "2",
                "--no-dashboard", "--local-directory", str(tmp_path),
            )
        )  # fmt: skip
        return address

    try:
        first = sweeping(out, epochs, seeds, "--cluster", cluster())
        programs.append(first)
        worker = until(lambda: trainer_of(out))
        programs[0].kill()
        assert first.wait(120) == 1
        kept = finished(out)
        until(lambda: not is_alive(worker) or trainer_of(out) != worker)
        again = sweeping(out, epochs, seeds, "--cluster", cluster())
        programs.append(again)
        assert again.wait(180) == 0
    finally:
        for each in programs:
            each.kill()
            each.wait()
    assert {name: at for name, at in finished(out).items() if name in kept} == kept
    judged(out, epochs, seeds, tmp_path)
