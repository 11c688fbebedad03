"""MNIST: the official files, checked; images as spikes."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from hxloop import LatencyEncoding, load_dataset
from hxloop.data import mnist_files as datasets_mnist
from hxloop.errors import ConfigError, FileFormatError, MissingDataError, UnknownNameError
from hxloop.training.options import ImageChannels

FOLDER = Path(os.environ.get("HXLOOP_DATA_DIR", "")) / "mnist"
published = pytest.mark.skipif(
    not (FOLDER / "train-images-idx3-ubyte.gz").is_file(),
    reason="needs the MNIST files below HXLOOP_DATA_DIR",
)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A data folder of one's own, an empty cache, and no way out to the net."""

    def refuse(*arguments, **options):
        raise OSError("the network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    datasets_mnist.read_images.cache_clear()
    datasets_mnist.read_labels.cache_clear()
    yield folder
    datasets_mnist.read_images.cache_clear()
    datasets_mnist.read_labels.cache_clear()


@published
def test_splits_are_the_published_ones():
    train, validation, test = (load_dataset("mnist", s) for s in ("train", "validation", "test"))
    assert [len(d.labels) for d in (train, validation, test)] == [50_000, 10_000, 10_000]
    assert train.samples.shape == (50_000, 784) and train.image_side == 28
    assert train.samples.min() >= 0 and train.samples.max() == 255 / 256
    # The first training images are a 5, a 0, a 4; the first test images a 7, a 2, a 1.
    assert train.labels[:3].tolist() == [5, 0, 4] and test.labels[:3].tolist() == [7, 2, 1]
    pixels = (np.concatenate([train.samples, validation.samples]) * 256).astype(np.uint8)
    with gzip.open(FOLDER / "train-images-idx3-ubyte.gz") as file:
        assert hashlib.md5(file.read()[16:]).digest() == hashlib.md5(pixels.tobytes()).digest()


@published
def test_latency_code_is_that_of_the_paper():
    """``t = 0.15 + (1 - pixel/256) 1.85``; the published spike times have the first images."""
    test = load_dataset("mnist", "test", 150)
    encoding = LatencyEncoding(bias_times=(), large_first=True)
    with np.load(FOLDER.parent / "seed_paper" / "fourlayer_dale_seed1.npz") as file:
        np.testing.assert_allclose(encoding.encode(test.samples), file["input"], atol=1e-6)
        assert test.labels.tolist() == file["label"].tolist()
    silent = LatencyEncoding(bias_times=(), large_first=True, silent_zero=True)
    assert (np.isinf(silent.encode(test.samples)) == (test.samples == 0)).all()
    assert encoding.background == 2.0 and silent.background == np.inf


@published
def test_small_images_keep_what_is_in_the_middle():
    small, large = (load_dataset(name, "test", 20) for name in ("mnist-16x16", "mnist"))
    assert small.samples.shape == (20, 256) and small.image_side == 16
    middle = large.samples.reshape(-1, 28, 28)[:, 2:26, 2:26]
    # Averages over blocks of 3 x 3 pixels, which are 2 x 2 of the small image.
    coarse = middle.reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4))
    again = small.samples.reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4))
    assert np.corrcoef(coarse.ravel(), again.ravel())[0, 1] > 0.99


@published
def test_size_is_checked():
    with pytest.raises(ConfigError, match="from 1 to 10000; got 10001"):
        load_dataset("mnist", "test", 10_001)
    with pytest.raises(ConfigError, match="takes no seed"):
        load_dataset("mnist", "test", seed=3)


def test_unknown_split():
    with pytest.raises(UnknownNameError, match="split 'tset'"):
        load_dataset("mnist", "tset")


def test_missing_and_offline_says_where_and_how(alone):
    with pytest.raises(MissingDataError, match=r"download failed.*HXLOOP_DATA_DIR") as error:
        load_dataset("mnist", "test")
    assert str(alone) in str(error.value)


@published
@pytest.mark.parametrize("damage", ["truncated", "flipped", "swapped", "empty", "not gzip"])
def test_damaged_files_are_told(alone, damage):
    name = "t10k-labels-idx1-ubyte.gz"
    for file in ("t10k-images-idx3-ubyte.gz", name):
        shutil.copy(FOLDER / file, alone / file)
        (alone / file).chmod(0o644)
    data = (alone / name).read_bytes()
    labels = bytearray(gzip.decompress(data))
    labels[100] ^= 1
    (alone / name).write_bytes(
        {
            "truncated": data[: len(data) // 2],
            "flipped": gzip.compress(bytes(labels)),
            "swapped": (FOLDER / "train-labels-idx1-ubyte.gz").read_bytes(),
            "empty": b"",
            "not gzip": bytes(labels),
        }[damage]
    )
    said = "train-labels-idx1-ubyte under another name" if damage == "swapped" else "corrupt"
    with pytest.raises(FileFormatError, match=said):
        load_dataset("mnist", "test")


@published
def test_unpacked_files_serve_as_well(alone):
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (alone / name).write_bytes(gzip.decompress((FOLDER / f"{name}.gz").read_bytes()))
    assert load_dataset("mnist", "test", 5).labels.tolist() == [7, 2, 1, 0, 4]


def test_shifted_images_move_and_are_filled_with_background():
    image = ImageChannels(side=3, background=2.0)
    times = np.arange(10, dtype=float)[None].repeat(2, axis=0)  # nine pixels and a bias channel
    moved = image.shifted(times, np.array([[0, 0], [1, -1]]))
    assert moved[0].tolist() == times[0].tolist()
    assert moved[1].tolist() == [2, 2, 2, 1, 2, 2, 4, 5, 2, 9]
    assert times[1].tolist() == list(range(10))
