"""The chip's clock: no two spikes of a channel have one stamp, and none is lost for it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import get_backend
from hxloop.activity import Spikes
from hxloop.chip.clock import stamps, truncate
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate.recording.record import record
from tests.backends.emulated_chip_examples import chip


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 60), late=st.booleans())
def test_stamps_of_a_channel_are_apart_and_as_early_as_can_be(seed, n, late):
    rng = np.random.default_rng(seed)
    tick, window = 0.5, 40.0
    times = np.sort(rng.uniform(window - 9.0 if late else 0.0, window, n))
    spikes = Spikes.from_events(
        rng.integers(0, 2, n), rng.integers(0, 3, n), times, batch=2, n_units=3
    )
    found = stamps(spikes, tick, window)
    assert (np.rint(found / tick) * tick == found).all()
    for cell in np.unique(spikes.cells):
        own, given_times = found[spikes.cells == cell], spikes.times[spikes.cells == cell]
        assert (np.diff(own) > 0).all() and own.max() <= window and own.min() >= 0
        free = -1.0
        for stamp, early in zip(own, truncate(given_times, tick), strict=True):
            wanted = max(early, free + tick)
            assert stamp == wanted or (late and stamp < wanted)
            free = stamp


def test_what_comes_after_any_window_moves_nothing_however_late():
    """Its cycle is no whole number that a machine holds: it came right after the one before it."""
    tick = 0.5
    for late in (1e6, 1e12, 1e18, 1e300):
        spikes = Spikes.from_events(
            [0, 0, 0, 1], [0, 0, 1, 0], [0.6, late, 1.1, 0.7], batch=2, n_units=2
        )
        found = spikes.at(stamps(spikes, tick))
        assert found.first.tolist() == [[0.5, 1.0], [0.5, np.inf]]
        assert found.nth(1)[0, 0] == late and found.n_spikes == 4


def test_a_chip_gives_spikes_of_one_cycle_one_after_the_other_and_they_can_be_recorded(tmp_path):
    """Inputs faster than the clock, and spikes that jitter brings into one cycle."""
    network = NetworkSpec.feed_forward(1, 2, neuron=NeuronSpec(t_refractory=0.0), t_window=2.0)
    backend = chip(imperfections={"preset": "none", "spike_jitter": 0.05}, weight_lsb=20.0)
    tick = backend.tick
    inputs = Spikes.from_events(
        [0, 0, 0], [0, 0, 0], [0.5, 0.5 + tick / 4, 1.9], batch=1, n_units=1
    )
    weights, path = [np.array([[1200.0, 0.0]])], tmp_path / "runs.h5"
    with record(backend.open(network), path) as session:
        activity = session.run(weights, inputs)
    cycles = np.rint(activity.inputs.times / tick)
    assert cycles[1] == cycles[0] + 1 and activity.info.rounded_inputs >= 1
    (spikes,) = activity.spikes
    # With the first of a shared cycle for all that share it, the recording could not be opened.
    assert spikes.n_spikes > 150 and (np.diff(np.rint(spikes.times / tick)) >= 1).all()
    assert (np.rint(np.diff(spikes.times) / tick) == 1).sum() > 30
    with get_backend("replay", path=path).open(network) as session:
        again = session.run(weights, inputs)
    assert again.spikes == activity.spikes and again.inputs == activity.inputs
