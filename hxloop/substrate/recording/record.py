"""Recording a session: run as usual, and keep every run in a file, to be replayed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hxloop import checks
from hxloop.activity import Activity
from hxloop.errors import OutputError, SessionClosedError
from hxloop.network import NetworkSpec
from hxloop.substrate.capabilities import Capabilities
from hxloop.substrate.checks import check_input
from hxloop.substrate.guard import ForkSafeLock, SessionGuard, UncopiedSession
from hxloop.substrate.protocol import Session
from hxloop.substrate.recording.writer import SessionWriter


def record(
    session: Session, path: str | os.PathLike[str], *, append: bool = False
) -> RecordingSession:
    """Record every run of a session into a file.

    ``get_backend("replay", path=...)`` answers later with what was recorded, without the
    substrate: to go through a training again step by step, to look for a fault, or to test.

    Args:
        session: an open session, on any backend. Closing the recording closes it.
        path: of the file, HDF5. A process that is killed leaves all runs in it that were
            done by then.
        append: add to a file that is there, of the same network and backend.

    Raises:
        OutputError: the file is there and ``append`` is False, it is of another network or
            substrate, or it cannot be written.

    Example:
        >>> with record(backend.open(network), "chip.h5") as session:  # doctest: +SKIP
        ...     loop = LoopNetwork(session, weights)
        ...     output_times, activity = loop.forward(input_times)
    """
    return RecordingSession(
        session, checks.path("record: path", path, error=OutputError), checks.flag("append", append)
    )


class RecordingSession(UncopiedSession):
    """A session that keeps what it does; see ``record``.

    What else the session can do beyond the protocol, it does unrecorded. Threads that share it
    are recorded one run after another; a forked child may not use it, for it shares the file.
    """

    def __init__(self, session: Session, path: Path, append: bool) -> None:
        self.session, self.path = session, path
        self._writer = SessionWriter(path, session.network, session.capabilities, append)
        self._guard = SessionGuard(f"recording {path}", "the open file")
        # Beside the guard, which a run that hangs keeps: the file is closed all the same.
        self._writing = ForkSafeLock()
        self._open = True

    @property
    def network(self) -> NetworkSpec:
        """The network of the session."""
        return self.session.network

    @property
    def capabilities(self) -> Capabilities:
        """Those of the session."""
        return self.session.capabilities

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run one batch and keep it; see ``hxloop.substrate.Session.run``.

        Raises:
            OutputError: the run was made and cannot be written.
            SessionOwnerError: in a forked child.
        """
        with self._guard.alone():
            if not self._open:
                raise SessionClosedError(f"recording {self.path}: this session is closed")
            names = tuple(record)
            asked, inputs = check_input(
                self.network, weights, input_times, self.capabilities, names
            )
            if self.network.features or asked.neurons or not inputs.once:
                activity = self.session.run(asked, inputs, record=names, trial=trial)
            else:  # as any session knows it
                times = np.asarray(inputs, np.float64)
                activity = self.session.run(asked.weights, times, record=names, trial=trial)
            with self._writing:
                if not self._open:
                    raise SessionClosedError(
                        f"recording {self.path}: closed while this run was made; it is not in it"
                    )
                self._writer.append(asked, inputs, trial, activity)
            return activity

    def __getattr__(self, name: str) -> Any:
        # Of an object that is not made yet (as copy and pickle have one) there is no session.
        if name.startswith("__") or "session" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.session, name)

    def close(self) -> None:
        """Close the file and the session. Closing twice is allowed.

        In a forked child the file is left alone: closing would cut what the parent writes.
        """
        if not self._guard.here:
            self.session.close()
            return
        with self._guard.closing(), self._writing:
            self._open = False
            try:
                self._writer.close()
            finally:
                self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
