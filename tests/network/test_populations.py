"""Populations, projections, and what a network asks of a substrate."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.errors import NetworkError
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Population, Projection
from hxloop.network.graph import components

SPIKING = NeuronSpec(t_refractory=1.0)


def network(*projections: tuple[str, ...], output: str = "") -> NetworkSpec:
    populations = (Population("a", 3), Population("b", 4), Population("out", 2))
    return NetworkSpec(
        5, populations, projections=tuple(Projection(*ends) for ends in projections), output=output
    )


def test_a_chain_written_out_is_the_chain():
    written = network(("input", "a"), ("a", "b"), ("b", "out"))
    assert written.is_chain and written.features == frozenset() and str(written) == "5-3-4-2"
    assert written == NetworkSpec(5, written.layers)
    assert written.shapes == ((5, 3), (3, 4), (4, 2)) and written.blocks == ((0,), (1,), (2,))


def test_layers_get_names():
    chain = NetworkSpec.feed_forward(5, 3, 4, 2)
    assert [p.name for p in chain.populations] == ["hidden1", "hidden2", "output"]
    assert [p.name for p in chain.all_projections] == [
        "input -> hidden1", "hidden1 -> hidden2", "hidden2 -> output",
    ]  # fmt: skip
    assert NetworkSpec.feed_forward(5, 3, 2).populations[0].name == "hidden"


@pytest.mark.parametrize(
    ("net", "features", "blocks"),
    [
        (NetworkSpec.feed_forward(2, 3, 2, neuron=SPIKING), {Feature.MULTI_SPIKE}, ((0,), (1,))),
        (NetworkSpec.feed_forward(2, 3, 2, delays="axonal"), {Feature.DELAYS}, ((0,), (1,))),
        (
            network(("input", "a"), ("a", "a"), ("a", "b"), ("b", "out")),
            {Feature.RECURRENT}, ((0,), (1,), (2,)),
        ),
        (
            network(("input", "a"), ("a", "b"), ("b", "a"), ("b", "out")),
            {Feature.RECURRENT, Feature.SKIP}, ((0, 1), (2,)),
        ),
        (
            network(("input", "a"), ("a", "b"), ("b", "out"), ("a", "out")),
            {Feature.SKIP}, ((0,), (1,), (2,)),
        ),
        (
            network(("input", "b"), ("b", "a"), ("a", "out")),
            set(), ((1,), (0,), (2,)),
        ),
        (
            network(("input", "a"), ("a", "b"), ("b", "out"), output="b"),
            {Feature.SKIP}, ((0,), (1,), (2,)),
        ),
    ],
)  # fmt: skip
def test_features_and_blocks(net, features, blocks):
    assert net.features == features and net.blocks == blocks


def test_the_output_may_be_any_population():
    net = network(("input", "a"), ("a", "b"), ("b", "out"), output="b")
    assert net.n_outputs == 4 and net.output_index == 1 and not net.is_chain


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network(("input", "a"), ("a", "out")), "no path leads from the input to .*'b'"),
        (lambda: network(("input", "c")), "expected post one of a, b, out; got 'c'"),
        (lambda: network(("c", "a")), "expected pre one of input, a, b, out; got 'c'"),
        (lambda: network(("a", "input")), "expected post one of a, b, out; got 'input'"),
        (lambda: network(("input", "a"), ("input", "a")), "at most one projection .*; got 2"),
        (lambda: network(output="c"), "output: expected one of a, b, out; got 'c'"),
        (lambda: Projection("a", "b", delays="axon"), "delays one of axonal, dendritic, synaptic"),
        (lambda: Projection("a", "b", min_delay=0.1), "min_delay = 0.1 without delays"),
        (lambda: Projection("a", "b", "axonal", min_delay=-1), "min_delay: expected .*got -1"),
        (lambda: Population("input", 3), "'input'"),
        (lambda: Population("a b", 3), "expected letters, digits"),
        (lambda: Population("a", 0), "population 'a'.size: expected .*at least 1; got 0"),
        (lambda: NetworkSpec(2, (Population("a", 1), Population("a", 1))), "names that differ"),
        (lambda: NeuronSpec(t_refractory=-0.5), "t_refractory: expected .*got -0.5"),
        (lambda: NeuronSpec(t_refractory=float("nan")), "t_refractory"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises(NetworkError, match=message):
        make()


def test_a_network_travels():
    net = network(("input", "a"), ("a", "a"), ("a", "b"), ("b", "out"))
    assert net.features and pickle.loads(pickle.dumps(net)) == net
    assert hash(pickle.loads(pickle.dumps(net))) == hash(net)


@given(st.integers(1, 7).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=20))
))  # fmt: skip
def test_components_are_in_topological_order(graph):
    n, arrows = graph
    found = components(n, arrows)
    assert sorted(node for part in found for node in part) == list(range(n))
    place = {node: i for i, part in enumerate(found) for node in part}
    assert all(place[a] <= place[b] for a, b in arrows)

    def leads(a, b):
        known = {a}
        while more := {end for start, end in arrows if start in known} - known:
            known |= more
        return b in known

    for a in range(n):
        for b in range(n):
            assert (place[a] == place[b]) == (leads(a, b) and leads(b, a))
