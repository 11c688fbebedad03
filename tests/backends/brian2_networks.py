"""Random networks for the Brian2 solver, and what their spikes are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hxloop.backends.emulated.brian2.given import LayerDynamics
from hxloop.backends.emulated.brian2.solver import Brian2Options, Brian2Solver
from tests.engine.brute_force import first_spike

WINDOW = 6.0


SIZES = (4, 6, 3)


BATCH = 8


def random_layer(rng, batch, post, spread=0.3, threshold=1.0):
    tau = np.exp(spread * rng.normal(size=(3, post)))
    return LayerDynamics(*tau, threshold=np.full((batch, post), threshold))


def random_network(seed, sizes=SIZES, batch=BATCH, threshold=1.0):
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.1, 2.0, (batch, sizes[0]))
    times[0, 0], times[1] = np.inf, np.inf
    weights = [rng.normal(5.0 / pre, 4.0 / pre**0.7, (pre, post)) for pre, post in pairwise(sizes)]
    layers = [random_layer(rng, batch, post, threshold=threshold) for post in sizes[1:]]
    return times, weights, layers


def oracle(times, weights, layers, points=20001):
    """Spike times of every layer, each layer from the oracle's own times."""
    results = []
    for matrix, layer in zip(weights, layers, strict=True):
        spikes = np.array(
            [
                [
                    first_spike(
                        row,
                        matrix[:, j],
                        layer.tau_mem[j],
                        layer.tau_syn_exc[j],
                        layer.tau_syn_inh[j],
                        layer.threshold[b, j],
                        WINDOW,
                        points,
                    )[0]
                    for j in range(matrix.shape[1])
                ]
                for b, row in enumerate(times)
            ]
        )
        results.append(spikes)
        times = spikes
    return results


def spike_errors(got, expected):
    """Absolute errors where both spike; the number of wrong decisions."""
    both = np.isfinite(got) & np.isfinite(expected)
    return np.abs(got[both] - expected[both]), int(
        (np.isfinite(got) != np.isfinite(expected)).sum()
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("brian2")


@pytest.fixture(scope="session")
def compiled(cache):
    """The compiled model, built for 8 samples of a 4-6-3 network."""
    solver = Brian2Solver(SIZES, WINDOW, Brian2Options(cache_dir=cache))
    solver.run(*random_network(0))
    yield solver
    solver.close()


def numpy_run(sizes, times, weights, layers, dt=1 / 200, earliest=None):
    solver = Brian2Solver(sizes, WINDOW, Brian2Options(dt=dt, target="numpy"), earliest=earliest)
    try:
        return solver.run(times, weights, layers)
    finally:
        solver.close()
