"""One writer at a time: a lock whose hold ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import weakref
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from hxloop.errors import BusyError, OutputError
from hxloop.files.json_text import parse_json

NO_LOCKS = "HXLOOP_NO_LOCKS"
_LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_HELD: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """A lock on a file or folder that one process writes at a time. A context manager.

    It is the system's own lock (``flock``) on a small file, which tells who holds it. The system
    lets go of it when the process ends, killed or not, so that nothing is ever left locked. A
    forked child does not hold what its parent holds. The file is removed when the lock is let
    go of, and only then; after a kill it stays, and the next writer takes it over.

    Args:
        path: of the lock file; see ``beside`` and ``inside``.
        what: that is written, for messages.

    Example:
        >>> with FileLock.beside(Path("activity.h5")):  # doctest: +SKIP
        ...     write()
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = Path(path), what
        self._file = -1
        self._free = False

    @classmethod
    def beside(cls, path: Path) -> FileLock:
        """The lock of a file: ``.NAME.lock`` beside it. Links to one file have one lock."""
        real = Path(os.path.realpath(path))
        return cls(real.with_name(f".{real.name}.lock"), str(path))

    @classmethod
    def inside(cls, folder: Path) -> FileLock:
        """The lock of a folder that is there: ``.lock`` in it."""
        return cls(Path(os.path.realpath(folder)) / ".lock", str(folder))

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file >= 0 or self._free

    def acquire(self) -> Self:
        """Take the lock, or refuse at once. Taking what is held already changes nothing.

        Raises:
            BusyError: another holds it, in this process or another.
            OutputError: the folder cannot be written to; its file system has no locks.
        """
        if self.held:
            return self
        if os.environ.get(NO_LOCKS, "0") not in ("", "0"):
            self._free = True
            return self
        while not self._try():
            pass  # its holder let go and removed it just now
        _HELD.add(self)
        text = json.dumps(
            {
                "process": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            }
        )
        with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text.encode(), 0)
        return self

    def release(self) -> None:
        """Let go of the lock. Doing so twice is allowed."""
        if self._file >= 0:
            # Removed while it is held: whoever has it open sees that it is gone, and tries anew.
            with contextlib.suppress(OSError):
                if self._is_there():
                    self.path.unlink()
        self._forget()

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            self.release()

    # --- below -----------------------------------------------------------------------------

    def _try(self) -> bool:
        """Take the lock; False if its file was removed meanwhile."""
        try:
            self._file = self._opened()
        except OSError as error:
            raise OutputError(f"cannot write {self.what}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = self._is_there()
        except BlockingIOError as error:
            holder = self._holder()
            self._forget()
            raise BusyError(
                f"{self.what}: {holder} is writing it, and only one can at a time. Wait until it "
                "is done, or give another place."
            ) from error
        except OSError as error:
            self._forget()
            if error.errno not in _LOCKLESS:
                raise OutputError(f"cannot write {self.what}: {error.strerror or error}") from error
            raise OutputError(
                f"cannot write {self.what}: its file system has no locks ({error.strerror}), so "
                "two writers could destroy each other's work. Give a place on another file "
                f"system, or, if you see to it that there is one writer only, set {NO_LOCKS}=1."
            ) from error
        if not there:
            self._forget()
        return there

    def _opened(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except PermissionError as error:
            try:  # left by a killed process of another user
                return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise error from None  # it cannot be made

    def _is_there(self) -> bool:
        ours = os.fstat(self._file)
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _holder(self) -> str:
        """Who holds it, in words; what the file says is not trusted."""
        try:
            told = parse_json(os.pread(self._file, 4096, 0))
            process, host = int(told["process"]), str(told["host"])
            since = datetime.fromisoformat(told["since"]).strftime("%Y-%m-%d %H:%M:%S")
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
        if process == os.getpid() and host == socket.gethostname():
            return f"this process (since {since})"
        where = "" if host == socket.gethostname() else f" on {host!r}"
        return f"process {process}{where} (since {since})"

    def _forget(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self._free = -1, False
        _HELD.discard(self)


def leave_to_the_parent() -> None:
    """In a forked child: what the parent holds is not the child's."""
    for lock in list(_HELD):
        lock._forget()


os.register_at_fork(after_in_child=leave_to_the_parent)
