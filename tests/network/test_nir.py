"""NIR graphs out and in again: the same network to the bit, the same physics in other units."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import get_backend
from hxloop.errors import ConfigError, FileFormatError, MissingDependencyError, NetworkError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population
from hxloop.network.nir import Convention, from_nir, read_nir, to_nir, write_nir
from tests.network.nir_examples import CONVENTIONS, everything, feed_forward


def same(one: NetworkSpec, other: NetworkSpec) -> bool:
    """Whether they are one network; a chain may be written out, and layers may have no name."""
    return (one.n_inputs, one.populations, one.all_projections, one.t_window, one.output_index) == (
        other.n_inputs, other.populations, other.all_projections, other.t_window,
        other.output_index,
    )  # fmt: skip


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_graph_gives_the_same_network_to_the_bit(name, tmp_path):
    network, parameters = everything()
    made = to_nir(network, parameters, CONVENTIONS[name], configuration='name = "x"')
    write_nir(tmp_path / "a.nir", made.graph)
    found = from_nir(read_nir(tmp_path / "a.nir"))
    assert same(network, found.network)
    assert found.parameters.digest == parameters.digest
    assert found.convention == CONVENTIONS[name] and found.configuration == 'name = "x"'
    assert found.notes == ()
    assert [note.partition(":")[0] for note in made.notes] == ["memory", "b-1"]


@settings(max_examples=25, deadline=None)
@given(
    tau_syn_ms=st.floats(1e-6, 1e6), unit=st.sampled_from(["s", "ms"]),
    tau_mem=st.floats(0.01, 100), tau_syn=st.floats(0.01, 100), seed=st.integers(0, 99),
)  # fmt: skip
def test_no_unit_costs_a_bit(tau_syn_ms, unit, tau_mem, tau_syn, seed):
    neuron = NeuronSpec(tau_mem=tau_mem, tau_syn=tau_syn, t_refractory=0.0)
    network = NetworkSpec.feed_forward(3, 4, 2, neuron=neuron, delays="axonal")
    rng = np.random.default_rng(seed)
    parameters = Parameters(
        tuple(rng.normal(size=shape) for shape in network.shapes),
        tuple(rng.uniform(size=shape) for shape in network.delay_shapes),
    )
    for spikes in ("dirac", "jumps"):
        made = Convention(spikes=spikes, unit=unit, tau_syn_ms=tau_syn_ms)
        found = from_nir(to_nir(network, parameters, made).graph)
        assert same(network, found.network) and found.parameters.digest == parameters.digest


def test_the_numbers_are_those_of_nirs_equations():
    """A spike moves r I by r w_in W/tau_syn, in the unit of the graph; here by tau_mem w."""
    neuron = NeuronSpec(tau_mem=1.5, tau_syn=0.8, v_threshold=1.2, v_leak=0.1, t_refractory=0.0)
    network = NetworkSpec.feed_forward(2, 3, neuron=neuron)
    weights = [np.arange(6.0).reshape(2, 3) - 2]
    made = Convention(tau_syn_ms=5.0)
    graph = to_nir(network, weights, made).graph
    cell, link = graph.nodes["output"], graph.nodes["input_to_output"]
    assert np.array_equal(link.weight, weights[0].T)
    np.testing.assert_allclose(cell.tau_mem, 0.0075, rtol=1e-15)
    np.testing.assert_allclose(cell.tau_syn, 0.004, rtol=1e-15)
    jump = cell.r * cell.w_in / cell.tau_syn  # of r I, for a weight of 1
    np.testing.assert_allclose(jump, neuron.tau_mem, rtol=1e-15)
    # What takes a spike for 1 during dt: of the current equation's w_in S dt/tau_syn the same.
    steps = Convention(spikes="steps", dt=1e-4, tau_syn_ms=5.0)
    cell = to_nir(network, weights, steps).graph.nodes["output"]
    np.testing.assert_allclose(cell.r * cell.w_in * 1e-4 / cell.tau_syn, neuron.tau_mem, rtol=1e-15)
    np.testing.assert_allclose(cell.r, cell.tau_mem / 1e-4, rtol=1e-15)  # snnTorch insists
    assert (cell.v_threshold == 1.2).all() and (cell.v_leak == 0.1).all()


@pytest.mark.parametrize("tau_mem", [0.4, 1.0, 2.5])
def test_the_deep_reset_is_one_spike_a_neuron(tau_mem):
    """Simulated as NIR says it, with neurons that may spike again: they do not."""
    once = NeuronSpec(tau_mem=tau_mem)
    network = NetworkSpec.feed_forward(4, 10, 3, neuron=once, t_window=5.0)
    rng = np.random.default_rng(2)
    weights = [rng.normal(1.5, 0.6, shape) for shape in network.shapes]
    inputs = rng.uniform(0, 2, (20, 4))
    graph = to_nir(network, weights).graph
    resets = [float(graph.nodes[p.name].v_reset[0]) for p in network.populations]
    free = NetworkSpec(
        4,
        tuple(
            replace(layer, neuron=replace(once, t_refractory=0.0, v_reset=reset))
            for layer, reset in zip(network.layers, resets, strict=True)
        ),
        5.0,
    )
    with get_backend("ideal").open(network) as one, get_backend("ideal").open(free) as again:
        expected, got = one.run(weights, inputs), again.run(weights, inputs)
    for spikes, first in zip(got.spikes, expected.first_spike_times, strict=True):
        assert spikes.once and spikes.n_spikes > 20
        np.testing.assert_allclose(spikes.first, first, rtol=1e-9)


def test_whoever_changes_a_graph_changes_the_network():
    network, parameters = everything()
    graph = to_nir(network, parameters, CONVENTIONS["jumps"]).graph
    graph.nodes["input_to_memory"].weight = 2 * graph.nodes["input_to_memory"].weight
    graph.nodes["b-1"].v_reset = np.zeros(3)
    name = "memory_to_memory_delay"
    graph.nodes[name].delay = np.full_like(graph.nodes[name].delay, 1e-6)
    found = from_nir(graph)
    np.testing.assert_allclose(found.parameters[1], 2 * parameters[1], rtol=1e-15)
    assert found.network.populations[1].neuron.t_refractory == 0
    assert any("b-1: v_reset was changed" in note for note in found.notes)
    np.testing.assert_allclose(found.parameters.delays[0], 1e-6 / 6e-3, rtol=1e-15)
    assert found.network.all_projections[0].min_delay == 0


def test_names_of_the_graphs_own_nodes_may_be_those_of_populations():
    network = NetworkSpec(2, (Population("out", 3), Population("input_to_out", 1)))
    weights = [np.ones(shape) for shape in network.shapes]
    found = from_nir(to_nir(network, weights).graph)
    assert same(network, found.network)


def test_what_cannot_be_said_is_refused():
    synaptic = NetworkSpec.feed_forward(2, 3, delays="synaptic")
    with pytest.raises(NetworkError, match="delays signals, not connections"):
        to_nir(synaptic, Parameters((np.ones((2, 3)),), (np.ones((2, 3)),)))
    with pytest.raises(ConfigError, match="spikes: expected one of 'dirac', 'steps', 'jumps'"):
        Convention(spikes="delta")
    for wrong in ({"spikes": "steps"}, {"dt": 1e-3}):
        with pytest.raises(ConfigError, match="dt: expected the time step"):
            Convention(**wrong)


def test_damaged_files_and_metadata_are_refused(tmp_path):
    path = tmp_path / "a.nir"
    with pytest.raises(FileFormatError, match="there is no such file"):
        read_nir(path)
    path.write_bytes(b"no graph")
    with pytest.raises(FileFormatError, match="expected a NIR graph"):
        read_nir(path)
    network, parameters, _ = feed_forward()
    graph = to_nir(network, parameters).graph
    about = json.loads(graph.metadata["hxloop"])
    graph.metadata = {"hxloop": json.dumps({**about, "format": 2})}
    with pytest.raises(FileFormatError, match="newer hxloop"):
        from_nir(graph)
    graph.metadata = {"hxloop": "{"}
    with pytest.raises(FileFormatError, match="metadata 'hxloop' are damaged"):
        from_nir(graph)
    # With other neurons than are noted, units are all that is believed.
    graph.metadata = {"hxloop": json.dumps({**about, "populations": about["populations"][1:]})}
    assert "graph was changed" in from_nir(graph).notes[0]


def test_without_the_package_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name == "nir":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    network, parameters, _ = feed_forward()
    with pytest.raises(MissingDependencyError, match=r"pip install 'hxloop\[nir\]'"):
        to_nir(network, parameters)


def test_the_release_asked_for_keeps_metadata_of_every_node(tmp_path):
    """As releases before did not: a Delay came back without them."""
    node = nir.Delay(delay=np.ones(2), metadata={"kept": np.arange(2.0)})
    ends = {"i": nir.Input(np.array([2])), "o": nir.Output(np.array([2]))}
    graph = nir.NIRGraph({**ends, "d": node}, [("i", "d"), ("d", "o")], metadata={"text": "ä"})
    write_nir(tmp_path / "g.nir", graph)
    back = read_nir(tmp_path / "g.nir")
    assert back.metadata["text"] == "ä" and list(back.nodes["d"].metadata["kept"]) == [0.0, 1.0]
