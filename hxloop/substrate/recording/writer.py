"""Writing recorded sessions: whole at every moment; see ``hxloop.substrate.recording.file``."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity, Spikes
from hxloop.activity.log.schema import network_to_json, sign
from hxloop.errors import OutputError
from hxloop.files import digest_of, remove_leftovers, replacing, writing
from hxloop.files.hdf5_new_file import new_file
from hxloop.files.lock import FileLock
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate.capabilities import Capabilities
from hxloop.substrate.recording.file import (
    SCHEMA,
    VERSION,
    WITHOUT_OWN,
    WITHOUT_TRAINS,
    SessionFile,
)
from hxloop.substrate.recording.journal import JournalWriter, array_entry, run_entry
from hxloop.substrate.recording.texts import RecordedRun, capabilities_to_json
from hxloop.substrate.recording.trains import train_array
from hxloop.version import __version__

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class SessionWriter:
    """Writes runs into a file, which is locked meanwhile: one writer at a time.

    Args:
        path: of the file.
        network: of the session.
        capabilities: of the session.
        append: add to a file that is there. Otherwise there must be none.

    Raises:
        OutputError: the file is there, is of another network or substrate, is being written by
            another, or cannot be written.
        FileFormatError: it is there and no recorded session, or damaged.
    """

    def __init__(
        self, path: Path, network: NetworkSpec, capabilities: Capabilities, append: bool
    ) -> None:
        self.path, self.network, self.capabilities = path, network, capabilities
        self._journal: JournalWriter | None = None
        self._stored: set[str] = set()
        self._lock = FileLock.beside(path).acquire()
        try:
            self._begin(append)
        except BaseException:
            self._let_go()
            raise

    def _begin(self, append: bool) -> None:
        remove_leftovers(self.path)
        if self.path.exists():
            if not append:
                raise OutputError(
                    f"{self.path} exists; append=True adds to it, or give another name (recorded "
                    "sessions are not overwritten)"
                )
            with SessionFile(self.path) as file:
                self._check_same(file)
                end, self._stored = file.end, set(file.digests)
        else:
            end = 0
        if not end:  # there is none, or one of an earlier version
            self._write_anew()
            with SessionFile(self.path) as file:
                end = file.end
        with writing(self.path):
            self._journal = JournalWriter(self.path, end)
        self._begun = self._journal.end

    def append(
        self,
        parameters: Parameters,
        inputs: Spikes,
        trial: int | None,
        activity: Activity,
    ) -> None:
        """Add a run; it is in the file when this returns.

        Raises:
            OutputError: it cannot be written; all runs before are still there.
        """
        if self._journal is None or not self._lock.held:
            raise OutputError(
                f"{self.path}: this recording is closed, or belongs to the process that forked "
                "this one; record to another file"
            )
        new: dict[str, bytes] = {}

        def store(array: NDArray[Any]) -> str:
            digest = digest_of(array)
            if digest not in self._stored and digest not in new:
                new[digest] = array_entry(array, digest)
            return digest

        trains = bool(self.network.features or parameters.neurons) or not inputs.once

        def spikes(train: Spikes) -> str:
            return store(train_array(train) if trains else np.asarray(train, np.float64))

        def delays(held: Parameters) -> tuple[str | None, ...]:
            found = tuple(None if array is None else store(array) for array in held.delays)
            return found if trains else ()

        def neurons(held: Parameters) -> dict[str, str]:
            return {
                f"{population}.{name}": store(values)
                for population, own in held.neurons.items()
                for name, values in own.items()
            }

        held = activity.parameters
        run = RecordedRun(
            trial=None if trial is None else int(trial),
            asked_inputs=spikes(inputs),
            delivered_inputs=spikes(activity.inputs) if trains else store(activity.input_times),
            asked_weights=tuple(store(matrix) for matrix in parameters.weights),
            held_weights=tuple(store(matrix) for matrix in held.weights),
            spikes=tuple(spikes(train) for train in activity.spikes)
            if trains
            else tuple(store(times) for times in activity.first_spike_times),
            info=activity.info,
            trains=trains,
            asked_delays=delays(parameters),
            held_delays=delays(held),
            asked_neurons=neurons(parameters),
            held_neurons=neurons(held),
        )
        with writing(self.path):
            self._check_place(self._journal)
            self._journal.append(b"".join([*new.values(), run_entry(run.to_json())]))
        self._stored |= new.keys()

    def close(self) -> None:
        """Give all runs their places in the HDF5 file, and let others write. Twice is allowed.

        Where there is no room for the new file beside the old one, the runs stay where they are:
        hxloop reads them all the same, and the next recording to the file tries again.

        Raises:
            OutputError: the file was removed or replaced, or fails.
        """
        try:
            if self._journal is not None and self._lock.held and self._journal.end > self._begun:
                with writing(self.path):
                    self._check_place(self._journal)
                with contextlib.suppress(_NoRoom):
                    self._write_anew()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal = None
        self._lock.release()

    def _write_anew(self) -> None:
        """The file with all its runs in their places, or without any if there is none."""
        try:
            with replacing(self.path) as new, new_file(new) as file:
                file.attrs["schema"] = SCHEMA
                file.attrs["version"] = self._version()
                file.attrs["created_with"] = f"hxloop {__version__}"
                file.attrs["network"] = network_to_json(self.network)
                file.attrs["capabilities"] = capabilities_to_json(self.capabilities)
                arrays, runs = file.create_group("arrays"), file.create_group("runs")
                sign(arrays, file)
                if self.path.exists():
                    with SessionFile(self.path) as old:
                        old.copy_to(arrays, runs)
        except OutputError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
                raise _NoRoom(str(error)) from cause
            raise

    def _version(self) -> int:
        if not self.path.exists():
            return WITHOUT_OWN if self.network.features else WITHOUT_TRAINS
        with SessionFile(self.path) as file:
            if file.has_own_neurons:
                return VERSION
            return WITHOUT_OWN if file.has_trains else WITHOUT_TRAINS

    def _check_place(self, journal: JournalWriter) -> None:
        if not journal.is_at(self.path):
            raise OutputError(f"{self.path}: another program has removed or replaced the file")

    def _check_same(self, file: SessionFile) -> None:
        same = capabilities_to_json(file.capabilities) == capabilities_to_json(self.capabilities)
        if file.network != self.network or not same:
            raise OutputError(
                f"{self.path} holds runs of the network {file.network} on {file.backends}; its "
                f"settings, or the substrate's, are not those of this session ({self.network}). "
                "Give another file."
            )


class _NoRoom(OutputError):
    """The disk is full."""
