"""From a configuration to a trained network: what the command line does, in Python.

>>> from hxloop.runs.run import train
>>> from hxloop.experiments.registry import load_experiment
>>> result = train(load_experiment("yin-yang", ["training.epochs=1"]))
>>> result.test.accuracy > 0.4
True
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hxloop import checks
from hxloop.activity import TRAINED
from hxloop.errors import OutputError
from hxloop.provenance import now, provenance
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.evaluate import evaluate_prepared as evaluate_prepared
from hxloop.runs.evaluate import evaluate_run as evaluate_run
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import IDENTITY, PROVENANCE
from hxloop.runs.identity import (
    change_notes,
    check_resumed,
    identity_of,
    run_digest,
)
from hxloop.runs.plan import Prepared, RunResult, prepare
from hxloop.runs.recorder import FINAL, ActivityRecorder
from hxloop.substrate import Session
from hxloop.training.identity import Difference
from hxloop.training.notes import tell
from hxloop.training.options import EvaluationResult, ProgressListener
from hxloop.training.trainer import Trainer

__all__ = [
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

OnTrainer = Callable[[Trainer], None]


def train(
    config: ExperimentConfig,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
) -> RunResult:
    """Train from scratch, evaluate on the test split, write the run folder.

    Args:
        config: the experiment.
        out: run folder, made; None writes nothing.
        force: replace a run that is in ``out``.
        progress: who is told how it goes; True: a line for an epoch on standard error.
        on_trainer: called with the ``Trainer`` before it starts (to stop it from elsewhere).

    Raises:
        OutputError: ``out`` is not empty or cannot be written.
        TrainingInterrupted: stopped on request; ``resume`` continues.
        HxloopError: whatever else is wrong, see ``prepare`` and ``Trainer.fit``.
    """
    return train_prepared(
        prepare(config), out, force=force, progress=progress, on_trainer=on_trainer
    )


def train_prepared(
    prepared: Prepared,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
) -> RunResult:
    """What ``train`` does, with parts that may have been exchanged; see there."""
    if out is None:
        with prepared.open_session() as session:
            return _run(prepared, session, None, progress, on_trainer)
    folder = checks.path("out", out, error=OutputError)
    RunDirectory.check(folder, force=force)
    # The session first: what does not fit the chip must not cost the run that is in ``out``.
    with RunDirectory.reserved(folder), prepared.open_session() as session:
        run = RunDirectory.create(folder, force=force)
        run.write_json(IDENTITY, identity_of(prepared))
        run.write_json(PROVENANCE, _origin(prepared.config))
        run.write_config(prepared.config)
        return _run(prepared, session, run, progress, on_trainer)


def resume(
    run_dir: str | os.PathLike[str],
    *,
    epochs: int | None = None,
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
        progress, on_trainer: see ``train``.

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
    return resume_prepared(prepare(config), run_dir, progress=progress, on_trainer=on_trainer)


def resume_prepared(
    prepared: Prepared,
    run_dir: str | os.PathLike[str],
    *,
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
) -> RunResult:
    """What ``resume`` does, with parts that may have been exchanged; see there."""
    run_dir = checks.path("run_dir", run_dir)
    run = RunDirectory.open(run_dir)
    with RunDirectory.reserved(run_dir):
        identity = run.identity
        changes: list[Difference] = []
        if identity is not None:
            changes = check_resumed(identity, prepared, str(run_dir), started=run.started)
        with prepared.open_session() as session:
            return _run(prepared, session, run, progress, on_trainer, changes)


def _run(
    prepared: Prepared,
    session: Session,
    run: RunDirectory | None,
    progress: ProgressListener | bool | None,
    on_trainer: OnTrainer | None,
    changes: Sequence[Difference] = (),
) -> RunResult:
    origin = _origin_of(prepared.config, run)
    trainer, recorder = _trainer(prepared, session, run, progress, on_trainer, changes)
    if run is not None:
        run.write_json(PROVENANCE, origin)
    training = trainer.fit()
    if run is not None:
        # At once: whatever follows may fail, or be stopped, and must not cost the weights.
        run.write_weights(training.parameters, _weights_metadata(prepared, session))
    test = _test(prepared, trainer, training.epoch, recorder)
    chip = test.info.chip_id
    result = RunResult(prepared.config, training, test, chip, run.path if run else None)
    if run is None:
        return result
    if chip:
        run.write_weights(training.parameters, _weights_metadata(prepared, session, chip))
    run.write_json("evaluation.json", result.as_dict())
    # Imported here: figures take a second to import, and not every run has a report.
    from hxloop.runs.report.training_report import report_failure

    origin |= {"finished": now(), "chip": chip}
    failure = report_failure(prepared, trainer.network, result, origin, run.report)
    # Last: a run is finished when all its files are there.
    if failure is None:
        run.write_json(PROVENANCE, origin)
    else:
        tell([failure])
        result = replace(result, problems=(failure,))
    if recorder is not None and recorder.failure is not None:
        raise OutputError(
            f"{recorder.failure}. The training is complete, and everything else is in "
            f"{run.path}. Record its activity again: hxloop evaluate {run.path} --activity FILE"
        ) from recorder.failure
    return result


def _trainer(
    prepared: Prepared,
    session: Session,
    run: RunDirectory | None,
    progress: ProgressListener | bool | None,
    on_trainer: OnTrainer | None,
    changes: Sequence[Difference],
) -> tuple[Trainer, ActivityRecorder | None]:
    """The trainer where it stands, and who records what it does."""
    config = prepared.config
    trainer = Trainer(
        prepared.loop_network(session),
        prepared.loss,
        prepared.data["train"],
        prepared.data["validation"],
        config.training_options(),
        run_dir=run.path if run else None,
        progress=progress,
    )
    if on_trainer is not None:
        on_trainer(trainer)
    recorder = None
    if run is not None and config.activity.epochs:
        recorder = ActivityRecorder(run.activity, prepared, trainer.note, trainer.events.recorded)
        recorder.record(trainer.network, 0)
        trainer.after_epoch = partial(recorder.record, trainer.network)
    if run is not None and run.started:
        trainer.resume()
    if run is not None and changes:
        # Only now: what could not be gone on with has changed nothing.
        run.write_config(config)
        run.write_json(IDENTITY, identity_of(prepared))
        trainer.note(change_notes(changes))
    if recorder is not None:
        recorder.continue_from(trainer.network, trainer.epochs_done)
    return trainer, recorder


def _origin_of(config: ExperimentConfig, run: RunDirectory | None) -> dict[str, Any]:
    """Where this comes from, and when it was begun and gone on with."""
    origin = _origin(config)
    # A run that was stopped before its first checkpoint starts at the beginning.
    if run is not None and run.started and (run.path / PROVENANCE).exists():
        before = run.read_json(PROVENANCE)
        resumed = [*before.get("resumed", []), origin["started"]]
        origin |= {"started": before.get("started"), "resumed": resumed}
    return origin


def _origin(config: ExperimentConfig) -> dict[str, Any]:
    return provenance(seed=config.seed, backend=config.backend.name)


def _test(
    prepared: Prepared, trainer: Trainer, epoch: int, recorder: ActivityRecorder | None
) -> EvaluationResult:
    test = prepared.data["test"]
    if recorder is None or FINAL not in prepared.config.activity.epochs:
        return trainer.evaluate(test)
    if recorder.split != "test":
        recorder.record_final(trainer.network, epoch)
        return trainer.evaluate(test)
    with recorder.state(trainer.network, TRAINED, epoch) as observer:
        return trainer.evaluate(test, observer=observer)


def _weights_metadata(
    prepared: Prepared, session: Session, chip: str | None = None
) -> dict[str, str]:
    metadata = {
        "experiment": prepared.config.name,
        "run": run_digest(identity_of(prepared)),
        "network": str(prepared.network),
        "layout": "(pre, post)",
        "config_digest": prepared.config.digest,
        "backend": prepared.backend.name,
    }
    limit, levels = session.capabilities.weight_limit, session.capabilities.weight_levels
    if limit is not None and levels is not None:
        metadata["weight_lsb"] = repr(limit / levels)
    return metadata | ({"chip": chip} if chip else {})
