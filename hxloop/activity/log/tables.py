"""The datasets of a state that is being written: room in the file, filled without HDF5.

Why, is told in ``hxloop.activity.log.schema``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop.activity.log.chunks import write_dataset
from hxloop.activity.log.schema import INPUT_SPIKES, TIME_UNIT, WEIGHT_UNIT, is_parameter
from hxloop.errors import OutputError
from hxloop.network import Parameters
from hxloop.network.values import WEIGHTS

RUNS_DONE = "runs_done"
_COPIED = 1 << 22  # bytes at a time
_FEWEST = {"runs/info": 64, "runs/ends": 64, "runs/digest": 64}
_FEWEST_ROWS = 1024


@dataclass(frozen=True)
class Table:
    """A contiguous dataset.

    Attributes:
        capacity: how many rows there is room for.
        row: shape of a row.
        dtype: of its numbers, or of its text.
        offset: of its first byte in the file.
    """

    capacity: int
    row: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = 0

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return self.dtype.itemsize * int(np.prod(self.row))

    def holds(self, n_rows: int, values: NDArray[Any]) -> bool:
        """Whether there is room for so many rows, and for texts as long as these."""
        return n_rows <= self.capacity and values.dtype.itemsize <= self.dtype.itemsize


def roomy(
    name: str, values: NDArray[Any], n_rows: int, before: Table | None, planned: int
) -> Table:
    """A table with room for more than is needed now, so that it seldom has to be made larger.

    Args:
        name: of the table.
        values: the rows that it is to take first.
        n_rows: how many rows it must have room for.
        before: the table that it replaces.
        planned: how many samples there will be; 0 = not known.
    """
    capacity, dtype = max(_FEWEST.get(name, _FEWEST_ROWS), 2 * n_rows), values.dtype
    if name == RUNS_DONE:
        capacity = 1
    elif planned and not name.startswith("runs/") and not _is_list(name):
        capacity = max(planned, n_rows)
    if dtype.kind == "S":
        dtype = np.dtype(f"S{2 * dtype.itemsize}")
    if before is not None:
        capacity = before.capacity if n_rows <= before.capacity else capacity
        dtype = max(dtype, before.dtype, key=lambda kind: kind.itemsize)
    return Table(capacity, values.shape[1:], dtype.newbyteorder("<"))


class OpenTables:
    """The tables of a state in a file, open for writing at their places.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, tables: Mapping[str, Table]) -> None:
        self.tables = dict(tables)
        self._file = os.open(path, os.O_RDWR)

    def write(self, name: str, row: int, values: NDArray[Any]) -> None:
        """Write rows from a row on.

        Raises:
            OSError: the disk is full, or fails.
        """
        table = self.tables[name]
        data = np.ascontiguousarray(values, table.dtype).reshape(-1).view(np.uint8).data
        place = table.offset + row * table.row_bytes
        while data:  # the system may write less than it was given
            written = os.pwrite(self._file, data, place)
            data, place = data[written:], place + written

    def copy_to(self, other: OpenTables, used: Callable[[str], int]) -> None:
        """Copy the rows that are in use.

        Args:
            other: where to.
            used: how many rows of a table, by its name, are in use.
        """
        for name, table in self.tables.items():
            step = max(1, _COPIED // table.row_bytes)
            for start in range(0, used(name), step):
                count = min(step, used(name) - start)
                place = table.offset + start * table.row_bytes
                data = os.pread(self._file, count * table.row_bytes, place)
                values = np.frombuffer(data, table.dtype).reshape(count, *table.row)
                other.write(name, start, values)

    def check_place(self, path: Path) -> None:
        """Check that the file is still the one of that name.

        Raises:
            OutputError: another program has replaced it.
        """
        there, ours = os.stat(path), os.fstat(self._file)
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise OutputError(f"{path}: another program has replaced the file; give each its own")

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def lay_out(group: h5py.Group, tables: Mapping[str, Table]) -> dict[str, Table]:
    """Make room for tables in a file.

    Returns:
        The tables with their places.
    """
    placed = {}
    for name, table in tables.items():
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        # Room that is not used stays a hole in the file.
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        dataset = group.create_dataset(
            name, (table.capacity, *table.row), table.dtype, dcpl=properties
        )
        if table.dtype.kind == "f":
            dataset.attrs["unit"] = TIME_UNIT
        placed[name] = Table(table.capacity, table.row, table.dtype, dataset.id.get_offset())
    return placed


def write_parameters(group: h5py.Group, parameters: Parameters) -> None:
    """Write the weights, delays and neurons of a state."""
    for name, array in parameters.named().items():
        dataset = group.create_dataset(name, data=array)
        voltage = name.startswith(WEIGHTS) or name.rpartition(".")[2].startswith("v_")
        dataset.attrs["unit"] = WEIGHT_UNIT if voltage else TIME_UNIT


def pack(old: h5py.Group, new: h5py.Group, compress: bool) -> None:
    """Copy a state that was being written, without the room that it did not use."""
    for key, value in old.attrs.items():
        new.attrs[key] = value
    runs = int(old[RUNS_DONE][0])
    ends = old["runs/ends"][runs - 1] if runs else np.zeros(old["runs/ends"].shape[1], np.int64)

    def copy(name: str, item: h5py.HLObject) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        n = len(item) if is_parameter(name) else n_used(name, runs, ends)
        dataset = write_dataset(
            new,
            name,
            (n, *item.shape[1:]),
            item.dtype,
            lambda start, stop: item[start:stop],
            compress and name != RUNS_DONE,
        )
        for key, value in item.attrs.items():
            dataset.attrs[key] = value

    old.visititems(copy)


def rows_of_run(group: h5py.Group, run: int, ends: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What a run added to the datasets of a state, by their names; its digest is left out.

    Args:
        group: the state.
        run: its number.
        ends: ``(runs, 1 + layers)`` or one more, see ``hxloop.activity.log.schema``.
    """
    before = ends[run - 1] if run else np.zeros_like(ends[0])
    rows = {}

    def cut(name: str, item: h5py.HLObject) -> None:
        apart = name in (RUNS_DONE, "runs/digest") or is_parameter(name)
        if isinstance(item, h5py.Dataset) and not apart:
            start, stop = n_used(name, run, before), n_used(name, run + 1, ends[run])
            rows[name] = item[start:stop]

    group.visititems(cut)
    return rows


def n_used(name: str, runs: int, ends: NDArray[np.int64]) -> int:
    """How many rows of a table are in use.

    Args:
        name: of the table.
        runs: how many runs were written.
        ends: number of samples, then of listed spikes of each layer and of the input, see
            ``hxloop.activity.log.schema``.
    """
    if name == RUNS_DONE:
        return 1
    if name.startswith("runs/"):
        return runs
    if _is_list(name):
        column = -1 if name.startswith(INPUT_SPIKES) else 1 + int(name.split("/")[1])
        return int(ends[column])
    return int(ends[0])


def _is_list(name: str) -> bool:
    """Whether a table has a row for each spike, not for each sample."""
    return "/further_spikes/" in name or name.endswith(("/spikes/times", "/spikes/units"))
