"""The runs of a session while it is recorded: entries behind the end of a sealed HDF5 file.

An entry is a head of 64 bytes and its content. The head::

    mark        4 bytes, ``HXJ1``
    kind        4 bytes, ``ARRY`` or ``RUN_``
    length      uint64, bytes of the content
    digest      32 bytes: of an array ``digest_of``, of a run the SHA-256 of its content
    (zeros)     12 bytes
    check       uint32, CRC-32 of all before

The content of an array is a line of JSON (dtype and shape) and its bytes, that of a run its text.
A run is written with the arrays it needs, in one piece, itself last. What a kill cuts off is the
end of the last entry, which is then left out; everything else that is wrong is damage.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError
from hxloop.files import digest_of, sha256_of
from hxloop.files.json_text import parse_json

ARRAY, RUN = b"ARRY", b"RUN_"
MARK = b"HXJ1"
_HEAD = struct.Struct("<4s4sQ32s12x")
_HEAD_BYTES = _HEAD.size + 4
_LINE_BYTES = 1000  # of an array's JSON, at most
_NUMBERS = "fiub"


@dataclass
class Journal:
    """What is behind the end of a file.

    Attributes:
        end: where the last whole entry ends.
        arrays: place and length of the content of each array, by its digest.
        runs: texts of the runs.
    """

    end: int
    arrays: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)


def array_entry(array: NDArray[Any], digest: str) -> bytes:
    """The entry of an array."""
    told = {"dtype": array.dtype.str, "shape": array.shape}
    content = json.dumps(told).encode() + b"\n" + np.ascontiguousarray(array).tobytes()
    return _entry(ARRAY, bytes.fromhex(digest), content)


def run_entry(text: str) -> bytes:
    """The entry of a run."""
    content = text.encode()
    return _entry(RUN, bytes.fromhex(sha256_of(content)), content)


def read_journal(raw: BinaryIO, start: int) -> Journal:
    """Read the entries from a place on; of arrays only where they are.

    Raises:
        FileFormatError: an entry is damaged.
    """
    journal = Journal(start)
    for kind, digest, place, length in _entries(raw, start):
        if kind == ARRAY:
            journal.arrays[digest] = (place, length)
        else:
            raw.seek(place)
            content = raw.read(length)
            if sha256_of(content) != digest:
                raise FileFormatError(f"it is damaged: the run at byte {place} is not as written")
            journal.runs.append(content.decode())
        journal.end = place + length
    return journal


def read_array(raw: BinaryIO, place: int, length: int, digest: str) -> NDArray[Any]:
    """The array of an entry.

    Raises:
        FileFormatError: it is damaged.
    """
    raw.seek(place)
    line = raw.readline(min(_LINE_BYTES, length))
    data = bytearray(raw.read(length - len(line)))
    try:
        told = parse_json(line)
        dtype, shape = np.dtype(told["dtype"]), tuple(int(n) for n in told["shape"])
        if dtype.kind not in _NUMBERS or dtype.itemsize * math.prod(shape) != len(data):
            raise ValueError("another size than declared")
        array = np.frombuffer(data, dtype).reshape(shape)
        if digest_of(array) != digest:
            raise ValueError("its digest is another")
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(f"array {digest[:12]} is damaged: {error}") from error
    return array


def _entry(kind: bytes, digest: bytes, content: bytes) -> bytes:
    head = _HEAD.pack(MARK, kind, len(content), digest)
    return head + struct.pack("<I", zlib.crc32(head)) + content


def _entries(raw: BinaryIO, start: int) -> Iterator[tuple[bytes, str, int, int]]:
    """Kind, digest, place and length of the content of all whole entries."""
    size = raw.seek(0, os.SEEK_END)
    place = start
    while size - place >= _HEAD_BYTES:
        raw.seek(place)
        whole = raw.read(_HEAD_BYTES)
        mark, kind, length, digest = _HEAD.unpack(whole[: _HEAD.size])
        if whole[_HEAD.size :] != struct.pack("<I", zlib.crc32(whole[: _HEAD.size])) or (
            mark != MARK or kind not in (ARRAY, RUN)
        ):
            if is_empty(raw, place):  # room that the system gave and never filled
                return
            raise FileFormatError(f"it is damaged: the entry at byte {place} is not as written")
        place += _HEAD_BYTES
        if length > size - place:
            return  # cut off
        yield kind, digest.hex(), place, length
        place += length


def is_empty(raw: BinaryIO, place: int) -> bool:
    """Whether there are only zeros from a place on."""
    raw.seek(place)
    while block := raw.read(1 << 20):
        if block.count(0) != len(block):
            return False
    return True


class JournalWriter:
    """Adds entries to a file.

    Args:
        path: the file.
        end: where its last whole entry ends; what is behind is cut off.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, end: int) -> None:
        self.end = end
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.ftruncate(self._file, end)

    def append(self, entries: bytes) -> None:
        """Add entries, all or none.

        Raises:
            OSError: the disk is full, or fails.
        """
        left, place = memoryview(entries), self.end
        try:
            while left:  # the system may write less than it was given
                written = os.pwrite(self._file, left, place)
                left, place = left[written:], place + written
        except OSError:
            os.ftruncate(self._file, self.end)
            raise
        self.end = place

    def is_at(self, path: Path) -> bool:
        """Whether the file is still the one of that name."""
        try:
            there, ours = os.stat(path), os.fstat(self._file)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
