"""Bytes of a file that may be packed with gzip, up to a limit."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from hxloop.errors import FileFormatError

LARGEST = 1 << 31  # bytes; the largest of the MNIST family (EMNIST by class) unpacks to 547 MB


def unpacked(path: Path, largest: int = LARGEST, what: str = "file") -> bytes:
    """The uncompressed bytes of a file.

    Args:
        path: packed where its name ends in ``.gz``.
        largest: how many there may be.
        what: it is, for messages.

    Raises:
        FileFormatError: it cannot be read, is damaged, or larger.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(largest + 1)
        if len(data) > largest:
            raise EOFError(f"it holds more than the {largest >> 20} MB of the largest of them")
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{what} {path}: truncated or corrupt ({error})") from error
    return data
