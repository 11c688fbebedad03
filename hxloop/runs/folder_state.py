"""What is in a folder that is asked for as the folder of a run, whoever was stopped in it when.

A run folder comes to be in steps, and each of them may be the last: the folder, a mark
(``.unfinished``), everything old removed (``config.toml`` first), ``checkpoints/``, the files
that say what the run is, ``config.toml``, the mark removed. So a folder with a ``config.toml``
is a whole run, and one without is none, whatever else is in it.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path

from hxloop.activity import LOG_NAME
from hxloop.network.weights_file import FILE_NAME as WEIGHTS
from hxloop.training.checkpoint import CHECKPOINTS, METRICS

CONFIG = "config.toml"
IDENTITY = "identity.json"
EVALUATION = "evaluation.json"
PROVENANCE = "provenance.json"
REPORT = "report.html"
LOCK = ".lock"
MARK = ".unfinished"

# What is there before anything was trained: the same command makes all of it again.
_BEFORE_TRAINING = {CONFIG, IDENTITY, PROVENANCE, LOG_NAME, MARK, LOCK}
# What hxloop writes into the folders of runs and studies, for those that lost their config.toml.
_FILES = _BEFORE_TRAINING | {
    METRICS, WEIGHTS, REPORT, EVALUATION, "results.json", "results.md", "figure.png",
}  # fmt: skip
_FOLDERS = {CHECKPOINTS, "analysis"}
_TEMPORARY = re.compile(r"\..+\.tmp(\.\w+)?")


class FolderState(enum.Enum):
    """What a folder is, for somebody who wants to train into it."""

    EMPTY = "nothing in it, or nothing but what a run leaves that was stopped as it began"
    UNTRAINED = "a run that was stopped, or failed, before its first checkpoint"
    REMAINS = "parts of a run without its config.toml: it was being replaced, or never began"
    RUN = "a run or a study"
    FOREIGN = "something else"


def state_of(path: Path) -> FolderState:
    """Look at a folder, and change nothing.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return FolderState.EMPTY
    entries = [entry for entry in path.iterdir() if not _is_temporary(entry)]
    files = {entry.name for entry in entries if not _is_empty_checkpoints(entry)}
    if files <= {LOCK, MARK, IDENTITY, PROVENANCE}:
        return FolderState.EMPTY
    if CONFIG in files:
        # A config.toml alone may be the user's own; these two are written by a run only.
        begun = IDENTITY in files or PROVENANCE in files
        return FolderState.UNTRAINED if begun and files <= _BEFORE_TRAINING else FolderState.RUN
    if MARK in files or all(_is_part(entry) for entry in entries):
        return FolderState.REMAINS
    return FolderState.FOREIGN


def _is_temporary(entry: Path) -> bool:
    return _TEMPORARY.fullmatch(entry.name) is not None and not entry.is_dir()


def _is_empty_checkpoints(entry: Path) -> bool:
    return (
        entry.name == CHECKPOINTS
        and entry.is_dir()
        and all(_is_temporary(below) for below in entry.iterdir())
    )


def _is_part(entry: Path) -> bool:
    """Whether this is of a run or a study, also where its config.toml is lost."""
    if not entry.is_dir():
        return entry.name in _FILES
    if entry.name == CHECKPOINTS:
        return all(
            below.suffix == ".safetensors" or _is_temporary(below) for below in entry.iterdir()
        )
    return entry.name in _FOLDERS or state_of(entry) is not FolderState.FOREIGN
