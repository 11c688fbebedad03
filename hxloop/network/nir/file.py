"""NIR graphs in files, whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hxloop import checks
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import reading, replacing
from hxloop.network.nir.write import package

if TYPE_CHECKING:
    import nir


def write_nir(path: str | os.PathLike[str], graph: nir.NIRGraph) -> None:
    """Write a graph to a file (HDF5); one that is there is replaced.

    Raises:
        MissingDependencyError: the package nir is not installed.
        OutputError: the file cannot be written.
    """
    path = checks.path("path", path, error=OutputError)
    with replacing(path) as new:
        package().write(new, graph)


def read_nir(path: str | os.PathLike[str]) -> nir.NIRGraph:
    """Read a graph from a file.

    Raises:
        MissingDependencyError: the package nir is not installed.
        FileFormatError: there is none, or it is damaged.
    """
    path = checks.path("path", path, error=FileFormatError)
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a NIR graph (HDF5); there is no such file")
    with reading(path, "a NIR graph (HDF5)"):
        return package().read(path)
