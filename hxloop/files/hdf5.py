"""Opening HDF5 files that may be damaged or hostile, and sealing our own.

The HDF5 library trusts what it reads: a few damaged bytes make it run forever or take all memory,
and files may have it read other files. So no file is opened for reading but here, in this order:

1. **The seal.** What hxloop writes ends with a seal, behind the end of the file as HDF5 sees it: a
   digest of all bytes but those of the data (chunks with checksums of their own, room that is
   filled later). If it is right, the structure is as it was written. A program that changes the
   file through the HDF5 library cuts the seal off.
2. A file without a seal (of an earlier version, or changed by another program) is first looked
   through by a process of its own, within bounds of time and memory.
3. Then ``hxloop.files.hdf5_rules`` goes through it: no data and no links that lie elsewhere, no
   sizes that the file does not hold.

The seal: ``SEAL``, the number of extents (uint64), the SHA-256 of the structure, the extents (place
and length, uint64 each), the CRC-32 of all that; little-endian.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from hxloop.errors import FileFormatError
from hxloop.files import hdf5_rules
from hxloop.files.atomic import reading

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SEAL = b"hxseal1\n"
LOOK_SECONDS = 20  # of processor time
LOOK_BYTES = 1 << 30
LOOK_WALL_SECONDS = 300.0  # of a machine that is busy with other things
_HEAD = struct.Struct("<8sQ32s")
_BLOCK = 1 << 22
# Files that were looked through: they are as they were while these numbers are.
_looked_through: set[tuple[int, int, int, int]] = set()


@contextmanager
def opened(path: Path, what: str) -> Iterator[h5py.File]:
    """An HDF5 file, open for reading, once it has been found to be sound; see ``open_checked``."""
    file = open_checked(path, what)
    try:
        with reading(path, what):
            yield file
    finally:
        file.close()


def open_checked(path: Path, what: str) -> h5py.File:
    """Open an HDF5 file for reading, once it has been found to be sound.

    Args:
        path: the file.
        what: it is expected to be, for messages.

    Raises:
        FileFormatError: no such file, no HDF5 file, damaged, or it points to other files.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: expected {what}; there is no such file")
    with reading(path, what):
        with path.open("rb") as raw:
            start = raw.read(len(SIGNATURE))
            if start != SIGNATURE:
                raise FileFormatError("it is no HDF5 file" if start else "it is empty")
            size = os.fstat(raw.fileno()).st_size
            if (end := end_of_hdf5(raw)) > size:
                raise FileFormatError(f"truncated file: {size} bytes of {end} are there")
            if seal_end(raw) is None:
                _look_through(path, raw)
        file = h5py.File(path, "r")
        try:
            hdf5_rules.check_contents(file, path.stat().st_size)
        except BaseException:
            file.close()
            raise
    return file


def seal(path: Path) -> None:
    """Seal a file that the HDF5 library has just written, of superblock version 0.

    Raises:
        OSError: it cannot be written.
    """
    with h5py.File(path, "r") as file:
        apart = hdf5_rules.extents(file)
    with path.open("rb+") as raw:
        end = end_of_hdf5(raw)
        digest = _digest(raw, end, apart)
        places = np.array(apart, "<u8").reshape(-1).tobytes()
        content = _HEAD.pack(SEAL, len(apart), digest) + places
        raw.seek(end)
        raw.write(content + struct.pack("<I", zlib.crc32(content)))
        raw.truncate()


def seal_end(raw: BinaryIO) -> int | None:
    """Check the seal of a file.

    Returns:
        Where it ends; None if the file has none.

    Raises:
        FileFormatError: it is not the seal of this file: one of them is damaged.
    """
    end, size = end_of_hdf5(raw), raw.seek(0, os.SEEK_END)
    if not 0 < end < size:
        return None
    raw.seek(end)
    head = raw.read(_HEAD.size)
    if head[: len(SEAL)] != SEAL[: len(head)]:
        return None
    damaged = FileFormatError("it is damaged: what it holds is not what its seal says")
    if len(head) < _HEAD.size:
        raise damaged
    _, count, digest = _HEAD.unpack(head)
    if 16 * count + 4 > size - end - _HEAD.size:
        raise damaged
    places = raw.read(16 * count)
    if raw.read(4) != struct.pack("<I", zlib.crc32(head + places)):
        raise damaged
    apart = [(int(a), int(b)) for a, b in np.frombuffer(places, "<u8").reshape(-1, 2)]
    if digest != _digest(raw, end, apart):
        raise damaged
    return end + _HEAD.size + len(places) + 4


def end_of_hdf5(raw: BinaryIO) -> int:
    """Where a file ends for the HDF5 library; 0: not told in the way of superblock version 0."""
    raw.seek(0)
    start = raw.read(48)
    # Version 0 (or 1, which has 4 bytes more), addresses and lengths of 8 bytes.
    if len(start) < 48 or start[8] != 0 or start[13:15] != b"\x08\x08":
        return 0
    return int.from_bytes(start[40:48], "little")


def _digest(raw: BinaryIO, end: int, apart: list[tuple[int, int]]) -> bytes:
    """SHA-256 of the bytes up to ``end`` but those that lie apart, and of where these lie."""
    digest, place = sha256(repr(apart).encode()), 0
    for start, length in [*apart, (end, 0)]:
        raw.seek(place)
        while place < start:
            block = raw.read(min(_BLOCK, start - place))
            if not block:
                break
            digest.update(block)
            place += len(block)
        place = max(place, start + length)
    return digest.digest()


def _look_through(path: Path, raw: BinaryIO) -> None:
    """Have a file looked through by a process that may be killed.

    Raises:
        FileFormatError: it is damaged, or points to other files.
    """
    found = os.fstat(raw.fileno())
    known = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    if known in _looked_through or not sys.executable:
        return
    program = [sys.executable, "-P", hdf5_rules.__file__, os.fspath(path)]
    try:
        done = subprocess.run(
            [*program, str(LOOK_SECONDS), str(LOOK_BYTES)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LOOK_WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FileFormatError(
            f"it is damaged: looking through it took more than {LOOK_WALL_SECONDS:.0f} s"
        ) from error
    finished, _, told = done.stdout.decode(errors="replace").partition("\n")
    if finished != "looked through":
        raise FileFormatError(
            "it is damaged: looking through it took more than "
            f"{LOOK_SECONDS} s of processor time or {LOOK_BYTES >> 20} MB of memory"
        )
    if told:
        raise FileFormatError(told)
    _looked_through.add(known)
