"""Writing a file as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hxloop.errors import OutputError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers, and a power cut, see all of it or none.

    Raises:
        OutputError: the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
