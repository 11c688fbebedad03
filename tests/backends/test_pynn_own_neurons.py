"""Parameters of neurons on simulators, beyond what the conformance suite asks of every backend."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, get_backend
from hxloop.errors import CapacityError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters
from tests.backends.pynn_trains import DT, opened

NETWORK = NetworkSpec.feed_forward(4, 5, 2, neuron=NeuronSpec(t_refractory=0.5), t_window=4.0)
INPUTS = np.random.default_rng(1).integers(0, 40, (3, 4)) * DT
WEIGHTS = [np.full(shape, 6.0 / shape[0]) for shape in NETWORK.shapes]
SIMULATORS = ("pynn-nest", "pynn-neuron", "pynn-brian2")


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_time_constant_that_the_step_does_not_resolve_is_refused(name):
    short = {"hidden": {"tau_syn": np.array([1.0, 1.0, 0.01, 1.0, 1.0])}}
    with opened(name, NETWORK) as session:
        with pytest.raises(CapacityError, match=r"neuron 2 of population 'hidden' has tau_syn"):
            session.run(Parameters(tuple(WEIGHTS), neurons=short), INPUTS)
        assert session.run(WEIGHTS, INPUTS).spikes[0].n_spikes > 0


@pytest.mark.parametrize("name", SIMULATORS)
def test_time_constants_are_trained_in_the_loop_with_a_simulator(name):
    """What NEST recorded has the gradient of the exact engine; of a grid, nearly."""

    def gradient(backend: str) -> np.ndarray:
        session = get_backend("ideal").open(NETWORK) if backend == "ideal" else opened(
            backend, NETWORK
        )  # fmt: skip
        with session:
            network = LoopNetwork(session, WEIGHTS, train_neurons=["hidden/tau_mem"])
            (hidden, _), _ = network.trains(torch.from_numpy(INPUTS))
            first = hidden.first
            (first[torch.isfinite(first)] ** 2).sum().backward()
            return next(iter(network.neurons.values())).grad.numpy()

    exact, got = gradient("ideal"), gradient(name)
    assert np.abs(exact).max() > 0.1
    np.testing.assert_allclose(got, exact, rtol=1e-5 if name == "pynn-nest" else 0.2)
