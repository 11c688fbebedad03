"""``Parameters``: one name for weights and delays; files of earlier versions are read."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hxloop.activity.log.schema import network_from_json, network_to_json
from hxloop.errors import FileFormatError, RunInputError
from hxloop.network import (
    NetworkSpec,
    NeuronSpec,
    Parameters,
    Population,
    Projection,
)
from hxloop.network.weights_file import load_weights, write_weights

CHAIN = NetworkSpec.feed_forward(2, 4, 3)
LOOP = NetworkSpec(
    2,
    (Population("hidden", 4, NeuronSpec(t_refractory=0.5)), Population("out", 3)),
    projections=(
        Projection("input", "hidden", delays="synaptic"),
        Projection("hidden", "hidden", delays="axonal", min_delay=0.1),
        Projection("hidden", "out"),
    ),
)


def parameters(network: NetworkSpec = LOOP) -> Parameters:
    rng = np.random.default_rng(1)
    return Parameters(
        tuple(rng.normal(size=shape) for shape in network.shapes),
        tuple(None if shape is None else 0.1 + rng.random(shape) for shape in network.delay_shapes),
    )


def test_they_have_one_name_everywhere():
    names = parameters().named()
    assert list(names) == ["weights.0", "weights.1", "weights.2", "delays.0", "delays.1"]
    back = Parameters.from_named(names)
    assert back.digest == parameters().digest
    assert back.delays[2] is None and back.delays[1].shape == (4,)


@pytest.mark.parametrize("spelling", ["weights.{}", "layer.{}", "layers/{}/weights", "weights_{}"])
def test_what_earlier_versions_called_weights_is_found(spelling):
    weights = parameters(CHAIN).weights
    found = Parameters.from_named({spelling.format(i): w for i, w in enumerate(weights)})
    assert all((a == b).all() for a, b in zip(found, weights, strict=True))


def test_a_file_keeps_weights_and_delays(tmp_path):
    write_weights(tmp_path / "w.safetensors", parameters(), {"experiment": "x"})
    read = load_weights(tmp_path / "w.safetensors", LOOP)
    assert read.digest == parameters().digest
    assert set(load_file(tmp_path / "w.safetensors")) == set(parameters().named())


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    weights = parameters(CHAIN).weights
    save_file({f"layer.{i}": w for i, w in enumerate(weights)}, tmp_path / "old.safetensors")
    read = load_weights(tmp_path / "old.safetensors", CHAIN)
    assert isinstance(read, Parameters) and (read[1] == weights[1]).all()


def test_a_file_without_the_delays_of_its_network_is_refused(tmp_path):
    write_weights(tmp_path / "w.safetensors", parameters().weights, {})
    with pytest.raises(FileFormatError, match=r"delays\[0\] \(input -> hidden, synaptic\): expect"):
        load_weights(tmp_path / "w.safetensors", LOOP)


def test_delays_are_checked_by_name():
    good = parameters()
    with pytest.raises(RunInputError, match=r"delays\[1\] .*0.1 or more \(min_delay; never nega"):
        Parameters.of(LOOP, Parameters(good.weights, (good.delays[0], np.zeros(4), None)))
    with pytest.raises(RunInputError, match=r"delays\[2\] .*no delays\): expected None"):
        Parameters.of(LOOP, Parameters(good.weights, (*good.delays[:2], np.zeros(4))))
    with pytest.raises(RunInputError, match=r"delays\[0\].*expected an array of shape \(2, 4\)"):
        Parameters.of(LOOP, good.weights)
    with pytest.raises(
        RunInputError, match="delays \\(or None\\) for each of 3 projections; got 1"
    ):
        Parameters(good.weights, (None,))
    assert Parameters.of(CHAIN, list(parameters(CHAIN))).delays == (None, None)


def test_a_log_describes_a_chain_as_earlier_versions_did():
    values = json.loads(network_to_json(CHAIN))
    assert list(values) == ["n_inputs", "layers", "t_window"]
    assert "t_refractory" not in values["layers"][0]["neuron"]


@pytest.mark.parametrize("network", [CHAIN, LOOP, NetworkSpec.feed_forward(2, 3, delays="axonal")])
def test_a_log_describes_every_network(network):
    assert network_from_json(network_to_json(network)) == network


def test_an_earlier_log_names_its_weights_by_layer(tmp_path):
    from hxloop.network.values import weights_name

    with h5py.File(tmp_path / "log.h5", "w") as file:
        file["layers/0/weights"] = np.zeros((2, 2))
        assert weights_name(file, 0) == "layers/0/weights" and weights_name(file, 1) is None
