"""Spikes in HDF5 files of the kind of SHD: a list of times and one of channels for each sample.

- ``spikes/times``: for each sample the times of its spikes;
- ``spikes/units``: for each of them its channel;
- ``labels``: ``(n,)``, whole numbers;
- ``extra/keys``: names of the classes; may be missing.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.data.spike_trains import without_repeats
from hxloop.errors import FileFormatError
from hxloop.text import printable

_TIMES, _UNITS, _LABELS, _KEYS = "spikes/times", "spikes/units", "labels", "extra/keys"
_BLOCK = 512  # samples that are read at once


def labels_of(file: h5py.File, n_classes: int | None = None) -> NDArray[np.int64]:
    """The labels of a file in which there is a list of times and of channels for each.

    Args:
        file: open for reading.
        n_classes: how many there are; None: as many as there are.

    Raises:
        FileFormatError: no such lists, or a label that is no class.
    """
    labels = np.asarray(_dataset(file, _LABELS)[()])
    if labels.dtype.kind not in "iu":
        raise FileFormatError(f"{_LABELS!r}: expected whole numbers; got {labels.dtype}")
    wrong = labels < 0
    if n_classes is not None:
        wrong |= labels >= n_classes
    if wrong.any():
        sample = int(np.argmax(wrong))
        expected = "0 or more" if n_classes is None else f"0 to {n_classes - 1}"
        raise FileFormatError(
            f"{_LABELS!r}: expected {expected}; got {labels[sample]} at sample {sample}"
        )
    for name, kinds in ((_TIMES, "f"), (_UNITS, "iu")):
        lists = _dataset(file, name)
        kind = h5py.check_vlen_dtype(lists.dtype)
        if kind is None or np.dtype(kind).kind not in kinds:
            raise FileFormatError(f"{name!r}: expected lists of numbers; got {lists.dtype}")
        if len(lists) != len(labels):
            raise FileFormatError(
                f"{name!r}: expected a list for each of {len(labels)} labels; got {len(lists)}"
            )
    return labels.astype(np.int64)


def spikes_of(
    file: h5py.File, chosen: NDArray[np.int64], n_channels: int | None = None
) -> tuple[Spikes, int]:
    """The spikes of some samples, numbered as they are given, and how many were repeats.

    Args:
        file: that ``labels_of`` takes.
        chosen: numbers of samples in the file.
        n_channels: how many there are; None: up to the last one that spikes.

    Raises:
        FileFormatError: a time that is negative or not finite, or a channel that is none.
    """
    times: list[Any] = [None] * len(chosen)
    units: list[Any] = [None] * len(chosen)
    # In the order of the file, a block at once: one by one it takes much longer.
    order = np.argsort(chosen)
    for start in range(0, int(chosen.max()) + 1, _BLOCK):
        low, high = np.searchsorted(chosen[order], [start, start + _BLOCK])
        if low == high:
            continue
        part = slice(start, start + _BLOCK)
        for target, name in ((times, _TIMES), (units, _UNITS)):
            block = _dataset(file, name)[part]
            for place in order[low:high]:
                target[place] = block[chosen[place] - start]
    for sample, when, unit in zip(chosen.tolist(), times, units, strict=True):
        _check_sample(sample, when, unit, n_channels)
    if n_channels is None:
        n_channels = 1 + max((int(unit.max()) for unit in units if len(unit)), default=0)
    return without_repeats(zip(times, units, strict=True), n_channels)


def names_of(file: h5py.File, n_classes: int) -> tuple[str, ...]:
    """Names of the classes, where the file has one for each."""
    if _KEYS not in file:
        return ()
    keys = np.asarray(_dataset(file, _KEYS)[()]).tolist()
    names = [key.decode(errors="replace") if isinstance(key, bytes) else str(key) for key in keys]
    return tuple(map(printable, names)) if len(names) == n_classes else ()


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.ndim != 1:
        raise FileFormatError(f"there is no list {name!r} in it")
    return found


def _check_sample(
    sample: int, times: NDArray[Any], units: NDArray[Any], n_channels: int | None
) -> None:
    where = f"sample {sample}"
    if len(times) != len(units):
        raise FileFormatError(f"{where}: it has {len(times)} times, but {len(units)} units")
    wrong = ~(np.isfinite(times) & (times >= 0))
    if wrong.any():
        raise FileFormatError(
            f"{where}: expected times of 0 s or later; got {times[int(np.argmax(wrong))]}"
        )
    beyond = units < 0
    if n_channels is not None:
        beyond |= units >= n_channels
    if beyond.any():
        expected = "of 0 or more" if n_channels is None else f"from 0 to {n_channels - 1}"
        raise FileFormatError(
            f"{where}: expected units {expected}; got {units[int(np.argmax(beyond))]}"
        )
