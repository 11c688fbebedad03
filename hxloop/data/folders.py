"""Where files of data sets are looked for."""

from __future__ import annotations

import os
from pathlib import Path

from hxloop import checks
from hxloop.errors import MissingDataError
from hxloop.machine import cache_folders


def data_folders(name: str, *other: str) -> list[Path]:
    """Where the files of a data set are looked for, in this order.

    Args:
        name: of its folder, below ``HXLOOP_DATA_DIR`` and below the cache.
        other: further folders below ``HXLOOP_DATA_DIR``, after that folder itself.

    Raises:
        MissingDataError: ``HXLOOP_DATA_DIR`` is no path.
    """
    given, found = os.environ.get("HXLOOP_DATA_DIR"), []
    if given:
        root = checks.path("HXLOOP_DATA_DIR", given, error=MissingDataError)
        found = [root / name, root, *(root / each for each in other)]
    return [*found, *(folder / name for folder in cache_folders("data"))]
