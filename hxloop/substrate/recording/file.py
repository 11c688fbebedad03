"""Recorded sessions: every run of a session in one HDF5 file, to be replayed.

The layout::

    /               attributes: schema = "hxloop-session", version, created_with; network and
                    capabilities of the session (JSON)
    /arrays         attribute checksum: of the attributes of the file
    /arrays/DIGEST  weights, input and spike times; the name is the SHA-256 of what is in it, so
                    that equal arrays are stored once and damaged ones are noticed
    /runs/NNNNNNNN  one text (JSON) for each run: trial, info, and the digests of the inputs as
                    asked and as delivered, of the weights as asked and as held, and of the first
                    spike times, one for each layer; attribute checksum: its SHA-256

Checksums were not in files of earlier versions.

Version 2 is written where neurons or inputs may spike more than once, or the network has loops,
delays, or connections that pass populations over; version 1 else. Its runs say ``trains``: inputs
and spikes are arrays of all spikes (``hxloop.substrate.recording.trains``), and delays stand
beside the weights, as asked and as held. Version 3 is written where neurons of a run have
parameters of their own: these stand beside the delays, by name.

While a session is recorded, its runs are added behind the end of the HDF5 file, see
``hxloop.substrate.recording.journal``: what is there is never touched, so that a kill at any
moment leaves all runs that were done. When the recording is closed, they get their places in the
HDF5 file, which is a new one renamed over the old. Until then only hxloop sees them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.activity.log.schema import CHECKSUM, check_signed, network_from_json
from hxloop.errors import FileFormatError
from hxloop.files import digest_of, reading, sha256_of
from hxloop.files.hdf5 import SEAL, end_of_hdf5, open_checked, seal_end
from hxloop.network import Feature, Parameters
from hxloop.network.own_neurons import checked_own
from hxloop.network.values import NEURONS, named_neurons
from hxloop.substrate.recording.journal import MARK, Journal, read_array, read_journal
from hxloop.substrate.recording.texts import RecordedRun, capabilities_from_json
from hxloop.substrate.recording.trains import train_of
from hxloop.version import __version__

# The newest version, that of files without neurons of their own, and without trains.
SCHEMA, VERSION, WITHOUT_OWN, WITHOUT_TRAINS = "hxloop-session", 3, 2, 1
WHAT = "a recorded session (made by hxloop.record)"

Array = NDArray[np.float64]


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
        self._raw, self._file, self._journal = _open(path)
        # Replaced between the two openings: a recording was closed just now.
        while os.fstat(self._raw.fileno()).st_ino != path.stat().st_ino:
            self.close()
            self._raw, self._file, self._journal = _open(path)
        try:
            with reading(path, WHAT):
                self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        attrs = self._file.attrs
        if attrs.get("schema") != SCHEMA:
            raise FileFormatError(f"schema is {attrs.get('schema')!r}")
        if int(attrs["version"]) > VERSION:
            raise FileFormatError(
                f"version {attrs['version']}; this hxloop ({__version__}) reads up to "
                f"{VERSION}: a newer one is needed"
            )
        self.network = network_from_json(attrs["network"])
        self.capabilities = capabilities_from_json(attrs["capabilities"])
        check_signed(self._file["arrays"], self._file)
        self.runs = tuple(RecordedRun.from_json(text, self.network) for text in self._texts())
        again = {Feature.MULTI_SPIKE} if self.has_trains else set()
        own = {Feature.NEURON_PARAMETERS} if self.has_own_neurons else set()
        features = self.network.features | again | own
        self.capabilities = replace(self.capabilities, features=frozenset(features))

    def _texts(self) -> list[str]:
        group, texts = self._file["runs"], []
        for name in sorted(group):
            text = group[name].asstr()[()]
            told = group[name].attrs.get(CHECKSUM)
            if told is not None and told != sha256_of(text):
                raise FileFormatError(f"run {name} is damaged: its digest is another")
            texts.append(text)
        return texts + self._journal.runs

    @property
    def has_trains(self) -> bool:
        """Whether any run has spikes beyond first ones, so that version 1 cannot hold it."""
        return bool(self.network.features) or any(run.trains for run in self.runs)

    @property
    def has_own_neurons(self) -> bool:
        """Whether neurons of any run have parameters of their own."""
        return any(run.asked_neurons for run in self.runs)

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
            if digest in self._journal.arrays:
                return read_array(self._raw, *self._journal.arrays[digest], digest)
            if digest not in self._file["arrays"]:
                raise FileFormatError(f"array {digest[:12]} is missing")
            values = np.asarray(self._file["arrays"][digest][()])
            if digest_of(values) != digest:
                raise FileFormatError(f"array {digest[:12]} is damaged: its digest is another")
        return values

    def activity(self, run: RecordedRun) -> Activity:
        """What the substrate did in a run.

        Raises:
            FileFormatError: an array is missing or damaged.
        """
        if run.trains:
            return self._activity_of_trains(run)
        activity = Activity(
            input_times=self.array(run.delivered_inputs),
            first_spike_times=tuple(self.array(digest) for digest in run.spikes),
            weights_used=tuple(self.array(digest) for digest in run.held_weights),
            info=run.info,
        )
        times = (activity.input_times, *activity.first_spike_times)
        expected = tuple((len(activity.input_times), size) for size in self.network.sizes)
        got = tuple(array.shape for array in times)
        held = tuple(matrix.shape for matrix in activity.weights_used)
        if got != expected or held != self.network.shapes:
            raise FileFormatError(
                f"{self.path}: expected {WHAT}; a run has arrays of the shapes {(*got, *held)}; "
                f"expected {(*expected, *self.network.shapes)}"
            )
        return activity

    def _activity_of_trains(self, run: RecordedRun) -> Activity:
        inputs, *spikes = (
            train_of(self.array(digest), f"{self.path}: array {digest[:12]}")
            for digest in (run.delivered_inputs, *run.spikes)
        )
        weights = tuple(self.array(digest) for digest in run.held_weights)
        delays = tuple(None if d is None else self.array(d) for d in run.held_delays)
        network, trains = self.network, (inputs, *spikes)
        got = [(each.batch, each.n_units) for each in trains]
        got += [array.shape for array in (*weights, *delays) if array is not None]
        expected = [(inputs.batch, size) for size in network.sizes]
        expected += [s for s in (*network.shapes, *network.delay_shapes) if s is not None]  # type: ignore[misc]
        if got != expected:
            raise FileFormatError(
                f"{self.path}: expected {WHAT}; a run has arrays of the shapes {got}; expected "
                f"{expected}"
            )
        own = named_neurons(
            {f"{NEURONS}.{name}": self.array(each) for name, each in run.held_neurons.items()}
        )
        checked = checked_own(network, own, f"{self.path}: {NEURONS}", FileFormatError)
        return Activity.of_spikes(inputs, spikes, Parameters(weights, delays, checked), run.info)

    @property
    def digests(self) -> frozenset[str]:
        """Digests of all arrays in the file."""
        return frozenset(self._file["arrays"]) | self._journal.arrays.keys()

    @property
    def end(self) -> int:
        """Where more can be added; 0: nowhere, it has to be written anew."""
        return self._journal.end

    def copy_to(self, arrays: h5py.Group, runs: h5py.Group) -> None:
        """Copy all arrays and runs into the groups of another file."""
        for old, new in ((self._file["arrays"], arrays), (self._file["runs"], runs)):
            for name in old:
                old.copy(name, new)
        for digest, place in self._journal.arrays.items():
            if digest not in arrays:
                write_array(arrays, digest, read_array(self._raw, *place, digest))
        for text in self._journal.runs:
            write_run(runs, text)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._file.close()
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open(path: Path) -> tuple[BinaryIO, h5py.File, Journal]:
    """The file as bytes and as HDF5, and what is behind its end."""
    file = open_checked(path, WHAT)
    try:
        with reading(path, WHAT):
            raw = path.open("rb")
            try:
                end = seal_end(raw)
                if end is None and _is_unsealed(raw):
                    raise FileFormatError("it is damaged: its seal is not where it belongs")
                journal = Journal(0) if end is None else read_journal(raw, end)
            except BaseException:
                raw.close()
                raise
            return raw, file, journal
    except BaseException:
        file.close()
        raise


def _is_unsealed(raw: BinaryIO) -> bool:
    """Whether there is something behind the end of the HDF5 file that belongs behind a seal."""
    end = end_of_hdf5(raw)
    raw.seek(end)
    before = b""
    while end and (block := raw.read(1 << 20)):
        if any(mark in before + block for mark in (SEAL, MARK)):
            return True
        before = block[-len(SEAL) :]
    return False


def write_array(arrays: h5py.Group, digest: str, array: NDArray[Any]) -> None:
    """Write an array under its digest."""
    # Not compressed: a quarter less, for longer than a run takes (measured, 150 x 120). Its
    # digest vouches for it, so the seal need not: not filled by HDF5, see ``hdf5_rules.extents``.
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    arrays.create_dataset(digest, data=array, dcpl=properties)


def write_run(runs: h5py.Group, text: str) -> None:
    """Write the text of a run, with its checksum."""
    name = f"{len(runs):08d}"
    runs.create_dataset(name, data=text, dtype=h5py.string_dtype())
    runs[name].attrs[CHECKSUM] = sha256_of(text)
