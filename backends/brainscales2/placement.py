"""Where on a BrainScaleS-2 chip the neurons of a network go, so that its router finds a way.

Ways to lay the layers out are tried one after the other, as counts of neurons in each of sixteen
segments of 32 columns, until ``hxloop.backends.brainscales2.routing`` finds one that can be routed:
each layer in one half of the chip or in both; the neurons whose events others receive from one
block for each bus, from both evenly, or from both as far as they can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import product

import numpy as np

from hxloop.backends.brainscales2.routing import (
    BLOCKS,
    BUSES,
    DRIVERS,
    HALVES,
    Counts,
    Refusal,
    refusal,
    segment_of,
)
from hxloop.chip.placement import N_CIRCUITS, SIGNED_INPUTS
from hxloop.errors import CapacityError
from hxloop.network import NetworkSpec

# Layers beyond these are all placed in one way: each of them multiplies the ways there are.
FREE_LAYERS = 4
BOTH = tuple(range(HALVES))
# Neurons of one layer that an output may carry: alone on its bus; beside another output, where so
# many drivers of each can be told apart (``routing``); evenly from two.
ALONE, BESIDE, EVEN = DRIVERS, 28, DRIVERS // BLOCKS


def place_neurons(
    network: NetworkSpec, failed: Collection[int], backend: str
) -> tuple[tuple[int, ...], ...]:
    """Choose a hardware neuron for every neuron of every layer.

    Args:
        network: what to place.
        failed: hardware neurons not to be used.
        backend: named in messages.

    Returns:
        Hardware neurons, 0 to 511, layer by layer.

    Raises:
        CapacityError: too many neurons, too many inputs of a neuron, or no placement was found that
            the router could do; the message says why, and what would fit.
    """
    _check_sizes(network, failed, backend)
    free = _free_neurons(failed)
    found = _place(network.n_inputs, network.sizes[1:], free)
    if isinstance(found, Refusal):
        raise CapacityError(
            f"backend {backend!r}: network {network} cannot be routed on the chip, in none of the "
            f"ways that were tried to place it: {found.reason} (failed neurons: {len(failed)}). "
            f"{_what_would_fit(network, free)}"
        )
    taken: dict[tuple[int, int, int], int] = {}
    layers = []
    for counts in found:
        layer: list[int] = []
        for segment in np.ndindex(counts.shape):
            start, many = taken.get(segment, 0), int(counts[segment])
            layer += free[segment][start : start + many]
            taken[segment] = start + many
        layers.append(tuple(layer))
    return tuple(layers)


def _check_sizes(network: NetworkSpec, failed: Collection[int], backend: str) -> None:
    needed, usable = sum(network.sizes[1:]), N_CIRCUITS - len(failed)
    if needed > usable:
        raise CapacityError(
            f"backend {backend!r}: network {network} needs {needed} neurons; the chip has "
            f"{N_CIRCUITS}, of which {len(failed)} are listed as failed"
        )
    for index, (pre, _) in enumerate(network.shapes):
        if pre > SIGNED_INPUTS:
            raise CapacityError(
                f"backend {backend!r}: layer {index} of network {network} has {pre} inputs; a "
                f"neuron circuit has {SIGNED_INPUTS} signed ones, and this backend uses one "
                "circuit for a neuron: it does not make merged ones (the vendor's PyNN could), "
                "nor does backend 'partitioned' over it. Use fewer inputs (copies of inputs, "
                "encoding.replicate, count) or a smaller hidden layer. Backend 'emulated-chip' "
                "merges."
            )


def _free_neurons(failed: Collection[int]) -> dict[tuple[int, ...], list[int]]:
    free: dict[tuple[int, ...], list[int]] = {
        segment: [] for segment in np.ndindex(HALVES, BLOCKS, BUSES)
    }
    unusable = set(failed)
    for neuron in range(N_CIRCUITS):
        if neuron not in unusable:
            free[segment_of(neuron)].append(neuron)
    return free


def _place(
    n_inputs: int, sizes: Sequence[int], free: dict[tuple[int, ...], list[int]]
) -> list[Counts] | Refusal:
    """How many neurons of each layer go where; or why the way that came nearest does not do."""
    available = np.zeros((HALVES, BLOCKS, BUSES), dtype=np.int64)
    for segment, neurons in free.items():
        available[segment] = len(neurons)
    nearest = Refusal("there are not enough neurons on buses with room for them", N_CIRCUITS)
    for halves in _ways(len(sizes)):
        for spread in (ALONE, EVEN, BESIDE):
            layers = _lay_out(sizes, available, halves, spread)
            if layers is None:
                continue
            why = refusal(n_inputs, layers)
            if why is None:
                return layers
            nearest = min(nearest, why, key=lambda each: each.missing)
    return nearest


def _ways(n_layers: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Halves of each layer, likely ones first."""
    top, bottom = (0,), (1,)
    rest = (bottom,) * max(n_layers - FREE_LAYERS, 0)
    likely = [(top,) * n_layers, (top, *(bottom,) * (n_layers - 1))]
    yield from likely
    for way in product((top, bottom, BOTH), repeat=min(n_layers, FREE_LAYERS)):
        if way[0] != bottom and (*way, *rest) not in likely:
            yield (*way, *rest)


def _lay_out(
    sizes: Sequence[int], available: Counts, halves: Sequence[tuple[int, ...]], spread: int
) -> list[Counts] | None:
    left, layers = available.copy(), []
    for index, (size, allowed) in enumerate(zip(sizes, halves, strict=True)):
        last = index == len(sizes) - 1
        counts = _take(size, left, allowed, N_CIRCUITS if last else spread)
        if counts is None:
            return None
        left -= counts
        layers.append(counts)
    return layers


def _take(size: int, left: Counts, halves: tuple[int, ...], spread: int) -> Counts | None:
    """Neurons of one layer, at most ``spread`` of each output and 32 of each bus.

    ``N_CIRCUITS`` for ``spread``: of a layer whose events nobody receives, from anywhere.
    """
    counts = np.zeros_like(left)
    order: Iterator[tuple[int, int]]
    if spread == ALONE:
        here = np.minimum(left[list(halves)].sum(axis=0), min(size, DRIVERS))
        order = iter([(int(here[:, bus].argmax()), bus) for bus in range(BUSES)])
    elif spread == N_CIRCUITS:
        # From behind: what is in front is left to layers whose events others receive.
        order = ((b, bus) for bus in reversed(range(BUSES)) for b in reversed(range(BLOCKS)))
    else:
        order = ((block, bus) for bus in range(BUSES) for block in range(BLOCKS))
    for block, bus in order:
        room = spread
        if spread != N_CIRCUITS:
            room = min(room, DRIVERS - int(counts[:, :, bus].sum()))
        for half in halves:
            taken = min(size, room, int(left[half, block, bus]))
            counts[half, block, bus] += taken
            size, room = size - taken, room - taken
    return None if size else counts


def _what_would_fit(network: NetworkSpec, free: dict[tuple[int, ...], list[int]]) -> str:
    """The largest smaller network of the kind that can be placed, in words."""
    sizes = list(network.sizes[1:])

    def fits(n_inputs: int, layers: Sequence[int]) -> bool:
        return not isinstance(_place(n_inputs, layers, free), Refusal)

    answers = []
    inputs = _largest(network.n_inputs - 1, lambda n: fits(n, sizes))
    if inputs:
        answers.append(f"at most {inputs} inputs")
    if len(sizes) > 1:
        hidden = _largest(
            max(sizes[:-1]) - 1,
            lambda n: fits(network.n_inputs, [*(min(size, n) for size in sizes[:-1]), sizes[-1]]),
        )
        if hidden:
            answers.append(f"hidden layers of at most {hidden} neurons")
    if not answers:
        return "Use fewer inputs and smaller layers."
    return f"What would fit: {', or '.join(answers)}."


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    low, high = 0, max(most, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
