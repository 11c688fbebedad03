"""Axonal delays on the emulated chip, by delay neurons."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, get_backend
from hxloop.activity import Spikes
from hxloop.backends.emulated.model import TrialNoise
from hxloop.chip.delay_neurons import DelayNeurons
from hxloop.errors import CapacityError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from tests.backends.chip_trains import BURSTING, assert_same_trains, drawn_weights, run_trains
from tests.backends.emulated_chip_examples import EXACT, chip

PERFECT = {"imperfections": "none", "delay_neurons": True, **EXACT}
SHORTEST, ONCE = 8.4 / 6, NeuronSpec()


def delayed(neuron: NeuronSpec = ONCE, loop: bool = False, **changes) -> NetworkSpec:
    """Two populations with axonal delays into and between them, in a loop with one back."""
    axons = {"delays": "axonal", "min_delay": SHORTEST} | changes
    projections = [Projection("input", "a", **axons), Projection("a", "b", **axons)]
    if loop:
        projections += [Projection("b", "a", **axons), Projection("a", "a")]
    populations = Population("a", 6, neuron), Population("b", 4, neuron)
    return NetworkSpec(5, populations, t_window=14.0, projections=tuple(projections))


def parameters_of(network: NetworkSpec, seed: int = 0) -> Parameters:
    rng = np.random.default_rng(seed)
    delays = [None if s is None else rng.uniform(SHORTEST, 4.0, s) for s in network.delay_shapes]
    return Parameters(tuple(drawn_weights(network, seed)), tuple(delays))


def once(network: NetworkSpec, batch: int = 8) -> np.ndarray:
    return np.random.default_rng(5).random((batch, network.n_inputs)) * 2


def several(batch: int = 4) -> Spikes:
    """Every channel spikes at 0.1, 0.4, ..., and again much later."""
    times = np.array([0.1, 0.4, 0.5, 2.2, 5.7, 5.8])
    n = batch * 5 * len(times)
    cells = np.repeat(np.arange(batch * 5), len(times))
    shift = 0.01 * np.repeat(np.arange(batch * 5), len(times))
    return Spikes.from_events(
        cells // 5, cells % 5, np.tile(times, n // len(times)) + shift, batch=batch, n_units=5
    )


def run(backend, network, inputs, parameters=None, **options):
    return run_trains(
        backend, network, inputs=inputs, weights=parameters or parameters_of(network), **options
    )


SOLVERS = [
    pytest.param({"solver": "event"}, 1e-9, id="event"),
    pytest.param({"solver": "brian2", "codegen": "numpy", "dt": 1 / 100}, 0.02, id="brian2"),
]


@pytest.mark.parametrize(("solver", "tolerance"), SOLVERS)
def test_delay_neurons_that_are_free_delay_exactly(solver, tolerance):
    network = delayed()
    got = run(chip(**PERFECT | solver), network, once(network))
    assert_same_trains(got, run(get_backend("ideal"), network, once(network)), tolerance)
    assert got.spikes[1].n_spikes > 10 and got.info.lost_spikes == 0


@pytest.mark.parametrize(("solver", "tolerance"), SOLVERS)
def test_in_a_loop_too(solver, tolerance):
    network = delayed(loop=True)
    got = run(chip(**PERFECT | solver), network, once(network))
    ideal = run(get_backend("ideal"), network, once(network))
    assert_same_trains(got, ideal, tolerance)


def test_noise_of_delay_neurons_in_a_loop_is_that_of_the_exact_solver():
    network, values = delayed(BURSTING, loop=True), {"preset": "calibrated", "spike_jitter": 0.01}
    options = {"imperfections": values | {"spike_loss": 0.05}, "delay_neurons": True, **EXACT}
    exact = run(chip(**options), network, several())
    got = run(chip(**options, **SOLVERS[1].values[0]), network, several())
    assert_same_trains(got, exact, 0.02)
    assert got.info.lost_spikes == exact.info.lost_spikes > 50


def carried(spikes: Spikes, delays: np.ndarray) -> tuple[Spikes, int]:
    """What a busy axon lets through, spike by spike; and how many it does not."""
    busy, kept = {}, []
    for k, cell in enumerate(zip(spikes.samples, spikes.units, strict=True)):
        if spikes.times[k] >= busy.get(cell, 0.0):
            busy[cell] = spikes.times[k] + delays[cell[1]]
            kept.append(k)
    shape = {"batch": spikes.batch, "n_units": spikes.n_units}
    through = Spikes.from_events(
        spikes.samples[kept], spikes.units[kept], spikes.times[kept] + delays[spikes.units[kept]],
        **shape,
    )  # fmt: skip
    return through, spikes.n_spikes - len(kept)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize(("solver", "tolerance"), SOLVERS)
def test_a_busy_delay_neuron_takes_no_other_spike(solver, tolerance, loop):
    network, inputs = delayed(BURSTING, loop), several()
    given = parameters_of(network)
    got = run(chip(**PERFECT | solver), network, inputs, given)
    sent = {-1: got.inputs, 0: got.spikes[0], 1: got.spikes[1]}
    lost = 0
    for population in (0, 1):
        heard, weights = [], []
        for i, (pre, post) in enumerate(network.ends):
            if post == population:
                through = sent[pre]
                if given.delays[i] is not None:
                    through, n = carried(through, given.delays[i])
                    lost += n
                heard.append(through)
                weights.append(given.weights[i])
        first = np.cumsum([0, *(s.n_units for s in heard)])
        joined = Spikes.from_events(
            np.concatenate([s.samples for s in heard]),
            np.concatenate([s.units + f for s, f in zip(heard, first, strict=False)]),
            np.concatenate([s.times for s in heard]), batch=4, n_units=int(first[-1]),
        )  # fmt: skip
        alone = NetworkSpec.feed_forward(
            joined.n_units, network.sizes[1 + population], neuron=BURSTING, t_window=14.0
        )
        ideal = run(get_backend("ideal"), alone, joined, [np.concatenate(weights)])
        mine = replace(got, spike_trains=(got.spikes[population],))
        assert_same_trains(mine, ideal, tolerance)
    assert got.info.lost_spikes == lost > 50


def test_delays_are_those_of_counters_and_no_longer_than_the_longest(caplog):
    network = delayed()
    given = parameters_of(network)
    given.delays[0][0] = 30.0
    with caplog.at_level(logging.WARNING):
        activity = run(
            chip(imperfections="none", delay_neurons=True), network, once(network), given
        )
    counts = [(each * 6 - 2) / 0.128 for each in activity.delays_used]
    for held, asked, count in zip(activity.delays_used, given.delays, counts, strict=True):
        np.testing.assert_allclose(count, np.rint(count), atol=1e-9)
        assert count.min() >= 50 and count.max() <= 250
        assert np.abs(held - np.minimum(asked, 34 / 6)).max() <= 0.064 / 6 + 1e-12
    assert counts[0][0] == pytest.approx(250)
    assert "longer than delay neurons make them" in caplog.text


def test_delay_neurons_have_circuits_and_jitter_of_their_own():
    network = delayed()
    values = {"preset": "none", "t_refractory": 0.2, "delay_jitter": 0.05}
    backend = chip(**PERFECT | {"imperfections": values})
    true = backend.substrate_parameters(network)["t_refractory"]
    assert len(true) == 10 + 2 * (5 + 6)
    given = parameters_of(network)
    noise = TrialNoise(backend.statistics, 1, 0)
    got = run(backend, network, once(network), given)
    arrivals = once(network) + given.delays[0] + true[10:20:2] + noise.of_delay(0, 8, 5, 0)
    alone = NetworkSpec.feed_forward(5, 6, t_window=14.0)
    ideal = run(get_backend("ideal"), alone, arrivals, [given.weights[0]])
    assert_same_trains(replace(got, spike_trains=got.spikes[:1]), ideal, 1e-9)
    again = run(backend, network, once(network)[:3], given)
    assert got.spikes[1].select(slice(3)) == again.spikes[1]
    assert not backend.capabilities.deterministic
    assert chip(imperfections=values).capabilities.deterministic


REFUSED = [
    ({}, delayed(), r"needs delays, which the chip does not have.*by 22 more circuits"),
    ({"delay_neurons": True}, delayed(delays="dendritic"), "input -> a: .*got dendritic ones"),
    ({"delay_neurons": True}, delayed(delays="synaptic"), "input -> a: .*got synaptic ones"),
    (
        {"delay_neurons": True}, delayed(min_delay=0.5),
        r"delays from 1\.4 to 5\.667 .*min_delay of 1\.4 or more; got 0\.5",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "network", "message"), REFUSED)
def test_delays_that_it_does_not_have_are_refused_by_name(options, network, message):
    with pytest.raises(CapacityError, match=message):
        chip(**options).open(network)


def test_delay_neurons_take_circuits_from_others():
    network = NetworkSpec.feed_forward(100, 200, 60, delays="axonal")
    wide = replace(
        network,
        projections=tuple(replace(p, min_delay=SHORTEST) for p in network.all_projections),
    )
    with pytest.raises(CapacityError, match=r"needs 920 neuron circuits .*, 600 for delays"):
        chip(delay_neurons=True).open(wide)


def test_the_range_of_delays_is_in_the_network_s_time():
    assert DelayNeurons(6.0).shortest == pytest.approx(1.4)
    assert DelayNeurons(12.0).longest == pytest.approx(17 / 6)


def test_delays_are_learnt_in_the_loop():
    """An output is to spike at 6, on a chip with its own delays, noise and jitter."""
    network = delayed()
    backend = chip(imperfections="calibrated", delay_neurons=True)
    weights = [np.full(shape, 3.0 / shape[0]) for shape in network.shapes]
    with backend.open(network, seed=0) as session:
        loop = LoopNetwork(session, Parameters(tuple(weights), (np.full(5, 1.6), np.full(6, 1.6))))
        for each in loop.weights:
            each.requires_grad_(False)
        optimiser = torch.optim.Adam(loop.delays, lr=0.05)
        for _ in range(60):
            optimiser.zero_grad()
            (_, output), activity = loop.trains(np.zeros((4, 5)))
            first = output.first
            loss = ((first[torch.isfinite(first)] - 6.8) ** 2).sum()
            loss.backward()
            optimiser.step()
            loop.enforce_delays()
    errors = np.abs(activity.spikes[1].first - 6.8)
    assert np.mean(errors[np.isfinite(errors)]) < 0.15 < 0.5 < 6.8 - 2 * 1.6 - 2.0
    assert activity.delays_used[0].mean() > 1.8
