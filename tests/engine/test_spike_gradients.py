"""Gradients at recorded spike trains: differences, symmetries, what the model cannot explain."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hxloop.activity import Spikes
from hxloop.engine import recorded_spike_times
from hxloop.engine.gradient import GradientCounts
from hxloop.engine.spike_gradient import SpikeGradients, spike_gradients
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec, Parameters
from tests.engine.networks import KINDS, drawn_network, drawn_neurons, drawn_parameters, few_inputs

STEP = 1e-5


def loss_and_gradient(network, parameters, inputs, neurons):
    """A loss of all spike times, whose gradient is known; None where spikes come or go."""
    recorded = spike_trains(network, parameters, inputs, neurons)
    of_spikes = [np.cos(1.3 * np.arange(spikes.n_spikes)) for spikes in recorded]
    gradients = spike_gradients(network, parameters, inputs, recorded, of_spikes, neurons)

    def loss(parameters=parameters, inputs=inputs, neurons=neurons) -> float | None:
        moved = spike_trains(network, parameters, inputs, neurons)
        for old, new in zip(recorded, moved, strict=True):
            if not (old.n_spikes == new.n_spikes and (old.count == new.count).all()):
                return None
        total = 0.0
        for old, new, grads in zip(recorded, moved, of_spikes, strict=True):
            # Spikes of different neurons may overtake one another.
            a = np.lexsort((old.times, old.units, old.samples))
            b = np.lexsort((new.times, new.units, new.samples))
            total += float((grads[a] * new.times[b]).sum())
        return total

    return recorded, gradients, loss


def difference(loss, change) -> float | None:
    """Central difference of fourth order, or None where a spike comes or goes."""
    values = [loss(**change(k * STEP)) for k in (1, -1, 2, -2)]
    if None in values:
        return None
    return (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * STEP)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("two_currents", [False, True])
def test_gradients_are_differences(kind, loop, two_currents):
    """Weights, delays, input times, thresholds and resets, of unequal neurons."""
    rng = np.random.default_rng(12)
    network = drawn_network(kind, loop)
    neurons = drawn_neurons(rng, network, two_currents)
    # At rest above its threshold a neuron fires for ever; that has its own test.
    neurons = [NeuronParameters(**{**fields_of(n), "v_threshold": np.ones(n.n_neurons)})
               for n in neurons]  # fmt: skip
    parameters, inputs = drawn_parameters(rng, network), few_inputs(rng, network, batch=6)
    recorded, gradients, loss = loss_and_gradient(network, parameters, inputs, neurons)
    assert sum(spikes.n_spikes for spikes in recorded) >= 8
    checked = 0

    def compare(expected: float, change) -> None:
        nonlocal checked
        found = difference(loss, change)
        if found is not None:
            assert abs(found - expected) <= 1e-6 * (1 + abs(found)), (found, expected)
            checked += 1

    def with_weight(i, place, step):
        changed = parameters.copy()
        changed.weights[i][place] += step
        return {"parameters": changed}

    def with_delay(i, place, step):
        changed = parameters.copy()
        changed.delays[i][place] += step
        return {"parameters": changed}

    def with_time(k, step):
        times = inputs.times.copy()
        times[k] += step
        return {"inputs": Spikes.trusted(times, inputs.units, inputs.offsets, inputs.n_units)}

    def with_neuron(p, name, j, step):
        values = {**fields_of(neurons[p])}
        values[name] = values[name].copy()
        values[name][j] += step
        return {"neurons": [*neurons[:p], NeuronParameters(**values), *neurons[p + 1 :]]}

    for i, matrix in enumerate(parameters.weights):
        for place in np.ndindex(*matrix.shape):
            compare(gradients.weights[i][place], lambda s, i=i, p=place: with_weight(i, p, s))
        if parameters.delays[i] is not None:
            for place in np.ndindex(*parameters.delays[i].shape):
                compare(gradients.delays[i][place], lambda s, i=i, p=place: with_delay(i, p, s))
    for k in range(inputs.n_spikes):
        compare(gradients.inputs[k], lambda s, k=k: with_time(k, s))
    for p, layer in enumerate(network.layers):
        for j in range(layer.n_neurons):
            for name, of in (("v_threshold", "thresholds"), ("v_reset", "resets")):
                compare(
                    getattr(gradients, of)[p][j],
                    lambda s, p=p, n=name, j=j: with_neuron(p, n, j, s),
                )
    assert checked >= 30


def fields_of(neurons: NeuronParameters) -> dict[str, np.ndarray]:
    return {name: getattr(neurons, name) for name in NeuronParameters.__dataclass_fields__}


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_of_all_inputs_shifts_every_spike(kind, loop):
    rng = np.random.default_rng(2)
    network = drawn_network(kind, loop)
    parameters, inputs = drawn_parameters(rng, network), few_inputs(rng, network, batch=2)
    recorded = spike_trains(network, parameters, inputs)
    for population, spikes in enumerate(recorded):
        assert spikes.n_spikes
        for k in range(spikes.n_spikes):
            of_spikes = [np.zeros(each.n_spikes) for each in recorded]
            of_spikes[population][k] = 1.0
            found = spike_gradients(network, parameters, inputs, recorded, of_spikes)
            assert abs(found.inputs.sum() - 1) < 1e-10


def test_it_is_the_gradient_of_the_first_spike_engine_where_neurons_spike_once():
    rng = np.random.default_rng(4)
    network = NetworkSpec.feed_forward(5, 12, 3, neuron=NeuronSpec(tau_mem=1.6))
    parameters = Parameters(tuple(rng.normal(1.0, 1.0, shape) for shape in network.shapes))
    inputs = Spikes.from_first(rng.random((20, 5)) * 2)
    recorded = spike_trains(network, parameters, inputs)
    upstream = [np.zeros(recorded[0].n_spikes), rng.normal(size=recorded[1].n_spikes)]
    for cap in (None, 0.5):
        counts, other = GradientCounts(), GradientCounts()
        found = spike_gradients(
            network, parameters, inputs, recorded, upstream, max_dw_norm=cap, counts=counts
        )
        times = torch.from_numpy(inputs.first.copy()).requires_grad_()
        weights = [torch.from_numpy(w.copy()).requires_grad_() for w in parameters]
        layer = times
        for matrix, spikes, spec in zip(weights, recorded, network.layers, strict=True):
            layer = recorded_spike_times(
                layer, matrix, torch.from_numpy(spikes.first), spec.neuron, max_dw_norm=cap,
                counts=other,
            )  # fmt: skip
        output = layer[torch.from_numpy(recorded[1].samples), torch.from_numpy(recorded[1].units)]
        (output * torch.from_numpy(upstream[1])).sum().backward()
        for a, b in zip(found.weights, weights, strict=True):
            assert np.allclose(a, b.grad.numpy(), rtol=1e-10, atol=1e-12)
        of_inputs = times.grad.numpy()[inputs.samples, inputs.units]
        assert np.allclose(found.inputs, of_inputs, rtol=1e-10, atol=1e-12)
        assert counts == other and (counts.n_capped > 0) == (cap is not None)


def test_spikes_that_the_model_cannot_explain_are_counted_and_pass_nothing_on():
    network = NetworkSpec.feed_forward(1, 1, neuron=NeuronSpec(t_refractory=1.0))
    inputs = Spikes.from_first([[0.5]])
    # Before any input; while it is held; and when the membrane has long been falling.
    recorded = Spikes.from_events([0, 0, 0, 0], [0] * 4, [0.25, 0.8, 1.6, 5.9], batch=1, n_units=1)
    counts = GradientCounts()
    found = spike_gradients(
        network, Parameters((np.array([[3.0]]),)), inputs, [recorded], [np.ones(4)], counts=counts
    )
    assert counts.n_spikes == 4 and counts.n_not_rising == 4
    assert found.weights[0] == 0 and found.inputs == 0


def test_recorded_times_need_not_be_those_of_the_model():
    """A measured spike moves with the membrane that was there when it came."""
    network = NetworkSpec.feed_forward(1, 1, neuron=NeuronSpec(t_refractory=0.5))
    inputs, weight = Spikes.from_first([[0.0]]), 5.0
    late = Spikes.from_first([[0.4]])  # the model's is at 0.26
    found = spike_gradients(
        network, Parameters((np.array([[weight]]),)), inputs, [late], [np.ones(1)]
    )
    kernel, slope = 0.4 * np.exp(-0.4), weight * np.exp(-0.4) * (1 - 0.4)
    assert np.allclose(found.weights[0], -kernel / slope, rtol=1e-12)
    assert np.allclose(found.thresholds[0], 1 / slope, rtol=1e-12)
    assert isinstance(found, SpikeGradients) and found.resets[0].shape == (1,)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_it(threads):
    rng = np.random.default_rng(8)
    network = drawn_network("axonal", True, sizes=(30, 10))
    parameters, inputs = drawn_parameters(rng, network), few_inputs(rng, network, batch=40)
    parameters = Parameters(tuple(w * 0.3 for w in parameters.weights), parameters.delays)
    recorded = spike_trains(network, parameters, inputs)
    of_spikes = [np.ones(spikes.n_spikes) for spikes in recorded]
    found = spike_gradients(network, parameters, inputs, recorded, of_spikes)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        again = spike_trains(network, parameters, inputs)
        assert all(a == b for a, b in zip(recorded, again, strict=True))
        other = spike_gradients(network, parameters, inputs, recorded, of_spikes)
    finally:
        torch.set_num_threads(before)
    assert np.allclose(found.weights[0], other.weights[0], rtol=1e-12, atol=1e-12)
    assert (found.inputs == other.inputs).all()
