"""An emulated chip and what is run on it, for the tests of it."""

from __future__ import annotations

import numpy as np

from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.network import NetworkSpec

# Neither weights nor times are touched, so that a closed form holds to rounding.
EXACT = {"quantise_weights": False, "quantise_times": False}


NOISY = {"preset": "calibrated", "spike_jitter": 0.01, "spike_loss": 0.1}


NETWORK = NetworkSpec.feed_forward(6, 10, 3, t_window=4.0)


def chip(**options):
    return EmulatedChipBackend(**({"solver": "event", "weight_lsb": 0.05} | options))


def workload(network=NETWORK, batch=12, seed=0):
    """Weights and times that let most but not all neurons fire, with a few silent inputs."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(4.5 / pre, 3.5 / pre**0.7, (pre, n)) for pre, n in network.shapes]
    times = rng.uniform(0.0, 2.0, (batch, network.n_inputs))
    times[rng.random(times.shape) < 0.05] = np.inf
    return weights, times


def run(backend, network=NETWORK, *, seed=1, trial=0, load=None):
    with backend.open(network, seed=seed) as session:
        return session.run(*(load or workload(network)), trial=trial)


def assert_same(a, b, part=slice(None)):
    assert len(a.first_spike_times) == len(b.first_spike_times)
    for x, y in zip(a.first_spike_times, b.first_spike_times, strict=True):
        np.testing.assert_array_equal(x[part], y)
