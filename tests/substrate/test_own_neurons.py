"""Runs whose neurons have parameters each for itself: where they go, and where not."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.activity import Activity, Spikes
from hxloop.errors import CapacityError, RunFailed
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.substrate.check_trains import check_trains

INPUTS = np.array([[0.1, 0.6], [0.3, 0.2], [0.0, np.inf]])
AGAIN = NeuronSpec(t_refractory=0.3, tau_mem=1.2)


def loop(**neuron: float) -> NetworkSpec:
    spiking = NeuronSpec(**{"t_refractory": 0.3, "tau_mem": 1.2, **neuron})
    return NetworkSpec(
        2,
        (Population("memory", 3, spiking), Population("output", 2, AGAIN)),
        projections=(
            Projection("input", "memory"),
            Projection("memory", "memory", delays="axonal", min_delay=0.1),
            Projection("memory", "output"),
        ),
    )


def parameters(network: NetworkSpec, **own: np.ndarray) -> Parameters:
    rng = np.random.default_rng(0)
    weights = tuple(rng.normal(1.2, 0.3, shape) for shape in network.shapes)
    delays = tuple(
        None if shape is None else rng.random(shape) + 0.1 for shape in network.delay_shapes
    )
    return Parameters(weights, delays, {network.populations[0].name: own})


def run(network: NetworkSpec, held: Parameters) -> Activity:
    with get_backend("ideal").open(network) as session:
        return session.run(held, INPUTS)


CHANGES = {"tau_mem": 0.7, "tau_syn": 1.4, "v_threshold": 0.6, "v_reset": -0.4}


@pytest.mark.parametrize("name", CHANGES)
def test_equal_ones_are_another_nominal_neuron_bit_for_bit(name):
    value = CHANGES[name]
    own = run(loop(), parameters(loop(), **{name: np.full(3, value)}))
    nominal = run(loop(**{name: value}), parameters(loop()))
    plain = run(loop(), parameters(loop()))
    for ours, same, other in zip(own.spikes, nominal.spikes, plain.spikes, strict=True):
        assert ours.times.tolist() == same.times.tolist() != other.times.tolist()


def test_each_neuron_has_its_own_also_where_neurons_spike_once():
    network = NetworkSpec.feed_forward(2, 3)
    thresholds = np.array([0.3, 0.5, 0.9])
    held = Parameters((np.full((2, 3), 1.5),), neurons={"output": {"v_threshold": thresholds}})
    found = run(network, held)
    for j, threshold in enumerate(thresholds):
        alone = NetworkSpec.feed_forward(2, 1, neuron=NeuronSpec(v_threshold=threshold))
        alike = run(alone, Parameters((np.full((2, 1), 1.5),)))
        # Two kernels, whose last digits may differ: a few units in the last place.
        assert found.first_spike_times[0][:, [j]] == pytest.approx(
            alike.first_spike_times[0], abs=1e-12
        )
    told = found.parameters.neurons["output"]["v_threshold"]
    assert told.tolist() == thresholds.tolist() and not np.shares_memory(told, thresholds)


def test_a_substrate_refuses_them_by_name_before_anything_runs():
    assert Feature.NEURON_PARAMETERS not in get_backend("pynn-brainscales2").capabilities.features
    network = NetworkSpec.feed_forward(2, 3)
    own = {"output": {"tau_mem": np.ones(3)}}
    over = {"name": "emulated-chip", "solver": "event"}
    with get_backend("partitioned", over=over).open(network, seed=1) as session:
        with pytest.raises(CapacityError, match=r"tau_mem of output\): .*\(feature neuron-param"):
            session.run(Parameters((np.ones((2, 3)),), neurons=own), INPUTS)
        assert session.run([np.ones((2, 3))], INPUTS).info.trial == 0


def test_a_substrate_that_forgets_them_is_found_out():
    network, held = loop(), parameters(loop(), tau_mem=np.full(3, 2.0))
    asked = Spikes.from_first(INPUTS)
    capabilities = get_backend("ideal").capabilities
    check_trains(run(network, held), network, asked, held, capabilities)
    with pytest.raises(RunFailed, match=r"neurons_used of \{\}; expected .*memory.tau_mem.*\(3,\)"):
        check_trains(run(network, parameters(network)), network, asked, held, capabilities)
