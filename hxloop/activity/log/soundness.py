"""Whether what an activity log holds belongs together."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from hxloop.activity.log.schema import (
    SCHEMA,
    VERSION,
    check_signed,
    digest_of_run,
    text_of,
)
from hxloop.activity.log.tables import rows_of_run
from hxloop.errors import FileFormatError


def check_header(file: h5py.File, path: Path, what: str) -> None:
    """Check that a file is an activity log of the version that is read here.

    Raises:
        FileFormatError: it is not.
    """
    schema = text_of(file.attrs.get("schema", ""))
    if schema != SCHEMA:
        raise FileFormatError(
            f"{path}: expected {what}; it is an HDF5 file of another program (schema {schema!r})"
        )
    version = int(file.attrs.get("version", -1))
    if version != VERSION:
        raise FileFormatError(
            f"{path}: expected version {VERSION} of the layout; got {version}. Read it "
            "with the version of hxloop that wrote it"
        )


def check_state(group: h5py.Group, layers: int, path: Path) -> None:
    """Check attributes and counts of a state, and each run of one that was cut off.

    A state that is complete has the checksums of its chunks.

    Args:
        group: of the state.
        layers: how many the network has.
        path: of the file, for messages.

    Raises:
        FileFormatError: something does not belong to the rest.
    """
    check_signed(group)
    runs, ends = runs_done(group, path), dataset_of(group, "runs/ends", path)
    if not 0 <= runs <= len(ends):
        raise FileFormatError(
            f"{path}: {group.name} counts {runs} runs; there are at most {len(ends)}"
        )
    counted = np.asarray(ends[:runs])
    if counted.shape != (runs, 1 + layers) or counted.dtype != np.int64:
        raise FileFormatError(f"{path}: {group.name}/runs/ends has another shape or type")
    steps = np.diff(counted, axis=0, prepend=np.zeros((1, 1 + layers), np.int64))
    if (steps < 0).any():
        run = int(np.argwhere(steps < 0)[0, 0])
        raise FileFormatError(f"{path}: {group.name}/runs/ends: run {run} ends before it begins")
    if group.attrs["complete"] or "runs/digest" not in group:
        return
    for run in range(runs):
        rows = rows_of_run(group, run, counted)
        if digest_of_run(rows).encode() != group["runs/digest"][run]:
            raise FileFormatError(f"{path}: {group.name}: run {run} is damaged")


def dataset_of(group: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    """A dataset of a state.

    Raises:
        FileFormatError: there is none of that name.
    """
    if name not in group or not isinstance(group[name], h5py.Dataset):
        raise FileFormatError(f"{path}: {group.name}/{name} is missing")
    return group[name]


def runs_done(group: h5py.Group, path: Path) -> int:
    """How many runs of a state are written to their end.

    Raises:
        FileFormatError: the state does not say.
    """
    return int(dataset_of(group, "runs_done", path)[0])
