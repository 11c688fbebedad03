"""NIR graphs as other programs write them: what is read, what is assumed, what is refused."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

from hxloop.errors import FileFormatError
from hxloop.network.nir import Convention, from_nir, read_nir, write_nir


def cells(n: int, **changes) -> nir.CubaLIF:
    values = {"tau_syn": 0.005, "tau_mem": 0.01, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0,
              "v_reset": 0.0, "w_in": 0.005}  # fmt: skip
    return nir.CubaLIF(**{
        key: np.broadcast_to(np.asarray(value, float), (n,)).copy()
        for key, value in {**values, **changes}.items()
    })  # fmt: skip


def graph(*middle: tuple[str, nir.NIRNode], n_in: int = 2, n_out: int = 3) -> nir.NIRGraph:
    """A chain from the input to the output."""
    ends = {"input": nir.Input(np.array([n_in])), "output": nir.Output(np.array([n_out]))}
    nodes = {"input": ends["input"], **dict(middle), "output": ends["output"]}
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


WEIGHT = np.arange(6.0).reshape(3, 2)


def test_a_graph_without_metadata_is_read_as_nir_says():
    found = from_nir(graph(("w", nir.Linear(WEIGHT)), ("a", cells(3))))
    (population,) = found.network.populations
    # One unit is the synaptic time constant; r w_in = u tau_mem tau_syn: the weight is the weight.
    assert found.convention == Convention(tau_syn_ms=5.0)
    assert population.neuron.tau_mem == 2.0 and population.neuron.tau_syn == 1.0
    assert population.neuron.t_refractory == 0.0
    np.testing.assert_array_equal(found.parameters[0], WEIGHT.T)
    told = " ".join(found.notes)
    assert "taken for seconds" in told and "5 ms" in told
    assert "without a refractory time" in told and "observed for 6 tau_syn" in told


def test_resistance_and_input_weight_scale_weights():
    node = cells(3, r=[2.0, 4.0, 6.0], w_in=0.01)
    found = from_nir(graph(("w", nir.Linear(WEIGHT)), ("a", node)), t_window=3.0)
    np.testing.assert_allclose(found.parameters[0], (WEIGHT * [[2.0], [4.0], [6.0]]).T)
    assert found.network.t_window == 3.0


def test_what_lies_between_neurons_is_multiplied_out(tmp_path):
    made = graph(
        ("first", nir.Affine(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2))),
        ("scale", nir.Scale(np.array([2.0, 0.5]))),
        ("second", nir.Linear(WEIGHT)),
        ("late", nir.Delay(np.array([0.0, 0.005, 0.01]))),
        ("a", cells(3)),
    )
    write_nir(tmp_path / "g.nir", made)
    found = from_nir(read_nir(tmp_path / "g.nir"))
    expected = WEIGHT @ np.diag([2.0, 0.5]) @ np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(found.parameters[0], expected.T)
    np.testing.assert_allclose(found.parameters.delays[0], [0.0, 1.0, 2.0])
    assert found.network.all_projections[0].delays == "dendritic"


def test_graphs_in_graphs_loops_and_two_ways_to_one_population():
    """As snnTorch writes a recurrent layer: neurons and what feeds them back in a graph."""
    inner = nir.NIRGraph(
        {"input": nir.Input(np.array([3])), "lif": cells(3), "back": nir.Linear(np.eye(3) * 0.5),
         "output": nir.Output(np.array([3]))},
        [("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")],
    )  # fmt: skip
    made = nir.NIRGraph(
        {"input": nir.Input(np.array([2])), "w": nir.Linear(WEIGHT), "v": nir.Linear(WEIGHT),
         "rnn": inner, "output": nir.Output(np.array([3]))},
        [("input", "w"), ("input", "v"), ("w", "rnn"), ("v", "rnn"), ("rnn", "output")],
    )  # fmt: skip
    found = from_nir(made)
    assert [p.name for p in found.network.all_projections] == [
        "input -> rnn_lif", "rnn_lif -> rnn_lif",
    ]  # fmt: skip
    np.testing.assert_array_equal(found.parameters[0], 2 * WEIGHT.T)
    np.testing.assert_array_equal(found.parameters[1], 0.5 * np.eye(3))
    assert any("several connections, whose weights are added" in note for note in found.notes)


def test_neurons_of_their_own_and_leaks_that_differ():
    node = cells(3, tau_mem=[0.01, 0.01, 0.02], v_leak=[0.0, 0.1, -0.2], v_threshold=1.0)
    found = from_nir(graph(("w", nir.Linear(WEIGHT)), ("a", node)))
    own = found.parameters.neurons["a"]
    np.testing.assert_allclose(own["tau_mem"], [2.0, 2.0, 4.0])
    np.testing.assert_allclose(own["v_threshold"], [1.0, 0.9, 1.2])
    np.testing.assert_allclose(own["v_reset"], [0.0, -0.1, 0.2])
    assert any("moved along the voltage" in note for note in found.notes)


def lif(n: int) -> nir.LIF:
    one = np.ones(n)
    return nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one)


REFUSED = {
    "no synaptic current": (graph(("w", nir.Linear(WEIGHT)), ("a", lif(3))), "'a' is a LIF: its"),
    "a constant current": (
        graph(("w", nir.Affine(WEIGHT, np.array([0.0, 2.0, 0.0]))), ("a", cells(3))),
        "a bias up to 2",
    ),
    "a node of another kind": (
        graph(("w", nir.Linear(WEIGHT)), ("a", nir.Threshold(np.ones(3)))), "'a' is a Threshold",
    ),
    "weights around a delay": (
        graph(("w", nir.Linear(np.eye(2))), ("d", nir.Delay(np.ones(2))),
              ("v", nir.Linear(WEIGHT)), ("a", cells(3))),
        "weights before and behind a delay",
    ),
    "delays at both ends": (
        graph(("d", nir.Delay(np.ones(2))), ("w", nir.Linear(WEIGHT)),
              ("e", nir.Delay(np.ones(3))), ("a", cells(3))),
        "delays before and behind its weights",
    ),
    "no neurons at the output": (
        graph(("w", nir.Linear(WEIGHT)), ("a", cells(3)), ("v", nir.Linear(np.eye(3)))),
        "expected it behind one node of neurons",
    ),
    "no neurons": (graph(("w", nir.Linear(WEIGHT))), "no neurons"),
    "a time constant of 0": (
        graph(("w", nir.Linear(WEIGHT)), ("a", cells(3, tau_mem=0.0))), "tau_mem: expected pos",
    ),
    "a reset above the threshold": (
        graph(("w", nir.Linear(WEIGHT)), ("a", cells(3, v_reset=2.0))), "node 'a': .*v_reset",
    ),
    "two inputs": (
        nir.NIRGraph(
            {"i": nir.Input(np.array([2])), "j": nir.Input(np.array([2])),
             "w": nir.Linear(WEIGHT), "a": cells(3), "o": nir.Output(np.array([3]))},
            [("i", "w"), ("j", "w"), ("w", "a"), ("a", "o")],
        ),
        "expected one input; got 2: i, j",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_network_here_is_is_refused_by_name(name):
    made, message = REFUSED[name]
    with pytest.raises(FileFormatError, match=message):
        from_nir(made)
