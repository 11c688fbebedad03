"""Fashion-MNIST and Kuzushiji-MNIST: files as MNIST's, of other publishers, checked as they are."""

from __future__ import annotations

import gzip
import hashlib
import socket
from dataclasses import replace

import numpy as np
import pytest

from hxloop import load_dataset
from hxloop.data import mnist_kin
from hxloop.data.mnist_kin import FASHION, KUZUSHIJI, load_kin
from hxloop.errors import ConfigError, FileFormatError, MissingDataError

COUNTS = {"train": 12, "t10k": 5}  # 10 and 2 for validation, 5 for testing


def idx(array: np.ndarray) -> bytes:
    shape = np.array(array.shape, ">i4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.tobytes(), mtime=0)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Archives of a few images in a data folder, a data set of them, and no way to the net."""

    def refuse(*arguments, **options):
        raise OSError("the network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist_kin, "TRAIN_SIZE", 10)
    rng = np.random.default_rng(0)
    folder, digests = tmp_path / "data" / "FashionMNIST" / "raw", {}
    folder.mkdir(parents=True)
    for kind, n in COUNTS.items():
        for what, shape in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
            name = f"{kind}-{what}-ubyte.gz"
            content = idx(rng.integers(0, 10, shape).astype(np.uint8))
            (folder / name).write_bytes(content)
            digests[name] = hashlib.md5(content).hexdigest()
    return folder, replace(FASHION, digests=digests)


def test_splits_are_those_of_mnist(small):
    folder, kin = small
    splits = [load_kin(kin, split) for split in ("train", "validation", "test")]
    assert [len(found.labels) for found in splits] == [10, 2, 5]
    raw = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    together = np.concatenate([found.samples for found in splits[:2]]) * 256
    assert together.astype(np.uint8).tobytes() == raw
    assert splits[2].image_side == 28 and splits[2].class_names[9] == "ankle boot"
    assert len(load_kin(kin, "test", 3).labels) == 3
    with pytest.raises(ConfigError, match="size"):
        load_kin(kin, "test", 6)
    with pytest.raises(ConfigError, match="takes no seed"):
        load_kin(kin, "test", 3, seed=1)


def test_files_of_mnist_in_the_data_folder_are_not_taken_for_them(small):
    """They have the same names, and MNIST is found in HXLOOP_DATA_DIR itself."""
    folder, kin = small
    root = folder.parents[1]
    for file in folder.iterdir():
        file.rename(root / file.name)
    with pytest.raises(MissingDataError, match="fashion-mnist: train-images") as told:
        load_kin(kin, "train")
    assert "Looked in" in str(told.value) and str(root / "fashion-mnist") in str(told.value)
    own = root / "fashion-mnist"
    own.mkdir()
    for name in kin.digests:
        (root / name).rename(own / name)
    assert len(load_kin(kin, "train").labels) == 10


def test_another_file_is_refused(small):
    folder, kin = small
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(FileFormatError, match="expected the archive of its publishers"):
        load_kin(kin, "test")
    # With the right digest, but not what it should be.
    content = idx(np.zeros((5, 2), np.uint8))
    path.write_bytes(content)
    wrong = replace(kin, digests={**kin.digests, path.name: hashlib.md5(content).hexdigest()})
    with pytest.raises(FileFormatError, match="expected bytes of shape"):
        load_kin(wrong, "test")


def test_they_are_known_by_name_and_say_what_is_missing(small):
    for kin in (FASHION, KUZUSHIJI):
        assert len(set(kin.digests.values())) == 4 and len(kin.classes) == 10
    with pytest.raises(FileFormatError, match="MD5 8d4fb7e6"):
        load_dataset("fashion-mnist", "train")
    with pytest.raises(MissingDataError, match=r"kmnist: t10k-images.*the download failed"):
        load_dataset("kmnist", "test")
