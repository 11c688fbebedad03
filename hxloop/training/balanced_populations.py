"""Initial weights at which every population of a network of any shape is active."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.checks.random_streams import entropy
from hxloop.engine.trains import spike_trains
from hxloop.errors import ConfigError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec, Parameters
from hxloop.training.drawn_weights import drawn_weights

Array = NDArray[np.float64]


def balanced(
    network: NetworkSpec, inputs: Spikes, spread: float, active: float, seed: int
) -> tuple[Array, ...]:
    """What ``balanced_weights`` does, population after population, in their topological order.

    All weights into a population, but for those of loops, have one open scale, and each source a
    share that goes with its number of neurons. The scale is the smallest at which the fraction
    ``active`` of the neurons spikes at all; of a leaky read-out, at which their membranes rise by
    1. Weights of loops are drawn around 0, so that the standard deviation of what they add to the
    drive is ``spread`` times its mean; while a scale is searched they and all delays count as 0.

    Args:
        network: whose weights.
        inputs: samples to balance with.
        spread: of the drive, relative to its mean.
        active: fraction of (sample, neuron) pairs with a spike.
        seed: of the draw.

    Returns:
        One ``(pre, post)`` array for each projection.

    Raises:
        ConfigError: input so sparse that no scale makes a population active.
    """
    weights: list[Array | None] = [None] * len(network.shapes)
    spikes: dict[int, Spikes] = {-1: inputs}
    for block in network.blocks:
        for population in block:
            into = [i for i, (_, post) in enumerate(network.ends) if post == population]
            forward = [i for i in into if network.ends[i][0] not in block]
            loops = [i for i in into if i not in forward]
            shapes = _shapes(network, forward, spread, seed)
            layer = network.layers[population]
            # One that only its block reaches is driven by what is known of it by now.
            known = [i for i in forward if network.ends[i][0] in spikes]
            sources = [spikes[network.ends[i][0]] for i in known]
            scale = 1.0
            if known:
                rows = np.concatenate([shapes[i] for i in known])
                scale, found = _scaled(
                    network, population, layer, _side_by_side(sources), rows, active
                )
                spikes[population] = found
            for i in forward:
                weights[i] = scale * shapes[i]
            n = sum(network.shapes[i][0] for i in loops)
            for i in loops:
                rng = np.random.default_rng(entropy(seed, 0, i))
                weights[i] = rng.normal(0, scale * spread / math.sqrt(n), network.shapes[i])
                _obey(network, i, weights[i])
    return tuple(matrix for matrix in weights if matrix is not None)


def _shapes(
    network: NetworkSpec, projections: Sequence[int], spread: float, seed: int
) -> dict[int, Array]:
    """Weights whose sum over all inputs of a neuron is 1 on average."""
    total = sum(network.shapes[i][0] for i in projections)
    found = {}
    for i in projections:
        pre, post = network.shapes[i]
        source = network.ends[i][0]
        law = 0 if source < 0 else network.layers[source].n_inhibitory
        rng = np.random.default_rng(entropy(seed, 0, i))
        if law == pre:
            raise ConfigError(
                f"initialisation: all {pre} neurons of "
                f"{network.populations[source].name!r} are inhibitory; expected some that are "
                "not, or method = 'normal'"
            )
        found[i] = pre / total * drawn_weights(rng, pre, post, spread, law)
    return found


def _scaled(
    network: NetworkSpec,
    population: int,
    layer: LayerSpec,
    inputs: Spikes,
    rows: Array,
    active: float,
) -> tuple[float, Spikes]:
    """The smallest scale at which a population is active, and its spikes at that."""
    neuron = layer.neuron
    if neuron.never_spikes:
        neuron = NeuronSpec(neuron.tau_mem, neuron.tau_syn, neuron.v_leak + 1, neuron.v_leak)
    once = _alone(network, inputs.n_units, layer, replace(neuron, t_refractory=math.inf))

    def run(scale: float, spec: NetworkSpec = once) -> Spikes:
        return spike_trains(spec, Parameters((scale * rows,), (None,)), inputs)[0]

    def fraction(scale: float) -> float:
        found = run(scale)
        return found.n_spikes / (found.batch * found.n_units)

    low, high = 0.0, 1.0
    while fraction(high) < active:
        low, high = high, 2 * high
        if high > 1e6:
            raise ConfigError(
                f"initialisation: no weights make population "
                f"{network.populations[population].name!r} of {network} spike in "
                f"{100 * active:g} % of the cases; is its input silent?"
            )
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if fraction(middle) >= active else (middle, high)
    return high, run(high, _alone(network, inputs.n_units, layer, neuron))


def _alone(
    network: NetworkSpec, n_inputs: int, layer: LayerSpec, neuron: NeuronSpec
) -> NetworkSpec:
    return NetworkSpec(n_inputs, (LayerSpec(layer.n_neurons, neuron),), network.t_window)


def _side_by_side(sources: Sequence[Spikes]) -> Spikes:
    """Spikes of several populations as those of one."""
    if len(sources) == 1:
        return sources[0]
    first = np.cumsum([0, *(spikes.n_units for spikes in sources)])
    return Spikes.from_events(
        np.concatenate([spikes.samples for spikes in sources]),
        np.concatenate([s.units + start for s, start in zip(sources, first, strict=False)]),
        np.concatenate([spikes.times for spikes in sources]),
        batch=sources[0].batch,
        n_units=int(first[-1]),
    )


def _obey(network: NetworkSpec, projection: int, weights: Array | None) -> None:
    """Give weights the signs that Dale's law asks of their neurons, in place."""
    source = network.layers[network.ends[projection][0]]
    if source.n_inhibitory and weights is not None:
        np.abs(weights, out=weights)
        weights[source.n_excitatory :] *= -1
