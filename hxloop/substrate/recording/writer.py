"""Writing recorded sessions: whole at every moment; see ``hxloop.substrate.recording.file``."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.activity.log.schema import network_to_json, sign
from hxloop.errors import OutputError
from hxloop.files import digest_of, remove_leftovers, replacing, writing
from hxloop.files.hdf5_new_file import new_file
from hxloop.files.lock import FileLock
from hxloop.network import NetworkSpec
from hxloop.substrate.capabilities import Capabilities
from hxloop.substrate.recording.file import SCHEMA, VERSION, SessionFile
from hxloop.substrate.recording.journal import JournalWriter, array_entry, run_entry
from hxloop.substrate.recording.texts import RecordedRun, capabilities_to_json
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
        weights: Sequence[NDArray[Any]],
        input_times: NDArray[Any],
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

        run = RecordedRun(
            trial=None if trial is None else int(trial),
            asked_inputs=store(np.asarray(input_times)),
            delivered_inputs=store(activity.input_times),
            asked_weights=tuple(store(matrix) for matrix in weights),
            held_weights=tuple(store(matrix) for matrix in activity.weights_used),
            spikes=tuple(store(times) for times in activity.first_spike_times),
            info=activity.info,
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
                file.attrs["schema"], file.attrs["version"] = SCHEMA, VERSION
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
