"""Writing activity logs: streamed, appendable, and whole at every moment.

How a log survives a kill, and its layout, is told in ``hxloop.activity.log.schema``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py

from hxloop import checks
from hxloop.activity.log.reader import ActivityLog
from hxloop.activity.log.schema import (
    SCHEMA,
    TIME_UNIT,
    VERSION,
    WEIGHT_UNIT,
    check_state_name,
    network_to_json,
    sign,
)
from hxloop.activity.log.state_writer import StateWriter
from hxloop.activity.log.tables import RUNS_DONE, pack
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import remove_leftovers, replacing
from hxloop.files.hdf5 import opened
from hxloop.files.hdf5_new_file import new_file
from hxloop.files.lock import FileLock
from hxloop.network import NetworkSpec
from hxloop.version import __version__


class ActivityWriter:
    """Writes an activity log, or further states into one; one writer at a time.

    It holds the lock of the file until it is closed, see ``FileLock``. Reading needs none.

    Args:
        path: the file; made where it is missing.
        network: the network whose activity it will be.
        about: what to tell about its origin, JSON-able; kept when the file is made.
        compress: whether complete states are compressed.

    Raises:
        FileFormatError: ``path`` is there and is no activity log, or one of another network.
        OutputError: it cannot be written, or another is writing it.

    Example:
        >>> with ActivityWriter(Path("activity.h5"), network) as log:  # doctest: +SKIP
        ...     with log.state("trained", split="test") as state:
        ...         state.append(activity, labels, decisions)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        network: NetworkSpec,
        *,
        about: Mapping[str, Any] | None = None,
        compress: bool = True,
    ) -> None:
        self.path = checks.path("path", path, error=OutputError)
        self.network, self.compress = network, compress
        self._lock = FileLock.beside(self.path).acquire()
        try:
            self._begin(about or {})
        except BaseException:
            self.close()
            raise

    def _begin(self, about: Mapping[str, Any]) -> None:
        """Make the file, or look at the one that is there."""
        remove_leftovers(self.path)
        if not self.path.exists():
            with replacing(self.path) as new, new_file(new) as file:
                file.attrs["schema"], file.attrs["version"] = SCHEMA, VERSION
                file.attrs["created_with"] = f"hxloop {__version__}"
                file.attrs["time_unit"], file.attrs["weight_unit"] = TIME_UNIT, WEIGHT_UNIT
                file.attrs["silent"] = "inf"
                file.attrs["network"] = network_to_json(self.network)
                file.attrs["about"] = json.dumps(dict(about))
                sign(file.create_group("states"), file)
            return
        with ActivityLog.open(self.path) as log:
            if log.network != self.network:
                raise FileFormatError(
                    f"{self.path}: is a log of the network {log.network}, whose settings are not "
                    f"those of {self.network}; give another file"
                )

    @property
    def states(self) -> tuple[str, ...]:
        """Names of all states, complete or not."""
        with ActivityLog.open(self.path) as log:
            return log.states

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
        input_trains: bool | None = None,
    ) -> StateWriter:
        """Begin a state; one that is there under this name is replaced by the first run.

        Args:
            name: "untrained", "epoch-005", "trained", or another name.
            epoch: after how many epochs of training.
            split: which samples.
            n_samples: how many there will be, if known; saves growing the file.
            input_trains: whether input channels may spike more than once in a sample. None: where
                neurons may, or channels do in the first run.

        Raises:
            OutputError: no name for a state, or the log is closed.
        """
        check_state_name(name)
        self.check_open()
        return StateWriter(self, name, epoch, split, n_samples, input_trains)

    def drop(self, names: Collection[str]) -> None:
        """Remove states, those that are there.

        Raises:
            OutputError: the file cannot be written, or the log is closed.
        """
        self.check_open()
        present = set(names) & set(self.states)
        if present:
            with replacing(self.path) as new, self.copy(new, without=present):
                pass

    def check_open(self) -> None:
        """Check that it is this process's turn to write.

        Raises:
            OutputError: the log is closed, or was opened by the process that forked this one.
        """
        if not self._lock.held:
            raise OutputError(
                f"{self.path}: this writer is closed, or belongs to the process that forked this "
                "one; open another"
            )

    def close(self) -> None:
        """Let others write. States end with their own ``with`` block. Twice is allowed."""
        self._lock.release()

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
    def copy(self, new: Path, without: Collection[str]) -> Iterator[h5py.File]:
        """A new file, open, with all states but some; of those that were cut off what there is."""
        with new_file(new) as file:
            with opened(self.path, "an activity log") as old:
                for key, value in old.attrs.items():
                    file.attrs[key] = value
                states = file.create_group("states")
                sign(states, file)
                for name, group in old["states"].items():
                    if name in without or not group[RUNS_DONE][0]:
                        continue
                    if group.attrs["complete"]:
                        old.copy(group, states)  # chunks as they are, still compressed
                    else:
                        pack(group, states.create_group(name), self.compress)
            yield file
