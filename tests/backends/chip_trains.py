"""Networks whose neurons spike more than once, for the tests of the emulated chip."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Spikes
from hxloop.network import NetworkSpec, NeuronSpec, Population, Projection

BURSTING = NeuronSpec(tau_mem=1.2, v_reset=-0.3, t_refractory=0.3)
CHAIN = NetworkSpec.feed_forward(6, 10, 3, neuron=BURSTING, t_window=4.0)


def loop_network(t_window: float = 4.0) -> NetworkSpec:
    """Two populations that feed each other, one of them itself; the input reaches both."""
    return NetworkSpec(
        6,
        (Population("hidden", 8, BURSTING), Population("output", 3, BURSTING)),
        t_window=t_window,
        projections=(
            Projection("input", "hidden"),
            Projection("hidden", "hidden"),
            Projection("hidden", "output"),
            Projection("output", "hidden"),
            Projection("input", "output"),
        ),
    )


LOOP = loop_network()
NETWORKS = {"chain": CHAIN, "loop": LOOP}


def drawn_weights(network: NetworkSpec, seed: int = 0) -> list[np.ndarray]:
    """Weights with which neurons spike a few times; weak ones back."""
    rng = np.random.default_rng(seed)
    weights = []
    for (pre, post), (rows, columns) in zip(network.ends, network.shapes, strict=True):
        drawn = rng.normal(6.0 / rows, 4.0 / rows**0.7, (rows, columns))
        weights.append(drawn if pre < post else 0.3 * (drawn - drawn.mean()))
    return weights


def drawn_inputs(network: NetworkSpec, batch: int = 12, seed: int = 0) -> Spikes:
    """Up to three spikes of a channel, some after the window."""
    rng = np.random.default_rng(seed + 100)
    n = 2 * network.n_inputs * batch
    samples, units = rng.integers(0, batch, n), rng.integers(0, network.n_inputs, n)
    times = rng.random(n) * (network.t_window + 0.3)
    return Spikes.from_events(samples, units, times, batch=batch, n_units=network.n_inputs)


def run_trains(backend, network, *, seed=1, trial=0, inputs=None, weights=None, calibration=None):
    with backend.open(network, seed=seed, calibration=calibration) as session:
        given = drawn_inputs(network) if inputs is None else inputs
        return session.run(weights or drawn_weights(network), given, trial=trial)


def assert_same_trains(a, b, tolerance: float = 0.0) -> None:
    """The same spikes of every population, up to a tolerance in time."""
    for one, other in zip(a.spikes, b.spikes, strict=True):
        assert (one.count == other.count).all()
        for k in range(int(one.count.max(initial=0))):
            x, y = one.nth(k), other.nth(k)
            fired = np.isfinite(x)
            assert np.abs(x[fired] - y[fired]).max(initial=0.0) <= tolerance
