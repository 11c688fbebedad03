"""The Yin-Yang data are the published ones; names and sizes are checked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from hxloop.data import (
    YIN_YANG_SPLITS,
    dataset_names,
    load_dataset,
    yin_yang,
    yin_yang_class,
)
from hxloop.errors import ConfigError, UnknownNameError

# SHA-256 of the published arrays (little-endian float64 samples, int64 labels), taken from the
# files of the repository lkriener/yin_yang_data_set, not from this generator.
PUBLISHED = {
    "train": (
        "f5a4054d56f2a058f8250fba7ff9720458e1625db7af78a295e45701745b2228",
        "534d12acda4f9dbc7208a99d3646115a4aa7d74ca31d6d23f822079a568559b7",
    ),
    "validation": (
        "5eac358bdf2122763dce3703a79f3005e56e46a4db25ec329a07333d0f7b8093",
        "5a4c2f605814a620f514c1091f10441ce562cd81e902ce701b3cf94ae7576f7d",
    ),
    "test": (
        "7bab3ed668ed4992679cff6339fe21bfe7d0c921ddc6187eaa3bc6ef34b888d7",
        "daa0f8f4e3b37b1ddec2afee22f09afb768f0e575f3f568e7469f1ebc6af73c1",
    ),
}


@pytest.mark.parametrize("split", sorted(YIN_YANG_SPLITS))
def test_yin_yang_has_the_published_checksums(split: str) -> None:
    data = load_dataset("yin-yang", split)
    got = tuple(
        hashlib.sha256(array.tobytes()).hexdigest()
        for array in (data.samples.astype("<f8"), data.labels.astype("<i8"))
    )
    assert got == PUBLISHED[split]


@pytest.mark.parametrize("split", sorted(YIN_YANG_SPLITS))
def test_yin_yang_equals_the_published_files(split: str) -> None:
    folder = os.environ.get("HXLOOP_DATA_DIR")
    if not folder:
        pytest.skip("HXLOOP_DATA_DIR is not set: the published files are not at hand")
    path = Path(folder) / "yin_yang"
    if not path.is_dir():
        pytest.skip("HXLOOP_DATA_DIR has no folder yin_yang with the published files")
    data = load_dataset("yin-yang", split)
    np.testing.assert_array_equal(data.samples, np.load(path / f"{split}_samples.npy"))
    np.testing.assert_array_equal(data.labels, np.load(path / f"{split}_labels.npy"))


def test_samples_lie_in_the_disk_and_mirror_themselves() -> None:
    data = yin_yang(500, 7)
    assert data.samples.dtype == np.float64
    assert data.labels.dtype == np.int64
    assert data.samples.shape == (500, 4)
    assert data.n_classes == 3
    x, y = data.samples[:, 0], data.samples[:, 1]
    assert (np.hypot(x - 0.5, y - 0.5) <= 0.5 + 1e-12).all()
    np.testing.assert_array_equal(data.samples[:, 2:], 1 - data.samples[:, :2])
    assert [yin_yang_class(*point) for point in data.samples[:, :2]] == data.labels.tolist()
    assert np.bincount(data.labels).min() > 120


@pytest.mark.parametrize(
    ("point", "label"),
    [
        ((0.75, 0.5), 2),  # the right dot
        ((0.25, 0.5), 2),  # the left dot
        ((0.25, 0.65), 1),  # the left lobe around its dot
        ((0.75, 0.65), 0),  # the right lobe around its dot
        ((0.5, 0.95), 1),  # above both lobes
        ((0.5, 0.05), 0),  # below both lobes
    ],
)
def test_yin_yang_class_of_known_points(point: tuple[float, float], label: int) -> None:
    assert yin_yang_class(*point) == label


def test_size_and_seed() -> None:
    first = load_dataset("yin-yang", "test", size=20)
    np.testing.assert_array_equal(first.samples, load_dataset("yin-yang", "test").samples[:20])
    other = load_dataset("yin-yang", "test", size=20, seed=7)
    assert not np.array_equal(other.samples, first.samples)
    np.testing.assert_array_equal(other.samples, yin_yang(20, 7).samples)
    size, seed = np.array([20, 7])  # numpy's whole numbers are whole numbers
    np.testing.assert_array_equal(other.samples, yin_yang(size, seed).samples)


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    yin_yang(10, 1)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index]


@pytest.mark.parametrize("size", [0, -3, 2.5, True, "many"])
def test_bad_size_is_refused(size: object) -> None:
    with pytest.raises(ConfigError, match="size: expected a whole number of at least 1"):
        yin_yang(size, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, False])
def test_bad_seed_is_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="seed: expected a whole number from 0"):
        load_dataset("yin-yang", "train", 5, seed)  # type: ignore[arg-type]


def test_unknown_names_list_what_there_is() -> None:
    assert "yin-yang" in dataset_names()
    with pytest.raises(UnknownNameError, match=r"unknown data set 'yinyang'.*mean 'yin-yang'"):
        load_dataset("yinyang", "train")
    with pytest.raises(UnknownNameError, match=r"unknown split 'valid'.*test, train, validation"):
        load_dataset("yin-yang", "valid")
