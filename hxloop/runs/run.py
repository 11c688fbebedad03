"""From a configuration to a trained network: what the command line does, in Python.

>>> from hxloop.runs.run import train
>>> from hxloop.experiments.registry import load_experiment
>>> result = train(load_experiment("yin-yang", ["training.epochs=1"]))
>>> result.test.accuracy > 0.4
True
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from hxloop import checks
from hxloop.errors import OutputError
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.evaluate import evaluate_prepared as evaluate_prepared
from hxloop.runs.evaluate import evaluate_run as evaluate_run
from hxloop.runs.folder import RunDirectory
from hxloop.runs.identity import check_resumed
from hxloop.runs.plan import Prepared, RunResult, prepare
from hxloop.runs.training_run import TrainingRun, begun_folder
from hxloop.runs.watching import OnTrainer, watchers
from hxloop.training.events import TrainingEvents
from hxloop.training.identity import Difference
from hxloop.training.options import ProgressListener

__all__ = [
    "OnTrainer",
    "Prepared",
    "RunResult",
    "evaluate_prepared",
    "evaluate_run",
    "prepare",
    "resume",
    "resume_prepared",
    "train",
    "train_prepared",
]


def train(
    config: ExperimentConfig,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    events: Iterable[TrainingEvents] = (),
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
    report: bool = True,
) -> RunResult:
    """Train from scratch, evaluate on the test split, write the run folder.

    Args:
        config: the experiment.
        out: run folder, made; None writes nothing.
        force: replace a run that is in ``out``.
        events: who watches, and may ask it to stop; see ``TrainingEvents``.
        progress: a line for an epoch on standard error (True), or who else is told how it goes.
        on_trainer: called with the ``Trainer`` before it starts.
        report: whether ``report.html`` is written; if not, ``resume`` of the finished run does.

    Raises:
        OutputError: ``out`` is not empty or cannot be written.
        TrainingInterrupted: stopped on request; ``resume`` continues.
        HxloopError: whatever else is wrong, see ``prepare`` and ``Trainer.fit``.
    """
    told = watchers(events, progress, on_trainer)
    return train_prepared(prepare(config), out, force=force, events=told, report=report)


def train_prepared(
    prepared: Prepared,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    events: Iterable[TrainingEvents] = (),
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
    report: bool = True,
) -> RunResult:
    """What ``train`` does, with parts that may have been exchanged; see there."""
    told = watchers(events, progress, on_trainer)
    if out is None:
        with prepared.open_session() as session:
            return TrainingRun(prepared, session, events=told).run()
    folder = checks.path("out", out, error=OutputError)
    RunDirectory.check(folder, force=force)
    # The session first: what does not fit the chip must not cost the run that is in ``out``.
    with RunDirectory.reserved(folder), prepared.open_session() as session:
        begun = begun_folder(prepared, folder, force=force)
        return TrainingRun(prepared, session, begun, told, report=report).run()


def resume(
    run_dir: str | os.PathLike[str],
    *,
    epochs: int | None = None,
    events: Iterable[TrainingEvents] = (),
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
) -> RunResult:
    """Continue an interrupted training bit for bit as if it had not been interrupted.

    A finished run is evaluated again and its files are written anew.

    Args:
        run_dir: run folder.
        epochs: train to so many epochs instead, more or fewer than planned, but no fewer than
            are done. With the schedules "constant" and "step" that is the training that had
            been planned so from the start. "cosine" hangs on the number of epochs: from here on
            the rate is that of the new number, which a note tells.
        events, progress, on_trainer: see ``train``.

    Raises:
        FileFormatError: not a run folder, or its files are damaged.
        ConfigError: the configuration, or what it is about, is not that of the training begun;
            see ``hxloop.runs.identity.MAY_CHANGE`` for what may be other.
        OutputError: another process trains in that folder.
        TrainingInterrupted: stopped again.
    """
    run_dir = checks.path("run_dir", run_dir)
    config = RunDirectory.open(run_dir).config()
    if epochs is not None:
        values = config.model_dump()
        values["training"]["epochs"] = epochs
        config = ExperimentConfig.from_mapping(values, f"resume {run_dir} with epochs={epochs}")
    told = watchers(events, progress, on_trainer)
    return resume_prepared(prepare(config), run_dir, events=told)


def resume_prepared(
    prepared: Prepared,
    run_dir: str | os.PathLike[str],
    *,
    events: Iterable[TrainingEvents] = (),
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
) -> RunResult:
    """What ``resume`` does, with parts that may have been exchanged; see there."""
    run_dir = checks.path("run_dir", run_dir)
    folder, told = RunDirectory.open(run_dir), watchers(events, progress, on_trainer)
    with RunDirectory.reserved(run_dir):
        then = folder.identity
        changes: list[Difference] = []
        if then is not None:
            changes = check_resumed(then, prepared, str(run_dir), started=folder.started)
        with prepared.open_session() as session:
            return TrainingRun(prepared, session, folder, told, changes).run()
