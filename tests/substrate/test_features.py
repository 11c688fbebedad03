"""What a substrate cannot do it refuses by name; what holds weights and spikes is welcome."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import Capabilities, NetworkSpec, NeuronSpec, get_backend
from hxloop.activity import Spikes
from hxloop.errors import CapacityError, ConfigError, RunInputError
from hxloop.network import Feature, Parameters, Population, Projection
from hxloop.substrate import check_network, check_run

SPIKING = NetworkSpec.feed_forward(2, 3, neuron=NeuronSpec(t_refractory=1.0), delays="axonal")
CHAIN = NetworkSpec.feed_forward(2, 3)
WEIGHTS = [np.full((2, 3), 2.0)]
TIMES = np.array([[0.5, 1.0], [0.25, np.inf]])


def test_a_backend_of_an_earlier_version_refuses_by_name():
    can = Capabilities(deterministic=True, time_resolution=0.0)
    with pytest.raises(
        CapacityError, match=r"'old': network 2-3 \(.*\) needs delays, multi-spike, .*it does chain"
    ):
        check_network(SPIKING, can, "old")
    some = Capabilities(
        deterministic=True, time_resolution=0.0, features=frozenset({Feature.MULTI_SPIKE})
    )
    with pytest.raises(CapacityError, match="needs delays, which it cannot do; it does multi-spi"):
        check_network(SPIKING, some, "new")
    check_network(NetworkSpec.feed_forward(2, 3, neuron=NeuronSpec(t_refractory=1.0)), some, "new")


def test_weights_and_spikes_come_in_any_form():
    with get_backend("ideal").open(CHAIN) as session:
        plain = session.run(WEIGHTS, TIMES)
        other = session.run(Parameters(tuple(WEIGHTS)), Spikes.from_first(TIMES))
        listed = Spikes.from_events([0, 0, 1], [0, 1, 0], [0.5, 1.0, 0.25], batch=2, n_units=2)
        third = session.run(WEIGHTS, listed)
        for activity in (other, third):
            assert (activity.first_spike_times[0] == plain.first_spike_times[0]).all()
        assert plain.spikes[0].first is plain.first_spike_times[0]
        assert plain.inputs == listed and plain.parameters[0].shape == (2, 3)
        twice = Spikes.from_events([0, 0], [0, 0], [0.5, 1.0], batch=1, n_units=2)
        assert session.run(WEIGHTS, twice).inputs == twice
        old = Capabilities(deterministic=True, time_resolution=0.0)
        with pytest.raises(RunInputError, match="at most one spike of each channel"):
            check_run(CHAIN, WEIGHTS, twice, old)
        with pytest.raises(RunInputError, match="expected None"):
            session.run(Parameters(tuple(WEIGHTS), (np.zeros(2),)), TIMES)


def test_the_ideal_substrate_has_all_features():
    network = NetworkSpec(
        2,
        (Population("a", 4, NeuronSpec(t_refractory=0.5)), Population("b", 2)),
        projections=(
            Projection("input", "a"),
            Projection("a", "a", delays="axonal"),
            Projection("a", "b", delays="synaptic"),
        ),
    )
    rng = np.random.default_rng(0)
    weights = [np.full((2, 4), 5.0), rng.normal(0, 0.3, (4, 4)), np.ones((4, 2))]
    delays = (None, rng.random(4), rng.random((4, 2)))
    for precision in ("double", "single"):
        with get_backend("ideal", precision=precision).open(network) as session:
            given = Parameters(tuple(weights), delays)
            activity = session.run(given, TIMES)
            assert [spikes.n_units for spikes in activity.spikes] == [4, 2]
            assert activity.spikes[0].count.max() > 1 and activity.spikes[1].once
            assert (activity.first_spike_times[0] == activity.spikes[0].first).all()
            assert activity.parameters.weights[0].dtype == np.dtype(precision_of(precision))
            assert not np.shares_memory(activity.parameters.delays[1], delays[1])
            activity.read_only()
    with pytest.raises(ConfigError, match="max_spikes"):
        get_backend("ideal", max_spikes=0)
    with get_backend("ideal", max_spikes=2).open(network) as session:
        many = Parameters((weights[0] * 1e3, weights[1], weights[2]), delays)
        with pytest.raises(RunInputError, match="does not stop"):
            session.run(many, TIMES)


def precision_of(name: str) -> str:
    return {"double": "float64", "single": "float32"}[name]
