"""IDX, the format of the MNIST family: a magic number, the sizes of the axes, the values."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError

# The third byte of the magic number; the fourth is the number of axes, the first two are 0.
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def array_of(data: bytes, what: object) -> NDArray[Any]:
    """The array that an IDX file holds, in memory that cannot be written to.

    Args:
        data: the uncompressed bytes.
        what: the file, for messages.

    Raises:
        FileFormatError: no such file, or one that is shorter or longer than it declares.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or data[3] == 0:
        raise FileFormatError(
            f"{what}: expected an IDX file, as those of MNIST; it begins with {data[:4].hex(' ')}"
        )
    dtype, axes = np.dtype(TYPES[data[2]]), data[3]
    start = 4 + 4 * axes
    if len(data) < start:
        raise FileFormatError(f"{what}: truncated: it declares {axes} axes")
    shape = struct.unpack(f">{axes}I", data[4:start])
    declared, there = dtype.itemsize * math.prod(shape), len(data) - start
    if declared != there:
        raise FileFormatError(
            f"{what}: declares {declared} bytes ({' x '.join(map(str, shape))} {dtype}); {there} "
            "are there"
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape)
