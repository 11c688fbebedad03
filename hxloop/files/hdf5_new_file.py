"""New HDF5 files, for which a full disk is an error like any other.

When a write fails, the HDF5 library can neither finish nor close the file, and aborts the whole
process at some later time (seen with HDF5 1.14: a training that goes on after a full disk is
killed). So it writes to an object that takes everything, remembers the first error, and tells
it once the library is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_SET, FileIO
from pathlib import Path
from typing import Any

import h5py

from hxloop.files.hdf5 import seal


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, open for writing; sealed in the end, see ``hxloop.files.hdf5``.

    Args:
        path: the file; replaced.

    Raises:
        OSError: it cannot be written; what is there then is of no use.
    """
    with FileIO(path, "w+") as file:
        sink = _Sink(file)
        # Superblock 0 is read by every program and has no flag that a killed writer leaves set.
        # Aligned, so that a number of 8 bytes never lies across two pages.
        options = {"libver": "earliest", "alignment_threshold": 1, "alignment_interval": 8}
        try:
            with h5py.File(sink, "w", **options) as written:
                yield written
        except (OSError, RuntimeError, ValueError, KeyError):
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error
    seal(path)


class _Sink:
    """A file that never fails to be written.

    Attributes:
        error: the first thing that went wrong.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def seek(self, place: int, whence: int = SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        pass

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size) or b""

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size: int) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size
