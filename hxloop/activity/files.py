"""Making files that are there as a whole or not at all, and errors that name them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hxloop.errors import FileFormatError, HxloopError, OutputError

_ERRNO = re.compile(r"errno = (\d+)")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; what is written there takes its place in the end.

    Whatever happens, ``path`` is the old file or the new one.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    # The ending stays: some libraries look at it.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    with writing(path):
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system or the HDF5 library has against writing ``path``, as ``OutputError``.

    Raises:
        OutputError: see above.
    """
    try:
        yield
    except HxloopError:
        raise
    except (OSError, RuntimeError) as error:  # h5py raises either
        raise OutputError(f"cannot write {path}: {_reason(error)}") from error


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever can be wrong with reading ``path``, as ``FileFormatError``.

    Args:
        path: the file.
        what: it is expected to be; said in the message.

    Raises:
        FileFormatError: see above.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, EOFError) as error:
        if isinstance(error, FileFormatError) and str(error).startswith(str(path)):
            raise
        raise FileFormatError(f"{path}: expected {what}; {_reason(error)}") from error


def remove_leftovers(path: Path) -> None:
    """Remove temporary files that killed processes left beside ``path``."""
    for old in path.parent.glob(f".{path.name}.*.tmp{path.suffix}"):
        owner = old.name.removeprefix(f".{path.name}.").removesuffix(f".tmp{path.suffix}")
        if owner.isdigit() and not _runs(int(owner)):
            with contextlib.suppress(OSError):
                old.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if told := _ERRNO.search(str(error)):  # the HDF5 library's own long story
        return os.strerror(int(told[1]))
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__
