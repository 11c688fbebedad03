"""Made-up activity for the tests of activity logs: run number ``i`` is always the same."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Activity, FurtherSpikes, RunInfo
from hxloop.network import NetworkSpec, NeuronSpec

NETWORK = NetworkSpec.feed_forward(
    7, 6, 5, 3, neuron=NeuronSpec(tau_mem=2.0, v_leak=-0.25), n_inhibitory=2, t_window=4.0
)
BATCH = 20


def spikes(rng, n, neurons, dtype=np.float64):
    times = rng.uniform(0, 4, (n, neurons)).astype(dtype)
    times[rng.random(times.shape) < 0.3] = np.inf
    return times


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape) for shape in NETWORK.shapes)


def run(i, n=BATCH, dtype=np.float64):
    """Activity, labels and decisions of run ``i``."""
    rng = np.random.default_rng(i)
    activity = Activity(
        spikes(rng, n, 7, dtype),
        tuple(spikes(rng, n, size, dtype) for size in (6, 5, 3)),
        weights(),
        RunInfo("made-up", {"numpy": "x" * (i % 7)}, "chip-1", None, 3, i, (i, 0, 1), 2 * i),
    )
    return activity, rng.integers(0, 3, n), rng.integers(-1, 3, n)


def further(i, n=BATCH):
    """Further spikes of run ``i``, for each layer; none in some layers."""
    rng = np.random.default_rng([9, i])
    return tuple(
        FurtherSpikes(
            np.sort(rng.integers(0, n, k)), rng.integers(0, size, k), rng.uniform(0, 4, k)
        )
        for k, size in ((5 * (i % 3), 6), (0, 5), (2, 3))
    )


def assert_holds(recorded, runs, n=BATCH):
    """The state holds these runs, in order, and nothing else."""
    assert len(recorded) == n * len(runs)
    for position, i in enumerate(runs):
        activity, labels, decisions = run(i, n, recorded.input_times.dtype)
        part = slice(n * position, n * (position + 1))
        assert np.array_equal(recorded.input_times[part], activity.input_times)
        for got, expected in zip(recorded.layer_times, activity.first_spike_times, strict=True):
            assert np.array_equal(got[part], expected)
        assert np.array_equal(recorded.labels[part], labels)
        assert np.array_equal(recorded.decisions[part], decisions)
        assert recorded.runs[position] == activity.info
    for got, expected in zip(recorded.weights, weights(), strict=True):
        assert np.array_equal(got, expected)
    assert recorded.network == NETWORK
