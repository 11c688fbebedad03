"""Stopping a program at each of its file operations, as a kill or a full disk would.

Python announces every file operation to audit hooks before it is done. The one that is counted
to raises, and so do all after it: whoever is killed does not clean up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hxloop.files.lock import leave_to_the_parent as let_go_of_all_locks

_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")


class Killed(BaseException):
    """In place of a SIGKILL."""


class _Stop:
    """What the audit hook, which cannot be taken away again, does at present."""

    folder: str | None = None
    left: int | None = None
    done = 0
    error: Callable[[], BaseException] = Killed
    for_good = True


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    stop = _Stop
    if stop.folder is None or (event != "open" and event not in _EVENTS):
        return
    if event == "open" and not (int(arguments[2] or 0) & _WRITE):  # type: ignore[call-overload]
        return
    path = os.fspath(arguments[0]) if not isinstance(arguments[0], int) else ""
    if not os.path.abspath(os.fsdecode(path)).startswith(stop.folder):
        return
    stop.done += 1
    if stop.left is not None and (
        stop.done > stop.left if stop.for_good else stop.done == stop.left + 1
    ):
        raise stop.error()


sys.addaudithook(_hook)


@contextmanager
def stopping(
    folder: Path,
    after: int | None,
    error: Callable[[], BaseException] = Killed,
    for_good: bool = True,
) -> Iterator[type[_Stop]]:
    """Let so many file operations below a folder happen, and raise at the next ones.

    Args:
        folder: only what happens there counts.
        after: how many; None: all of them, only count (``done``).
        error: makes what is raised.
        for_good: raise at every one after that, too, as after a kill; else at the next only.
    """
    _Stop.folder, _Stop.left, _Stop.done = os.path.abspath(folder), after, 0
    _Stop.error, _Stop.for_good = error, for_good
    try:
        yield _Stop
    except Killed:
        let_go_of_all_locks()  # the system does that when a process ends
        raise
    finally:
        _Stop.folder = None
