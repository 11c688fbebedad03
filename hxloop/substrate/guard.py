"""Who may use a session: one thread at a time, and the process that opened it.

A session with a folder, a file, a process or a simulator's global state behind it can do one run
at a time: a second thread waits. A forked child has a copy of the session but not of what is
behind it, so it is refused by name, and its ``close`` leaves the parent's things alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from hxloop.errors import RunTimeout, SessionCopyError, SessionOwnerError
from hxloop.substrate.time_limit import is_left_behind

# How often somebody who waits looks whether the one in front has been given up.
_LOOK_SECONDS = 0.2


class ForkSafeLock:
    """A re-entrant lock; a forked child, and a copy, have one of their own.

    A plain lock that another thread holds at the moment of a fork is held in the child forever.
    Nor does anybody wait for a thread that was left behind, see ``hxloop.substrate.time_limit``.

    Example:
        >>> import copy
        >>> lock = ForkSafeLock()
        >>> with lock, lock, copy.deepcopy(lock):
        ...     pass
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holder: threading.Thread | None = None
        # What is let go of is what was taken, also if there was a fork in between.
        self._taken: list[Any] = []
        _locks.add(self)

    def renew(self) -> None:
        """Start anew, held by nobody."""
        self._lock, self._holder = threading.RLock(), None

    def take(self) -> bool:
        """Take it, waiting for whoever has it; False if that is a run that was given up."""
        lock = self._lock
        while not lock.acquire(timeout=_LOOK_SECONDS):
            if is_left_behind(self._holder):
                return False
        self._holder = threading.current_thread()
        self._taken.append(lock)
        return True

    def let_go(self) -> None:
        """The opposite of ``take``."""
        self._taken.pop().release()

    def __enter__(self) -> Self:
        if not self.take():
            raise RunTimeout(
                "a run that exceeded its time limit is still at work in this process, and holds "
                "what is needed here; end this process, look after the substrate, and go on in "
                "another"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()

    def __reduce__(self) -> tuple[type[ForkSafeLock], tuple[()]]:
        return ForkSafeLock, ()


_locks: WeakSet[ForkSafeLock] = WeakSet()


def _renew_locks() -> None:
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)

# Simulators keep their network, their settings and their warnings in globals of the process, and
# some share them (Brian2 by itself and Brian2 under PyNN): one of them works at a time.
SIMULATOR_LOCK = ForkSafeLock()


class SessionGuard:
    """Lets one thread of the opening process in at a time.

    Args:
        what: whose session, as messages say it: ``"backend 'replay'"``.
        behind: what belongs to the process, as messages say it.
        lock: held during a run; None: one of its own. Sessions that share a global share a lock.
    """

    def __init__(self, what: str, behind: str, lock: ForkSafeLock | None = None) -> None:
        self._what, self._behind = what, behind
        self._lock = lock or ForkSafeLock()
        self.process = os.getpid()

    @property
    def here(self) -> bool:
        """Whether this is the process that opened the session."""
        return os.getpid() == self.process

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other thread is inside at the same time.

        Raises:
            SessionOwnerError: this is not the process that opened the session.
            RunTimeout: a run that was given up is still inside.
        """
        if not self.here:
            raise SessionOwnerError(
                f"{self._what}: this session belongs to process {self.process}, which opened it; "
                f"it was used by process {os.getpid()}, a forked child, which does not have "
                f"{self._behind}. Open a session of its own in the child (a backend can be used "
                "by any number of processes)."
            )
        with self._lock:
            yield

    @contextmanager
    def closing(self) -> Iterator[bool]:
        """For ``close``: whether what is behind the session may be put away.

        A run of another thread is waited for. It may not in a forked child, whose it is not, nor
        while a run that was given up is still at work: then closing is marking it closed.
        """
        alone = self.here and self._lock.take()
        try:
            yield alone
        finally:
            if alone:
                self._lock.let_go()


class UncopiedSession:
    """For a session to inherit that has more behind it than memory: no copies, no pickling."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse ``copy.copy``, ``copy.deepcopy`` and ``pickle``.

        Raises:
            SessionCopyError: always.
        """
        raise SessionCopyError(
            f"{type(self).__name__} cannot be copied or pickled: what is behind it (files, a "
            "process, a simulator) has one owner. Copy or pickle the backend and open another "
            "session with it; copies of a LoopNetwork share its session."
        )
