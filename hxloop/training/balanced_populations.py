"""Initial weights at which every population of a network of any shape is active."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.checks.random_streams import entropy
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import ConfigError, RunInputError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec, Parameters
from hxloop.training.drawn_weights import DALE_BALANCE, drawn_weights, obey_dale

Array = NDArray[np.float64]
# How many more spikes there may be with a loop than without, and in one sample; and how often its
# weights are halved for that.
_CALM, _BURST, _HALVINGS = 1.5, 4.0, 12
_SAMPLES = 16  # that this is looked for with


def balanced(
    network: NetworkSpec, inputs: Spikes, spread: float, active: float, seed: int
) -> tuple[Array, ...]:
    """What ``balanced_weights`` does, population after population, in their topological order.

    Those of a loop come in the order in which they are reached from outside. All weights into a
    population, but for those that close loops, have one open scale, and each source a share that
    goes with its number of neurons. The scale is the smallest at which the fraction ``active`` of
    the neurons spikes at all; of a leaky read-out, at which their membranes rise by 1. Weights
    that close loops are drawn around 0, so that the standard deviation of what they add to the
    drive is ``spread`` times its mean; while a scale is searched they and all delays count as 0.
    Then they are halved until the populations of the loop spike no more than half as often again
    as without them: a loop that keeps itself going would drown its input, and never end.

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
    weights: dict[int, Array] = {}
    spikes: dict[int, Spikes] = {-1: inputs}
    for block in network.blocks:
        for population in _from_outside_in(network, block):
            into = [i for i, (_, post) in enumerate(network.ends) if post == population]
            driving = [i for i in into if network.ends[i][0] in spikes]
            loops = [i for i in into if i not in driving]
            shapes = _shapes(network, driving, spread, seed)
            sources = [spikes[network.ends[i][0]] for i in driving]
            rows = np.concatenate([shapes[i] for i in driving])
            scale, found = _scaled(network, population, _side_by_side(sources), rows, active)
            weights |= {i: scale * shape for i, shape in shapes.items()}
            n = sum(network.shapes[i][0] for i in loops)
            for i in loops:
                rng = np.random.default_rng(entropy(seed, 0, i))
                weights[i] = rng.normal(0, scale * spread / math.sqrt(n), network.shapes[i])
                obey_dale(weights[i], _n_inhibitory(network, i))
            spikes[population] = found
        if _loops_of(network, block):
            factor, calm = _calmed(network, block, weights, spikes)
            weights |= {i: factor * weights[i] for i in _loops_of(network, block)}
            spikes |= calm
    return tuple(weights[i] for i in range(len(network.shapes)))


def _calmed(
    network: NetworkSpec, block: Sequence[int], weights: dict[int, Array], spikes: dict[int, Spikes]
) -> tuple[float, dict[int, Spikes]]:
    """By what the weights within a block have to be lowered for it to be calm; its spikes then."""
    inside = _loops_of(network, block)
    # What is not reached yet is silent; without delays, as while the scales were searched.
    known = [weights.get(i, np.zeros(shape)) for i, shape in enumerate(network.shapes)]
    none = tuple(None for _ in known)

    some = spikes[-1].select(slice(_SAMPLES))

    def run(factor: float, inputs: Spikes, most: int) -> list[Spikes] | None:
        chosen = tuple(factor * w if i in inside else w for i, w in enumerate(known))
        try:
            found = spike_trains(network, Parameters(chosen, none), inputs, max_spikes=most)
        except RunInputError:  # more spikes than that
            return None
        return [found[population] for population in block]

    def count(found: Sequence[Spikes]) -> int:
        return sum(each.n_spikes for each in found)

    alone = count([spikes[population].select(slice(_SAMPLES)) for population in block])
    neurons = sum(spikes[population].n_units for population in block) * some.batch
    most = max(4, math.ceil(_BURST * alone / neurons))
    for factor in (0.5**k for k in range(_HALVINGS)):
        tried = run(factor, some, most)
        if tried is None or count(tried) > _CALM * alone:
            continue
        whole = run(factor, spikes[-1], 4 * most)
        if whole is not None:
            return factor, dict(zip(block, whole, strict=True))
    return 0.0, {}


def _loops_of(network: NetworkSpec, block: Sequence[int]) -> list[int]:
    """The projections within a block that close its loops."""
    order = _from_outside_in(network, block)
    return [
        i
        for i, (pre, post) in enumerate(network.ends)
        if pre in order and post in order and order.index(pre) >= order.index(post)
    ]


def _from_outside_in(network: NetworkSpec, block: Sequence[int]) -> list[int]:
    """The populations of a block in an order in which something drives each: none is left over,
    since a path leads to every population from the input."""
    order: list[int] = []
    while len(order) < len(block):
        # Those that are not of this block have been there before.
        driven = {
            post
            for pre, post in network.ends
            if post in block and post not in order and (pre not in block or pre in order)
        }
        order += sorted(driven)
    return order


def _shapes(
    network: NetworkSpec, projections: Sequence[int], spread: float, seed: int
) -> dict[int, Array]:
    """Weights whose sum over all inputs of a neuron is 1 on average, before what populations of
    inhibitory neurons only take from it: the share of the excitation that they take elsewhere."""
    laws = {i: _n_inhibitory(network, i) for i in projections}
    total = sum(network.shapes[i][0] for i in projections if laws[i] < network.shapes[i][0])
    if total == 0:
        names = [network.populations[network.ends[i][0]].name for i in projections]
        raise ConfigError(
            f"initialisation: all neurons of {', '.join(map(repr, names))} are inhibitory, and "
            f"nothing else drives {network.populations[network.ends[projections[0]][1]].name!r}; "
            "expected some that are not, or method = 'normal'"
        )
    found = {}
    for i in projections:
        pre, post = network.shapes[i]
        rng = np.random.default_rng(entropy(seed, 0, i))
        if laws[i] == pre:
            found[i] = -DALE_BALANCE / pre * rng.exponential(1.0, (pre, post))
        else:
            found[i] = pre / total * drawn_weights(rng, pre, post, spread, laws[i])
    return found


def _n_inhibitory(network: NetworkSpec, projection: int) -> int:
    source = network.ends[projection][0]
    return 0 if source < 0 else network.layers[source].n_inhibitory


def _scaled(
    network: NetworkSpec, population: int, inputs: Spikes, rows: Array, active: float
) -> tuple[float, Spikes]:
    """The smallest scale at which a population is active, and its spikes at that."""
    layer = network.layers[population]
    neuron = layer.neuron
    if neuron.never_spikes:
        neuron = replace(neuron, v_threshold=neuron.v_leak + 1, v_reset=neuron.v_leak)
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
