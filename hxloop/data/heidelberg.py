"""The Heidelberg spiking data sets: spoken digits (SHD) and commands (SSC), of official files.

Cramer, Stradmann, Schemmel and Zenke, "The Heidelberg spiking data sets for the systematic
evaluation of spiking neural networks", IEEE Trans. Neural Netw. Learn. Syst. 33, 2744 (2022). A
file is HDF5:

- ``spikes/times``: for each sample the times of its spikes in seconds, float16 in official files;
- ``spikes/units``: for each of them its channel, 0 to 699;
- ``labels``: ``(n,)``, 0 to 19, or to 34;
- ``extra/keys``: names of the classes; the rest of ``extra`` (speakers) is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.folders import data_folders
from hxloop.data.held_out import held_out
from hxloop.data.spike_trains import without_repeats
from hxloop.errors import FileFormatError, MissingDataError
from hxloop.files import hdf5
from hxloop.files.atomic import reading
from hxloop.text import printable

N_CHANNELS = 700
WHERE_FROM = "https://compneuro.net/datasets/ or https://zenkelab.org/datasets/"
_TIMES, _UNITS, _LABELS, _KEYS = "spikes/times", "spikes/units", "labels", "extra/keys"
_BLOCK = 512  # samples that are read at once


@dataclass(frozen=True)
class Heidelberg:
    """One of the two.

    Attributes:
        name: of the data set, and of the folder of its files.
        files: of each split; two splits may be of one file.
        n_classes: number of classes.
        validation: which part of each class of the training file is for validation, where there is
            no file for it.
    """

    name: str
    files: Mapping[str, str]
    n_classes: int
    validation: float = 0.0


SHD = Heidelberg(
    "shd",
    {"train": "shd_train.h5", "validation": "shd_train.h5", "test": "shd_test.h5"},
    n_classes=20,
    validation=0.1,
)
SSC = Heidelberg(
    "ssc",
    {"train": "ssc_train.h5", "validation": "ssc_valid.h5", "test": "ssc_test.h5"},
    n_classes=35,
)


@dataclass(frozen=True)
class Recordings:
    """Samples of a file.

    Attributes:
        spikes: of 700 channels, in seconds.
        labels: ``(n,)``.
        repeats: how many more spikes there were, at the very time of another one on their channel.
        class_names: (): the file names none.
    """

    spikes: Spikes
    labels: NDArray[np.int64]
    repeats: int
    class_names: tuple[str, ...]


def find_file(data: Heidelberg, split: str) -> Path:
    """The file of a split, in ``HXLOOP_DATA_DIR`` or the cache.

    Raises:
        MissingDataError: it is in neither, or not unpacked; the message says where it belongs.
    """
    name, folders = data.files[split], data_folders(data.name)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    packed = [folder for folder in folders if (folder / f"{name}.gz").is_file()]
    if packed:
        raise MissingDataError(
            f"data set {data.name!r}: expected {name}; got {packed[0] / name}.gz. Unpack it: "
            f"gunzip --keep {packed[0] / name}.gz"
        )
    raise MissingDataError(
        f"data set {data.name!r}: {name} not found; looked in {', '.join(map(str, folders))}. It "
        f"is not downloaded: get {name}.gz from {WHERE_FROM}, unpack it with gunzip, and put it "
        "into one of these folders; or set HXLOOP_DATA_DIR to the folder that holds it"
    )


def load_heidelberg(
    data: Heidelberg, split: str, size: int | None = None, seed: int = 0
) -> Recordings:
    """Samples of a split, in an order that is drawn; of a part of them only those are read.

    Args:
        data: ``SHD`` or ``SSC``.
        split: "train", "validation" or "test".
        size: how many; None: all.
        seed: of the order, and of which samples of SHD's training file are for validation.

    Raises:
        MissingDataError: see ``find_file``.
        FileFormatError: a file that is damaged, or not of this format.
        ConfigError: there are not so many samples.
    """
    path = find_file(data, split)
    what = f"a file of the data set {data.name!r} (hxloop.data.heidelberg tells the format)"
    with closing(hdf5.open_checked(path, what)) as file:
        with reading(path, what):
            labels, names = _labels(file, data), _names(file, data)
        train, held = held_out(labels, 0.0 if split == "test" else data.validation, seed)
        chosen = held if data.validation and split == "validation" else train
        if size is not None:
            where = f"data set {data.name!r}: size"
            chosen = chosen[: checks.whole(where, size, low=1, high=len(chosen))]
        with reading(path, what):
            spikes, repeats = _spikes(file, chosen)
    return Recordings(spikes, labels[chosen], repeats, names)


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.ndim != 1:
        raise FileFormatError(f"there is no list {name!r} in it")
    return found


def _labels(file: h5py.File, data: Heidelberg) -> NDArray[np.int64]:
    labels = np.asarray(_dataset(file, _LABELS)[()])
    if labels.dtype.kind not in "iu":
        raise FileFormatError(f"{_LABELS!r}: expected whole numbers; got {labels.dtype}")
    wrong = (labels < 0) | (labels >= data.n_classes)
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise FileFormatError(
            f"{_LABELS!r}: expected 0 to {data.n_classes - 1}; got {labels[sample]} at sample "
            f"{sample}"
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


def _spikes(file: h5py.File, chosen: NDArray[np.int64]) -> tuple[Spikes, int]:
    """The spikes of some samples, numbered as they are given, and how many were repeats."""
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
        _check_sample(sample, when, unit)
    return without_repeats(zip(times, units, strict=True), N_CHANNELS)


def _check_sample(sample: int, times: NDArray[Any], units: NDArray[Any]) -> None:
    where = f"sample {sample}"
    if len(times) != len(units):
        raise FileFormatError(f"{where}: it has {len(times)} times, but {len(units)} units")
    wrong = ~(np.isfinite(times) & (times >= 0))
    if wrong.any():
        raise FileFormatError(
            f"{where}: expected times of 0 s or later; got {times[int(np.argmax(wrong))]}"
        )
    beyond = (units < 0) | (units >= N_CHANNELS)
    if beyond.any():
        raise FileFormatError(
            f"{where}: expected units from 0 to {N_CHANNELS - 1}; got "
            f"{units[int(np.argmax(beyond))]}"
        )


def _names(file: h5py.File, data: Heidelberg) -> tuple[str, ...]:
    """Names of the classes, where the file has one for each."""
    if _KEYS not in file:
        return ()
    keys = np.asarray(_dataset(file, _KEYS)[()]).tolist()
    names = [key.decode(errors="replace") if isinstance(key, bytes) else str(key) for key in keys]
    return tuple(map(printable, names)) if len(names) == data.n_classes else ()
