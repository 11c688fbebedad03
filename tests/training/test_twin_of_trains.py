"""The digital twin of networks whose neurons spike again, with loops, delays and read-outs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork
from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.errors import NetworkError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.training.twin import digital_twin

AGAIN = NeuronSpec(t_refractory=0.5, v_reset=-0.2)
# Fixed pattern alone, as large as it is, and nothing rounded: the model is exact.
IMPERFECTIONS = {"preset": "uncalibrated", "threshold_trial": 0.0, "dead": 0.0}
OPTIONS = {"quantise_weights": False, "quantise_times": False, "solver": "event"}
SHORTEST = 1.4


def chip(**options):
    values = IMPERFECTIONS | options.pop("imperfections", {})
    return EmulatedChipBackend(chip=3, imperfections=values, **OPTIONS, **options)


def network(neuron=AGAIN, delays=None, readout=False, window=4.0):
    late = {} if delays is None else {"delays": delays, "min_delay": SHORTEST}
    output = NeuronSpec(v_threshold=np.inf) if readout else neuron
    return NetworkSpec(
        4,
        (Population("a", 5, neuron), Population("b", 3, output)),
        t_window=window,
        projections=(
            Projection("input", "a", **late),
            Projection("a", "a"),
            Projection("a", "b"),
            Projection("input", "b"),
        ),
    )


def drawn(spec, seed=0):
    rng = np.random.default_rng(seed)
    weights = [
        rng.normal(mean / pre, 0.5 / pre, (pre, post))
        for mean, (pre, post) in zip((5.0, 0.3, 3.0, 2.0), spec.shapes, strict=True)
    ]
    delays = [
        None if shape is None else rng.uniform(SHORTEST, 2.5, shape) for shape in spec.delay_shapes
    ]
    return Parameters(tuple(weights), tuple(delays)), rng.uniform(0, 1, (6, 4))


def checked(backend, spec, loss_of):
    """Gradients of the twin and of nominal neurons against differences of the chip itself."""
    parameters, times = drawn(spec)
    with backend.open(spec, seed=0) as session:
        truth = backend.parameters_at(spec)
        models = [
            LoopNetwork(session, parameters, twin=digital_twin(session, truth)),
            LoopNetwork(session, parameters),
        ]
        found, counts = [], None
        for model in models:
            loss, counts = loss_of(model, times)
            loss.backward()
            every = (*model.weights, *model.delays)
            found.append(np.concatenate([each.grad.numpy().ravel() for each in every]))
        model, numeric = models[0], []
        with torch.no_grad():
            for each in (*model.weights, *model.delays):
                flat = each.view(-1)
                for k in range(len(flat)):
                    was, ends = flat[k].item(), []
                    for step in (1e-5, -1e-5):
                        flat[k] = was + step
                        value, same = loss_of(model, times)
                        assert (same == counts).all()
                        ends.append(value.item())
                    flat[k] = was
                    numeric.append((ends[0] - ends[1]) / 2e-5)
    scale = np.abs(numeric).max()
    np.testing.assert_allclose(found[0], numeric, atol=2e-5 * scale)
    assert np.abs(found[1] - numeric).max() > 0.02 * scale
    return counts


def of_all_spikes(model, times):
    trains, activity = model.trains(times, 0)
    loss = sum((each.times**2).sum() for each in trains)
    return loss, np.concatenate([each.count.ravel() for each in activity.spikes])


def of_membranes(model, times):
    highest, activity = model.output(times, 0, reads="membrane")
    return (highest**2).sum(), activity.spikes[0].count


def test_of_several_spikes_in_a_loop():
    backend = chip(imperfections={"t_refractory": 0.0})
    assert checked(backend, network(), of_all_spikes).max() > 1


def test_with_delay_neurons():
    backend = chip(imperfections={"t_refractory": 0.0, "delay_jitter": 0.0}, delay_neurons=True)
    checked(backend, network(NeuronSpec(), "axonal", window=8.0), of_all_spikes)


def test_of_membranes_of_read_outs():
    """A read-out is the host's, of nominal neurons; the spikes that it reads are the chip's."""
    checked(chip(imperfections={"t_refractory": 0.0}), network(readout=True), of_membranes)


def test_of_first_spikes_it_is_that_of_the_chain():
    spec = NetworkSpec.feed_forward(4, 5, 3, t_window=4.0)
    rng = np.random.default_rng(1)
    weights, times = (
        [rng.normal(6.0 / s[0], 0.5, s) for s in spec.shapes],
        rng.uniform(0, 1, (6, 4)),
    )
    backend, found = chip(), []
    with backend.open(spec, seed=0) as session:
        twin = digital_twin(session, backend.parameters_at(spec))
        for trains in (False, True):
            model = LoopNetwork(session, weights, twin=twin)
            first = model.trains(times, 0)[0][-1].first if trains else model(times, 0)[0]
            first[torch.isfinite(first)].sum().backward()
            found.append([w.grad.numpy().copy() for w in model.weights])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9 * np.abs(one).max())


def test_a_twin_of_another_network_is_refused():
    backend = chip()
    with backend.open(network(), seed=0) as session:
        twin = digital_twin(session, backend.parameters_at(network()))
    with (
        backend.open(NetworkSpec.feed_forward(4, 5, 3), seed=0) as session,
        pytest.raises(
            NetworkError, match=r"expected layers of shapes \[\(4, 5\), \(5, 3\)\].*\(9, 5"
        ),
    ):
        LoopNetwork(session, [np.ones((4, 5)), np.ones((5, 3))], twin=twin)
