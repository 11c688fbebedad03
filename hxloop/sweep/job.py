"""One run of a sweep, done wherever there is somebody to do it: begun, gone on with, or only read.

It is called in other processes and on other machines, with plain values only. Whatever is there of
the run decides what is done, so a job may be stopped at any moment, and given to somebody else.
"""

from __future__ import annotations

import contextlib
import time
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hxloop.engine.compiled.threads import in_threads
from hxloop.errors import BusyError, ConfigError, HxloopError
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import CONFIG, EVALUATION, FolderState, state_of
from hxloop.runs.plan import Prepared, prepare
from hxloop.runs.run import resume_prepared, train_prepared
from hxloop.substrate.optional import device_of
from hxloop.training.events import TrainingEvents

# How often is looked whether somebody else is done with a folder, in seconds.
_PAUSE = 0.5
# What of an evaluation stands in a sweep's table.
COLUMNS = (
    "test_accuracy", "test_samples", "validation_accuracy", "epoch", "epochs", "undecided", "chip",
    "seconds",
)  # fmt: skip

Reserve = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run of a sweep.

    Attributes:
        name: of its point, and of its folder.
        folder: of the run, absolute.
        config: TOML of its configuration, with absolute paths.
        threads: that it computes with; the last digits depend on it.
        report: whether it gets a report.
        force: train anew where a run of another configuration is.
    """

    name: str
    folder: str
    config: str
    threads: int = 1
    report: bool = False
    force: bool = False


def do(job: Job, reserve: Reserve, events: tuple[TrainingEvents, ...] = ()) -> dict[str, Any]:
    """Do what is missing of a run; what came of it.

    Args:
        job: the run.
        reserve: makes a context in which nobody else of the sweep uses the device of that name.
        events: who watches.

    Returns:
        ``COLUMNS``, of those that are known; or "error", in words.
    """
    try:
        with in_threads(job.threads):
            while True:
                # Whoever was given this job before may not have heard that the sweep has lost
                # sight of it, and is let finish.
                with contextlib.suppress(BusyError):
                    return _done(job, reserve, events)
                time.sleep(_PAUSE)
    except Exception as error:  # noqa: BLE001 - parts of other packages may raise anything
        return failure(error)


def failure(error: BaseException) -> dict[str, Any]:
    """What stands in the table where a run failed."""
    own = isinstance(error, HxloopError)
    text = str(error) if own else f"{type(error).__name__}: {error}"
    return {"error": text}


def outcome(job: Job) -> dict[str, Any] | None:
    """What came of a run, as its folder has it; None: it is not at its end, or another one.

    Raises:
        FileFormatError: damaged.
    """
    return _outcome(Path(job.folder), _config(job))


def _outcome(folder: Path, config: ExperimentConfig) -> dict[str, Any] | None:
    if not (folder / EVALUATION).is_file() or _is_another(folder, config):
        return None
    found = RunDirectory(folder).read_json(EVALUATION)
    return {key: found[key] for key in COLUMNS if key in found}


def _done(job: Job, reserve: Reserve, events: tuple[TrainingEvents, ...]) -> dict[str, Any]:
    folder, config = Path(job.folder), _config(job)
    replace = _is_another(folder, config)
    if replace and not job.force:
        raise ConfigError(
            f"{folder}: holds a run of another configuration. Give another --out, or --force to "
            "replace it."
        )
    if (found := _outcome(folder, config)) is not None:
        return found
    prepared = prepare(config)
    device = device_of(prepared.backend)
    with contextlib.nullcontext() if device is None else reserve(device):
        _train(job, folder, prepared, events, replace)
    return _outcome(folder, config) or {}


def _config(job: Job) -> ExperimentConfig:
    return ExperimentConfig.from_mapping(tomllib.loads(job.config), job.name)


def _train(
    job: Job,
    folder: Path,
    prepared: Prepared,
    events: tuple[TrainingEvents, ...],
    replace: bool,
) -> None:
    begun = state_of(folder)
    if begun is FolderState.RUN and not replace:
        resume_prepared(prepared, folder, events=events)
        return
    # What is left of one that was stopped before it was a run is the sweep's own.
    train_prepared(
        prepared,
        folder,
        force=replace or begun is FolderState.REMAINS,
        events=events,
        report=job.report,
    )


def _is_another(folder: Path, config: ExperimentConfig) -> bool:
    """Whether there is a run in a folder that is not this one."""
    if not (folder / CONFIG).is_file():
        return False
    return RunDirectory(folder).config() != config.with_absolute_paths()
