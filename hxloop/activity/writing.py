"""Writing activity logs: streamed, appendable, and whole at every moment.

How a log survives a kill, and its layout, is told in ``hxloop.activity.schema``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

import hxloop
from hxloop.activity.chunks import write_dataset
from hxloop.activity.files import reading, remove_leftovers, replacing, writing
from hxloop.activity.reading import ActivityLog
from hxloop.activity.run import Activity
from hxloop.activity.schema import (
    SCHEMA,
    TIME_UNIT,
    VERSION,
    WEIGHT_UNIT,
    check_state_name,
    info_to_json,
    network_to_json,
)
from hxloop.activity.states import FurtherSpikes, RecordedActivity
from hxloop.errors import FileFormatError, OutputError, RunInputError
from hxloop.network import NetworkSpec

_FEWEST_ROWS = 1024


class ActivityWriter:
    """Writes an activity log, or further states into one.

    Args:
        path: the file; made where it is missing.
        network: the network whose activity it will be.
        about: what to tell about its origin, JSON-able; kept when the file is made.
        compress: whether complete states are compressed.

    Raises:
        FileFormatError: ``path`` is there and is no activity log, or one of another network.
        OutputError: it cannot be written.

    Example:
        >>> with ActivityWriter(Path("activity.h5"), network) as log:  # doctest: +SKIP
        ...     with log.state("trained", split="test") as state:
        ...         state.append(activity, labels, decisions)
    """

    def __init__(
        self,
        path: Path,
        network: NetworkSpec,
        *,
        about: Mapping[str, Any] | None = None,
        compress: bool = True,
    ) -> None:
        self.path, self.network, self.compress = Path(path), network, compress
        remove_leftovers(self.path)
        if not self.path.exists():
            with replacing(self.path) as new, _new_file(new) as file:
                file.attrs["schema"], file.attrs["version"] = SCHEMA, VERSION
                file.attrs["created_with"] = f"hxloop {hxloop.__version__}"
                file.attrs["time_unit"], file.attrs["weight_unit"] = TIME_UNIT, WEIGHT_UNIT
                file.attrs["silent"] = "inf"
                file.attrs["network"] = network_to_json(network)
                file.attrs["about"] = json.dumps(dict(about or {}))
                file.create_group("states")
            return
        with ActivityLog.open(self.path) as log:
            if log.network != network:
                raise FileFormatError(
                    f"{self.path}: is a log of the network {log.network}, whose settings are not "
                    f"those of {network}; give another file"
                )

    @property
    def complete_states(self) -> tuple[str, ...]:
        """Names of the states that were written to their end."""
        with ActivityLog.open(self.path) as log:
            return tuple(name for name in log.states if log.is_complete(name))

    def state(
        self,
        name: str,
        *,
        epoch: int | None = None,
        split: str | None = None,
        n_samples: int | None = None,
    ) -> StateWriter:
        """Begin a state; one that is there under this name is replaced by the first run.

        Args:
            name: "untrained", "epoch-005", "trained", or another name.
            epoch: after how many epochs of training.
            split: which samples.
            n_samples: how many there will be, if known; saves growing the file.

        Raises:
            OutputError: no name for a state.
        """
        check_state_name(name)
        return StateWriter(self, name, epoch, split, n_samples)

    def drop(self, names: Collection[str]) -> None:
        """Remove states.

        Raises:
            OutputError: the file cannot be written.
        """
        with replacing(self.path) as new, self._copy(new, without=names):
            pass

    def close(self) -> None:
        """Nothing is left to do; states end with their own ``with`` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _copy(self, new: Path, without: Collection[str]) -> Iterator[h5py.File]:
        """A new file, open, with all states but some; those that were cut off without room."""
        with _new_file(new) as file:
            with reading(self.path, "an activity log"), h5py.File(self.path, "r") as old:
                for key, value in old.attrs.items():
                    file.attrs[key] = value
                states = file.create_group("states")
                for name, group in old["states"].items():
                    if name in without:
                        continue
                    if group.attrs["complete"]:
                        old.copy(group, states)  # chunks as they are, still compressed
                    else:
                        _pack(group, states.create_group(name), self.compress)
            yield file


@dataclass
class _Table:
    """A contiguous dataset while it is being written: where in the file, and how long a row."""

    offset: int
    capacity: int
    row: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.row))


class StateWriter:
    """Writes one state, run by run. A context manager: leaving it completes the state.

    Left by an exception, the state stays as it is, with all runs so far, and incomplete.
    """

    def __init__(
        self,
        log: ActivityWriter,
        name: str,
        epoch: int | None,
        split: str | None,
        n_samples: int | None,
    ) -> None:
        self._log, self._name, self._epoch, self._split = log, name, epoch, split
        self._planned = n_samples
        self._weights: tuple[NDArray[Any], ...] = ()
        self._tables: dict[str, _Table] = {}
        self._file = -1
        self._runs = 0
        # Samples, then further spikes of each layer.
        self._ends = np.zeros(1 + len(log.network.layers), np.int64)

    def append(
        self,
        activity: Activity,
        labels: NDArray[np.int64],
        decisions: NDArray[np.int64],
        further_spikes: Sequence[FurtherSpikes] | None = None,
    ) -> None:
        """Write a run. When this returns, the run is in the file.

        Args:
            activity: what the substrate did.
            labels: ``(batch,)``, index of the right output neuron.
            decisions: ``(batch,)``, index of the output neuron decided for; -1 = none.
            further_spikes: for each layer, spikes after the first ones; samples count from
                the start of this run.

        Raises:
            RunInputError: the activity does not fit the network, holds NaN, or its weights are
                not those of the state's first run.
            OutputError: the file cannot be written; it still holds all runs before.
        """
        checked = RecordedActivity(
            self._name,
            activity.input_times,
            activity.first_spike_times,
            np.asarray(labels, np.int64),
            np.asarray(decisions, np.int64),
            activity.weights_used,
            self._log.network,
        )
        rows: dict[str, NDArray[Any]] = {
            "labels": checked.labels,
            "decisions": checked.decisions,
            "input_times": checked.input_times,
        }
        for layer, times in enumerate(checked.layer_times):
            rows[f"layers/{layer}/first_spike_times"] = times
        counts = np.zeros_like(self._ends)
        counts[0] = len(checked)
        for layer, spikes in enumerate(further_spikes or ()):
            place = f"layers/{layer}/further_spikes"
            counts[1 + layer] = len(spikes.times)
            rows[f"{place}/samples"] = np.asarray(spikes.samples, np.int64) + self._ends[0]
            rows[f"{place}/neurons"] = np.asarray(spikes.neurons, np.int64)
            rows[f"{place}/times"] = np.asarray(spikes.times, np.float64)
        rows["runs/ends"] = (self._ends + counts)[None]
        rows["runs/info"] = np.array([info_to_json(activity.info)])
        self._check_weights(activity.weights_used)
        with writing(self._log.path):
            self._reserve(rows)
            for name, values in rows.items():
                self._write(name, self._used(name), values)
            self._runs += 1
            self._ends = self._ends + counts
            # The run counts from here on.
            self._write("runs_done", 0, np.array([self._runs], np.uint64))

    def close(self) -> None:
        """Complete the state: compress it and mark it.

        Raises:
            OutputError: the file cannot be written; the state stays as it was.
        """
        if self._file < 0:
            return
        log = self._log
        self._check_still_ours()
        with (
            replacing(log.path) as new,
            log._copy(new, without=[self._name]) as file,
            h5py.File(log.path, "r") as old,
        ):
            group = file["states"].create_group(self._name)
            _pack(old["states"][self._name], group, log.compress)
            group.attrs["complete"] = 1
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._release()

    # --- below -----------------------------------------------------------------------------

    def _check_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        if not self._weights:
            self._weights = tuple(np.array(matrix) for matrix in weights)
        for layer, (first, now) in enumerate(zip(self._weights, weights, strict=True)):
            if not np.array_equal(first, now):
                raise RunInputError(
                    f"state {self._name!r}: the weights of layer {layer} are not those of its "
                    "first run; begin another state when weights change"
                )

    def _used(self, name: str) -> int:
        """How many rows of a table are in use."""
        if name.startswith("runs/"):
            return self._runs
        if "further_spikes" in name:
            return int(self._ends[1 + int(name.split("/")[1])])
        return int(self._ends[0])

    def _write(self, name: str, row: int, values: NDArray[Any]) -> None:
        table = self._tables[name]
        data = np.ascontiguousarray(values, table.dtype).reshape(-1).view(np.uint8).data
        place = table.offset + row * table.row_bytes
        while data:  # the system may write less than it was given
            written = os.pwrite(self._file, data, place)
            data, place = data[written:], place + written

    def _reserve(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """See to it that there is room for some more rows, with a larger file if need be."""
        needed = {name: self._used(name) + len(values) for name, values in rows.items()}
        fits = bool(self._tables) and all(
            name in self._tables
            and needed[name] <= self._tables[name].capacity
            and values.dtype.itemsize <= self._tables[name].dtype.itemsize
            for name, values in rows.items()
        )
        if fits:
            return
        if self._tables and any(name not in self._tables for name in rows):
            raise RunInputError(
                f"state {self._name!r}: further spikes in some runs and not in others"
            )
        log, tables = self._log, {"runs_done": _Table(0, 1, (), np.dtype("<u8"))}
        for name, values in rows.items():
            dtype, capacity = values.dtype, max(_FEWEST_ROWS, 2 * needed[name])
            if name == "runs/info":
                dtype, capacity = np.dtype(f"S{2 * dtype.itemsize}"), max(64, 2 * needed[name])
            elif name == "runs/ends":
                capacity = max(64, capacity)
            elif self._planned and "further_spikes" not in name:
                capacity = max(self._planned, needed[name])
            if name in self._tables:
                old = self._tables[name]
                capacity = old.capacity if needed[name] <= old.capacity else capacity
                dtype = max(dtype, old.dtype, key=lambda kind: kind.itemsize)
            tables[name] = _Table(0, capacity, values.shape[1:], dtype.newbyteorder("<"))
        if self._tables:
            self._check_still_ours()
        descriptor = -1
        try:
            with replacing(log.path) as new:
                with log._copy(new, without=[self._name]) as file:
                    self._lay_out(file["states"].create_group(self._name), tables)
                descriptor = os.open(new, os.O_RDWR)
                self._move(descriptor, tables)
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            raise
        self._release()
        self._file, self._tables = descriptor, tables

    def _lay_out(self, group: h5py.Group, tables: dict[str, _Table]) -> None:
        group.attrs["complete"] = 0
        group.attrs["epoch"] = -1 if self._epoch is None else self._epoch
        group.attrs["split"] = self._split or ""
        for layer, matrix in enumerate(self._weights):
            dataset = group.create_dataset(f"layers/{layer}/weights", data=matrix)
            dataset.attrs["unit"] = WEIGHT_UNIT
        for name, table in tables.items():
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            # Room that is not used stays a hole in the file.
            properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            dataset = group.create_dataset(
                name, (table.capacity, *table.row), table.dtype, dcpl=properties
            )
            _set_unit(dataset)
            table.offset = dataset.id.get_offset()
        group.file.flush()

    def _move(self, descriptor: int, tables: dict[str, _Table]) -> None:
        """Copy what was written so far into another file."""
        before, self_file = self._tables, self._file
        self._file, self._tables = descriptor, tables
        try:
            for name, table in before.items():
                used = 1 if name == "runs_done" else self._used(name)
                step = max(1, (1 << 22) // table.row_bytes)
                for start in range(0, used, step):
                    count = min(step, used - start)
                    place = table.offset + start * table.row_bytes
                    data = os.pread(self_file, count * table.row_bytes, place)
                    values = np.frombuffer(data, table.dtype).reshape(count, *table.row)
                    self._write(name, start, values)
            if not before:
                self._write("runs_done", 0, np.zeros(1, np.uint64))
        finally:
            self._file, self._tables = self_file, before

    def _check_still_ours(self) -> None:
        try:
            there = os.stat(self._log.path)
        except OSError as error:
            raise OutputError(f"cannot write {self._log.path}: {error.strerror}") from error
        ours = os.fstat(self._file)
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise OutputError(
                f"{self._log.path}: another program has replaced the file; give each its own"
            )

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self._tables = -1, {}


def _new_file(path: Path) -> h5py.File:
    # Superblock 0 is read by every program and has no flag that a killed writer leaves set.
    # Aligned, so that the 8 bytes of ``runs_done`` never lie across two pages.
    return h5py.File(path, "w", libver="earliest", alignment_threshold=1, alignment_interval=8)


def _pack(old: h5py.Group, new: h5py.Group, compress: bool) -> None:
    """Copy a state that was being written, without the room that it did not use."""
    for key, value in old.attrs.items():
        new.attrs[key] = value
    runs = int(old["runs_done"][0])
    ends = old["runs/ends"][runs - 1] if runs else np.zeros(old["runs/ends"].shape[1], np.int64)

    def copy(name: str, item: h5py.HLObject) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        n = int(ends[0])
        if name == "runs_done" or name.endswith("/weights"):
            n = len(item)
        elif name.startswith("runs/"):
            n = runs
        elif "further_spikes" in name:
            n = int(ends[1 + int(name.split("/")[1])])
        dataset = write_dataset(
            new,
            name,
            (n, *item.shape[1:]),
            item.dtype,
            lambda start, stop: item[start:stop],
            compress and name != "runs_done",
        )
        for key, value in item.attrs.items():
            dataset.attrs[key] = value

    old.visititems(copy)


def _set_unit(dataset: h5py.Dataset) -> None:
    if dataset.dtype.kind == "f":
        dataset.attrs["unit"] = TIME_UNIT
