"""What neurons have each for itself in ``Parameters``: names, files, digests, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from hxloop.errors import FileFormatError, RunInputError
from hxloop.files import sha256_of
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec, Parameters, Population
from hxloop.network.weights_file import load_weights, write_weights

NETWORK = NetworkSpec(
    2,
    (
        Population("hidden", 3, NeuronSpec(t_refractory=0.5, v_reset=-0.5)),
        Population("readout", 2, NeuronSpec(v_threshold=np.inf)),
    ),
)
WEIGHTS = tuple(np.full(shape, 0.5) for shape in NETWORK.shapes)
OWN = {
    "readout": {"tau_mem": np.array([1.5, 3.0])},
    "hidden": {"v_threshold": np.array([0.5, 1.0, 2.0]), "tau_syn": np.array([0.5, 1.0, 2.0])},
}


def own_neurons() -> Parameters:
    return Parameters.of(NETWORK, Parameters(WEIGHTS, neurons=OWN))


def test_they_have_one_name_everywhere_and_one_order():
    held = own_neurons()
    names = ["neurons.hidden.tau_syn", "neurons.hidden.v_threshold", "neurons.readout.tau_mem"]
    assert list(held.named()) == ["weights.0", "weights.1", *names]
    back = Parameters.from_named(dict(reversed(held.named().items())))
    assert back.digest == held.digest == Parameters(WEIGHTS, neurons=OWN).digest
    assert Parameters.of(NETWORK, back).neurons.keys() == OWN.keys()


def test_without_them_digest_and_names_are_what_they_were():
    plain = Parameters(WEIGHTS)
    assert list(plain.named()) == ["weights.0", "weights.1"] and plain.neurons == {}
    # As the first version took it: of shapes and values alone.
    told = sha256_of(*(part for w in WEIGHTS for part in (f"{w.shape} ", w)))
    assert plain.digest == told == Parameters(WEIGHTS, neurons={"hidden": {}}).digest
    assert own_neurons().digest != told


def test_a_threshold_is_no_time_constant():
    held = [
        Parameters(WEIGHTS, neurons={"hidden": {n: np.ones(3)}}) for n in ("tau_mem", "tau_syn")
    ]
    assert held[0].digest != held[1].digest


def test_a_file_keeps_them(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, own_neurons(), {"experiment": "x"})
    read = load_weights(path, NETWORK)
    assert read.digest == own_neurons().digest and set(load_file(path)) == set(read.named())
    other = NetworkSpec.feed_forward(2, 3, 2)
    with pytest.raises(FileFormatError, match=r"w\.safetensors: neurons: .*among hidden, output"):
        load_weights(path, other)


def test_copies_are_copies_and_views_cannot_be_written_to():
    held = own_neurons()
    copied, seen = held.copy(), held.read_only()
    copied.neurons["hidden"]["tau_syn"][0] = 7
    assert held.neurons["hidden"]["tau_syn"][0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        seen.neurons["hidden"]["tau_syn"][0] = 7


def test_layers_are_nominal_but_for_them():
    hidden, readout = own_neurons().layers(NETWORK)
    assert (hidden.tau_syn_exc == hidden.tau_syn_inh).all() and hidden.tau_syn_exc[2] == 2
    assert (hidden.tau_mem == 1).all() and (hidden.v_reset == -0.5).all()
    assert readout.tau_mem.tolist() == [1.5, 3] and np.isinf(readout.v_threshold).all()
    nominal = Parameters(WEIGHTS).layers(NETWORK)[0]
    assert nominal is NeuronParameters.uniform(NETWORK.layers[0].neuron, 3)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"out": {"tau_mem": [1, 1]}}, r"neurons: expected populations among hidden, readout; got"),
        ({"hidden": {"tau": [1] * 3}}, r"neurons\['hidden'\]: expected parameters among tau_mem"),
        ({"readout": {"v_reset": [0, 0]}}, r"of a read-out, which never spikes among tau_mem, tau"),
        ({"hidden": {"tau_mem": [1, 1]}}, r"\['hidden'\]\['tau_mem'\]: expected shape \(3,\); got"),
        ({"hidden": {"tau_mem": [1, 0, 1]}}, r"positive time constants .*; got 0 at neuron 1"),
        ({"hidden": {"tau_syn": [1, np.nan, 1]}}, r"\['tau_syn'\]: .*finite"),
        ({"hidden": {"v_threshold": [1, 1, -0.1]}}, r"v_leak below v_threshold .*neuron 2"),
        ({"hidden": {"v_reset": [0, 1.5, 0]}}, r"v_reset below .*1.5 and 1 at neuron 1"),
    ],
)  # fmt: skip
def test_what_no_neuron_may_have_is_refused_by_name(own, told):
    with pytest.raises(RunInputError, match=told):
        Parameters.of(NETWORK, Parameters(WEIGHTS, neurons=own))


def test_they_are_mappings():
    with pytest.raises(RunInputError, match=r'Parameters.neurons: .*\{"hidden": \{"tau_mem": ...'):
        Parameters(WEIGHTS, neurons=[np.ones(3)])
