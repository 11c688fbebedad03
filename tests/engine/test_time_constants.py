"""Gradients of time constants: differences of spike trains, closed forms, equal constants."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hxloop.activity import Spikes
from hxloop.engine.compiled.time_constants import kernel_slopes
from hxloop.engine.psp import psp
from hxloop.engine.spike_gradient import spike_gradients
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec, Parameters
from tests.engine.networks import KINDS, drawn_network, drawn_neurons, drawn_parameters, few_inputs
from tests.engine.test_spike_gradients import difference, fields_of, loss_and_gradient

TAUS = ("tau_mem", "tau_syn_exc", "tau_syn_inh")


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.999999, 1.0, 1.000001, 1.7, 20.0])
@pytest.mark.parametrize("t", [1e-6, 0.01, 0.3, 2.0, 30.0])
def test_slopes_of_the_kernel_are_its_derivatives(ratio, t):
    taus = torch.tensor([ratio, 1.0], dtype=torch.float64)
    mem, syn = kernel_slopes(t, ratio, 1.0)
    for own, place in ((mem, 0), (syn, 1)):
        step = 1e-4 * float(taus[place])
        values = []
        for k in (1, -1, 2, -2):
            moved = taus.clone()
            moved[place] += k * step
            values.append(float(psp(torch.tensor(t, dtype=torch.float64), *moved)))
        found = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * step)
        assert abs(found - own) <= 1e-7 * abs(own) + 1e-13


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", [False, True])
def test_gradients_are_differences(kind, loop):
    rng = np.random.default_rng(12)
    network = drawn_network(kind, loop)
    neurons = drawn_neurons(rng, network, two_currents=True)
    neurons = [NeuronParameters(**{**fields_of(n), "v_threshold": np.ones(n.n_neurons)})
               for n in neurons]  # fmt: skip
    parameters, inputs = drawn_parameters(rng, network), few_inputs(rng, network, batch=6)
    recorded, plain, loss = loss_and_gradient(network, parameters, inputs, neurons)
    of_spikes = [np.cos(1.3 * np.arange(spikes.n_spikes)) for spikes in recorded]
    found = spike_gradients(
        network, parameters, inputs, recorded, of_spikes, neurons, time_constants=True
    )
    assert plain.time_constants == ()
    assert all((a == b).all() for a, b in zip(plain.weights, found.weights, strict=True))
    checked = 0
    for p, layer in enumerate(network.layers):
        for j in range(layer.n_neurons):
            for column, name in enumerate(TAUS):

                def with_tau(step, p=p, j=j, name=name):
                    values = {**fields_of(neurons[p])}
                    values[name] = values[name].copy()
                    values[name][j] += step
                    moved = NeuronParameters(**values)
                    return {"neurons": [*neurons[:p], moved, *neurons[p + 1 :]]}

                expected = difference(loss, with_tau)
                if expected is not None:
                    own = found.time_constants[p][j, column]
                    assert abs(own - expected) <= 1e-6 * (1 + abs(expected))
                    checked += 1
    assert checked >= 12


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.0])
def test_equal_currents_are_one(ratio):
    """Both synaptic time constants of a nominal neuron move together."""
    spec = NetworkSpec.feed_forward(3, 5, neuron=NeuronSpec(tau_mem=ratio, t_refractory=0.2))
    rng = np.random.default_rng(3)
    parameters = Parameters((rng.normal(1.5, 1.5, (3, 5)),))
    inputs = few_inputs(rng, spec, batch=8)
    recorded = spike_trains(spec, parameters, inputs)
    assert recorded[0].n_spikes > 10
    of_spikes = [rng.normal(size=recorded[0].n_spikes)]
    (one,) = parameters.layers(spec)
    one_gradient = spike_gradients(
        spec, parameters, inputs, recorded, of_spikes, time_constants=True
    )
    # Two currents that decay nearly alike.
    apart = NeuronParameters(**{**fields_of(one), "tau_syn_inh": one.tau_syn_inh * (1 + 1e-12)})
    two = spike_gradients(
        spec, parameters, inputs, recorded, of_spikes, [apart], time_constants=True
    )
    mine, theirs = one_gradient.time_constants[0], two.time_constants[0]
    np.testing.assert_allclose(mine[:, 0], theirs[:, 0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(mine[:, 1], theirs[:, 1:].sum(axis=1), rtol=1e-8, atol=1e-10)
    assert not mine[:, 2].any()


def test_what_does_not_rise_passes_nothing_on():
    spec = NetworkSpec.feed_forward(1, 1)
    recorded = [Spikes.from_events([0], [0], [3.9], batch=1, n_units=1)]
    found = spike_gradients(
        spec, Parameters((np.array([[1.0]]),)), Spikes.from_first(np.array([[0.5]])), recorded,
        [np.ones(1)], time_constants=True,
    )  # fmt: skip
    assert not found.time_constants[0].any()
