"""Paths in configurations: relative to the file that names them, and absolute once read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Where a configuration holds a path; of options of backends those that are paths there.
PATH_KEYS = (
    "dataset.path",
    "dataset.test_path",
    "dataset.validation_path",
    "initialisation.run",
    "backend.calibration",
    "backend.record",
    "backend.options.path",
    "backend.options.cache_dir",
    "backend.options.calibration_file",
    "backend.options.calibration_cache",
    "backend.options.over.path",
    "backend.options.over.cache_dir",
    "backend.options.over.calibration_file",
)


def with_absolute_paths(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A copy of nested settings with every path absolute.

    Args:
        values: as read from TOML.
        folder: what relative paths are relative to.
    """
    result = dict(values)
    for key in PATH_KEYS:
        *tables, name = key.split(".")
        table: Any = result
        for part in tables:
            inner = table.get(part) if isinstance(table, dict) else None
            if not isinstance(inner, Mapping):
                table = None
                break
            table[part] = inner = dict(inner)
            table = inner
        # Whatever is no path is for the validation to refuse; "" is none.
        if table is not None and isinstance(table.get(name), str | os.PathLike) and table[name]:
            path = Path(os.fspath(table[name])).expanduser()
            table[name] = os.path.normpath(folder / path) if not path.is_absolute() else str(path)
    return result
