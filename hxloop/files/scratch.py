"""Folders that are gone with the process that made them, however it ended.

Beside each folder lies a lock file that its process holds. The system lets go of the lock when
the process ends, by ``kill -9`` too; whoever makes the next folder of the kind removes those
whose lock nobody holds. So what a live process uses is never touched, whatever its number, in
which container, or on which machine of a shared disk it runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import stat
import weakref
from pathlib import Path

from hxloop.errors import OutputError

LOCK_SUFFIX = ".lock"


class ScratchFolder:
    """A new folder of one's own. Those of the same kind whose processes are dead are removed.

    Args:
        parent: where; made if it is not there.
        prefix: of the name: says whose it is, and what may be removed.

    Raises:
        OSError: it cannot be made.

    Attributes:
        path: of the folder.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent, prefix)
        self.path, self._lock = _make(parent, prefix)
        self._end = weakref.finalize(self, _remove, os.getpid(), self.path, self._lock)

    def close(self) -> None:
        """Remove the folder and what is in it. In a forked child nothing happens."""
        self._end()


def sweep(parent: Path, prefix: str) -> list[Path]:
    """Remove the folders of dead processes of this user, and say which.

    Args:
        parent: where to look.
        prefix: of ``ScratchFolder``.
    """
    removed = []
    for lock in parent.glob(f"{glob.escape(prefix)}*{LOCK_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = _held(lock, os.O_RDWR | os.O_NOFOLLOW)
            if descriptor is None:
                continue
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
                    if _is_our_folder(folder):
                        shutil.rmtree(folder)
                        removed.append(folder)
                    lock.unlink()
            finally:
                os.close(descriptor)
    return removed


def _make(parent: Path, prefix: str) -> tuple[Path, int | None]:
    for _ in range(100):
        folder = parent / f"{prefix}{secrets.token_hex(6)}"
        lock = folder.with_name(folder.name + LOCK_SUFFIX)
        # The lock first: there is no moment at which a kill leaves a folder without one.
        try:
            descriptor = _held(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            continue
        except OSError:
            # No locks on this file system. Or no writing at all: then mkdir says so.
            lock.unlink(missing_ok=True)
            folder.mkdir(mode=0o700)
            return folder, None
        if descriptor is None:  # a sweep was faster
            continue
        try:
            folder.mkdir(mode=0o700)
        except BaseException:
            lock.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return folder, descriptor
    raise OutputError(f"{parent}: expected to make a folder {prefix}...; 100 names were taken")


def _held(lock: Path, flags: int) -> int | None:
    """Open a lock file and hold it; None if somebody else does, or it was removed meanwhile."""
    descriptor = os.open(lock, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here, there = os.fstat(descriptor), os.lstat(lock)
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_our_folder(folder: Path) -> bool:
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _remove(process: int, folder: Path, descriptor: int | None) -> None:
    if os.getpid() != process:  # a forked child: it has a copy of the handle, not the folder
        return
    shutil.rmtree(folder, ignore_errors=True)
    if descriptor is not None:
        with contextlib.suppress(OSError):
            folder.with_name(folder.name + LOCK_SUFFIX).unlink(missing_ok=True)
        os.close(descriptor)
