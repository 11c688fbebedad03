"""All spikes of a network: against the reference, an integrator of the equations, and itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hxloop.activity import Spikes
from hxloop.engine import first_spike_times
from hxloop.engine.spike_train_reference import spike_trains_of_sample
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec, Parameters
from tests.engine.networks import KINDS, drawn_network, drawn_neurons, drawn_parameters, few_inputs


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(KINDS),
    loop=st.booleans(),
    two_currents=st.booleans(),
)
def test_spikes_are_those_of_the_reference(seed, kind, loop, two_currents):
    """Ratios of time constants from 0.05 to 20, refractory times from 0, leak above threshold."""
    rng = np.random.default_rng(seed)
    network = drawn_network(kind, loop)
    neurons = drawn_neurons(rng, network, two_currents)
    parameters = drawn_parameters(rng, network)
    inputs = few_inputs(rng, network, batch=1)
    try:
        slow = spike_trains_of_sample(
            network, parameters, list(zip(inputs.times, inputs.units, strict=True)), neurons, 40
        )
    except RuntimeError:  # a burst without end; the reference would take minutes
        return
    fast = spike_trains(network, parameters, inputs, neurons)
    for ours, theirs in zip(fast, slow, strict=True):
        assert ours.units.tolist() == [unit for _, unit in theirs]
        times = np.array([time for time, _ in theirs])
        # Loops carry errors on: each spike is as exact as those that made it.
        assert np.allclose(ours.times, times, rtol=0, atol=1e-9)


@pytest.mark.parametrize("two_currents", [False, True])
def test_spikes_are_those_of_the_integrated_equations(two_currents):
    """An integrator of the differential equations (not their solution), for one busy neuron."""
    rng = np.random.default_rng(3)
    tau_inh = 0.6 if two_currents else 1.0
    neuron = NeuronParameters(
        tau_mem=[1.7], tau_syn_exc=[1.0], tau_syn_inh=[tau_inh], v_threshold=[1.0],
        v_leak=[0.1], v_reset=[-0.3], t_refractory=[0.25],
    )  # fmt: skip
    times, weights = np.sort(rng.random(9) * 4), rng.normal(1.5, 2.0, 9)
    network = NetworkSpec.feed_forward(9, 1, neuron=NeuronSpec(t_refractory=1.0), t_window=6.0)
    parameters = Parameters((weights[:, None],))
    found = spike_trains(network, parameters, Spikes.from_first(times[None]), [neuron])[0].times

    def slope(t, y):
        return [y[1] + y[2] - (y[0] - 0.1) / 1.7, -y[1], -y[2] / tau_inh]

    def crosses(t, y):
        return y[0] - 1.0

    crosses.terminal, crosses.direction = True, 1
    state, now, held, expected = [0.1, 0.0, 0.0], 0.0, 0.0, []
    arrivals = list(zip(times, weights, strict=True))
    while now < 6.0:
        until = min(arrivals[0][0] if arrivals else 6.0, 6.0)
        if held > now:  # the currents go on alone
            until = min(until, held)
            state = [
                -0.3,
                state[1] * np.exp(now - until),
                state[2] * np.exp((now - until) / tau_inh),
            ]
        elif until > now:
            way = solve_ivp(
                slope, (now, until), state, "DOP853", rtol=1e-12, atol=1e-13, events=crosses
            )
            state, until = list(way.y[:, -1]), float(way.t[-1])
            if way.status == 1:
                expected.append(until)
                held, state[0] = until + 0.25, -0.3
        now = until
        if arrivals and now == arrivals[0][0]:
            weight = arrivals.pop(0)[1]
            state[1 if weight > 0 else 2] += weight
    assert len(expected) >= 4
    assert np.allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 0.37])
def test_neurons_that_spike_once_are_those_of_the_first_spike_engine(ratio):
    rng = np.random.default_rng(1)
    network = NetworkSpec.feed_forward(6, 20, 4, neuron=NeuronSpec(tau_mem=ratio))
    weights = [rng.normal(1.0, 1.0, shape) for shape in network.shapes]
    times = rng.random((30, 6)) * 2
    found = spike_trains(network, Parameters(tuple(weights)), Spikes.from_first(times))
    previous = torch.from_numpy(times)
    for spikes, matrix, layer in zip(found, weights, network.layers, strict=True):
        previous = first_spike_times(
            previous, torch.from_numpy(matrix), layer.neuron, network.t_window
        )
        assert spikes.once
        assert (np.isinf(spikes.first) == np.isinf(previous.numpy())).all()
        spiked = np.isfinite(spikes.first)
        assert spiked.any()
        assert np.abs(spikes.first[spiked] - previous.numpy()[spiked]).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", [False, True])
def test_a_sample_does_not_depend_on_its_batch(kind, loop):
    rng = np.random.default_rng(5)
    network = drawn_network(kind, loop)
    parameters, inputs = drawn_parameters(rng, network), few_inputs(rng, network, batch=7)
    whole = spike_trains(network, parameters, inputs)
    for sample in range(7):
        alone = spike_trains(network, parameters, inputs.select([sample]))
        assert all(a == b.select([sample]) for a, b in zip(alone, whole, strict=True))


def test_a_neuron_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(6)
    spiking = NeuronSpec(t_refractory=0.2)
    weights, times = rng.normal(1.5, 1.0, (5, 40)), rng.random((10, 5)) * 3
    inputs = Spikes.from_first(times)
    wide = NetworkSpec.feed_forward(5, 40, neuron=spiking)
    many = spike_trains(wide, Parameters((weights,)), inputs)[0]
    one = NetworkSpec.feed_forward(5, 1, neuron=spiking)
    for j in (0, 17, 39):
        alone = spike_trains(one, Parameters((weights[:, j : j + 1],)), inputs)[0]
        chosen = many.units == j
        assert (alone.times == many.times[chosen]).all() and alone.n_spikes


def test_what_does_not_stop_is_told_by_name():
    network = NetworkSpec.feed_forward(1, 2, neuron=NeuronSpec(t_refractory=0.0), t_window=8.0)
    parameters = Parameters((np.array([[1.0, 1e6]]),))
    with pytest.raises(RunInputError, match=r"does not stop.*more than 50 spik.*neuron 1 of outp"):
        spike_trains(network, parameters, Spikes.from_first([[0.5]]), max_spikes=50)


def test_a_neuron_at_rest_above_threshold_fires_by_itself():
    """Leak 1 above a threshold 0.5, reset 0: it comes back after log 2 membrane times."""
    network = NetworkSpec.feed_forward(1, 1, neuron=NeuronSpec(t_refractory=0.25), t_window=4.0)
    neuron = NeuronParameters(
        tau_mem=[1.0], tau_syn_exc=[1.0], tau_syn_inh=[1.0], v_threshold=[0.5], v_leak=[1.0],
        v_reset=[0.0], t_refractory=[0.25],
    )  # fmt: skip
    silent = Spikes.from_first([[np.inf]])
    found = spike_trains(network, Parameters((np.ones((1, 1)),)), silent, [neuron])[0].times
    assert np.allclose(found, np.arange(len(found)) * (0.25 + np.log(2)), rtol=0, atol=1e-12)
    assert len(found) == 5


def test_several_spikes_of_an_input_channel_and_equal_times():
    network = NetworkSpec.feed_forward(2, 1, neuron=NeuronSpec(t_refractory=0.5))
    together = Spikes.from_events([0, 0, 0], [0, 0, 1], [0.5, 1.0, 1.0], batch=1, n_units=2)
    found = spike_trains(network, Parameters((np.array([[2.0], [1.0]]),)), together)[0]
    one = NetworkSpec.feed_forward(3, 1, neuron=NeuronSpec(t_refractory=0.5))
    apart = spike_trains(
        one, Parameters((np.array([[2.0], [2.0], [1.0]]),)), Spikes.from_first([[0.5, 1.0, 1.0]])
    )[0]
    assert found == apart and found.n_spikes >= 1
    assert Parameters(()).layers(network)[0].t_refractory[0] == 0.5
