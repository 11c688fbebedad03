"""SHD and SSC: what official files hold is read, merged and split; damaged ones are refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.data import SpikeTrainEncoding, dataset_names, load_dataset
from hxloop.errors import ConfigError, FileFormatError, MissingDataError, RunInputError
from hxloop.runs.encoded import spike_data
from tests.data import heidelberg_files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def shd(folder):
    """Ten samples of each class to train and validate with, one to test."""
    heidelberg_files.write(folder / "shd" / "shd_train.h5", 200)
    heidelberg_files.write(folder / "shd_test.h5", 20, seed=1)
    return folder


def of_sample(spikes, sample):
    part = slice(spikes.offsets[sample], spikes.offsets[sample + 1])
    return set(zip(spikes.times[part].tolist(), spikes.units[part].tolist(), strict=True))


def test_samples_are_those_of_the_file_and_none_is_in_two_splits(shd):
    parts = {split: load_dataset("shd", split) for split in ("train", "validation", "test")}
    assert {split: len(part.labels) for split, part in parts.items()} == {
        "train": 180, "validation": 20, "test": 20,
    }  # fmt: skip
    assert np.bincount(parts["validation"].labels).tolist() == [1] * 20
    assert parts["train"].class_names[3] == "word 3" and parts["train"].n_classes == 20
    with h5py.File(shd / "shd" / "shd_train.h5") as file:
        kept = [
            frozenset(zip(times.astype(float).tolist(), units.tolist(), strict=True))
            for times, units in zip(file["spikes/times"], file["spikes/units"], strict=True)
        ]
        labels = dict(zip(kept, file["labels"][()].tolist(), strict=True))
    seen = []
    for split in ("train", "validation"):
        spikes = parts[split].samples
        assert isinstance(spikes, Spikes) and spikes.n_units == 700
        for sample, label in enumerate(parts[split].labels):
            seen.append(frozenset(of_sample(spikes, sample)))
            assert labels[seen[-1]] == label
    assert sorted(map(sorted, seen)) == sorted(map(sorted, kept))


def test_a_split_is_drawn_by_seed_and_part_of_it_is_its_beginning(shd):
    whole, again = (load_dataset("shd", "validation") for _ in range(2))
    assert whole.samples == again.samples
    other = load_dataset("shd", "validation", seed=1)
    assert other.samples != whole.samples
    part = load_dataset("shd", "validation", size=5)
    assert part.samples == whole.samples.select(slice(5)) and len(part.labels) == 5
    with pytest.raises(ConfigError, match=r"'shd': size: .* at most 20|from 1 to 20"):
        load_dataset("shd", "validation", size=21)
    with pytest.raises(ConfigError, match=r"'shd': seed"):
        load_dataset("shd", "test", seed=-1)


def test_ssc_has_a_file_for_each_split(folder):
    for number, split in enumerate(("train", "valid", "test")):
        heidelberg_files.write(folder / f"ssc_{split}.h5", 70 + 35 * number, 35)
    sizes = [len(load_dataset("ssc", split).labels) for split in ("train", "validation", "test")]
    assert sizes == [70, 105, 140]
    assert {"shd", "ssc"} <= set(dataset_names())


def test_spikes_that_fall_together_count_once_and_are_counted(folder):
    times = [np.array([0.5, 0.5, 0.25, 0.5], np.float16)] * 20
    units = [np.array([3, 3, 3, 4], np.uint16)] * 20
    heidelberg_files.write(
        folder / "shd_test.h5", 20, **{"spikes/times": times, "spikes/units": units}
    )
    data = load_dataset("shd", "test")
    assert (data.samples.n_spikes, data.merged) == (60, 20)
    scaled = spike_data(data, SpikeTrainEncoding(0.1, 10.0))
    assert of_sample(scaled.input_times, 0) == {(2.6, 3), (5.1, 3), (5.1, 4)}
    assert (scaled.merged, scaled.n_inputs) == (20, 700)
    merged = spike_data(data, SpikeTrainEncoding(0.1, 10.0, merge_channels=3))
    assert of_sample(merged.input_times, 0) == {(2.6, 1), (5.1, 1)}
    assert (merged.merged, merged.n_inputs) == (40, 234)  # the last one is of one channel


def test_a_file_that_is_not_there_is_told_where_it_belongs(folder):
    with pytest.raises(MissingDataError, match=r"shd_test.h5 not found; .*shd_test.h5.gz from"):
        load_dataset("shd", "test")
    (folder / "shd_test.h5.gz").write_bytes(b"")
    with pytest.raises(MissingDataError, match=r"Unpack it: gunzip --keep .*shd_test.h5.gz"):
        load_dataset("shd", "test")


ONE = [np.zeros(1, np.float16)] * 20
UNIT = [np.zeros(1, np.uint16)] * 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "there is no list 'labels' in it"),
        ({"labels": np.arange(20) + 1}, "'labels': expected 0 to 19; got 20 at sample 19"),
        ({"labels": np.arange(20.0)}, "'labels': expected whole numbers; got float64"),
        ({"labels": np.arange(19)}, "'spikes/times': expected a list for each of 19 labels"),
        ({"spikes/times": None}, "there is no list 'spikes/times'"),
        ({"spikes/times": np.zeros(20)}, "'spikes/times': expected lists of numbers; got float64"),
        ({"spikes/units": ONE}, "'spikes/units': expected lists of numbers"),
        ({"spikes/times": [*ONE[1:], np.zeros(2, np.float16)], "spikes/units": UNIT},
         "sample 19: it has 2 times, but 1 units"),
        ({"spikes/times": [np.array([np.nan])] * 20, "spikes/units": UNIT},
         "expected times of 0 s or later; got nan"),
        ({"spikes/times": [np.array([-1.0])] * 20, "spikes/units": UNIT}, "or later; got -1.0"),
        ({"spikes/times": ONE, "spikes/units": [np.array([700])] * 20}, "0 to 699; got 700"),
    ],
)  # fmt: skip
def test_files_of_another_format_are_refused(folder, changes, message):
    path = heidelberg_files.write(folder / "shd_test.h5", 20, **changes)
    with pytest.raises(FileFormatError, match=f"{path}: expected a file of .*{message}"):
        load_dataset("shd", "test")


def test_damaged_files_are_refused(folder):
    path = heidelberg_files.write(folder / "shd_test.h5", 20)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\x1f\x8b" + content):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"shd_test\.h5"):
            load_dataset("shd", "test")


def test_a_file_without_names_of_classes_is_as_good(folder):
    heidelberg_files.write(folder / "shd_test.h5", 20, sealed=False, **{"extra/keys": None})
    assert load_dataset("shd", "test").class_names == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_scale": 0.0}, "time_scale"),
        ({"merge_channels": 0}, "merge_channels"),
        ({"t_early": -1.0}, "t_early"),
    ],
)
def test_bad_options_of_the_encoding_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SpikeTrainEncoding(**options)


def test_values_are_no_spikes():
    with pytest.raises(RunInputError, match=r"expected hxloop\.activity\.Spikes for the encoding"):
        SpikeTrainEncoding().encode(np.zeros((2, 3)))
