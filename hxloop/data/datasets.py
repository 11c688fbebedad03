"""Data sets, as arrays of samples and labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from hxloop import checks
from hxloop.data.dataset import Dataset as Dataset
from hxloop.data.heidelberg import SHD, SSC, Heidelberg, load_heidelberg
from hxloop.data.japanese_vowels import N_CLASSES, load_japanese_vowels
from hxloop.data.memory_tasks import (
    DELAYED_MANIFOLDS_SPLITS,
    DELAYED_XOR_SPLITS,
    MANIFOLDS,
    delayed_manifolds,
    delayed_xor,
)
from hxloop.data.mnist_files import SIDE, SMALL_SIDE, load_mnist
from hxloop.data.mnist_kin import FASHION, KUZUSHIJI, load_kin
from hxloop.data.randman import RANDMAN, RANDMAN_SPLITS, Randman
from hxloop.data.scikit import NAMES, load_scikit
from hxloop.errors import ConfigError, UnknownNameError, unknown_name
from hxloop.registry import Registry

# Sizes and seeds of the published Yin-Yang splits.
YIN_YANG_SPLITS = {"train": (5000, 42), "validation": (1000, 41), "test": (1000, 40)}
R_BIG, R_SMALL = 0.5, 0.1


def yin_yang_class(x: float, y: float) -> int:
    """Class of a point in the Yin-Yang disk: 0 and 1 are the halves, 2 the two dots.

    Kriener, Göltz and Petrovici, "The Yin-Yang dataset" (arXiv 2102.08211, 2021), with the
    published radii.
    Both coordinates run from 0 to 1; the disk has its centre at (0.5, 0.5) and radius 0.5.
    """
    d_right = np.sqrt((x - 1.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    d_left = np.sqrt((x - 0.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    if d_right < R_SMALL or d_left < R_SMALL:
        return 2
    in_left_lobe = R_SMALL < d_left <= 0.5 * R_BIG
    outside_right_lobe = y > R_BIG and d_right > 0.5 * R_BIG
    return 1 if in_left_lobe or outside_right_lobe else 0


def yin_yang(size: int, seed: int) -> Dataset:
    """The Yin-Yang data set: three classes in a disk, not linearly separable.

    Gives exactly the published samples for the published sizes and seeds (5000 and 42, 1000
    and 41, 1000 and 40 for train, validation and test). A sample is (x, y, 1 - x, 1 - y); its
    class is drawn first, then points until one has it, so classes are balanced.

    Args:
        size: number of samples.
        seed: of numpy's legacy generator, which the published data were drawn with.

    Raises:
        ConfigError: ``size`` is not a positive integer, ``seed`` not in [0, 2**32).
    """
    size = checks.whole("yin_yang: size", size, low=1)
    seed = checks.whole("yin_yang: seed", seed, low=0, high=2**32 - 1)
    random = np.random.RandomState(seed)
    samples = np.empty((size, 4))
    labels = np.empty(size, dtype=np.int64)
    for index in range(size):
        wanted = random.randint(3)
        while True:
            x, y = random.rand(2) * 2 * R_BIG
            inside = np.sqrt((x - R_BIG) ** 2 + (y - R_BIG) ** 2) <= R_BIG
            if inside and yin_yang_class(x, y) == wanted:
                break
        samples[index] = x, y, 1 - x, 1 - y
        labels[index] = wanted
    return Dataset("yin-yang", samples, labels, 3, ("yin", "yang", "dot"))


def mnist(split: str, side: int = SIDE) -> Dataset:
    """A split of MNIST as published with the method: 50000, 10000 and 10000 images.

    Args:
        split: "train", "validation" or "test".
        side: 28, or 16 (centre 24 x 24, resized).

    Returns:
        Samples ``pixel/256`` in [0, 1), float32.

    Raises:
        MissingDataError: the files are nowhere and cannot be downloaded.
        FileFormatError: a file is truncated, corrupt or another one.
    """
    pixels, labels = load_mnist(split, side)
    samples = pixels.astype(np.float32) / np.float32(256)
    names = tuple(str(digit) for digit in range(10))
    name = "mnist" if side == SIDE else f"mnist-{side}x{side}"
    return Dataset(name, samples, labels, 10, names, side)


def japanese_vowels(split: str, size: int | None = None, seed: int | None = None) -> Dataset:
    """Japanese Vowels: which of nine speakers; see ``hxloop.data.japanese_vowels``.

    Args:
        split: "train", "validation" or "test".
        size: how many of the 216, 54 or 370 samples; None: all.
        seed: of the draw of the validation split, and of the order of all; None: 0.

    Raises:
        MissingDependencyError, MissingDataError, FileFormatError: see there.
        ConfigError: a size or seed out of range.
    """
    seed = checks.whole("japanese_vowels: seed", 0 if seed is None else seed, low=0)
    series, labels = load_japanese_vowels(split, seed)
    names = tuple(f"speaker {index + 1}" for index in range(N_CLASSES))
    return _first(Dataset("japanese-vowels", series, labels, N_CLASSES, names), size)


def heidelberg(
    data: Heidelberg, split: str, size: int | None = None, seed: int | None = None
) -> Dataset:
    """Spoken digits or commands as spikes of 700 channels, in seconds.

    Args:
        data: which, see ``hxloop.data.heidelberg``.
        split: "train", "validation" or "test".
        size: how many samples; only these are read. None: all.
        seed: of the order of the samples, and of SHD's validation split, a tenth of each class of
            the training file; None: 0.

    Raises:
        MissingDataError: the official file is not there; the message says where it belongs.
        FileFormatError: it is damaged, or another one.
        ConfigError: a size or seed out of range.
    """
    seed = checks.whole(f"data set {data.name!r}: seed", 0 if seed is None else seed, low=0)
    found = load_heidelberg(data, split, size, seed)
    return Dataset(
        data.name,
        found.spikes,
        found.labels,
        data.n_classes,
        found.class_names,
        merged=found.repeats,
    )


DATASETS = {
    "breast-cancer": "malignant or benign? 30 features; 410/46/113 samples (scikit-learn)",
    "delayed-manifolds": "a pattern on one of four manifolds, and long after it a question",
    "delayed-xor": "do two cues, far apart in time, differ? 20 features; 2000/500/1000 samples",
    "digits": "handwritten digits, 8 x 8; 1295/143/359 images (scikit-learn)",
    "fashion-mnist": "ten kinds of clothes, 28 x 28; 50000/10000/10000 images",
    "japanese-vowels": "which of nine men spoke, series of 12 channels; 216/54/370 samples",
    "kmnist": "ten classical Japanese characters, 28 x 28; 50000/10000/10000 images",
    "mnist": "handwritten digits, 28 x 28; 50000/10000/10000 images",
    "mnist-16x16": "the same, centre cropped and resized to 16 x 16",
    "randman": "ten random manifolds of spike times, 20 features; 2000/500/1000 samples",
    "randman-four": "four of them",
    "randman-rough": "the same, rougher, of two dimensions (Zenke and Vogels 2021)",
    "shd": "20 spoken digits, spikes of 700 channels; 8156 (a tenth for validation), 2264 samples",
    "ssc": "35 spoken commands, spikes of 700 channels; 75466/9981/20382 samples",
    "wine": "which of three cultivars? 13 features; 127/15/36 samples (scikit-learn)",
    "yin-yang": "three classes in a disk, 4 features; 5000/1000/1000 samples (Kriener et al. 2021)",
}


def dataset_names() -> tuple[str, ...]:
    """Names that ``load_dataset`` knows, those of other packages among them."""
    return REGISTRY.names()


def dataset_descriptions() -> dict[str, str]:
    """Every data set in a line; those of other packages with the place they are from."""
    others = {name: f"of {point.value}" for name, point in REGISTRY.others().items()}
    return dict(sorted({**DATASETS, **others}.items()))


def load_dataset(
    name: str, split: str, size: int | None = None, seed: int | None = None
) -> Dataset:
    """A split of a data set.

    Another package's is a function of ``(split, size, seed)`` that returns a ``Dataset``, in the
    entry points ``hxloop.datasets``.

    Args:
        name: one of ``dataset_names()``.
        split: "train", "validation" or "test".
        size: how many samples; None: as published.
        seed: what to draw them with; None: as published.

    Raises:
        UnknownNameError: no such data set or split; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: a size or seed out of range, or what is registered returns no ``Dataset``.
    """
    load = REGISTRY.get(name)
    if name in REGISTRY.built_in and split not in YIN_YANG_SPLITS:
        raise UnknownNameError(unknown_name("split", split, YIN_YANG_SPLITS))
    found = load(split, size, seed)
    if not isinstance(found, Dataset):
        raise ConfigError(
            f"data set {name!r}: expected a hxloop.Dataset; its package gave {checks.shown(found)}"
        )
    return found


def _yin_yang_split(split: str, size: int | None, seed: int | None) -> Dataset:
    published_size, published_seed = YIN_YANG_SPLITS[split]
    return yin_yang(
        published_size if size is None else size, published_seed if seed is None else seed
    )


def _delayed_xor_split(split: str, size: int | None, seed: int | None) -> Dataset:
    own_size, own_seed = DELAYED_XOR_SPLITS[split]
    samples, labels = delayed_xor(
        own_size if size is None else size, own_seed if seed is None else seed
    )
    return Dataset("delayed-xor", samples, labels, 2, ("the same", "different"))


def _delayed_manifolds_split(split: str, size: int | None, seed: int | None) -> Dataset:
    own_size, own_seed = DELAYED_MANIFOLDS_SPLITS[split]
    found = delayed_manifolds(
        own_size if size is None else size, own_seed if seed is None else seed
    )
    return Dataset("delayed-manifolds", *found, MANIFOLDS.n_classes, _names_of(MANIFOLDS))


def _names_of(manifolds: Randman) -> tuple[str, ...]:
    return tuple(f"manifold {which + 1}" for which in range(manifolds.n_classes))


def _randman_split(name: str, split: str, size: int | None, seed: int | None) -> Dataset:
    own_size, own_seed = RANDMAN_SPLITS[split]
    manifolds = RANDMAN[name]
    found = manifolds.draw(own_size if size is None else size, own_seed if seed is None else seed)
    return Dataset(name, *found, manifolds.n_classes, _names_of(manifolds))


def _mnist_split(name: str, side: int, split: str, size: int | None, seed: int | None) -> Dataset:
    if seed is not None:
        raise ConfigError(f"data set {name!r}: is not drawn, so it takes no seed; got {seed}")
    return _first(mnist(split, side), size)


REGISTRY = Registry(
    "data set",
    "hxloop.datasets",
    {
        "delayed-manifolds": _delayed_manifolds_split,
        "delayed-xor": _delayed_xor_split,
        "japanese-vowels": japanese_vowels,
        **{name: partial(_randman_split, name) for name in RANDMAN},
        "shd": partial(heidelberg, SHD),
        "ssc": partial(heidelberg, SSC),
        "mnist": partial(_mnist_split, "mnist", SIDE),
        "mnist-16x16": partial(_mnist_split, "mnist-16x16", SMALL_SIDE),
        "yin-yang": _yin_yang_split,
        **{kin.name: partial(load_kin, kin) for kin in (FASHION, KUZUSHIJI)},
        **{name: partial(load_scikit, name) for name in NAMES},
    },
)


def _first(dataset: Dataset, size: int | None) -> Dataset:
    available = len(dataset.labels)
    if size is None:
        return dataset
    size = checks.whole(f"data set {dataset.name!r}: size", size, low=1, high=available)
    return dataset.first(size)
