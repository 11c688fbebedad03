"""The loop for networks of every kind: all spikes, with gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, get_backend
from hxloop.activity import Spikes
from hxloop.errors import NetworkError, RunFailed, RunInputError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.training.trains import recorded_spike_trains
from tests.engine.networks import drawn_network, drawn_parameters, few_inputs

RNG = np.random.default_rng


def opened(network, parameters, **options) -> LoopNetwork:
    return LoopNetwork(get_backend("ideal").open(network), parameters, **options)


def test_gradients_of_weights_delays_and_inputs_pass_gradcheck():
    network = drawn_network("synaptic", loop=True, sizes=(3, 2))
    rng = RNG(2)
    drawn = drawn_parameters(rng, network)
    parameters = Parameters((abs(drawn[0]) + 2, *drawn.weights[1:]), drawn.delays)
    loop = opened(network, parameters)
    times = torch.tensor(rng.random((2, 3)) * 2, requires_grad=True)

    def run(times, *values):
        for own, value in zip((*loop.weights, *loop.delays), values, strict=True):
            own.data = value.detach()
        _, activity = loop.trains(times)
        # Through the tensors that gradcheck follows, at the values it has set.
        n = len(loop.weights)
        found = recorded_spike_trains(network, activity, values[:n], values[n:], input_times=times)
        return tuple(train.times for train in found)

    values = [each.detach().clone().requires_grad_() for each in (*loop.weights, *loop.delays)]
    assert all(len(each) >= 2 for each in run(times, *values))
    assert torch.autograd.gradcheck(run, (times, *values), eps=1e-6, atol=1e-5)


def test_forward_gives_first_spikes_of_the_output():
    network = drawn_network("axonal", loop=True)
    rng = RNG(3)
    loop = opened(network, drawn_parameters(rng, network))
    inputs = few_inputs(rng, network, batch=4)
    output, activity = loop(inputs)
    assert (output.detach().numpy() == activity.spikes[1].first).all()
    output[torch.isfinite(output)].sum().backward()
    assert all(float(each.grad.abs().sum()) > 0 for each in (*loop.weights, *loop.delays))


def test_a_chain_is_the_same_either_way():
    """Inputs that spike once, as an array and as a list of spikes."""
    network = NetworkSpec.feed_forward(3, 8, 2)
    rng = RNG(4)
    weights = [rng.normal(1.5, 1.0, shape) for shape in network.shapes]
    times = rng.random((6, 3))
    found = []
    for inputs in (times, Spikes.from_first(times)):
        loop = opened(network, weights)
        output, _ = loop(inputs)
        torch.where(torch.isfinite(output), output, 0.0).sum().backward()
        found.append((output.detach().numpy(), *(w.grad.numpy() for w in loop.weights)))
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_delays_stay_above_the_shortest():
    network = NetworkSpec(
        2,
        NetworkSpec.feed_forward(2, 3).layers,
        projections=(Projection("input", "output", delays="axonal", min_delay=0.25),),
    )
    loop = opened(network, Parameters((np.ones((2, 3)),), (np.array([0.3, 0.5]),)))
    with torch.no_grad():
        loop.delays[0] -= 0.2
    assert loop.enforce_delays() == 1
    assert loop.delays[0].tolist() == [0.25, pytest.approx(0.3)]
    other = loop.with_session(loop.session)
    assert other.parameters_held().digest == loop.parameters_held().digest
    assert set(loop.state_dict()) == {"weights.0", "delays.0"}


def test_dales_law_holds_for_every_projection_out_of_a_population():
    network = drawn_network(None, loop=True)
    layers = tuple(replace(layer, n_inhibitory=0) for layer in network.layers[1:])
    first = Population("a", 4, network.layers[0].neuron, n_inhibitory=1)
    network = replace(network, layers=(first, *layers))
    loop = opened(network, Parameters(tuple(np.ones(shape) for shape in network.shapes)))
    assert loop.enforce_dale() == 3 + 4  # the one inhibitory neuron, to b and to a
    assert float(loop.weights[2][3].detach().abs().sum()) == 0


class Odd:
    """A session that changes what another one returns."""

    def __init__(self, session, change) -> None:
        self.session, self.change = session, change

    def __getattr__(self, name):
        return getattr(self.session, name)

    def run(self, *arguments, **options):
        return self.change(self.session.run(*arguments, **options))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: "spikes", "returned str; expected an Activity"),
        (lambda a: replace(a, spike_trains=a.spike_trains[:1]), "expected .3, 4, 3."),
        (lambda a: replace(a, spike_trains=tuple(s.select([0]) for s in a.spike_trains)),
         "1 samples of a; expected 2"),
        (lambda a: replace(a, spike_trains=moved(a, 100.0)), "expected times between 0 and"),
        (lambda a: replace(a, spike_trains=moved(a, np.nan)), "expected times between 0 and"),
        (lambda a: replace(a, spike_trains=turned(a)), "not sorted by time"),
        (lambda a: replace(a, weights_used=tuple(-w for w in a.weights_used)), "the same sign"),
        (lambda a: replace(a, delays_used=(None,) * 4), "delays_used of shapes"),
    ],
)  # fmt: skip
def test_impossible_trains_are_refused(change, message):
    network = drawn_network("axonal", loop=True)
    rng = RNG(5)
    with get_backend("ideal").open(network) as session:
        loop = LoopNetwork(Odd(session, change), drawn_parameters(rng, network))
        with pytest.raises(RunFailed, match=message):
            loop.trains(few_inputs(rng, network, batch=2))


def moved(activity, by):
    first, *rest = activity.spike_trains
    return (Spikes.trusted(first.times + by, first.units, first.offsets, first.n_units), *rest)


def turned(activity):
    first, *rest = activity.spike_trains
    return (
        Spikes.trusted(first.times[::-1].copy(), first.units, first.offsets, first.n_units),
        *rest,
    )


def test_what_does_not_fit_is_told_before_anything_runs():
    network = drawn_network("axonal", loop=True)
    good = drawn_parameters(RNG(6), network)
    with pytest.raises(NetworkError, match=r"LoopNetwork: delays\[0\]"):
        opened(network, good.weights)
    with pytest.raises(RunInputError, match="expected spikes of 3 channels; got 2"):
        opened(network, good).trains(np.zeros((1, 2)))
    chain = NetworkSpec.feed_forward(2, 3, neuron=NeuronSpec(t_refractory=0.5))
    loop = opened(chain, [np.full((2, 3), 4.0)])
    trains, _ = loop.trains(np.array([[0.1, 0.2]]))
    with pytest.raises(RunInputError, match="expected finite numbers; got inf at the spike of"):
        (trains[0].times * np.inf).sum().backward()
