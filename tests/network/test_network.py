"""Network descriptions: what they derive, what they refuse."""

from __future__ import annotations

import dataclasses
import math
import pickle

import pytest

from hxloop.errors import NetworkError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec


def test_shapes_follow_from_the_sizes() -> None:
    network = NetworkSpec.feed_forward(5, 120, 3, t_window=4)
    assert network.sizes == (5, 120, 3)
    assert network.shapes == ((5, 120), (120, 3))
    assert network.n_outputs == 3
    assert network.t_window == 4.0
    assert str(network) == "5-120-3"


def test_every_layer_gets_the_neuron() -> None:
    neuron = NeuronSpec(tau_mem=2.0)
    network = NetworkSpec.feed_forward(2, 3, 4, neuron=neuron)
    assert network.layers == (LayerSpec(3, neuron), LayerSpec(4, neuron))
    assert NetworkSpec(2, [LayerSpec(3, neuron), LayerSpec(4, neuron)]) == network  # type: ignore[arg-type]


def test_numbers_become_floats() -> None:
    neuron = NeuronSpec(tau_mem=2, v_leak=-1)
    values = dataclasses.astuple(neuron)
    assert all(type(value) is float for value in values)
    assert neuron == NeuronSpec(tau_mem=2.0, v_leak=-1.0)


def test_descriptions_are_frozen_hashable_and_picklable() -> None:
    network = NetworkSpec.feed_forward(5, 120, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.t_window = 1.0  # type: ignore[misc]
    assert hash(network) == hash(NetworkSpec.feed_forward(5, 120, 3))
    assert pickle.loads(pickle.dumps(network)) == network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau_mem": 0}, "tau_mem: expected a positive finite time constant"),
        ({"tau_syn": -1.0}, "tau_syn: expected a positive finite time constant"),
        ({"tau_mem": math.nan}, "tau_mem: expected a positive finite time constant.*got nan"),
        ({"v_threshold": math.nan}, "v_threshold: expected a number"),
        ({"tau_mem": "1"}, "tau_mem: expected .*; got '1'"),
        ({"tau_mem": True}, "tau_mem: expected .*; got True"),
        ({"v_leak": 1.0}, "v_leak: expected a potential below v_threshold"),
        ({"v_reset": 2.0}, "v_reset: expected a potential below v_threshold"),
        ({"v_threshold": -0.5}, "v_leak: expected a potential below v_threshold = -0.5"),
    ],
)
def test_neuron_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        NeuronSpec(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, -1, 2.0, True, None])
def test_counts_are_whole_and_positive(count: object) -> None:
    with pytest.raises(NetworkError, match=r"n_neurons.*: expected a whole number of at least 1"):
        LayerSpec(count)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="n_inputs: expected a whole number of at least 1"):
        NetworkSpec.feed_forward(count, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [0, -1.0, math.inf, math.nan, "6"])
def test_window_is_positive_and_finite(window: object) -> None:
    with pytest.raises(NetworkError, match="t_window: expected a positive finite time"):
        NetworkSpec.feed_forward(2, 3, t_window=window)  # type: ignore[arg-type]


def test_layers_are_layers_and_there_is_one() -> None:
    with pytest.raises(NetworkError, match="expected at least one layer; got none"):
        NetworkSpec.feed_forward(5)
    with pytest.raises(NetworkError, match=r"layers\[1\]: expected a LayerSpec; got 3"):
        NetworkSpec(5, (LayerSpec(4), 3))  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=r"neuron: expected a NeuronSpec; got 1\.0"):
        LayerSpec(3, 1.0)  # type: ignore[arg-type]
