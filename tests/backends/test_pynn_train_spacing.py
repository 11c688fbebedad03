"""Samples of trains on one time axis: when the last spike can fall, and what is left after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.backends.pynn.train_spacing import last_spikes, train_spacing
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import NetworkSpec, NeuronSpec, Parameters

RESIDUE = 1e-6
WINDOW = 3.0


def volley(start: float, rng: np.random.Generator, n: int = 6) -> np.ndarray:
    return start + np.sort(rng.uniform(0, WINDOW, (3, n)), axis=1)


def played(network: NetworkSpec, given: Parameters, *trains: np.ndarray) -> list[Spikes]:
    times = np.concatenate(trains, axis=1)
    units = np.repeat(np.arange(len(times)), times.shape[1])
    inputs = Spikes.from_events(
        np.zeros(units.size, int), units, times.ravel(), batch=1, n_units=len(times)
    )
    return spike_trains(network, given, inputs)


@pytest.mark.parametrize("tau_mem", [0.4, 1.0, 3.0])
@pytest.mark.parametrize(("held", "v_reset"), [(0.1, 0.3), (0.1, -5.0), (2.5, -0.5)])
@pytest.mark.parametrize("strength", [0.5, 6.0])
def test_a_sample_does_not_depend_on_the_one_before(
    tau_mem: float, held: float, v_reset: float, strength: float
) -> None:
    neuron = NeuronSpec(tau_mem=tau_mem, v_leak=-0.2, t_refractory=held, v_reset=v_reset)
    network = NetworkSpec.feed_forward(3, 4, 3, neuron=neuron, t_window=WINDOW)
    rng = np.random.default_rng(7)
    weights = [strength * rng.uniform(-0.6, 1.0, shape) for shape in network.shapes]
    given = Parameters(tuple(weights))
    first, second = volley(0.0, rng), volley(0.0, rng)
    slot = train_spacing(
        network, weights, last_input=WINDOW, input_spikes=np.full(3, 6), held=[held] * 2,
        residue=RESIDUE,
    )  # fmt: skip
    long = replace(network, t_window=slot + WINDOW)
    both = played(long, given, first, slot + second)
    alone = played(long, given, slot + second)
    # A membrane that is off by so much, and rises by a hundredth per tau_syn at least.
    allowed = RESIDUE / 0.01
    last = last_spikes(network, weights, WINDOW, np.full(3, 6), [held] * 2)
    for mine, other, bound in zip(both, alone, last, strict=True):
        late = mine.times >= slot
        assert mine.times[~late].max(initial=0.0) <= bound < slot
        assert mine.units[late].tolist() == other.units.tolist()
        np.testing.assert_allclose(mine.times[late], other.times, rtol=0, atol=allowed)


def test_with_less_time_it_does() -> None:
    neuron = NeuronSpec(t_refractory=0.1, v_reset=-0.5)
    network = NetworkSpec.feed_forward(3, 4, t_window=WINDOW, neuron=neuron)
    rng = np.random.default_rng(7)
    weights = [rng.uniform(0.5, 2.0, network.shapes[0])]
    first, second = volley(0.0, rng), volley(0.0, rng)
    options = {"last_input": WINDOW, "input_spikes": np.full(3, 6), "held": [0.1]}
    slots = [train_spacing(network, weights, residue=r, **options) for r in (1e-6, 0.3)]  # type: ignore[arg-type]
    assert slots[0] > slots[1] > WINDOW
    long = replace(network, t_window=slots[0] + WINDOW)
    off = []
    for slot in slots:
        both = played(long, Parameters(tuple(weights)), first, slot + second)[0]
        alone = played(long, Parameters(tuple(weights)), slot + second)[0]
        k = int((both.times < slot).sum())
        off.append(abs(both.times[k] - alone.times[0]))
    assert off[0] < 1e-6 < 1e-4 < off[1]


def test_the_last_spike_may_come_as_late_as_the_bound_says() -> None:
    """One input spike, a neuron that can spike at once again: the bound is off by little."""
    neuron = NeuronSpec(tau_mem=50.0, t_refractory=1e-4, v_reset=0.999)
    network = NetworkSpec.feed_forward(1, 1, t_window=40.0, neuron=neuron)
    weights = [np.array([[2.0]])]
    spikes = played(network, Parameters(tuple(weights)), np.zeros((1, 1)))[0]
    [bound] = last_spikes(network, weights, 0.0, np.ones(1), [1e-4])
    assert 0.9 * bound < spikes.times.max() <= bound
