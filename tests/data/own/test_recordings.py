"""Spike trains of NWB files and Neo blocks as samples: those of hxloop, and those of others."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from hxloop import TimeBase
from hxloop.activity import RecordedActivity, to_neo, write_nwb
from hxloop.data import OwnData, dataset_from
from hxloop.errors import ConfigError, FileFormatError, MissingDependencyError, UnknownNameError
from tests.activity.activity_examples import NETWORK, run

SECOND = TimeBase(1e-2)


@pytest.fixture
def state() -> RecordedActivity:
    activity, labels, decisions = run(1, 30)
    return RecordedActivity(
        "trained", activity.input_times, activity.first_spike_times, labels, decisions,
        network=NETWORK,
    )  # fmt: skip


def theirs(path, change=None, trials=12):
    """A recording of two units in trials of half a second, a second apart."""
    from pynwb import NWBHDF5IO, NWBFile

    file = NWBFile("a session", "id", datetime(2026, 1, 2, tzinfo=UTC))
    file.add_trial_column("stimulus", "what was shown")
    file.add_trial_column("part", "for training or testing")
    for k in range(trials):
        file.add_trial(
            start_time=float(k), stop_time=k - 1.0 if change == "backwards" else k + 0.5,
            stimulus="left" if k % 2 else "right", part="test" if k >= 8 else "train",
        )  # fmt: skip
    if change != "no units":
        k = np.arange(trials)
        file.add_unit(spike_times=np.sort(np.concatenate([k + 0.1, k + 0.75, k + 0.3])))
        file.add_unit(spike_times=k[1::2] + 0.25)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def test_what_hxloop_wrote_is_read_as_it_was(state, tmp_path):
    write_nwb(tmp_path / "a.nwb", state, SECOND)
    found = OwnData(path=tmp_path / "a.nwb", test_fraction=0.3)
    train, test = found.load("train"), found.load("test")
    assert train.samples.n_units == 7 and train.n_classes == 3
    # Splits are drawn: the samples are found again by their spikes.
    known = {tuple(np.round(np.sort(t[np.isfinite(t)]) * 1e-2, 9)): label
             for t, label in zip(state.input_times, state.labels, strict=True)}  # fmt: skip
    seen = 0
    for data in (train, found.load("validation"), test):
        for b, label in enumerate(data.labels):
            spikes = data.samples.select([b])
            assert known[tuple(np.round(np.sort(spikes.times), 9))] == label
            seen += 1
    assert seen == 30


def test_a_recording_of_others_has_its_columns_said(tmp_path):
    path = theirs(tmp_path / "b.nwb")
    data = OwnData(path=path, label="stimulus", split="part", validation_fraction=0.25)
    train, test = data.load("train"), data.load("test")
    assert (len(train.labels), len(data.load("validation").labels), len(test.labels)) == (6, 2, 4)
    assert train.class_names == ("left", "right")
    for b, label in enumerate(test.labels):
        spikes = test.samples.select([b])
        expected = [0.1, 0.25, 0.3] if label == 0 else [0.1, 0.3]  # 0.75 is in no trial
        np.testing.assert_allclose(spikes.times, expected, atol=1e-9)
        assert spikes.units.tolist() == ([0, 1, 0] if label == 0 else [0, 0])


def test_what_is_no_such_recording_is_refused(tmp_path, monkeypatch):
    path = theirs(tmp_path / "b.nwb")
    with pytest.raises(ConfigError, match=r"which column holds the classes\?.*stimulus"):
        OwnData(path=path).load("train")
    with pytest.raises(UnknownNameError, match="stimulus"):
        OwnData(path=path, label="stimulu").load("train")
    with pytest.raises(UnknownNameError, match="part"):
        OwnData(path=path, label="stimulus", split="parts").load("train")
    cases = {"no units": "it has no units", "backwards": "trial 0: expected it to end after"}
    for change, message in cases.items():
        wrong = theirs(tmp_path / f"{change}.nwb", change)
        with pytest.raises(FileFormatError, match=message):
            OwnData(path=wrong, label="stimulus").load("train")
    (tmp_path / "c.nwb").write_bytes(b"no recording")
    with pytest.raises(FileFormatError, match="expected an NWB file"):
        OwnData(path=tmp_path / "c.nwb", label="stimulus").load("train")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hxloop\[nwb\]'"):
        OwnData(path=path, label="stimulus").load("train")


@pytest.mark.parametrize("units", ["ms", "s"])
def test_a_block_of_neo_is_a_data_set(state, units):
    found = dataset_from(to_neo(state, SECOND, units=units))
    np.testing.assert_array_equal(found.labels, state.labels)
    assert found.samples.n_units == 7  # of the input alone
    np.testing.assert_allclose(found.samples.first, state.input_times * 1e-2, rtol=1e-12)


def test_blocks_that_make_no_samples_are_refused(state):
    import neo

    block = to_neo(state, SECOND)
    with pytest.raises(UnknownNameError, match="cls"):
        dataset_from(block, label="cls")
    with pytest.raises(FileFormatError, match="a block with segments"):
        dataset_from(neo.Block())
    del block.segments[3].annotations["label"]
    with pytest.raises(FileFormatError, match="segment 3: no annotation 'label'"):
        dataset_from(block)
    block.segments[3].annotations["label"] = 0
    inputs = [t for t in block.segments[3].spiketrains if t.annotations["layer"] == "input"]
    block.segments[3].spiketrains = inputs[1:]
    with pytest.raises(FileFormatError, match="as many trains each; got from 6 to 7"):
        dataset_from(block)
    for train in block.segments[0].spiketrains:
        train.annotations["layer"] = "cortex"
    with pytest.raises(FileFormatError, match=r"no channel is of the layer 'input'.*cortex"):
        dataset_from(block)
