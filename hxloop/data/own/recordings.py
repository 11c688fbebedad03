"""Spike trains of recordings as samples: NWB files, and Neo blocks.

A trial of an NWB file, or a segment of a Neo block, is a sample; a unit, or a train, is a channel.
Times are seconds from the start of the trial. Where units or trains say of which ``layer`` they
are, as those that hxloop writes, the channels are those of the layer "input".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.data.own.raw import Columns, Raw
from hxloop.data.own.tables import LABELS
from hxloop.data.spike_trains import without_repeats
from hxloop.errors import (
    ConfigError,
    FileFormatError,
    MissingDependencyError,
    UnknownNameError,
    unknown_name,
)
from hxloop.files.atomic import reading
from hxloop.network import INPUT

_LAYER = "layer"
_WHAT = "an NWB file with trials and units"


def read_nwb(path: Path, columns: Columns) -> Raw:
    """The trials of an NWB file, with the spikes of its units.

    Spikes between trials are of no sample; where trials overlap, a spike is of each.

    Args:
        path: the file.
        columns: of its table of trials: which holds the classes, which says the split.

    Raises:
        MissingDependencyError: pynwb is not installed.
        FileFormatError: it cannot be read, or has no trials, no units, or trials without an end.
        UnknownNameError: there is no such column.
        ConfigError: it is not said which column holds the classes, and none is called so.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: NWB files are read with the package 'pynwb', which is not installed; try: "
            "pip install 'hxloop[nwb]'"
        ) from error
    with reading(path, _WHAT), NWBHDF5IO(path, "r") as io:
        file = io.read()
        if file.trials is None or file.units is None or "spike_times" not in file.units.colnames:
            raise FileFormatError(
                f"{path}: expected {_WHAT}, which have spike times; it has no "
                f"{'trials' if file.trials is None else 'units with spike times'}"
            )
        known = tuple(file.trials.colnames)
        needed = {"start_time", "stop_time", columns.label, columns.split, *LABELS} & set(known)
        trials = {name: np.asarray(file.trials[name][:]) for name in needed}
        layers = None
        if _LAYER in file.units.colnames:
            layers = np.asarray(file.units[_LAYER][:]).tolist()
        trains = [
            np.asarray(file.units.get_unit_spike_times(i), np.float64)
            for i in range(len(file.units))
        ]
    # What is asked for, and not there, is no fault of the file.
    label = _column(columns.label, known, str(path))
    if columns.split is not None and columns.split not in known:
        raise UnknownNameError(f"{path}: {unknown_name('column', columns.split, known)}")
    if layers is not None:
        trains = [trains[i] for i in _inputs(layers, str(path))]
    labels = trials[label]
    splits = None if columns.split is None else trials[columns.split]
    start, stop = (trials[name].astype(np.float64) for name in ("start_time", "stop_time"))
    wrong = ~(np.isfinite(start) & (stop > start))
    if wrong.any():
        trial = int(np.argmax(wrong))
        raise FileFormatError(
            f"{path}: trial {trial}: expected it to end after it starts; got {start[trial]:g} s to "
            f"{stop[trial]:g} s"
        )
    spikes, merged = without_repeats(_cut(trains, start, stop), len(trains))
    return Raw(samples=spikes, labels=labels, splits=splits, merged=merged)


def raw_block(block: Any, columns: Columns, where: str) -> Raw:
    """The segments of a Neo block, with their spike trains.

    Args:
        block: a ``neo.Block``, whose segments are annotated with their class.
        columns: the name of that annotation, and of one that says the split.
        where: begins messages.

    Raises:
        FileFormatError: no segment, or segments of another number of trains, or without a class.
        UnknownNameError, ConfigError: see ``read_nwb``.
    """
    if not block.segments:
        raise FileFormatError(f"{where}: expected a block with segments; it has none")
    label = _column(columns.label, tuple(block.segments[0].annotations), where)
    labels: list[Any] = []
    splits: list[Any] = []
    samples, counts = [], []
    for number, segment in enumerate(block.segments):
        for name, found in ((label, labels), (columns.split, splits)):
            if name is not None:
                if name not in segment.annotations:
                    raise FileFormatError(f"{where}: segment {number}: no annotation {name!r}")
                found.append(segment.annotations[name])
        trains = list(segment.spiketrains)
        layers = [train.annotations.get(_LAYER) for train in trains]
        if any(layer is not None for layer in layers):
            trains = [trains[i] for i in _inputs(layers, where)]
        times = [np.asarray((t.times - t.t_start).rescale("s").magnitude, float) for t in trains]
        samples.append(_together(times))
        counts.append(len(trains))
    if len(set(counts)) != 1 or not counts[0]:
        raise FileFormatError(
            f"{where}: expected segments of as many trains each; got from {min(counts)} to "
            f"{max(counts)}"
        )
    spikes, merged = without_repeats(samples, counts[0])
    chosen = np.array(splits) if splits else None
    return Raw(samples=spikes, labels=np.array(labels), splits=chosen, merged=merged)


def is_block(value: Any) -> bool:
    """Whether this is a Neo block; Neo is not loaded to find out."""
    return type(value).__module__.startswith("neo.") and type(value).__name__ == "Block"


def _column(asked: str | None, known: Sequence[str], where: str) -> str:
    if asked is not None:
        if asked not in known:
            raise UnknownNameError(f"{where}: {unknown_name('column', asked, known)}")
        return asked
    found = [name for name in LABELS if name in known]
    if not found:
        raise ConfigError(
            f"{where}: which column holds the classes? None is called {', '.join(LABELS)}; "
            f"expected dataset.label (--label), one of: {', '.join(known)}"
        )
    return found[0]


def _inputs(layers: Sequence[Any], where: str) -> NDArray[np.int64]:
    chosen = np.flatnonzero([layer == INPUT for layer in layers])
    if not len(chosen):
        names = ", ".join(sorted({str(layer) for layer in layers}))
        raise FileFormatError(f"{where}: no channel is of the layer {INPUT!r}; there are: {names}")
    return chosen


def _cut(
    trains: Sequence[NDArray[np.float64]], start: NDArray[np.float64], stop: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Times and channels of each trial, from its start."""
    ordered = [np.sort(train) for train in trains]
    found = []
    for begin, end in zip(start, stop, strict=True):
        parts = [
            train[np.searchsorted(train, begin) : np.searchsorted(train, end, "right")] - begin
            for train in ordered
        ]
        found.append(_together(parts))
    return found


def _together(
    parts: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    units = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate([*parts, np.empty(0)]), units
