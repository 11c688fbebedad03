"""What a substrate cannot do it refuses by name; what holds weights and spikes is welcome."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import Capabilities, NetworkSpec, NeuronSpec, get_backend
from hxloop.activity import Spikes
from hxloop.errors import CapacityError, RunInputError
from hxloop.network import Feature, Parameters
from hxloop.substrate import check_network

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
        with pytest.raises(RunInputError, match="at most one spike of each channel"):
            session.run(WEIGHTS, twice)
        with pytest.raises(RunInputError, match="expected None"):
            session.run(Parameters(tuple(WEIGHTS), (np.zeros(2),)), TIMES)
