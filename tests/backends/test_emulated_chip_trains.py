"""The emulated chip runs networks whose neurons spike more than once, and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, get_backend
from hxloop.activity import Spikes
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import TrialNoise, chip_name
from hxloop.errors import CapacityError, RunInputError
from hxloop.network import NetworkSpec, NeuronSpec, Population, Projection
from tests.backends.chip_trains import (
    BURSTING,
    CHAIN,
    LOOP,
    NETWORKS,
    assert_same_trains,
    drawn_inputs,
    drawn_weights,
    run_trains,
)
from tests.backends.emulated_chip_examples import EXACT, NOISY, chip

NONE = {"imperfections": "none", **EXACT}
both_kinds = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)

# --- without noise, with nominal neurons ---------------------------------------------------


@both_kinds
@pytest.mark.parametrize("seed", [0, 1])
def test_a_perfect_chip_solved_by_events_is_the_ideal_substrate(network, seed):
    given = {"inputs": drawn_inputs(network, seed=seed), "weights": drawn_weights(network, seed)}
    got = run_trains(chip(**NONE), network, **given)
    ideal = run_trains(get_backend("ideal"), network, **given)
    assert_same_trains(got, ideal, 1e-9)
    assert ideal.spikes[0].count.max() >= 3
    assert got.inputs == ideal.inputs


def test_times_weights_and_refractory_times_are_those_of_the_chip():
    backend = chip(imperfections="none")
    activity = run_trains(backend, LOOP)
    tick = backend.tick
    for spikes in (activity.inputs, *activity.spikes):
        assert np.abs(spikes.times / tick - np.rint(spikes.times / tick)).max() < 1e-6
    codes = activity.weights_used[1] / 0.05
    assert np.abs(codes - np.rint(codes)).max() < 1e-9 and np.abs(codes).max() <= 63
    assert activity.info.rounded_inputs == (drawn_inputs(LOOP).times <= LOOP.t_window).sum()
    assert len(activity.info.clipped_weights) == 5 and sum(activity.info.clipped_weights) == 1


# --- what neurons are ----------------------------------------------------------------------


def test_reset_and_refractory_time_of_each_neuron_show_in_its_intervals():
    """A neuron that rests above its threshold fires by itself, in a closed form."""
    values = {"preset": "none", "v_leak": 1.5, "v_reset": 0.4, "t_refractory": 0.1, "tau_mem": 0.3}
    network = NetworkSpec.feed_forward(1, 60, neuron=NeuronSpec(t_refractory=0.8), t_window=20.0)
    backend = chip(imperfections=values, chip=3, **EXACT)
    silent = Spikes.from_first(np.full((1, 1), np.inf))
    spikes = run_trains(backend, network, inputs=silent).spikes[0]
    true = backend.substrate_parameters(network)
    firing = true["v_leak"] > 1.02
    assert 10 < firing.sum() < 50
    np.testing.assert_array_equal(spikes.count[0] > 0, true["v_leak"] > 1.0)
    held = np.maximum(0.8 + true["t_refractory"], 0.08)
    rise = np.log((true["v_leak"] - true["v_reset"])[firing] / (true["v_leak"] - 1.0)[firing])
    expected = held[firing] + true["tau_mem"][firing] * rise
    for j, interval in zip(np.flatnonzero(firing), expected, strict=True):
        times = spikes.times[spikes.units == j]
        assert len(times) >= 3
        np.testing.assert_allclose(np.diff(times), interval, rtol=0, atol=1e-9)
    assert np.std(true["t_refractory"]) > 0.05 and np.std(true["v_reset"]) > 0.2


def test_a_reset_above_the_threshold_fires_whenever_it_is_released():
    values = {"preset": "none", "v_reset": 3.0}
    network = NetworkSpec.feed_forward(1, 40, neuron=NeuronSpec(t_refractory=0.5))
    backend = chip(imperfections=values, **EXACT)
    once = Spikes.from_first(np.zeros((1, 1)))
    spikes = run_trains(backend, network, inputs=once, weights=[np.full((1, 40), 4.0)]).spikes[0]
    above = np.flatnonzero(backend.substrate_parameters(network)["v_reset"] > 1)
    assert len(above) > 5
    for j in above:
        np.testing.assert_allclose(np.diff(spikes.times[spikes.units == j]), 0.5, atol=1e-12)


def test_refractory_times_are_counted_by_the_clock():
    network = NetworkSpec.feed_forward(1, 2, neuron=NeuronSpec(t_refractory=1.001))
    backend = chip(imperfections="none")
    # 6.006 us: of a counter to 255, the clock of 32 ns, 188 times.
    with backend.open(network, seed=0) as session:
        early = session.run([np.full((1, 2), 3.0)], Spikes.from_first(np.zeros((1, 1))))
        assert session.capabilities.time_resolution == pytest.approx(
            backend.capabilities.time_resolution + abs(188 * 0.032 / 6 - 1.001)
        )
        assert session.t_refractory == pytest.approx((188 * 0.032 / 6,))
    assert early.spikes[0].n_spikes >= 2
    with pytest.raises(CapacityError, match=r"emulated-chip.*t_refractory: expected at most"):
        backend.open(NetworkSpec.feed_forward(1, 2, neuron=NeuronSpec(t_refractory=2e4)))


def test_all_projections_into_a_population_share_its_circuits():
    spiking = BURSTING
    network = NetworkSpec(
        100,
        (Population("a", 60, spiking), Population("b", 4, spiking)),
        projections=(
            Projection("input", "a"),
            Projection("a", "a"),
            Projection("a", "b"),
            Projection("input", "b"),
        ),
    )
    with chip(**NONE).open(network, seed=0) as session:
        assert [circuits.shape for circuits in session.circuits] == [(60, 2), (4, 2)]
    uneven = chip(imperfections={"preset": "none", "strength": 0.3}, **EXACT)
    weights = [np.full(shape, 0.1) for shape in network.shapes]
    inputs = drawn_inputs(network, batch=4)
    got = run_trains(uneven, network, inputs=inputs, weights=weights)
    strength = uneven.substrate_parameters(network)["strength_exc"].reshape(-1, 2)
    first, second = strength[:60], strength[60:]
    # Rows of a neuron are filled projection by projection; the second circuit begins at row 128.
    into_a = np.concatenate([np.repeat(first[:, :1].T, 128, 0), np.repeat(first[:, 1:].T, 32, 0)])
    into_b = np.concatenate([np.repeat(second[:, :1].T, 128, 0), np.repeat(second[:, 1:].T, 32, 0)])
    felt = [0.1 * into_a[:100], 0.1 * into_a[100:], 0.1 * into_b[:60], 0.1 * into_b[60:]]
    ideal = run_trains(get_backend("ideal"), network, inputs=inputs, weights=felt)
    assert_same_trains(got, ideal, 1e-9)


def test_names_of_chips_are_still_those_of_earlier_versions():
    """Their calibrations go on fitting; another spread of refractory times is another chip."""
    names = {
        "none": "emulated-3-260066d3",
        "calibrated": "emulated-3-5c1fe1c4",
        "uncalibrated": "emulated-3-1b3e14fc",
    }
    for preset, name in names.items():
        assert chip_name(Imperfections.resolve(preset), 3) == name
    lossy = Imperfections.resolve({"preset": "uncalibrated", "spike_loss": 0.02})
    jittery = Imperfections.resolve({"preset": "none", "spike_jitter": 0.01})
    assert chip_name(lossy, 3) == "emulated-3-aec06281"
    assert chip_name(jittery, 3) == "emulated-3-768f3728"
    spreads = [{"t_refractory": value} for value in (0.0, 0.05 / 6, 0.1)]
    found = [
        chip_name(Imperfections.resolve({"preset": preset} | spread), 3)
        for preset in names
        for spread in spreads
    ]
    assert len(set(found)) == 9


# --- noise -----------------------------------------------------------------------------------


def test_jitter_and_loss_act_on_every_spike_and_are_passed_on():
    values = {"preset": "none", "spike_jitter": 0.02, "spike_loss": 0.2}
    activity = run_trains(chip(imperfections=values, **EXACT), CHAIN, seed=6, trial=2)
    noise, sent = TrialNoise(Imperfections.resolve(values), 6, 2), activity.inputs
    lost_at_all = 0
    for layer, (weights, spikes) in enumerate(
        zip(drawn_weights(CHAIN), activity.spikes, strict=True)
    ):
        alone = NetworkSpec.feed_forward(*weights.shape, neuron=BURSTING, t_window=CHAIN.t_window)
        free = run_trains(get_backend("ideal"), alone, inputs=sent, weights=[weights]).spikes[0]
        expected = []
        for k in range(int(free.count.max())):
            times = free.nth(k)
            lost = noise.lost(layer, *times.shape, k) & np.isfinite(times)
            lost_at_all += lost.sum()
            shifted = np.maximum(times + noise.jitter(layer, *times.shape, k), 0.0)
            expected.append(np.where(lost | (shifted > CHAIN.t_window), np.inf, shifted))
        expected = np.sort(np.stack(expected), axis=0)
        assert int(np.isfinite(expected).sum()) == spikes.n_spikes > 30
        for k in range(int(spikes.count.max())):
            np.testing.assert_allclose(spikes.nth(k), expected[k], rtol=0, atol=1e-9)
        sent = spikes
    assert activity.info.lost_spikes == lost_at_all > 10


def test_in_a_loop_no_spike_leaves_before_it_happened():
    """A loop of one neuron, with jitter: what comes back is what was recorded."""
    spiking = NeuronSpec(t_refractory=0.4)
    network = NetworkSpec(
        1,
        (Population("a", 1, spiking), Population("b", 1, spiking)),
        projections=(
            Projection("input", "a"), Projection("a", "b"), Projection("b", "a"),
        ),
        t_window=8.0,
    )  # fmt: skip
    backend = chip(imperfections={"preset": "none", "spike_jitter": 0.05}, **EXACT)
    once, weights = Spikes.from_first(np.zeros((3, 1))), [np.full((1, 1), w) for w in (5, 4, 5)]
    free = run_trains(chip(**NONE), network, inputs=once, weights=weights)
    noisy = run_trains(backend, network, inputs=once, weights=weights)
    assert free.spikes[0].n_spikes > 10
    # Each population is the ideal one for what it was given, and its spikes are shifted to later.
    two = NetworkSpec.feed_forward(2, 1, neuron=spiking, t_window=8.0)
    heard = Spikes.from_events(
        np.concatenate([noisy.inputs.samples, noisy.spikes[1].samples]),
        np.concatenate([noisy.inputs.units, 1 + noisy.spikes[1].units]),
        np.concatenate([noisy.inputs.times, noisy.spikes[1].times]),
        batch=3, n_units=2,
    )  # fmt: skip
    both = np.concatenate([weights[0], weights[2]])
    alone = run_trains(get_backend("ideal"), two, inputs=heard, weights=[both]).spikes[0]
    drawn = TrialNoise(backend.statistics, 1, 0)
    for k in range(5):
        shift = np.maximum(drawn.jitter(0, 3, 1, k), 0.0)
        np.testing.assert_allclose(noisy.spikes[0].nth(k), alone.nth(k) + shift, atol=1e-9)


@both_kinds
def test_noise_is_a_function_of_seed_and_trial(network):
    backend = chip(imperfections=NOISY)
    first = run_trains(backend, network, seed=3, trial=4)
    assert_same_trains(first, run_trains(backend, network, seed=3, trial=4))
    for other in ({"seed": 4, "trial": 4}, {"seed": 3, "trial": 5}):
        found = run_trains(backend, network, **other)
        assert any(a != b for a, b in zip(first.spikes, found.spikes, strict=True))


@both_kinds
def test_a_sample_is_the_same_in_every_batch(network):
    backend, inputs = chip(imperfections=NOISY), drawn_inputs(network)
    together = run_trains(backend, network, inputs=inputs)
    for n in (1, 5):
        alone = run_trains(backend, network, inputs=inputs.select(slice(n)))
        for a, b in zip(together.spikes, alone.spikes, strict=True):
            assert a.select(slice(n)) == b


def test_neurons_do_not_depend_on_their_neighbours():
    """Hidden neurons without recurrence, with and without others beside them."""
    more = NetworkSpec.feed_forward(6, 14, neuron=BURSTING, t_window=4.0)
    fewer = NetworkSpec.feed_forward(6, 10, neuron=BURSTING, t_window=4.0)
    backend, weights = chip(imperfections="uncalibrated"), drawn_weights(more)
    inputs = drawn_inputs(more)
    quiet = chip(imperfections={"preset": "uncalibrated", "threshold_trial": 0.0})
    for chosen in (quiet, backend):
        a = run_trains(chosen, more, inputs=inputs, weights=weights).spikes[0]
        b = run_trains(chosen, fewer, inputs=inputs, weights=[weights[0][:, :10]]).spikes[0]
        for k in range(3):
            np.testing.assert_array_equal(a.nth(k)[:, :10], b.nth(k))


def test_a_network_whose_neurons_spike_once_is_the_same_either_way():
    """Inputs that spike once, as an array and as a list of spikes: one chip, one noise."""
    network = NetworkSpec.feed_forward(6, 10, 3, t_window=4.0)
    backend, inputs = chip(imperfections=NOISY), drawn_inputs(network)
    weights = drawn_weights(network)
    first = inputs.first
    with backend.open(network, seed=2) as session:
        dense = session.run(weights, first, trial=1)
        skipping = NetworkSpec(6, (*network.layers,), t_window=4.0, projections=(
            Projection("input", "hidden"), Projection("hidden", "output"),
            Projection("input", "output"),
        ))  # fmt: skip
    with backend.open(skipping, seed=2) as session:
        through = session.run([*weights, np.zeros((6, 3))], first, trial=1)
    for a, b in zip(dense.first_spike_times, through.first_spike_times, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


# --- limits ----------------------------------------------------------------------------------


def test_capacity_counts_all_projections():
    wide = NetworkSpec(
        200, (Population("a", 180, BURSTING),),
        projections=(Projection("input", "a"), Projection("a", "a")),
    )  # fmt: skip
    with pytest.raises(CapacityError, match=r"needs 540 neuron circuits .*0: 180 neurons x 3"):
        chip(**NONE).open(wide)


def test_a_network_that_does_not_stop_is_refused():
    network = NetworkSpec.feed_forward(1, 2, neuron=NeuronSpec(t_refractory=0.0))
    with pytest.raises(RunInputError, match="does not stop"):
        run_trains(
            chip(**NONE), network,
            inputs=Spikes.from_first(np.zeros((1, 1))), weights=[np.full((1, 2), 1e5)],
        )  # fmt: skip


# --- in the loop -----------------------------------------------------------------------------


@both_kinds
def test_networks_learn_in_the_loop(network):
    """Which of two outputs spikes first is to tell whether even or odd channels came early."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 40)
    times = rng.random((40, 6)) * 0.4 + np.where(label[:, None] == np.arange(6) % 2, 0.0, 1.5)
    with chip(imperfections="uncalibrated").open(network, seed=1) as session:
        loop = LoopNetwork(session, drawn_weights(network, 3))
        optimiser = torch.optim.Adam(loop.parameters(), lr=0.05)
        losses = []
        for _ in range(30):
            optimiser.zero_grad()
            trains, activity = loop.trains(times)
            first = trains[network.output_index].first[:, :2]
            heard = torch.where(torch.isfinite(first), first, torch.full_like(first, 4.0))
            loss = torch.nn.functional.cross_entropy(-3 * heard, torch.as_tensor(label))
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert activity.spikes[0].count.max() > 1
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
