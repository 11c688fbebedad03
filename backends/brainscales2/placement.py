"""Where on a BrainScaleS-2 chip the neurons of a network go, so that its router finds a way.

Neuron ``i`` of 512 sits in row ``i // 256``, column ``i % 256``. What it fires reaches the synapses
of each row of neurons on one of four buses, number ``column // 32 % 4``; a bus has 64 rows of
synapses, each of one sign. So a signed connection from every neuron of a layer takes two rows
of the bus for each of its neurons there, and at most 32 of them can be on one bus. Input from
outside may come on any bus. (Limits as the router of the vendor's grenade checks them,
``routing_constraints.cpp``; that input and internal connections share no rows is assumed here,
to be on the safe side.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from hxloop.chip.placement import N_CIRCUITS, SIGNED_INPUTS
from hxloop.errors import CapacityError
from hxloop.network import NetworkSpec

COLUMNS = 256
BUSES = 4
# Neurons whose events leave the chip's rows by the same output.
OUTPUT_WIDTH = 32
# Of one bus: 64 rows of synapses, two for a signed input.
SIGNED_INPUTS_PER_BUS = SIGNED_INPUTS // BUSES


def bus_of(neuron: int) -> int:
    """The bus on which a neuron's events reach synapses."""
    return neuron % COLUMNS // OUTPUT_WIDTH % BUSES


def place_neurons(
    network: NetworkSpec, failed: Collection[int], backend: str
) -> tuple[tuple[int, ...], ...]:
    """Choose a hardware neuron for every neuron of every layer.

    Layers follow one another, and leave out failed neurons and those on a full bus. If
    the rows of synapses do not suffice for all in one half of the chip, the layers after the
    first go to the other half.

    Args:
        network: what to place.
        failed: hardware neurons not to be used.
        backend: named in messages.

    Returns:
        Hardware neurons, 0 to 511, layer by layer.

    Raises:
        CapacityError: too many neurons, too many inputs of a neuron, or no placement that the
            router could do; the message says which, and what would help.
    """
    _check_sizes(network, failed, backend)
    for second in (0, COLUMNS):
        layers = _place(network, failed, second)
        if layers is not None and all(rows <= 2 * SIGNED_INPUTS for rows in _rows(network, layers)):
            return layers
    raise CapacityError(
        f"backend {backend!r}: network {network} cannot be placed: each half of the chip has "
        f"{2 * SIGNED_INPUTS} rows of synapses, {2 * SIGNED_INPUTS_PER_BUS} on each of {BUSES} "
        "buses, two for each signed input, and inputs and hidden neurons share none. Use fewer "
        f"inputs or smaller hidden layers (failed neurons: {len(failed)})."
    )


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
                "circuit for a neuron. Use fewer inputs (copies of inputs, encoding.replicate, "
                "count) or a smaller hidden layer."
            )


def _place(
    network: NetworkSpec, failed: Collection[int], second: int
) -> tuple[tuple[int, ...], ...] | None:
    free = [neuron for neuron in range(N_CIRCUITS) if neuron not in failed]
    layers = []
    for index, size in enumerate(network.sizes[1:]):
        feeds_on = index + 1 < len(network.layers)
        allowed = [neuron for neuron in free if neuron >= second] if index else free
        chosen = list(_choose(allowed, size, feeds_on))
        if len(chosen) < size:
            return None
        layers.append(tuple(chosen))
        free = [neuron for neuron in free if neuron not in set(chosen)]
    return tuple(layers)


def _choose(free: list[int], size: int, feeds_on: bool) -> Iterator[int]:
    on_bus = [0] * BUSES
    count = 0
    for neuron in free:
        if count == size:
            return
        if feeds_on and on_bus[bus_of(neuron)] == SIGNED_INPUTS_PER_BUS:
            continue
        on_bus[bus_of(neuron)] += 1
        count += 1
        yield neuron


def _rows(network: NetworkSpec, layers: tuple[tuple[int, ...], ...]) -> tuple[int, int]:
    """Rows of synapses that each half of the chip needs."""
    from_outside = np.zeros(2, dtype=np.int64)
    inside = np.zeros((2, BUSES), dtype=np.int64)
    for index, layer in enumerate(layers):
        halves = {neuron // COLUMNS for neuron in layer}
        for half in halves:
            if index == 0:
                from_outside[half] = 2 * network.n_inputs
            else:
                counts = np.bincount([bus_of(n) for n in layers[index - 1]], minlength=BUSES)
                inside[half] = np.maximum(inside[half], 2 * counts)
    return tuple(int(rows) for rows in from_outside + inside.sum(axis=1))  # type: ignore[return-value]
