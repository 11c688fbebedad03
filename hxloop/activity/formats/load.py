"""Recorded activity from whatever holds it: an activity log, plain arrays, a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hxloop import checks
from hxloop.activity.formats.plain import read_plain
from hxloop.activity.log.reader import ActivityLog
from hxloop.activity.log.rows import Samples
from hxloop.activity.recorded import RecordedActivity
from hxloop.errors import FileFormatError, UnknownNameError
from hxloop.files import reading
from hxloop.files.hdf5 import SIGNATURE

LOG_NAME = "activity.h5"
_ZIP = b"PK"
_WHAT = "an activity log (HDF5), spike times as plain arrays (.npz), or the folder of a run"


def read_activity(
    path: str | os.PathLike[str], states: Sequence[str] | None = None, samples: Samples = None
) -> dict[str, RecordedActivity]:
    """Recorded activity of a file, whose kind is told by its content.

    Args:
        path: an activity log, an ``.npz`` file (see ``hxloop.activity.formats.plain``), or a run
            folder with an ``activity.h5``.
        states: names of the states to read; None = all.
        samples: which samples, a slice or indices; None = all.

    Returns:
        States by name: "untrained", epochs in their order, "trained", others.

    Raises:
        FileFormatError: none of these, or damaged, or nothing in it.
        UnknownNameError: no such state in it.
    """
    path = checks.path("path", path, error=FileFormatError)
    if path.is_dir():
        path = path / LOG_NAME
    if not path.is_file():
        raise FileFormatError(f"{path}: expected {_WHAT}; there is no such file")
    with reading(path, _WHAT), path.open("rb") as file:
        start = file.read(8)
    if start == SIGNATURE:
        with ActivityLog.open(path) as log:
            names = log.states if states is None else tuple(states)
            if not names:
                raise FileFormatError(f"{path}: an activity log without any state")
            return {name: log.read(name, samples) for name in names}
    if start[: len(_ZIP)] != _ZIP:
        got = "it is neither" if start else "it is empty"
        raise FileFormatError(f"{path}: expected {_WHAT}; {got}")
    found = read_plain(path)
    if unknown := [name for name in states or () if name not in found]:
        raise UnknownNameError(f"{path}: no state {unknown[0]!r}; there are: {', '.join(found)}")
    chosen = {name: found[name] for name in (found if states is None else states)}
    if samples is None:
        return chosen
    return {name: state.select(samples) for name, state in chosen.items()}
