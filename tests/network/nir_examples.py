"""Networks that NIR graphs are made of in the tests, with their parameters."""

from __future__ import annotations

import math

import numpy as np

from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.network.nir import AS_WRITTEN, Convention

CONVENTIONS = {
    "dirac": AS_WRITTEN,
    "steps": Convention(spikes="steps", dt=1e-4, tau_syn_ms=7.0),
    "jumps": Convention(spikes="jumps", unit="ms", tau_syn_ms=6e-3),
}
SPIKING = NeuronSpec(t_refractory=0.5, tau_mem=1.3, v_leak=-0.1, v_reset=-0.3)
AGAIN = NeuronSpec(t_refractory=0.0)


def everything() -> tuple[NetworkSpec, Parameters]:
    """Loop, delays of both kinds, Dale's law, neurons of their own, spiking once, a read-out."""
    network = NetworkSpec(
        4,
        (
            Population("memory", 6, SPIKING, n_inhibitory=2),
            Population("b-1", 3, NeuronSpec(tau_mem=0.7)),
            Population("output", 2, NeuronSpec(v_threshold=math.inf)),
        ),
        projections=(
            Projection("memory", "memory", delays="axonal", min_delay=0.1),
            Projection("input", "memory"),
            Projection("memory", "b-1", delays="dendritic"),
            Projection("memory", "output"),
            Projection("b-1", "output"),
        ),
    )
    rng = np.random.default_rng(0)
    weights = tuple(rng.normal(0.5, 1.0, shape) for shape in network.shapes)
    delays = tuple(
        None if shape is None else 0.1 + rng.uniform(size=shape) for shape in network.delay_shapes
    )
    own = {"memory": {"tau_mem": rng.uniform(0.5, 2.0, 6)}}
    return network, Parameters(weights, delays, own)


def feed_forward(seed: int = 3) -> tuple[NetworkSpec, Parameters, np.ndarray]:
    """5-8-3, several spikes a neuron without refractory time, and inputs on a grid of 0.01."""
    populations = (Population("hidden", 8, AGAIN), Population("output", 3, AGAIN))
    network = NetworkSpec(5, populations, 4.0)
    rng = np.random.default_rng(seed)
    spread = zip(((0.9, 0.5), (0.35, 0.25)), network.shapes, strict=True)
    weights = tuple(rng.normal(mean, stdev, shape) for (mean, stdev), shape in spread)
    return network, Parameters(weights), np.round(rng.uniform(0.05, 2.0, (6, 5)), 2)
