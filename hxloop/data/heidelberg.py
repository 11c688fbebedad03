"""The Heidelberg spiking data sets: spoken digits (SHD) and commands (SSC), of official files.

Cramer, Stradmann, Schemmel and Zenke, "The Heidelberg spiking data sets for the systematic
evaluation of spiking neural networks", IEEE Trans. Neural Netw. Learn. Syst. 33, 2744 (2022). They
are files as ``hxloop.data.spike_files`` tells, with times in seconds (float16 in official ones),
channels 0 to 699, labels 0 to 19 or to 34; the rest of ``extra`` (speakers) is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.folders import data_folders
from hxloop.data.held_out import held_out
from hxloop.data.spike_files import labels_of, names_of, spikes_of
from hxloop.errors import MissingDataError
from hxloop.files import hdf5
from hxloop.files.atomic import reading

N_CHANNELS = 700
WHERE_FROM = "https://compneuro.net/datasets/ or https://zenkelab.org/datasets/"


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
    what = f"a file of the data set {data.name!r} (hxloop.data.spike_files tells the format)"
    with closing(hdf5.open_checked(path, what)) as file:
        with reading(path, what):
            labels, names = labels_of(file, data.n_classes), names_of(file, data.n_classes)
        train, held = held_out(labels, 0.0 if split == "test" else data.validation, seed)
        chosen = held if data.validation and split == "validation" else train
        if size is not None:
            where = f"data set {data.name!r}: size"
            chosen = chosen[: checks.whole(where, size, low=1, high=len(chosen))]
        with reading(path, what):
            spikes, repeats = spikes_of(file, chosen, N_CHANNELS)
    return Recordings(spikes, labels[chosen], repeats, names)
