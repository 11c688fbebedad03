"""Recordings hold what neurons have of their own, and replay answers for the same ones only."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
import pytest

from hxloop import get_backend, record
from hxloop.errors import CapacityError, FileFormatError, RunFailed
from hxloop.files import digest_of
from hxloop.network import Feature, NetworkSpec, Parameters
from hxloop.substrate.recording.file import SessionFile

NETWORK = NetworkSpec.feed_forward(5, 6, 3, t_window=4.0)
RNG = np.random.default_rng(3)
WEIGHTS = (RNG.normal(1.2, 0.6, (5, 6)), RNG.normal(0.5, 0.4, (6, 3)))
INPUTS = RNG.uniform(0, 2, (7, 5))
SLOW = {"hidden": {"tau_mem": np.linspace(0.8, 1.4, 6)}, "output": {"v_threshold": np.full(3, 0.6)}}
FAST = {"hidden": {"tau_mem": np.linspace(0.5, 0.7, 6)}, "output": {"v_threshold": np.full(3, 0.6)}}


def held(neurons: dict[str, Any]) -> Parameters:
    return Parameters(WEIGHTS, neurons=neurons)


@pytest.fixture
def path(tmp_path):
    """Nominal, slow and fast neurons."""
    path = tmp_path / "own.h5"
    with record(get_backend("ideal").open(NETWORK), path) as session:
        assert Feature.NEURON_PARAMETERS in session.capabilities.features
        for neurons in ({}, SLOW, FAST):
            session.run(held(neurons), INPUTS)
    return path


def test_each_is_answered_with_its_own(path):
    with get_backend("replay", path=str(path)).open(NETWORK) as session:
        for neurons in (FAST, {}, SLOW):
            got = session.run(held(neurons), INPUTS)
            with get_backend("ideal").open(NETWORK) as ideal:
                expected = ideal.run(held(neurons), INPUTS)
            assert got.spikes == expected.spikes
            assert got.parameters.digest == expected.parameters.digest == held(neurons).digest
            assert list(got.neurons_used) == list(neurons)


def test_others_are_refused_with_what_is_nearest(path):
    near = {"hidden": {"tau_mem": SLOW["hidden"]["tau_mem"] + 0.01}, "output": SLOW["output"]}
    less = {"hidden": SLOW["hidden"]}
    with get_backend("replay", path=str(path)).open(NETWORK) as session:
        with pytest.raises(RunFailed, match=r"Run 1 has these inputs.*by up to 0\.01"):
            session.run(held(near), INPUTS)
        # A threshold is no time constant, whatever its values.
        with pytest.raises(RunFailed, match=r"none of neurons that have hidden.tau_mem of their"):
            session.run(held(less), INPUTS)
    tolerant = get_backend("replay", path=str(path), tolerance=0.02)
    with tolerant.open(NETWORK) as session:
        told = session.run(held(near), INPUTS).neurons_used["hidden"]["tau_mem"]
    np.testing.assert_array_equal(told, SLOW["hidden"]["tau_mem"])


def test_a_recording_without_them_is_what_it_was_and_refuses_them(tmp_path):
    path = tmp_path / "nominal.h5"
    with record(get_backend("ideal").open(NETWORK), path) as session:
        session.run(WEIGHTS, INPUTS)
    with h5py.File(path) as file:
        assert file.attrs["version"] == 1
        assert "neurons" not in file["runs/00000000"].asstr()[()]
    with (
        get_backend("replay", path=str(path)).open(NETWORK) as session,
        pytest.raises(CapacityError, match="neuron-parameters"),
    ):
        session.run(held(SLOW), INPUTS)
    with record(get_backend("ideal").open(NETWORK), path, append=True) as session:
        session.run(held(SLOW), INPUTS)
    with h5py.File(path) as file:
        assert file.attrs["version"] == 3


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("hidden.tau_mem", -np.ones(6), "positive time constants"),
        ("hidden.tau_mem", np.ones(5), "shape"),
        ("nobody.tau_mem", np.ones(6), "nobody"),
        ("hidden.colour", np.ones(6), "colour"),
    ],
)
def test_what_no_neuron_has_is_a_damaged_file(path, name, values, message):
    with SessionFile(path) as file:
        run = file.runs[1]
        arrays = dict(run.held_neurons)
        arrays.pop("hidden.tau_mem")
        broken = {**json.loads(run.to_json()), "held_neurons": {name: digest_of(values), **arrays}}
        broken["asked_neurons"] = broken["held_neurons"]
        wrong = type(run).from_json(json.dumps(broken), NETWORK)
        read = file.array
        file.array = lambda digest: values if digest == digest_of(values) else read(digest)
        with pytest.raises(FileFormatError, match=message):
            file.activity(wrong)
        broken["asked_neurons"] = {}
        with pytest.raises(ValueError, match="as asked"):
            type(run).from_json(json.dumps(broken), NETWORK)
