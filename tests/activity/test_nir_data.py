"""Recorded activity as NIRData: every bit there and back, and what others write."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from hxloop.activity import RecordedActivity, from_nir_data, read_activity, to_nir_data, write_plain
from hxloop.activity.formats.export import export_activity
from hxloop.activity.formats.nir_data import read_nir_data, write_nir_data
from hxloop.errors import FileFormatError
from hxloop.network.nir import Convention, to_nir
from tests.activity.activity_examples import NETWORK, further, run

CONVENTIONS = (Convention(), Convention(unit="ms", tau_syn_ms=6e-3), Convention(tau_syn_ms=1e3))


@pytest.fixture
def state() -> RecordedActivity:
    activity, labels, decisions = run(1)
    return RecordedActivity(
        "trained", activity.input_times, activity.first_spike_times, labels, decisions,
        network=NETWORK, further_spikes=further(1),
    )  # fmt: skip


def check_same(one: RecordedActivity, other: RecordedActivity) -> None:
    for a, b in zip((one.inputs, *one.spikes), (other.inputs, *other.spikes), strict=True):
        for key in ("times", "units", "offsets"):
            np.testing.assert_array_equal(getattr(a, key), getattr(b, key))
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.decisions, other.decisions)


@pytest.mark.parametrize("made", CONVENTIONS, ids=["s", "ms", "model time"])
def test_every_bit_comes_back(state, made, tmp_path):
    write_nir_data(tmp_path / "a.h5", state, made)
    data = read_nir_data(tmp_path / "a.h5")
    check_same(state, from_nir_data(data, NETWORK, made))
    once = replace(state, further_spikes=None)
    check_same(once, from_nir_data(to_nir_data(once, made), NETWORK, made))
    # The unit is that of the convention, and silence is absence.
    events = data.nodes["hidden1"].observables["spikes"]
    first = state.spikes[0]
    n = np.diff(first.offsets)
    assert ((events.idx >= 0).sum(axis=1) == n).all() and np.isinf(
        events.time[events.idx < 0]
    ).all()
    np.testing.assert_allclose(events.time[events.idx >= 0], first.times * made.model_unit)
    exact = "model_time" in data.nodes["hidden1"].observables
    assert exact == (made.model_unit != 1)  # written twice only where a bit would be lost


def test_its_nodes_are_those_of_the_graph(state):
    graph = to_nir(NETWORK, run(1)[0].weights_used).graph
    to_nir_data(state).check_nodes(graph)


def test_silence_and_an_epoch_without_spikes(state, tmp_path):
    silent = replace(
        state, further_spikes=None, decisions=np.full(len(state), -1),
        layer_times=tuple(np.full_like(times, np.inf) for times in state.layer_times),
    )  # fmt: skip
    write_nir_data(tmp_path / "a.h5", silent)
    check_same(silent, from_nir_data(read_nir_data(tmp_path / "a.h5"), NETWORK))


def test_moved_events_are_read_where_they_are(state):
    data = to_nir_data(state)
    for key in ("spikes", "model_time"):
        data.nodes["input"].observables[key].time = data.nodes["input"].observables[key].time + 0.01
    moved = from_nir_data(data, NETWORK)
    np.testing.assert_allclose(moved.inputs.times, state.inputs.times + 1, rtol=1e-12)


def test_data_of_others_need_labels_and_every_population(state):
    """Of jaxsnn: an event that is none is at twice the end of the recording."""
    data = to_nir_data(state)
    for node in data.nodes.values():
        events = node.observables["spikes"]
        node.observables = {"spikes": events}
        events.time = np.where(events.idx < 0, 2 * events.t_max, events.time)
    found = from_nir_data(data, NETWORK, labels=state.labels)
    np.testing.assert_allclose(found.spikes[-1].times, state.spikes[-1].times, rtol=1e-15)
    with pytest.raises(FileFormatError, match="no observable 'label'"):
        from_nir_data(data, NETWORK)
    data.nodes["hidden2"].observables["spikes"].n_neurons = 4
    with pytest.raises(FileFormatError, match="'hidden2': expected 5 neurons"):
        from_nir_data(data, NETWORK, labels=state.labels)
    data.nodes["hidden1"].observables = {"v": nir.TimeGriddedData(np.zeros((1, 1, 1)), 0.1)}
    with pytest.raises(FileFormatError, match="'hidden1': expected the observable 'spikes'; got v"):
        from_nir_data(data, NETWORK, labels=state.labels)
    del data.nodes["input"]
    with pytest.raises(FileFormatError, match="no node 'input'; there are: hidden1"):
        from_nir_data(data, NETWORK, labels=state.labels)


def test_it_is_exported_like_other_formats(state, tmp_path):
    write_plain(tmp_path / "a.npz", [state])
    told = export_activity(
        tmp_path / "a.npz", tmp_path / "a.nirdata", "nirdata", unit="ms", tau_syn_ms=2.0
    )
    assert told["left_out"] == [] and told["states"] == ["trained"]
    found = from_nir_data(
        read_nir_data(tmp_path / "a.nirdata"), NETWORK, Convention(unit="ms", tau_syn_ms=2.0)
    )
    check_same(read_activity(tmp_path / "a.npz")["trained"], found)
    with pytest.raises(FileFormatError, match="there is no such file"):
        read_nir_data(tmp_path / "b.nirdata")
    (tmp_path / "b.nirdata").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="expected recorded activity as NIRData"):
        read_nir_data(tmp_path / "b.nirdata")
