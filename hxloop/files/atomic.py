"""Files that are there as a whole or not at all, one writer at a time, and digests of arrays."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError, HxloopError, OutputError
from hxloop.files.lock import FileLock as FileLock

_ERRNO = re.compile(r"errno = (\d+)")
# ".NAME.OWNER.tmp.ENDING"; earlier versions: the number of the process for an owner, no ending.
_TEMPORARY = re.compile(r"\..+\.(?P<owner>[0-9a-f]{8}-\d+-\d+|\d+)\.tmp(?:\.[^.]*)?")
_NUMBERS = itertools.count()
_LEFT_BEHIND_SECONDS = 86_400  # no file takes longer to be written


# --- whole or not at all ------------------------------------------------------------------


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that readers, and a power cut, see all of it or none.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    with replacing(path) as new:
        new.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; what is written there takes its place in the end.

    Whatever happens, ``path`` is the old file or the new one. What a process that was killed here
    has left is removed first.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    # The ending stays: some libraries look at it.
    owner = f"{_host()}-{os.getpid()}-{next(_NUMBERS)}"
    temporary = path.with_name(f".{path.name}.{owner}.tmp{path.suffix}")
    remove_leftovers(path)
    with writing(path):
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files that killed processes left beside ``path``."""
    start, end = f".{path.name}.", f".tmp{path.suffix}"
    for name in _names(path.parent):
        if name.startswith(start) and name.endswith((end, ".tmp")):
            owner = name[len(start) :].partition(".tmp")[0]
            _remove_if_dead(path.with_name(name), owner)


def remove_leftovers_in(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder, of whatever file."""
    for name in _names(folder):
        if found := _TEMPORARY.fullmatch(name):
            _remove_if_dead(folder / name, found["owner"])


def _remove_if_dead(old: Path, owner: str) -> None:
    with contextlib.suppress(OSError):
        if _is_dead(owner) or time.time() - old.stat().st_mtime > _LEFT_BEHIND_SECONDS:
            old.unlink()


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
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


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
    except (
        OSError, ValueError, LookupError, RuntimeError, TypeError, EOFError, AttributeError,
        ArithmeticError, MemoryError,
    ) as error:  # fmt: skip
        if isinstance(error, FileFormatError) and str(error).startswith(str(path)):
            raise
        raise FileFormatError(f"{path}: expected {what}; {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What an error of the system or the HDF5 library is about, without its long story."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if told := _ERRNO.search(str(error)):
        return os.strerror(int(told[1]))
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__


# --- digests ------------------------------------------------------------------------------


def sha256_of(*parts: str | bytes | NDArray[Any]) -> str:
    """SHA-256 of texts (as UTF-8) and of the values of arrays, one after the other.

    Types and shapes of arrays are not in it: put them into a text where they count, or take
    ``digest_of``.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        elif isinstance(part, bytes):
            digest.update(part)
        else:
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def digest_of(array: NDArray[Any]) -> str:
    """SHA-256 of an array: of type, shape and values; -0 counts as 0."""
    with np.errstate(invalid="ignore"):  # of a damaged file, NaN of any kind
        plain = np.ascontiguousarray(array) + array.dtype.type(0)
    return sha256_of(f"{plain.dtype.str} {plain.shape}", plain)


# --- below --------------------------------------------------------------------------------


def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_dead(owner: str) -> bool:
    """Whether a temporary file's owner was a process of this machine that is no more."""
    host, _, rest = owner.rpartition("-")[0].partition("-")
    process = owner if owner.isdigit() else rest  # as named by earlier versions
    if not process.isdigit() or (not owner.isdigit() and host != _host()):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _sync_folder(folder: Path) -> None:
    # The renaming survives a power cut, too, where the file system can promise it.
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
