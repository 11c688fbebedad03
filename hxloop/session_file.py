"""Recorded sessions: every run of a session in one HDF5 file, to be replayed.

The layout, version 1::

    /               attributes: schema = "hxloop-session", version = 1, created_with; network and
                    capabilities of the session (JSON)
    /arrays/DIGEST  weights, input and spike times; the name is the SHA-256 of what is in it, so
                    that equal arrays are stored once and damaged ones are noticed
    /runs/NNNNNNNN  one text (JSON) for each run: trial, info, and the digests of the inputs as
                    asked and as delivered, of the weights as asked and as held, and of the first
                    spike times, one for each layer

A run is in the file when its text is, which is written last. It takes 8 bytes for each weight and
spike time that has not been there before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

import hxloop
from hxloop.activity import Activity, RunInfo
from hxloop.activity.schema import (
    info_from_json,
    info_to_json,
    network_from_json,
    network_to_json,
)
from hxloop.backend import Capabilities
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import digest_of, reading, writing
from hxloop.network import NetworkSpec

SCHEMA, VERSION = "hxloop-session", 1
WHAT = "a recorded session (made by hxloop.record)"
SPARE_BYTES = 1 << 17  # more than a run takes beside its arrays
RUNS_AHEAD = 10  # room that is taken in the file at once

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RecordedRun:
    """One run in the file; arrays by their digests.

    Attributes:
        trial: as asked.
        asked_inputs: input times as asked.
        delivered_inputs: input times as delivered.
        asked_weights: one for each layer, as asked.
        held_weights: one for each layer, as the substrate held them.
        spikes: first spike times, one for each layer.
        info: how the run went.
    """

    trial: int | None
    asked_inputs: str
    delivered_inputs: str
    asked_weights: tuple[str, ...]
    held_weights: tuple[str, ...]
    spikes: tuple[str, ...]
    info: RunInfo

    def to_json(self) -> str:
        """As text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["info"] = json.loads(info_to_json(self.info))
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str, n_layers: int) -> RecordedRun:
        """What ``to_json`` wrote.

        Raises:
            ValueError: it is no such text.
        """
        values = json.loads(text)
        for name in ("asked_weights", "held_weights", "spikes"):
            values[name] = tuple(values[name])
            if len(values[name]) != n_layers:
                raise ValueError(f"{len(values[name])} arrays of {name} for {n_layers} layers")
        values["info"] = info_from_json(json.dumps(values["info"]).encode())
        return cls(**values)


class SessionWriter:
    """Writes runs into a file.

    Args:
        path: of the file.
        network: of the session.
        capabilities: of the session.
        append: add to a file that is there. Otherwise there must be none.

    Raises:
        OutputError: the file is there, is of another network or substrate, or cannot be written.
        FileFormatError: it is there and no recorded session.
    """

    def __init__(
        self, path: Path, network: NetworkSpec, capabilities: Capabilities, append: bool
    ) -> None:
        self.path = path
        self._room = 0
        exists = path.exists()
        if exists and not append:
            raise OutputError(
                f"{path} exists; append=True adds to it, or give another name (recorded sessions "
                "are not overwritten)"
            )
        if exists:
            with SessionFile(path) as file:
                same = _capabilities_to_json(file.capabilities) == _capabilities_to_json(
                    capabilities
                )
                if file.network != network or not same:
                    raise OutputError(
                        f"{path} holds runs of the network {file.network} on {file.backends}; its "
                        f"settings, or the substrate's, are not those of this session ({network}). "
                        "Give another file."
                    )
        with writing(path):
            self._file = h5py.File(path, "r+" if exists else "x")
            if not exists:
                self._file.attrs["schema"], self._file.attrs["version"] = SCHEMA, VERSION
                self._file.attrs["created_with"] = f"hxloop {hxloop.__version__}"
                self._file.attrs["network"] = network_to_json(network)
                self._file.attrs["capabilities"] = _capabilities_to_json(capabilities)
                self._file.create_group("arrays")
                self._file.create_group("runs")
            self._file.flush()

    def append(
        self,
        weights: Sequence[NDArray[Any]],
        input_times: NDArray[Any],
        trial: int | None,
        activity: Activity,
    ) -> None:
        """Add a run; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written.
        """
        arrays = (input_times, activity.input_times, *weights, *activity.weights_used)
        arrays = (*arrays, *activity.first_spike_times)
        n_bytes = sum(array.nbytes for array in arrays) + SPARE_BYTES
        with writing(self.path):
            self._make_room(n_bytes)
            run = RecordedRun(
                trial=None if trial is None else int(trial),
                asked_inputs=self._store(input_times),
                delivered_inputs=self._store(activity.input_times),
                asked_weights=tuple(self._store(matrix) for matrix in weights),
                held_weights=tuple(self._store(matrix) for matrix in activity.weights_used),
                spikes=tuple(self._store(times) for times in activity.first_spike_times),
                info=activity.info,
            )
            runs = self._file["runs"]
            runs.create_dataset(f"{len(runs):08d}", data=run.to_json(), dtype=h5py.string_dtype())
            self._file.flush()

    def _make_room(self, n_bytes: int) -> None:
        """Take room at the end of the file before the HDF5 library needs it.

        When a write of its own fails, the library aborts the process as it closes the file.
        """
        used = self._file.id.get_filesize()
        if used + n_bytes <= self._room:
            return
        with self.path.open("rb+") as file:
            try:
                ahead = RUNS_AHEAD * n_bytes
                os.posix_fallocate(file.fileno(), used, ahead)
            except OSError:
                ahead = n_bytes
                os.posix_fallocate(file.fileno(), used, ahead)
        self._room = used + ahead

    def _store(self, array: NDArray[Any]) -> str:
        name = digest_of(array)
        if name not in self._file["arrays"]:
            # Not compressed: a quarter less, for longer than a run takes (measured, 150 x 120).
            self._file["arrays"].create_dataset(name, data=array)
        return name

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        if self._file:
            with writing(self.path):
                self._file.flush()
                used = self._file.id.get_filesize()
                self._file.close()
                os.truncate(self.path, used)


class SessionFile:
    """A recorded session, for reading. A context manager.

    Args:
        path: of the file.

    Raises:
        FileFormatError: there is no such file, or it is no recorded session, or damaged.

    Attributes:
        network: of the session.
        capabilities: of the session; what can only be done live (records, knobs, observables) is
            left out.
        runs: all runs, in the order in which they were made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, WHAT):
            self._file = h5py.File(path, "r")
            try:
                self._read()
            except BaseException:
                self._file.close()
                raise

    def _read(self) -> None:
        attrs = self._file.attrs
        if attrs.get("schema") != SCHEMA:
            raise FileFormatError(f"schema is {attrs.get('schema')!r}")
        if int(attrs["version"]) > VERSION:
            raise FileFormatError(
                f"version {attrs['version']}; this hxloop ({hxloop.__version__}) reads up to "
                f"{VERSION}: a newer one is needed"
            )
        self.network = network_from_json(attrs["network"])
        self.capabilities = _capabilities_from_json(attrs["capabilities"])
        group = self._file["runs"]
        n_layers = len(self.network.layers)
        self.runs = tuple(
            RecordedRun.from_json(group[name].asstr()[()], n_layers) for name in sorted(group)
        )

    @property
    def backends(self) -> str:
        """Names of what made the runs, for messages."""
        return ", ".join(sorted({run.info.backend for run in self.runs})) or "no backend yet"

    def array(self, digest: str) -> Array:
        """An array by its digest.

        Raises:
            FileFormatError: it is missing or damaged.
        """
        with reading(self.path, WHAT):
            values = self._file["arrays"][digest][()]
            if digest_of(values) != digest:
                raise FileFormatError(f"array {digest[:12]} is damaged: its digest is another")
        return np.asarray(values)

    def activity(self, run: RecordedRun) -> Activity:
        """What the substrate did in a run.

        Raises:
            FileFormatError: an array is missing or damaged.
        """
        return Activity(
            input_times=self.array(run.delivered_inputs),
            first_spike_times=tuple(self.array(digest) for digest in run.spikes),
            weights_used=tuple(self.array(digest) for digest in run.held_weights),
            info=run.info,
        )

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _capabilities_to_json(capabilities: Capabilities) -> str:
    values = asdict(capabilities)
    del values["time_limit"]  # of the substrate; a file does not hang
    return json.dumps({k: v for k, v in values.items() if not isinstance(v, frozenset)})


def _capabilities_from_json(text: str) -> Capabilities:
    values = json.loads(text)
    known = {field.name for field in fields(Capabilities)}
    if values.get("tau_ratios") is not None:
        values["tau_ratios"] = tuple(values["tau_ratios"])
    return Capabilities(**{name: value for name, value in values.items() if name in known})
