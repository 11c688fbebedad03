"""The folder of a run: what is in it, and never overwriting somebody else's."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import LOG_NAME
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import remove_leftovers_in, write_atomically
from hxloop.files.json_text import parse_json
from hxloop.files.lock import FileLock
from hxloop.network import NetworkSpec, Parameters
from hxloop.network.weights_file import FILE_NAME as WEIGHTS
from hxloop.network.weights_file import load_weights as load_weights
from hxloop.network.weights_file import write_weights
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder_state import (
    CONFIG,
    EVALUATION,
    IDENTITY,
    LOCK,
    MARK,
    REPORT,
    FolderState,
    state_of,
)
from hxloop.runs.identity import run_digest
from hxloop.training.checkpoint import CHECKPOINT, CHECKPOINTS, METRICS

_MARKED = """hxloop was making a run in this folder; with its config.toml it is one.
If nothing is running here any more, start over: hxloop train EXPERIMENT --out FOLDER --force
"""


class RunDirectory:
    """Paths and files of one run.

    ``config.toml`` (complete), ``identity.json``, ``metrics.jsonl``, ``checkpoints/``,
    ``weights.safetensors``, ``evaluation.json``, ``provenance.json``, ``activity.h5``,
    ``report.html``.

    It can be stopped at any moment, see ``hxloop.runs.folder_state``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def check(path: Path, *, force: bool = False) -> None:
        """Refuse a folder that ``create`` would refuse, and change nothing.

        Raises:
            OutputError: see ``create``.
        """
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: expected a folder; there is a file of that name")
        try:
            state = state_of(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from error
        if state is FolderState.FOREIGN:
            if not force:
                raise OutputError(f"{path}: the folder is not empty. Give another --out.")
            raise OutputError(
                f"{path}: holds files but no config.toml, so it is not a run folder; not even "
                "--force removes it. Give another --out."
            )
        if force:
            return
        if state is FolderState.RUN:
            raise OutputError(
                f"{path}: the folder is not empty. Give another --out, or --force (in Python: "
                f"force=True) to replace the run in it, or continue it: hxloop resume {path}"
            )
        if state is FolderState.REMAINS:
            raise OutputError(
                f"{path}: holds what is left of a run that was stopped as it was being replaced. "
                "--force removes that and starts over; or give another --out."
            )

    @classmethod
    def create(cls, path: Path, *, force: bool = False) -> RunDirectory:
        """Make an empty run folder. It becomes a run with ``write_config``.

        A run that was stopped or failed before its first checkpoint is replaced: nothing of it
        is lost that the same command would not make again.

        Args:
            path: where.
            force: remove a run that is there already, or what is left of one. Only a folder
                that holds a ``config.toml``, or nothing but files of a run, is ever removed.

        Raises:
            OutputError: the folder is not empty, or cannot be made.
        """
        cls.check(path, force=force)
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_atomically(path / MARK, _MARKED.encode())
            # The config.toml first: what has none is no run, whatever is left of it.
            (path / CONFIG).unlink(missing_ok=True)
            # What is in the folder, not the folder: it may be a link, or the current one.
            for old in [entry for entry in path.iterdir() if entry.name not in (MARK, LOCK)]:
                if old.is_dir() and not old.is_symlink():
                    shutil.rmtree(old)
                else:
                    old.unlink()
            (path / CHECKPOINTS).mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        return cls(path)

    @staticmethod
    @contextlib.contextmanager
    def reserved(path: Path) -> Iterator[None]:
        """Keep a folder, made where there is none, from all others who would write a run there.

        The reservation ends with the process, however that ends.

        Raises:
            OutputError: somebody trains into it at this moment, or it cannot be written.
        """
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        try:
            with FileLock.inside(path):
                for folder in (path, path / CHECKPOINTS):
                    remove_leftovers_in(folder)
                yield
        finally:
            # What failed before it wrote anything leaves nothing, no folder above it either.
            with contextlib.suppress(OSError):
                for folder in new:
                    folder.rmdir()

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run.

        Raises:
            FileFormatError: there is no run in that folder.
        """
        if (path / CONFIG).is_file():
            for folder in (path, path / "checkpoints"):
                remove_leftovers_in(folder)
            return cls(path)
        if not path.exists():
            raise FileFormatError(f"{path}: expected the folder of a run; there is no such folder")
        told = f"{path}: expected the folder of a run; there is no config.toml in it"
        if path.is_dir() and (path / MARK).exists():
            told += (
                ": the run that was begun here was stopped before anything was trained. Start "
                f"over: hxloop train EXPERIMENT --out {path} --force"
            )
        raise FileFormatError(told)

    @property
    def is_finished(self) -> bool:
        """Whether its training came to its end and was evaluated."""
        return (self.path / EVALUATION).is_file()

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / REPORT

    @property
    def activity(self) -> Path:
        """The activity log."""
        return self.path / LOG_NAME

    @property
    def started(self) -> bool:
        """Whether there is a checkpoint to go on from.

        Raises:
            FileFormatError: there is none, although there was one: it is lost.
        """
        if (self.path / CHECKPOINTS / CHECKPOINT).is_file():
            return True
        metrics = self.path / METRICS
        epochs = len(metrics.read_bytes().splitlines()) if metrics.is_file() else 0
        # Earlier versions wrote the metrics of the first epoch before its checkpoint.
        if epochs > 1 or (self.path / WEIGHTS).is_file():
            raise FileFormatError(
                f"{self.path}: {CHECKPOINTS}/{CHECKPOINT} is missing, although this run was "
                "trained. Put it back, or train again: hxloop train EXPERIMENT --out "
                f"{self.path} --force"
            )
        return False

    @property
    def identity(self) -> dict[str, Any] | None:
        """What the training is, see ``hxloop.runs.identity``; None: not known, of earlier versions.

        Raises:
            FileFormatError: corrupt.
        """
        return self.read_json(IDENTITY) if (self.path / IDENTITY).exists() else None

    def write_config(self, config: ExperimentConfig) -> None:
        """Write ``config.toml``; with it, the folder holds a run."""
        text = config.with_absolute_paths().to_toml()
        write_atomically(self.path / CONFIG, text.encode())
        with contextlib.suppress(OSError):  # beside a config.toml it means nothing
            (self.path / MARK).unlink(missing_ok=True)

    def config(self) -> ExperimentConfig:
        """Read ``config.toml``."""
        return ExperimentConfig.load(self.path / CONFIG)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder."""
        write_atomically(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

    def write_text(self, name: str, content: str) -> None:
        """Write a text file into the folder."""
        write_atomically(self.path / name, content.encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder.

        Raises:
            FileFormatError: missing, truncated or corrupt.
        """
        path = self.path / name
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise FileFormatError(f"{path}: truncated or corrupt: {error}") from error
        if not isinstance(content, dict):
            raise FileFormatError(f"{path}: expected a JSON object; got {type(content).__name__}")
        return content

    def write_weights(
        self,
        weights: Sequence[NDArray[np.float64]],
        metadata: Mapping[str, str],
        dtype: type[np.floating[Any]] = np.float64,
    ) -> None:
        """Write ``weights.safetensors``, see ``hxloop.network.weights_file``."""
        write_weights(self.path / WEIGHTS, weights, metadata, dtype)

    def weights(self, network: NetworkSpec) -> Parameters:
        """Read the weights of a network.

        Raises:
            FileFormatError: missing, truncated, corrupt, or of another network or training.
        """
        identity = self.identity
        run = None if identity is None else run_digest(identity)
        return load_weights(self.path / WEIGHTS, network, run)
