"""Japanese Vowels: files of an installed package or a folder, checked, split by seed."""

from __future__ import annotations

import numpy as np
import pytest

import hxloop.data.japanese_vowels as japanese_vowels
from hxloop.data import TimeSeries, load_dataset
from hxloop.data.held_out import held_out
from hxloop.errors import ConfigError, FileFormatError, MissingDataError, MissingDependencyError
from tests.data.vowel_files import NAMES, write


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No folder has the files, and no package is installed."""
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(japanese_vowels, "PACKAGES", ("no_such_package", "one_of_a_test"))
    return tmp_path


@pytest.fixture
def installed(nowhere, monkeypatch):
    """A package that holds small files, which count as the official ones."""
    folder = nowhere / "packages" / "one_of_a_test" / "datasets" / "data" / "JapaneseVowels"
    digests, samples = write(folder, {"train": 90, "test": 30})
    (nowhere / "packages" / "one_of_a_test" / "__init__.py").write_text("raise AssertionError\n")
    monkeypatch.syspath_prepend(str(nowhere / "packages"))
    monkeypatch.setattr(japanese_vowels, "FILES", digests)
    return folder, samples


def test_series_are_read_of_a_package_that_is_not_loaded_for_it(installed):
    _, samples = installed
    data = load_dataset("japanese-vowels", "test")
    assert isinstance(data.samples, TimeSeries) and data.n_classes == 9
    left = [(np.array(channels), int(label) - 1) for channels, label in samples["test"]]
    for values, length, label in zip(
        data.samples.values, data.samples.lengths, data.labels, strict=True
    ):
        (found,) = [
            i for i, (channels, own) in enumerate(left)
            if own == label and np.array_equal(channels, values[:, :length])
        ]  # fmt: skip
        left.pop(found)
    assert not left


def test_a_fifth_of_each_class_is_for_validation_drawn_by_seed(installed):
    parts = {split: load_dataset("japanese-vowels", split) for split in ("train", "validation")}
    assert np.bincount(parts["train"].labels).tolist() == [8] * 9
    assert np.bincount(parts["validation"].labels).tolist() == [2] * 9
    both = [row.tobytes() for part in parts.values() for row in part.samples.values]
    assert len(set(both)) == 90
    other = load_dataset("japanese-vowels", "validation", seed=1)
    assert not np.array_equal(other.samples.values, parts["validation"].samples.values)
    few = load_dataset("japanese-vowels", "train", size=4)
    np.testing.assert_array_equal(few.samples.values, parts["train"].samples.values[:4])
    with pytest.raises(ConfigError, match=r"size: .* 72"):
        load_dataset("japanese-vowels", "train", size=73)


def test_without_files_the_package_is_named_that_has_them(nowhere):
    with pytest.raises(MissingDependencyError, match=r"needs the package 'aeon' or .*\[series\]"):
        load_dataset("japanese-vowels", "train")


def test_a_package_without_the_files_is_told(installed):
    folder, _ = installed
    (folder / NAMES["train"]).unlink()
    with pytest.raises(MissingDataError, match=r"expected JapaneseVowels_TRAIN\.ts in .*there is"):
        load_dataset("japanese-vowels", "train")


def test_a_file_of_ones_own_comes_first_and_a_damaged_one_is_refused(installed, nowhere):
    folder, _ = installed
    own = nowhere / "data" / "japanese_vowels" / NAMES["test"]
    own.parent.mkdir(parents=True)
    own.write_bytes((folder / NAMES["test"]).read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(FileFormatError, match=f"{own}: expected the file .* damaged, or another"):
        load_dataset("japanese-vowels", "test")


def test_what_is_no_file_of_the_archive_has_no_samples():
    with pytest.raises(ValueError, match="there is no line @data"):
        list(japanese_vowels.read_ts("1,2:3\n"))


def test_no_sample_is_held_out_twice_and_none_is_lost():
    labels = np.random.default_rng(0).integers(0, 5, 203)
    train, held = held_out(labels, 0.1, seed=3)
    assert sorted([*train, *held]) == list(range(203))
    expected = [round(0.1 * n) for n in np.bincount(labels)]
    assert np.bincount(labels[held], minlength=5).tolist() == expected
    assert [len(part) for part in held_out(labels, 0.0, seed=3)] == [203, 0]


def test_the_official_files_are_read_where_they_are_installed():
    try:
        data = {split: load_dataset("japanese-vowels", split) for split in ("train", "test")}
    except (MissingDependencyError, MissingDataError):
        pytest.skip("neither aeon nor sktime is installed, nor are the files at hand")
    assert data["train"].samples.shape[:2] == (216, 12)
    counts = [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert np.bincount(data["test"].labels).tolist() == counts
