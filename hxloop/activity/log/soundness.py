"""Whether what an activity log holds belongs together."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop.activity.log.schema import (
    ALL_SPIKES,
    INPUT_SPIKES,
    OWN_NEURONS,
    SCHEMA,
    VERSION,
    check_signed,
    digest_of_run,
    spikes_place,
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
    if version not in (VERSION, ALL_SPIKES, OWN_NEURONS):
        raise FileFormatError(
            f"{path}: expected version {VERSION} to {OWN_NEURONS} of the layout; got {version}. "
            "Read it with the version of hxloop that wrote it"
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
    columns = 1 + layers + (INPUT_SPIKES in group)
    if counted.shape != (runs, columns) or counted.dtype != np.int64:
        raise FileFormatError(f"{path}: {group.name}/runs/ends has another shape or type")
    steps = np.diff(counted, axis=0, prepend=np.zeros((1, columns), np.int64))
    if (steps < 0).any():
        run = int(np.argwhere(steps < 0)[0, 0])
        raise FileFormatError(f"{path}: {group.name}/runs/ends: run {run} ends before it begins")
    if runs:
        _check_spikes(group, counted[-1], path)
    if group.attrs["complete"] or "runs/digest" not in group:
        return
    for run in range(runs):
        rows = rows_of_run(group, run, counted)
        if digest_of_run(rows).encode() != group["runs/digest"][run]:
            raise FileFormatError(f"{path}: {group.name}: run {run} is damaged")


def _check_spikes(group: h5py.Group, ends: NDArray[np.int64], path: Path) -> None:
    """Check that lists of all spikes have as many as runs and samples count."""
    layers = {spikes_place(i): 1 + i for i in range(len(ends) - 1)}
    for place, column in {**layers, INPUT_SPIKES: -1}.items():
        if place not in group:
            continue
        samples, spikes = int(ends[0]), int(ends[column])
        for name, rows in (("ends", samples), ("times", spikes), ("units", spikes)):
            there = dataset_of(group, f"{place}/{name}", path)
            if there.ndim != 1 or len(there) < rows:
                raise FileFormatError(
                    f"{path}: {there.name} has the shape {there.shape}; expected {rows} rows"
                )
        last = int(group[f"{place}/ends"][samples - 1]) if samples else 0
        if last != spikes:
            raise FileFormatError(
                f"{path}: {group.name}/{place}/ends: the last sample ends at spike {last}; "
                f"runs/ends counts {spikes}"
            )


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
