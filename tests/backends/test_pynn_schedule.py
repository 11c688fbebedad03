"""Batch and time axis: there and back, what is too late, what cannot be, how far apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import NetworkSpec, NeuronSpec, get_backend
from hxloop.activity import Spikes
from hxloop.backends.pynn.schedule import SampleSchedule, spacing
from hxloop.errors import ConfigError, RunFailed

SCHEDULE = SampleSchedule(n_samples=3, t_window=4.0, slot=10.0, lead_in=1.0, copies=2, guard=0.1)


def test_samples_lie_in_slots_and_copies():
    assert SCHEDULE.n_slots == 2
    assert SCHEDULE.duration == 1 + 2 * 10
    assert SCHEDULE.starts.tolist() == [1, 1, 11]
    times = np.array([[0.0, 1.0], [np.inf, 4.0], [2.0, 4.5]])
    trains = SCHEDULE.trains(times)
    # Units 0 and 1 are copy 0 (samples 0 and 2), units 2 and 3 copy 1 (sample 1).
    assert [train.tolist() for train in trains] == [[1.0, 13.0], [2.0], [], [5.0]]


@settings(deadline=None)
@given(
    n_samples=st.integers(1, 7),
    copies=st.integers(1, 8),
    n_neurons=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_what_goes_in_comes_out(n_samples, copies, n_neurons, seed):
    rng = np.random.default_rng(seed)
    times = rng.uniform(0, 4, (n_samples, n_neurons))
    times[rng.random(times.shape) < 0.3] = np.inf
    schedule = SampleSchedule(n_samples, 4.0, 9.0, lead_in=1.0, copies=copies, guard=0.1)
    trains = schedule.trains(times)
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    on_axis = np.concatenate(trains)
    shuffled = rng.permutation(len(units))
    back = schedule.first_spikes(units[shuffled], on_axis[shuffled] + 0.5, n_neurons, latency=0.5)
    np.testing.assert_allclose(back.times, times, atol=1e-12)
    assert back.n_discarded == 0


def test_first_spike_counts_and_late_ones_are_counted():
    units = np.array([0, 0, 0, 1, 2])
    times = np.array([1 + 3.0, 1 + 2.0, 1 + 4.5, 1 + 9.5, 0.95])
    found = SCHEDULE.first_spikes(units, times, n_neurons=2)
    # Unit 0: 2.0 before 3.0; 4.5 is too late. Unit 1: 9.5 is in no window. Unit 2: rounding.
    np.testing.assert_allclose(found.times[0], [2.0, np.inf])
    np.testing.assert_allclose(found.times[1], [0.0, np.inf])
    assert np.isinf(found.times[2]).all()
    assert found.n_discarded == 2


def test_of_several_spikes_before_the_start_of_a_sample_one_counts():
    # A chip whose offset is longer than a refractory time: it stamps a burst too early.
    units, times = np.array([0, 0, 0, 1, 1, 2]), 1 + np.array([-0.09, -0.05, 0.5, -0.02, 0, -0.01])
    found, discarded = SCHEDULE.all_spikes(units, times, 2, "spikes")
    expected = Spikes.from_events([0, 0, 0, 1], [0, 0, 1, 0], [0, 0.5, 0, 0], batch=3, n_units=2)
    assert found == expected and discarded == 2
    with pytest.raises(RunFailed, match="spikes: neuron 0 spikes twice at 0 in sample 0"):
        SCHEDULE.all_spikes(np.array([0, 0]), np.array([1.0, 1.0]), 2, "spikes")
    with pytest.raises(RunFailed, match=r"spikes: neuron 0 spikes twice at 0\.5 in sample 0"):
        SCHEDULE.all_spikes(np.array([0, 0]), np.array([1.5, 1.5]), 2, "spikes")


def test_spikes_of_a_copy_that_runs_no_sample_are_discarded():
    found = SCHEDULE.first_spikes(np.array([2]), np.array([12.0]), n_neurons=2)
    assert np.isinf(found.times).all()
    assert found.n_discarded == 1


@pytest.mark.parametrize(
    ("units", "times", "message"),
    [
        ([4], [2.0], "neurons 0 to 3"),
        ([-1], [2.0], "neurons 0 to 3"),
        ([0], [np.nan], "at nan"),
        ([0], [np.inf], "at inf"),
        ([0], [-1.0], "at -1"),
        ([0], [30.0], "from 0 to 21"),
        ([0, 1], [2.0], "expected one of each"),
    ],
)
def test_spikes_that_cannot_be_are_refused(units, times, message):
    with pytest.raises(RunFailed, match=message):
        SCHEDULE.first_spikes(np.array(units), np.array(times), n_neurons=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_samples": 0},
        {"copies": 0},
        {"slot": 3.0},
        {"slot": np.inf},
        {"lead_in": -1.0},
        {"guard": 7.0},
        {"guard": -0.1},
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    fields = {"n_samples": 3, "t_window": 4.0, "slot": 10.0} | wrong
    with pytest.raises(ConfigError):
        SampleSchedule(**fields)


# --- spacing ------------------------------------------------------------------------------


@pytest.mark.parametrize("tau_mem", [1.0, 1 + 1e-9, 1.7, 2.0, 0.5])
@pytest.mark.parametrize("strength", [0.5, 3.0, 30.0])
def test_after_the_refractory_period_no_spike_and_at_the_next_sample_nothing_left(
    tau_mem, strength
):
    neuron = NeuronSpec(tau_mem=tau_mem, v_leak=-0.2, v_threshold=0.7)
    network = NetworkSpec.feed_forward(2, 3, 2, neuron=neuron, t_window=3.0)
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0, strength, shape) for shape in network.shapes]
    residue = 1e-6
    found = spacing(network, weights, last_input=2.0, residue=residue, latency=0.01)

    # The latest spikes there can be: every input as late as possible, and an endless window.
    endless = NetworkSpec.feed_forward(2, 3, 2, neuron=neuron, t_window=1e3)
    with get_backend("ideal").open(endless) as session:
        activity = session.run(weights, np.full((1, 2), 2.0))
    spikes = np.concatenate([times.ravel() for times in activity.first_spike_times])
    assert (spikes[np.isfinite(spikes)] < found.refractory).all()
    assert found.slot >= 2 * found.refractory

    # What is left of a layer when all that drives it came as late as it can.
    def response(s):
        if abs(tau_mem - 1) < 1e-6:
            return s * np.exp(-s)
        return tau_mem / (tau_mem - 1) * (np.exp(-s / tau_mem) - np.exp(-s))

    last = 2.0
    for matrix in weights:
        since = found.slot + np.linspace(0, 5, 50) - (last + 0.01)
        assert (matrix.sum(axis=0).max() * response(since) <= residue).all()
        grid = np.linspace(0, 60, 60_001)
        above = matrix.sum(axis=0).max() * response(grid) >= 0.9
        last += 0.01 + (grid[above].max() if above.any() else 0.0)
    assert last <= found.refractory + 1e-9


def test_spacing_grows_with_the_weights_and_is_a_multiple_of_the_step():
    network = NetworkSpec.feed_forward(5, 20, 3)
    weak = [np.full(shape, 0.01) for shape in network.shapes]
    strong = [np.full(shape, 10.0) for shape in network.shapes]
    first = spacing(network, weak, last_input=2.0, residue=1e-6, step=0.25)
    second = spacing(network, strong, last_input=2.0, residue=1e-6, step=0.25)
    assert first.slot < second.slot
    assert first.refractory < second.refractory
    for value in (first.slot, second.slot, first.refractory, second.refractory):
        assert value / 0.25 == pytest.approx(round(value / 0.25), abs=1e-9)
