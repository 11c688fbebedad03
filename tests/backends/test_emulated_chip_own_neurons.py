"""What neurons are to have each for itself, on circuits of an emulated chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, get_backend
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import CapacityError
from hxloop.network import Feature, NetworkSpec, Parameters
from tests.backends.chip_trains import CHAIN, LOOP, assert_same_trains, drawn_inputs, drawn_weights
from tests.calibration.calibrated_chip import calibrated, faulty_chip

EXACT = {"quantise_times": False, "quantise_weights": False}
QUIET = {"imperfections": {"preset": "uncalibrated", "threshold_trial": 0.0, "spike_jitter": 0.0},
         **EXACT}  # fmt: skip


def own_of(network: NetworkSpec, seed: int = 3) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    ranges = {"tau_mem": (0.8, 1.8), "tau_syn": (0.8, 1.3), "v_threshold": (0.8, 1.3),
              "v_reset": (-0.5, 0.2)}  # fmt: skip
    return {
        each.name: {name: rng.uniform(*span, each.n_neurons) for name, span in ranges.items()}
        for each in network.populations
    }


def chip(**options: Any) -> Any:
    return get_backend("emulated-chip", chip=4, **{"solver": "event", **options})


@pytest.mark.parametrize("network", [CHAIN, LOOP], ids=["chain", "loop"])
def test_circuits_are_off_what_is_wanted_of_each_as_they_are_off_what_is_wanted_of_all(network):
    weights, inputs, own = drawn_weights(network), drawn_inputs(network), own_of(network)
    with chip(**QUIET).open(network, seed=1) as session:
        got = session.run(Parameters(tuple(weights), neurons=own), inputs, trial=0)
        nominal = session.placed
        circuits = [each.circuits[:, 0] for each in nominal]
        pattern = session.backend.chip_model(network).as_dict()
    layers = []
    for placed, wanted, at in zip(nominal, own.values(), circuits, strict=True):
        one = placed.parameters
        layers.append(type(one)(
            tau_mem=wanted["tau_mem"] * pattern["tau_mem"][at],
            tau_syn_exc=wanted["tau_syn"] * pattern["tau_syn_exc"][at],
            tau_syn_inh=wanted["tau_syn"] * pattern["tau_syn_inh"][at],
            v_threshold=wanted["v_threshold"] + pattern["v_threshold"][at],
            v_leak=one.v_leak,
            v_reset=wanted["v_reset"] + pattern["v_reset"][at],
            t_refractory=one.t_refractory,
        ))  # fmt: skip
    felt = [
        nominal[post].effective_weights(matrix, slice(first, first + len(matrix)))
        for matrix, (_, post), first in zip(weights, network.ends, _first(network), strict=True)
    ]
    expected = spike_trains(network, Parameters(tuple(felt)), inputs, layers)
    assert sum(spikes.n_spikes for spikes in expected) > 100
    for mine, exact in zip(got.spikes, expected, strict=True):
        assert (mine.count == exact.count).all()
        np.testing.assert_allclose(mine.times, exact.times, rtol=0, atol=1e-9)
    told = got.parameters.neurons
    assert all((told[p][name] == own[p][name]).all() for p in own for name in own[p])


def _first(network: NetworkSpec) -> list[int]:
    """Of each projection, the first of its rows among the inputs of its neurons."""
    taken = [0] * len(network.layers)
    found = []
    for (_, post), (pre, _) in zip(network.ends, network.shapes, strict=True):
        found.append(taken[post])
        taken[post] += pre
    return found


@pytest.mark.parametrize("imperfections", ["calibrated", "uncalibrated"])
def test_what_all_have_given_to_each_is_the_same_run_noise_included(imperfections):
    for network in (CHAIN, LOOP):
        weights, inputs = drawn_weights(network), drawn_inputs(network)
        nominal = {
            each.name: {name: np.full(each.n_neurons, getattr(each.neuron, name))
                        for name in ("tau_mem", "tau_syn", "v_threshold", "v_reset")}
            for each in network.populations
        }  # fmt: skip
        with chip(imperfections=imperfections).open(network, seed=1) as session:
            plain = session.run(weights, inputs, trial=5)
            given = session.run(Parameters(tuple(weights), neurons=nominal), inputs, trial=5)
            again = session.run(weights, inputs, trial=5)
        assert_same_trains(plain, given)
        assert_same_trains(plain, again)
        assert plain.info.lost_spikes == given.info.lost_spikes


def test_neurons_that_spike_once_have_their_first_spikes():
    network = NetworkSpec.feed_forward(6, 10, 3, t_window=4.0)
    weights, inputs = drawn_weights(network), np.random.default_rng(0).random((9, 6))
    ones = {"hidden": {"tau_mem": np.ones(10)}}
    with chip(imperfections="uncalibrated", **EXACT).open(network, seed=1) as session:
        plain = session.run(weights, inputs, trial=2)
        given = session.run(Parameters(tuple(weights), neurons=ones), inputs, trial=2)
    for mine, exact in zip(given.first_spike_times, plain.first_spike_times, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=0, atol=1e-9)


def test_both_solvers_take_them():
    weights, inputs, own = drawn_weights(LOOP), drawn_inputs(LOOP, 4), own_of(LOOP)
    given = Parameters(tuple(weights), neurons=own)
    found = []
    for options in ({"solver": "event"}, {"solver": "brian2", "codegen": "numpy", "dt": 1 / 200}):
        with chip(**{**QUIET, **options}).open(LOOP, seed=1) as session:
            found.append(session.run(given, inputs, trial=0))
    exact, stepped = found
    for one, other in zip(exact.spikes, stepped.spikes, strict=True):
        assert (one.count == other.count).mean() > 0.95
        both = np.isfinite(one.first) & np.isfinite(other.first)
        assert np.median(np.abs(one.first[both] - other.first[both])) < 1 / 200


def test_they_are_trained_in_the_loop():
    given = Parameters(tuple(drawn_weights(CHAIN)), neurons=own_of(CHAIN))
    rng = np.random.default_rng(1)
    inputs = rng.uniform(0, 1, (6, 6))
    with chip(imperfections="calibrated").open(CHAIN, seed=1) as session:
        network = LoopNetwork(session, given, train_neurons=["tau_mem", "output/v_threshold"])
        optimiser = torch.optim.Adam(
            [each for each in network.neurons.values() if each.requires_grad], lr=0.03
        )
        losses = []
        for step in range(25):
            (_, output), _ = network.trains(inputs, trial=step)
            first = output.first[torch.isfinite(output.first)]
            loss = ((first - 1.5) ** 2).mean()
            losses.append(float(loss.detach()))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            network.enforce_neurons()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.xdist_group("calibrated-chip")
def test_a_calibration_is_for_its_target_only():
    backend, given = (
        faulty_chip(),
        Parameters((np.ones((2, 3)),), neurons={"output": {"tau_mem": np.full(3, 1.2)}}),
    )
    network = NetworkSpec.feed_forward(2, 3)
    assert Feature.NEURON_PARAMETERS in backend.capabilities.features
    with backend.open(network, seed=1, calibration=calibrated()) as session:
        assert Feature.NEURON_PARAMETERS not in session.capabilities.features
        with pytest.raises(CapacityError, match=r"tau_mem of output\): .*\(feature neuron-param"):
            session.run(given, [[0.1, 0.2]])
        session.run(given.weights, [[0.1, 0.2]])
