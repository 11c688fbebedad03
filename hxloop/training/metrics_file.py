"""``metrics.jsonl``: a line for each epoch, which other programs may follow as it grows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hxloop.errors import OutputError
from hxloop.files import write_atomically
from hxloop.training.checkpoint import METRICS


def write_metrics(folder: Path | None, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Write the file anew, if there is a folder.

    Raises:
        OutputError: it cannot be written.
    """
    if folder is not None:
        lines = [json.dumps(epoch) + "\n" for epoch in metrics]
        write_atomically(folder / METRICS, "".join(lines).encode())


def append_metrics(folder: Path | None, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Add the last epoch to the file, if there is a folder; the first one begins it anew.

    Raises:
        OutputError: it cannot be written.
    """
    if folder is None:
        return
    if len(metrics) == 1:
        write_metrics(folder, metrics)
        return
    path = folder / METRICS
    try:
        with path.open("a") as file:
            file.write(json.dumps(metrics[-1]) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
