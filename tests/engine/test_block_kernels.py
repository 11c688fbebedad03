"""Kernels of chains and of loops against each other, and what they sort by."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.engine.compiled.order import by_neuron, in_order
from hxloop.engine.gradient import GradientCounts
from hxloop.engine.spike_gradient import spike_gradients
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import (
    NetworkSpec,
    NeuronParameters,
    NeuronSpec,
    Parameters,
    Population,
    Projection,
)
from tests.engine.networks import KINDS, drawn_neurons, few_inputs

STEP = 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alike", [False, True])
def test_a_chain_is_a_loop_of_no_weight(kind, alike):
    """The one goes neuron by neuron, the other event by event."""
    rng = np.random.default_rng(7)
    population = Population("a", 12, NeuronSpec(tau_mem=1.4, t_refractory=0.2, v_reset=-0.1))
    into = Projection("input", "a", kind)
    chain = NetworkSpec(3, (population,), t_window=4.0, projections=(into,))
    loop = NetworkSpec(
        3, (population,), t_window=4.0, projections=(into, Projection("a", "a", "axonal"))
    )
    neurons = None if alike else drawn_neurons(rng, chain, two_currents=True)
    weights, none = rng.normal(1.2, 1.0, (3, 12)), np.zeros((12, 12))
    delays = None if chain.delay_shapes[0] is None else rng.random(chain.delay_shapes[0])
    inputs = few_inputs(rng, chain, batch=9)
    found = []
    for network, parameters in (
        (chain, Parameters((weights,), (delays,))),
        (loop, Parameters((weights, none), (delays, np.ones(12)))),
    ):
        (spikes,) = spike_trains(network, parameters, inputs, neurons)
        upstream, counts = [np.cos(np.arange(spikes.n_spikes))], GradientCounts()
        gradients = spike_gradients(
            network, parameters, inputs, [spikes], upstream, neurons, max_dw_norm=8.0,
            counts=counts, time_constants=True,
        )  # fmt: skip
        found.append((spikes, gradients, counts))
    (one, ours, counts), (other, theirs, counted) = found
    assert one.n_spikes > 30 and counts.n_capped > 0
    assert (one.units == other.units).all() and (one.offsets == other.offsets).all()
    assert np.allclose(one.times, other.times, rtol=0, atol=1e-12)
    assert counts == counted
    for name in ("inputs", "thresholds", "resets", "time_constants", "weights", "delays"):
        a, b = getattr(ours, name), getattr(theirs, name)
        a, b = (a, b) if name == "inputs" else (a[0], b[0])
        assert (a is None and b is None) or np.allclose(a, b, rtol=1e-8, atol=1e-9), name


RATIOS = (1.0, 1 + 1e-12, 1 + 1e-6, 1 - 5e-4, 1 + 5e-4, 1 + 2e-3, 0.9, 0.05, 2.0, 20.0)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("two_currents", [False, True])
@pytest.mark.parametrize("alike", [False, True])
def test_spikes_side_by_side_are_those_one_by_one(ratio, two_currents, alike):
    """Vectors of a chain against the neurons of a loop, which are looked at one by one: long
    bursts, one neuron more than a tile, grazed thresholds and some below rest."""
    rng = np.random.default_rng(int(1e3 * ratio))
    post = 65
    spread = 0.0 if alike else 0.3
    exc = np.exp(spread * rng.standard_normal(post))
    threshold = np.where(rng.random(post) < 0.1, rng.normal(0.0, 1.0, post), 1.0)
    neuron = NeuronParameters(
        tau_mem=exc * ratio, tau_syn_exc=exc, tau_syn_inh=0.6 * exc if two_currents else exc,
        v_threshold=threshold, v_leak=np.zeros(post),
        v_reset=threshold - np.abs(rng.normal(0.5, 0.7, post)) - 0.01,
        t_refractory=rng.choice([0.0, 0.05, 0.3, 2.0, np.inf], post),
    )  # fmt: skip
    population, into = Population("a", post, NeuronSpec(t_refractory=1.0)), Projection("input", "a")
    chain = NetworkSpec(4, (population,), t_window=6.0, projections=(into,))
    again = Projection("a", "a", "axonal")
    loop = NetworkSpec(4, (population,), t_window=6.0, projections=(into, again))
    inputs = Spikes.from_events(
        np.repeat([0, 1], 12), np.tile(np.arange(4), 6), rng.random(24) * 5, batch=2, n_units=4
    )
    weights = rng.normal(1.0, 2.0, (4, post)) / max(min(ratio, 3.0), 0.3)
    (found,) = spike_trains(chain, Parameters((weights,)), inputs, [neuron])
    both = Parameters((weights, np.zeros((post, post))), (None, np.ones(post)))
    (wanted,) = spike_trains(loop, both, inputs, [neuron])
    assert found.n_spikes > 200 and (found.count == wanted.count).all()
    for spikes in (found, wanted):  # those of nearly one moment may come in either order
        assert (np.diff(spikes.times) >= 0)[np.diff(spikes.samples) == 0].all()
    by_neuron = [np.lexsort((spikes.times, spikes.cells)) for spikes in (found, wanted)]
    a, b = found.times[by_neuron[0]], wanted.times[by_neuron[1]]
    assert np.allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("loop", [False, True])
def test_neurons_that_are_not_held_have_the_gradient_of_differences(loop):
    """Without a refractory time a spike is also the release after it, and in a loop without
    delays an arrival, all of one moment."""
    population = Population("a", 1, NeuronSpec(t_refractory=0.0, v_reset=-0.3))
    projections = [Projection("input", "a")] + [Projection("a", "a")] * loop
    network = NetworkSpec(2, (population,), t_window=4.0, projections=tuple(projections))
    inputs = Spikes.from_first([[0.3, 1.0]])
    loops = (np.array([[0.1]]),) * loop

    def run(change: float) -> tuple[Parameters, Spikes]:
        parameters = Parameters((np.array([[6.0 + change], [4.0]]), *loops))
        return parameters, spike_trains(network, parameters, inputs)[0]

    (parameters, recorded), up, down = run(0.0), run(STEP)[1], run(-STEP)[1]
    assert recorded.n_spikes == up.n_spikes == down.n_spikes >= 5
    for k, difference in enumerate((up.times - down.times) / (2 * STEP)):
        upstream = np.zeros(recorded.n_spikes)
        upstream[k] = 1.0
        found = spike_gradients(network, parameters, inputs, [recorded], [upstream])
        assert abs(found.weights[0][0, 0] - difference) <= 1e-8, k
        assert abs(found.inputs.sum() - 1) < 1e-10


def test_spikes_of_one_moment_are_in_the_order_of_their_neurons():
    """More of them than a bucket holds."""
    network = NetworkSpec.feed_forward(1, 50, neuron=NeuronSpec(t_refractory=0.5))
    (found,) = spike_trains(
        network, Parameters((np.full((1, 50), 8.0),)), Spikes.from_first([[0.5], [0.7]])
    )
    assert found.n_spikes >= 200 and np.unique(found.times[:50]).size == 1
    assert (found.units == np.tile(np.arange(50), found.n_spikes // 50)).all()


@pytest.mark.parametrize("n", [0, 1, 300])
@pytest.mark.parametrize("crowded", [False, True])
def test_sorting_is_sorting(n, crowded):
    rng = np.random.default_rng(n)
    times = rng.uniform(0, 0.01 if crowded else 4.0, n).round(3)  # ties
    units = rng.integers(0, 7, n)
    order = np.lexsort((units, times))
    ours, of = times.copy(), units.copy()
    in_order(ours, of, 4.0)
    assert (ours == times[order]).all() and (of == units[order]).all()
    offsets = np.array([0, n // 3, n // 3, n])
    cells, by = by_neuron(offsets, units, 7)
    cell = np.repeat([0, 1, 2], np.diff(offsets)) * 7 + units
    assert (by == np.argsort(cell, kind="stable")).all()
    assert (cells == np.searchsorted(np.sort(cell), np.arange(22))).all()
