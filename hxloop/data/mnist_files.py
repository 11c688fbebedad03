"""The MNIST database: official IDX files, checked, from a folder, the cache or the net."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.data.downloads import retrieved
from hxloop.data.folders import data_folders
from hxloop.data.idx import array_of
from hxloop.data.packed import unpacked
from hxloop.errors import FileFormatError

# MD5 of the uncompressed files: archives of the same data differ in their gzip headers.
FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# First of the training images, then so many of them for validation, as published.
TRAIN_SIZE, VALIDATION_SIZE, TEST_SIZE = 50_000, 10_000, 10_000
SIDE, CROP, SMALL_SIDE = 28, 24, 16
LARGEST = 1 << 26  # bytes; no file of the database, unpacked, has as many


def load_mnist(split: str, side: int = SIDE) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of a split.

    The training file is split into its first 50000 and its last 10000 images, as published
    with the method (Göltz et al. 2021).

    Args:
        split: "train", "validation" or "test".
        side: 28, or 16: the 24 x 24 in the middle, resized by antialiased linear interpolation (a
            triangle as wide as the reduction at every pixel's centre, as image libraries do).

    Returns:
        ``(n, side * side)`` pixels from 0 to 255 and ``(n,)`` labels.

    Raises:
        MissingDataError: the files are nowhere and cannot be downloaded.
        FileFormatError: a file is truncated, corrupt or another one.
    """
    kind = "t10k" if split == "test" else "train"
    images = read_images(find_file(f"{kind}-images-idx3-ubyte"))
    labels = read_labels(find_file(f"{kind}-labels-idx1-ubyte"))
    if len(images) != len(labels):
        raise FileFormatError(f"MNIST: {len(images)} images but {len(labels)} labels")
    part = {"train": slice(0, TRAIN_SIZE), "validation": slice(TRAIN_SIZE, None)}.get(
        split, slice(None)
    )
    chosen = images[part]
    if side != SIDE:
        chosen = _shrink(chosen, side)
    return chosen.reshape(len(chosen), -1), labels[part].astype(np.int64)


def folders() -> list[Path]:
    """Where the files are looked for: ``HXLOOP_DATA_DIR`` and the cache."""
    # As torchvision lays them out, too, below its root or in the folder itself.
    return data_folders("mnist", "MNIST/raw", "raw")


def find_file(name: str) -> Path:
    """One of ``FILES``, where it lies on this machine, or else downloaded.

    Raises:
        MissingDataError: it is nowhere, and cannot be had.
    """
    for folder in folders():
        # Unpacked by some tools, the files have a point where others have a dash.
        dotted = name.replace("-idx", ".idx")
        for path in (folder / f"{n}{end}" for n in (name, dotted) for end in (".gz", "")):
            if path.is_file():
                return path
    return _download(name)


def _download(name: str) -> Path:
    path = retrieved(MIRROR, f"{name}.gz", "mnist", "MNIST", folders())
    try:
        content_of(path, name)
    except FileFormatError:
        path.unlink()
        raise
    return path


def content_of(path: Path, name: str | None = None) -> bytes:
    """The uncompressed bytes of one of ``FILES``, checked.

    Args:
        path: the file.
        name: which of them it is; None: as its own name says.

    Raises:
        FileFormatError: it is truncated, corrupt or another file.
    """
    name = name or path.name.removesuffix(".gz").replace(".idx", "-idx")
    data = unpacked(path, LARGEST, "MNIST file")
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != FILES[name]:
        other = [known for known, value in FILES.items() if value == digest]
        what = f"it is {other[0]} under another name" if other else "truncated, corrupt or another"
        raise FileFormatError(
            f"MNIST file {path}: expected the official {name} (MD5 {FILES[name]}); got MD5 "
            f"{digest}: {what}"
        )
    return data


@lru_cache(maxsize=4)
def read_images(path: Path) -> NDArray[np.uint8]:
    """``(samples, 28, 28)``, not to be written to; raises as ``content_of``."""
    data = content_of(path)
    images = array_of(data, f"MNIST file {path}")
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        raise FileFormatError(
            f"MNIST file {path}: expected images of 28 x 28; got "
            f"{' x '.join(map(str, images.shape[1:]))}, {images.dtype}"
        )
    return images


@lru_cache(maxsize=4)
def read_labels(path: Path) -> NDArray[np.uint8]:
    """``(samples,)``; raises as ``content_of``."""
    data = content_of(path)
    labels = array_of(data, f"MNIST file {path}")
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise FileFormatError(
            f"MNIST file {path}: expected labels (n,); got {labels.dtype} {labels.shape}"
        )
    return labels


def _shrink(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Centre crop to 24 x 24, then linear interpolation at pixel centres to side x side."""
    border = (SIDE - CROP) // 2
    inner = images[:, border : SIDE - border, border : SIDE - border].astype(np.float32)
    matrix = _interpolation(CROP, side)
    small = np.einsum("ai,nij,bj->nab", matrix, inner, matrix, optimize=True)
    found: NDArray[np.uint8] = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return found


def _interpolation(size: int, side: int) -> NDArray[np.float32]:
    """``(side, size)``: a triangle filter as wide as the reduction, as image libraries do."""
    scale = size / side
    centres = (np.arange(side) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(size)[None, :] - centres[:, None]) / scale
    weights = np.maximum(1 - distance, 0)
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(
        np.float32
    )
    return normalised
