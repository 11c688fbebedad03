"""Data sets in the files and sizes of MNIST: Fashion-MNIST and Kuzushiji-MNIST."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.data.dataset import Dataset
from hxloop.data.downloads import retrieved
from hxloop.data.folders import data_folders
from hxloop.data.idx import array_of
from hxloop.data.mnist_files import LARGEST, SIDE, TRAIN_SIZE
from hxloop.data.packed import unpacked
from hxloop.errors import ConfigError, FileFormatError


@dataclass(frozen=True, kw_only=True)
class Kin:
    """A data set in the files of MNIST.

    Attributes:
        name: of the data set, and of its folder.
        raw: the folder that torchvision keeps it in.
        mirror: the address of its publishers.
        digests: MD5 of the archives, as they publish them.
        classes: names, in the order of the labels.
    """

    name: str
    raw: str
    mirror: str
    digests: Mapping[str, str]
    classes: tuple[str, ...]


# Xiao, Rasul and Vollgraf, arXiv 1708.07747 (2017).
FASHION = Kin(
    name="fashion-mnist",
    raw="FashionMNIST/raw",
    mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    digests={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    classes=(
        "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
)  # fmt: skip
# Clanuwat et al., arXiv 1812.01718 (2018).
KUZUSHIJI = Kin(
    name="kmnist",
    raw="KMNIST/raw",
    mirror="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    digests={
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)


def load_kin(kin: Kin, split: str, size: int | None = None, seed: int | None = None) -> Dataset:
    """A split: the first 50000 training images, the last 10000 of them, or the 10000 for testing.

    Args:
        kin: which data set.
        split: "train", "validation" or "test".
        size: the first so many samples; None: all.
        seed: none is taken, nothing is drawn.

    Returns:
        Samples ``pixel/256`` in [0, 1), float32, as those of MNIST.

    Raises:
        ConfigError: a seed, or a size that there is not.
        MissingDataError: the files are nowhere and cannot be downloaded.
        FileFormatError: a file is truncated, corrupt or another one.
    """
    if seed is not None:
        raise ConfigError(f"data set {kin.name!r}: is not drawn, so it takes no seed; got {seed}")
    start = "t10k" if split == "test" else "train"
    images = _array(kin, f"{start}-images-idx3-ubyte.gz", (SIDE, SIDE))
    labels = _array(kin, f"{start}-labels-idx1-ubyte.gz", ())
    if len(images) != len(labels):
        raise FileFormatError(f"{kin.name}: {len(images)} images but {len(labels)} labels")
    held = {"train": slice(0, TRAIN_SIZE), "validation": slice(TRAIN_SIZE, None)}
    part = held.get(split, slice(None))
    pixels = images[part].reshape(-1, SIDE * SIDE)
    samples = pixels.astype(np.float32) / np.float32(256)
    found = Dataset(
        kin.name, samples, labels[part].astype(np.int64), len(kin.classes), kin.classes, SIDE
    )
    if size is None:
        return found
    high = len(samples)
    return found.first(checks.whole(f"data set {kin.name!r}: size", size, low=1, high=high))


def folders(kin: Kin) -> list[Path]:
    """Where its archives are looked for.

    Never ``HXLOOP_DATA_DIR`` itself: MNIST's may lie there, under the same names.
    """
    own = data_folders(kin.name, kin.raw)
    shared = own[1] if len(own) > 2 else None
    return [folder for folder in own if folder != shared]


def _array(kin: Kin, file: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    looked = folders(kin)
    path = next((folder / file for folder in looked if (folder / file).is_file()), None)
    if path is not None:
        return _read(kin.name, path, kin.digests[file], shape)
    path = retrieved(kin.mirror, file, kin.name, kin.name, looked)
    try:
        return _read(kin.name, path, kin.digests[file], shape)
    except FileFormatError:
        path.unlink()
        raise


@lru_cache(maxsize=8)
def _read(name: str, path: Path, digest: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """``(samples, *shape)`` of an archive, which is the official one."""
    where = f"{name}: file {path}"
    try:
        got = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError as error:
        raise FileFormatError(f"{where}: cannot be read: {error.strerror}") from error
    if got != digest:
        raise FileFormatError(
            f"{where}: expected the archive of its publishers (MD5 {digest}); got MD5 {got}: "
            "truncated, corrupt or another. Data of your own in such files: dataset.path = FOLDER"
        )
    found = array_of(unpacked(path, LARGEST, f"{name}: file"), where)
    if found.dtype != np.uint8 or found.shape[1:] != shape:
        raise FileFormatError(
            f"{where}: expected bytes of shape (n, {', '.join(map(str, shape))}); got "
            f"{found.dtype} {found.shape}"
        )
    return found
