"""A network of several populations, with a loop, delays and a skip connection, for simulators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.activity import Spikes
from hxloop.errors import MissingDependencyError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection

DT = 0.05


def opened(name: str, network: NetworkSpec, **options: Any) -> Any:
    """A session, of a grid of ``DT``; skips where the simulator is not installed."""
    try:
        return get_backend(name, **({"dt": DT} | options)).open(network)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def loop(neuron: NeuronSpec, min_delay: float = DT, *, delayed: bool = True) -> NetworkSpec:
    late = {"delays": "synaptic", "min_delay": min_delay} if delayed else {}
    return NetworkSpec(
        4,
        (Population("a", 5, neuron), Population("b", 3, neuron), Population("c", 2, neuron)),
        t_window=5.0,
        projections=(
            Projection("input", "a"),
            Projection("a", "a", **late),
            Projection("a", "b"),
            Projection("input", "b"),
            Projection("b", "c"),
            Projection("a", "c", delays="axonal"),
        ),
    )


def drawn(network: NetworkSpec, seed: int, batch: int = 7) -> tuple[Parameters, Spikes]:
    rng = np.random.default_rng(seed)
    gain = 1 + 1 / min(1.0, network.layers[0].neuron.tau_mem)
    weights = [
        rng.normal(2.0 * gain / pre, 1.5 / pre, (pre, post)) * (1.0 if a < b else 0.2)
        for (pre, post), (a, b) in zip(network.shapes, network.ends, strict=True)
    ]
    # Multiples of the step, which NEST holds as they are.
    delays = [
        None if shape is None else rng.integers(1, 12, shape) * DT for shape in network.delay_shapes
    ]
    n = 10 * batch
    inputs = Spikes.from_events(
        rng.integers(0, batch, n), rng.integers(0, 4, n), rng.random(n) * 3, batch=batch, n_units=4
    )
    return Parameters(tuple(weights), tuple(delays)), inputs
