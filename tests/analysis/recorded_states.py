"""Recorded activity made up for tests of reports: random, but with classes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hxloop.activity import RecordedActivity, first_output

SIZES = (30, 20, 20, 3)


def recorded_state(
    name: str, seed: int, epoch: int | None = None, n: int = 30, weights: bool = True
) -> RecordedActivity:
    """Later layers spike later; neuron i spikes early for samples of class i % 3."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    layers = []
    for depth, size in enumerate(SIZES):
        times = depth * 0.5 + rng.uniform(0.05, 0.6, (n, size))
        times += 0.3 * (np.arange(size) % 3 != labels[:, None])
        times[rng.random(times.shape) < 0.1] = np.inf
        layers.append(times)
    matrices = tuple(rng.normal(0.1, 0.2, shape) for shape in pairwise(SIZES))
    return RecordedActivity(
        name,
        layers[0],
        tuple(layers[1:]),
        labels,
        first_output(layers[-1]),
        matrices if weights else None,
        epoch=epoch,
    )


def all_times(state: RecordedActivity) -> tuple[np.ndarray, ...]:
    """Spike times of the input and all layers."""
    return (state.input_times, *state.layer_times)
