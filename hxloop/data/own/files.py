"""Which files there are for which split, and how each kind of them is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.formats.npz import load_arrays
from hxloop.data.idx import array_of
from hxloop.data.own import tables
from hxloop.data.own.raw import Columns, Raw, raw_arrays
from hxloop.data.own.recordings import read_nwb
from hxloop.data.packed import unpacked
from hxloop.data.spike_files import labels_of, names_of, spikes_of
from hxloop.errors import FileFormatError, MissingDataError
from hxloop.files import hdf5
from hxloop.files.atomic import reading
from hxloop.text import printable

# What is to be split.
ALL = ""
# What names of files, arrays and values of a column say, as words of their own.
SPLIT_WORDS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "testing": "test", "t10k": "test",
}  # fmt: skip
_SAMPLES = ("x", "samples", "data", "features", "images", "inputs")
_LABELS = ("y", "labels", "label", "targets", "target")
_IDX = re.compile(r"(?P<family>.*?)[-_.]?(?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?")
_ENDINGS = (*tables.TEXT, *tables.PARQUET, ".npz", ".npy", ".h5", ".hdf5", ".nwb")
KINDS = (
    "CSV (.csv, .tsv, .gz), .parquet, .npz, .npy, .h5, .nwb, or a folder of these or of IDX files"
)


def split_of(name: str) -> str:
    """The split that a name tells, ``ALL`` if it tells none.

    >>> split_of("x_train"), split_of("latest"), split_of("emnist-letters-test-images")
    ('train', '', 'test')
    """
    words = re.split(r"[^a-z0-9]+", name.lower())
    found = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else ALL


def read(path: Path, columns: Columns) -> dict[str, Raw]:
    """What a file or folder holds, by split, or under ``ALL`` what is to be split.

    Args:
        path: a file of ``KINDS``, a folder of such, or the beginning of the names of IDX files.
        columns: of tables.

    Raises:
        MissingDataError: there is no such file, or nothing in the folder.
        FileFormatError: of another kind, damaged, or not what can be learned from.
        MissingDependencyError, UnknownNameError, ConfigError: see ``tables``.
    """
    if path.is_dir():
        return _folder(path, columns)
    if path.is_file():
        return _file(path, columns)
    beginning = path.name + "-"
    if path.parent.is_dir() and (found := _idx_files(path.parent, path.name)):
        return _idx(found, path)
    near = sorted(each.name for each in path.parent.iterdir()) if path.parent.is_dir() else []
    there = f"; {path.parent} holds {', '.join(near[:6])}" if near else ""
    raise MissingDataError(
        f"dataset.path: expected a file or folder, or IDX files beginning with {beginning!r}; "
        f"{printable(str(path))} is none{printable(there)}"
    )


def _folder(folder: Path, columns: Columns) -> dict[str, Raw]:
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        if place.is_dir() and (found := _idx_files(place, "")):
            return _idx(found, place)
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name.lower().endswith(_ENDINGS))
    arrays = [file for file in files if file.suffix == ".npy"]
    if arrays:
        loaded = {file.stem: _single(file) for file in arrays}
        return _named_arrays(loaded, folder)
    by_split: dict[str, Path] = {}
    for file in files:
        split = split_of(file.name)
        if split in by_split:
            what = f"two for {split!r}" if split else "one file"
            raise FileFormatError(
                f"{folder}: expected a file for each split (train, validation, test), or one; got "
                f"{by_split[split].name} and {file.name}, {what}. Name one: dataset.path"
            )
        by_split[split] = file
    if not by_split:
        raise MissingDataError(f"dataset.path: {folder} holds none of what is read: {KINDS}")
    if ALL in by_split and len(by_split) > 1:
        raise FileFormatError(
            f"{folder}: which split is {by_split[ALL].name} of? Its name says none of train, "
            "validation, test; those of other files do. Name one: dataset.path"
        )
    if len(by_split) == 1:
        ((split, file),) = by_split.items()
        raws = _file(file, columns)
        return {split: raws[ALL]} if split and list(raws) == [ALL] else raws
    return {s: _file(file, columns, alone=False)[ALL] for s, file in by_split.items()}


def _file(path: Path, columns: Columns, alone: bool = True) -> dict[str, Raw]:
    name = path.name.lower()
    kinds: Mapping[tuple[str, ...], Callable[[], dict[str, Raw]]] = {
        (*tables.TEXT, *tables.PARQUET): lambda: {ALL: tables.read_table(path, columns)},
        (".npz",): lambda: _npz(path),
        (".h5", ".hdf5"): lambda: {ALL: _spikes(path)},
        (".nwb",): lambda: {ALL: read_nwb(path, columns)},
    }
    for endings, load in kinds.items():
        if name.endswith(endings):
            found = load()
            if not alone and list(found) != [ALL]:
                raise FileFormatError(f"{path}: it holds several splits itself: dataset.path")
            return found
    if name.endswith(".npy"):
        raise FileFormatError(
            f"{path}: a single array, without labels. Put samples.npy and labels.npy into a folder "
            "(or x_train.npy, y_train.npy, x_test.npy, y_test.npy): dataset.path = FOLDER"
        )
    raise FileFormatError(f"{path}: expected {KINDS}; got '{path.suffix or path.name}'")


def _npz(path: Path) -> dict[str, Raw]:
    with reading(path, "arrays of samples and labels"):
        arrays = load_arrays(path)
    return _named_arrays(arrays, path)


def _single(path: Path) -> NDArray[Any]:
    with reading(path, "an array"):
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return found


def _named_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Raw]:
    """Samples and labels by what arrays are called: x_train and y_train, or samples and labels."""
    samples: dict[str, NDArray[Any]] = {}
    labels: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        split = split_of(name)
        words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w and w not in SPLIT_WORDS]
        for known, kept in ((_SAMPLES, samples), (_LABELS, labels)):
            if len(words) == 1 and words[0] in known:
                if split in kept:
                    raise FileFormatError(f"{path}: two arrays could be {known[1]} of {name!r}")
                kept[split] = array
    if not samples or set(samples) != set(labels) or (ALL in samples and len(samples) > 1):
        raise FileFormatError(
            f"{path}: expected arrays 'samples' and 'labels' (or x and y, or x_train, y_train, "
            f"x_test, y_test); got: {printable(', '.join(arrays)) or 'none'}"
        )
    return {
        split: raw_arrays(array, labels[split], f"{path}{f', {split}' if split else ''}")
        for split, array in samples.items()
    }


def _idx_files(folder: Path, beginning: str) -> dict[str, Path]:
    """IDX files of a folder by what their names say before the ending."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        match = _IDX.fullmatch(file.name)
        if match and match["family"].startswith(beginning):
            found.setdefault(f"{match['family']}/{match['what']}", file)
    return found


def _idx(files: Mapping[str, Path], where: Path) -> dict[str, Raw]:
    found: dict[str, Raw] = {}
    names: dict[str, str] = {}
    for key, images in files.items():
        family, what = key.rsplit("/", 1)
        if what != "images":
            continue
        if f"{family}/labels" not in files:
            raise FileFormatError(f"{images}: there is no file of labels beside it")
        split = split_of(family)
        if split in names:
            raise FileFormatError(
                f"{where}: IDX files of several data sets: {names[split]!r} and {family!r}. Name "
                "what theirs begin with: dataset.path = FOLDER/BEGINNING"
            )
        names[split] = family
        labels = files[f"{family}/labels"]
        found[split] = raw_arrays(
            array_of(unpacked(images), images), array_of(unpacked(labels), labels), str(images)
        )
    return found


def _spikes(path: Path) -> Raw:
    what = "spikes of samples (hxloop.data.spike_files tells the format)"
    with closing(hdf5.open_checked(path, what)) as file, reading(path, what):
        labels = labels_of(file)
        if not len(labels):
            raise FileFormatError("there is no sample in it")
        spikes, merged = spikes_of(file, np.arange(len(labels)))
        names = names_of(file, int(labels.max()) + 1)
    return Raw(samples=spikes, labels=labels, merged=merged, class_names=names)
