"""Small networks of every kind, drawn."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Spikes
from hxloop.network import (
    NetworkSpec,
    NeuronParameters,
    NeuronSpec,
    Parameters,
    Population,
    Projection,
)

KINDS = (None, "axonal", "dendritic", "synaptic")


def drawn_network(
    kind: str | None, loop: bool, *, sizes: tuple[int, int] = (4, 3), t_window: float = 4.0
) -> NetworkSpec:
    """Two populations, with delays of a kind; in a loop the first feeds itself, the second it."""
    spiking = NeuronSpec(tau_mem=1.3, t_refractory=0.3, v_reset=-0.2)
    projections = [Projection("input", "a", kind), Projection("a", "b", kind)]
    if loop:
        projections += [Projection("a", "a", kind), Projection("b", "a")]
    return NetworkSpec(
        3,
        (Population("a", sizes[0], spiking), Population("b", sizes[1], spiking)),
        t_window=t_window,
        projections=tuple(projections),
    )


def drawn_neurons(
    rng: np.random.Generator, network: NetworkSpec, two_currents: bool
) -> list[NeuronParameters]:
    """Neurons as on a bad chip: no two alike, some at rest above their threshold."""
    found = []
    for layer in network.layers:
        n = layer.n_neurons

        def of(low: float, high: float, n: int = n) -> np.ndarray:
            return np.exp(rng.uniform(np.log(low), np.log(high), n))

        exc = of(0.2, 4.0)
        found.append(
            NeuronParameters(
                tau_mem=of(0.2, 4.0),
                tau_syn_exc=exc,
                tau_syn_inh=of(0.2, 4.0) if two_currents else exc,
                v_threshold=np.where(rng.random(n) < 0.15, -0.1, 1.0),
                v_leak=np.zeros(n),
                v_reset=rng.uniform(-1.0, -0.2, n),
                t_refractory=rng.choice([0.0, 0.2, 1.0, 3.0, np.inf], n),
            )
        )
    return found


def drawn_parameters(rng: np.random.Generator, network: NetworkSpec) -> Parameters:
    """Strong weights forward, weak ones back, delays up to 1."""
    weights = tuple(
        rng.normal(1.2, 1.0, shape) if i < 2 else rng.normal(0.0, 0.4, shape)
        for i, shape in enumerate(network.shapes)
    )
    return Parameters(
        weights, tuple(None if s is None else rng.random(s) for s in network.delay_shapes)
    )


def few_inputs(rng: np.random.Generator, network: NetworkSpec, batch: int) -> Spikes:
    """About six input spikes a sample, several of a channel."""
    n = 6 * batch
    return Spikes.from_events(
        rng.integers(0, batch, n),
        rng.integers(0, network.n_inputs, n),
        rng.random(n) * 3,
        batch=batch,
        n_units=network.n_inputs,
    )
