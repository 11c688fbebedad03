"""Neurons with parameters each for itself, in logs, exports and in what the analysis says."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from hxloop import get_backend
from hxloop.activity import ActivityLog, ActivityWriter, RecordedActivity
from hxloop.activity.formats.plain import plain_leaves_out, read_plain, write_plain
from hxloop.activity.formats.spike_lists import left_out
from hxloop.analysis.measures.all_spikes import why_no_pathways
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, Parameters

SPEC = NetworkSpec.feed_forward(2, 3, 2)
OWN = {"hidden": {"tau_mem": np.array([0.5, 1.0, 2.0]), "v_threshold": np.array([0.8, 1.0, 1.1])}}
LABELS = np.array([0, 1])


def activity(own=OWN):
    weights = [np.full((2, 3), 2.0), np.full((3, 2), 1.0)]
    with get_backend("ideal").open(SPEC) as session:
        return session.run(Parameters(weights, neurons=own), [[0.1, 0.3], [0.5, 0.2]])


def logged(path, own=OWN):
    with ActivityWriter(path, SPEC) as log, log.state("trained") as state:
        state.append(activity(own), LABELS, LABELS)
    return path


def recorded(path):
    with ActivityLog(path) as log:
        return log.read("trained")


def test_a_log_has_them_and_only_then_another_version(tmp_path):
    path = logged(tmp_path / "own.h5")
    state = recorded(path)
    assert state.parameters.digest == activity().parameters.digest
    assert state.parameters.neurons["hidden"]["tau_mem"].tolist() == [0.5, 1, 2]
    with h5py.File(path) as file:
        held = file["states/trained"]
        assert file.attrs["version"] == 3
        assert held["neurons.hidden.tau_mem"].attrs["unit"] == "tau_syn"
        assert held["neurons.hidden.v_threshold"].attrs["unit"] == "unit of v_threshold"
    with h5py.File(logged(tmp_path / "plain.h5", {})) as file:
        assert file.attrs["version"] == 1
        assert not [name for name in file["states/trained"] if name.startswith("neurons")]
    assert recorded(tmp_path / "plain.h5").neurons == {}


def test_other_states_beside_them_leave_the_version(tmp_path):
    path = logged(tmp_path / "log.h5")
    with ActivityWriter(path, SPEC) as log, log.state("untrained") as state:
        state.append(activity({}), LABELS, LABELS)
    with h5py.File(path) as file:
        assert file.attrs["version"] == 3
    with ActivityLog(path) as log:
        assert log.states == ("untrained", "trained") and log.parameters("untrained").neurons == {}


def test_runs_of_a_state_have_the_same(tmp_path):
    other = {"hidden": {**OWN["hidden"], "tau_mem": np.ones(3)}}
    with ActivityWriter(tmp_path / "log.h5", SPEC) as log:
        state = log.state("trained")
        state.append(activity(), LABELS, LABELS)
        with pytest.raises(RunInputError, match=r"neurons of hidden\.tau_mem are not those of its"):
            state.append(activity(other), LABELS, LABELS)
        with pytest.raises(RunInputError, match="are not those of its first run"):
            state.append(activity({}), LABELS, LABELS)
        state.abandon()


def test_npz_holds_them_with_the_network(tmp_path):
    state = recorded(logged(tmp_path / "log.h5"))
    write_plain(tmp_path / "spikes.npz", [state])
    back = read_plain(tmp_path / "spikes.npz")["trained"]
    assert back.parameters.digest == state.parameters.digest and back.network == SPEC
    assert plain_leaves_out(state) == ("runs",)
    assert "neurons" in left_out(state)
    plain = recorded(logged(tmp_path / "plain.h5", {}))
    assert "neurons" not in left_out(plain) and "network" in plain_leaves_out(plain)


def test_pathways_are_those_of_nominal_neurons(tmp_path):
    state = recorded(logged(tmp_path / "log.h5"))
    assert "defined for nominal neurons" in why_no_pathways(state)
    assert "(tau_mem, v_threshold)" in why_no_pathways(state)
    assert why_no_pathways(replace(state, neurons={})) is None


def test_they_are_checked():
    run = activity()
    arrays = (run.input_times, run.first_spike_times, LABELS, LABELS, run.weights_used)
    with pytest.raises(RunInputError, match="neurons without the network whose they are"):
        RecordedActivity("x", *arrays, neurons=OWN)
    wrong = {"hidden": {"tau_mem": [1.0, -1, 1]}}
    with pytest.raises(RunInputError, match=r"state 'x', neurons\['hidden'\]\['tau_mem'\].*-1"):
        RecordedActivity("x", *arrays, SPEC, neurons=wrong)
