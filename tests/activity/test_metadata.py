"""What stands beside the data in a file is inside a checksum, or makes sense."""

from __future__ import annotations

import json

import h5py
import pytest

from hxloop.activity import read_activity
from hxloop.errors import FileFormatError
from tests.files.test_damaged_files import make_log, make_session, read_session


def changed(text, **values):
    return json.dumps(json.loads(text) | values)


LOG = {
    "network": lambda file: file.attrs.modify(
        "network", file.attrs["network"].replace('"tau_mem": 2.0', '"tau_mem": 2.5')
    ),
    "about": lambda file: file.attrs.modify("about", '{"seed": 2}'),
    "time_unit": lambda file: file.attrs.modify("time_unit", "ms"),
    "epoch": lambda file: file["states/trained"].attrs.modify("epoch", 4),
    "split": lambda file: file["states/trained"].attrs.modify("split", "train"),
    "complete": lambda file: file["states/trained"].attrs.modify("complete", 0),
}
ENDS = {"negative": (0, 0, -20), "descending": (1, 0, 10), "spikes": (0, 1, -1)}
SESSION = {
    "latency": lambda file: file.attrs.modify(
        "capabilities", changed(file.attrs["capabilities"], latency=0.25)
    ),
    "weight_levels": lambda file: file.attrs.modify(
        "capabilities", changed(file.attrs["capabilities"], weight_levels=31)
    ),
    "t_window": lambda file: file.attrs.modify(
        "network", changed(file.attrs["network"], t_window=5.0)
    ),
}


@pytest.mark.parametrize("name", LOG)
def test_changed_attributes_of_a_log_are_noticed(tmp_path, name):
    make_log(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        LOG[name](file)
    with pytest.raises(FileFormatError, match="its attributes are not those that were written"):
        read_activity(tmp_path / "a.h5")


@pytest.mark.parametrize("how", ENDS)
def test_runs_that_end_before_they_begin(tmp_path, how):
    make_log(tmp_path / "a.h5")
    row, column, value = ENDS[how]
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["states/trained/runs/ends"][row, column] = value
    with pytest.raises(FileFormatError, match=f"run {row} ends before it begins"):
        read_activity(tmp_path / "a.h5")


@pytest.mark.parametrize("name", SESSION)
def test_changed_attributes_of_a_recording_are_noticed(tmp_path, name):
    make_session(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        SESSION[name](file)
    with pytest.raises(FileFormatError, match="its attributes are not those that were written"):
        read_session(tmp_path / "a.h5")


def test_a_changed_record_of_a_run_is_noticed(tmp_path):
    make_session(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        text = file["runs/00000001"].asstr()[()]
        file["runs/00000001"][()] = changed(text, trial=7)
    with pytest.raises(FileFormatError, match="run 00000001 is damaged"):
        read_session(tmp_path / "a.h5")


def test_files_without_checksums_are_read(tmp_path):
    make_log(tmp_path / "a.h5")
    make_session(tmp_path / "b.h5")
    whole = read_session(tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for group in (file["states"], file["states/trained"], file["states/untrained"]):
            del group.attrs["checksum"]
        del file["states/trained/runs/digest"]
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        del file["arrays"].attrs["checksum"]
        for name in file["runs"]:
            del file["runs"][name].attrs["checksum"]
    assert set(read_activity(tmp_path / "a.h5")) == {"trained", "untrained"}
    assert read_session(tmp_path / "b.h5") == whole
