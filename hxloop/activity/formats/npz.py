"""Arrays from anyone's ``.npz`` file: sizes are believed as far as the file bears them."""

from __future__ import annotations

import math
import os
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError
from hxloop.files.hdf5_rules import check_unpacked

_BLOCK = 1 << 20
_MAGIC = b"\x93NUMPY"
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError, tokenize.TokenError, Warning
)  # fmt: skip


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file, by name.

    Raises:
        FileFormatError: a single array, something that is no array, arrays of Python objects
            (never unpickled), damaged, or larger than a file of this size can be.
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    # Opened here: of a damaged file, the library would leave it open.
    with path.open("rb") as opened:
        if opened.read(len(_MAGIC)) == _MAGIC:
            raise FileFormatError("it is a single array")
        try:
            with zipfile.ZipFile(opened) as archive:
                return _arrays(archive, os.fstat(opened.fileno()).st_size)
        except _DAMAGED as error:
            raise FileFormatError(f"truncated or corrupt ({error})") from error


def _arrays(archive: zipfile.ZipFile, size: int) -> dict[str, NDArray[Any]]:
    entries = archive.infolist()
    check_unpacked(sum(entry.file_size for entry in entries), size)
    arrays: dict[str, NDArray[Any]] = {}
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        if name in arrays:
            raise FileFormatError(f"two arrays {name!r}")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(f"{name!r} is not compressed as numpy does")
        with archive.open(entry) as member:
            arrays[name] = _array(name, member, entry.file_size)
    return arrays


def _array(name: str, member: Any, n_bytes: int) -> NDArray[Any]:
    """The array of an entry with so many bytes."""
    shape, in_columns, dtype = _header(name, member)
    if dtype.hasobject:
        raise FileFormatError(f"{name!r}: Python objects are not read (allow_pickle is False)")
    declared, there = dtype.itemsize * math.prod(shape), n_bytes - member.tell()
    if declared != there or min(shape, default=0) < 0:
        raise FileFormatError(
            f"{name!r} declares {declared} bytes ({dtype} {shape}); {there} are there"
        )
    flat = np.empty(math.prod(shape), dtype)
    left = flat.view(np.uint8).data
    while block := member.read(_BLOCK):  # to its end, where its checksum is compared
        left[: len(block)] = block
        left = left[len(block) :]
    if left:
        raise FileFormatError(f"{name!r} ends too early")
    return flat.reshape(shape[::-1]).T if in_columns else flat.reshape(shape)


def _header(name: str, member: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    magic = member.read(len(_MAGIC) + 2)
    if magic[: len(_MAGIC)] != _MAGIC:
        raise FileFormatError(f"{name!r} is no array")
    version = tuple(magic[len(_MAGIC) :])
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise FileFormatError(f"{name!r} is no array of numbers (format version {version})")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what can only be guessed
        shape, in_columns, dtype = readers[version](member)
    return tuple(int(n) for n in shape), bool(in_columns), dtype
