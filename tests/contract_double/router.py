"""The limits of the chip's event routing, counted as its router counts them.

Neuron ``i`` of 512 sits in row ``i // 256`` and column ``i % 256``. Its events reach the synapses
of a row of neurons on the bus ``column // 32 % 4``, of four; each bus has 64 synapse rows. Events
from outside may come on any bus. A synapse row has one sign, so the rows that a bus needs are
the largest number of excitatory inputs of any neuron, plus that of inhibitory ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

N_NEURONS, COLUMNS, BUSES, ROWS_PER_BUS = 512, 256, 4, 64
LARGEST_WEIGHT = 63


def parallel_synapses(weights: Any) -> Any:
    """How many synapses realise each weight: one for each 63, at least one."""
    return np.maximum(1, -(-np.abs(weights) // LARGEST_WEIGHT)).astype(np.int64)


def check_routing(projections: Sequence[Any], place: dict[int, Any]) -> None:
    """Refuse a network that cannot be routed.

    Args:
        projections: all of them.
        place: ``id(population)`` -> hardware neurons of it; inputs are not in it.

    Raises:
        RuntimeError: too many inputs of a neuron, or too many rows of a bus.
    """
    degree = np.zeros(N_NEURONS, dtype=np.int64)
    inside = np.zeros((2, BUSES, N_NEURONS), dtype=np.int64)
    outside = np.zeros((2, N_NEURONS), dtype=np.int64)
    for projection in projections:
        count = parallel_synapses(projection.weights)
        targets = place[id(projection.post)]
        sign = int(projection.receptor_type == "inhibitory")
        degree[targets] += count.sum(axis=0)
        sources = place.get(id(projection.pre))
        if sources is None:
            outside[sign, targets] += count.sum(axis=0)
            continue
        bus = sources % COLUMNS // 32 % BUSES
        for number in range(BUSES):
            inside[sign, number, targets] += count[bus == number].sum(axis=0)
    if degree.max() > BUSES * ROWS_PER_BUS:
        raise RuntimeError("Neuron(s) with in-degree larger than the number of synapse rows exist.")
    if inside.sum(axis=0).max() > ROWS_PER_BUS:
        raise RuntimeError(
            "Neuron(s) with in-degree on a single PADI-bus larger than its number of synapse rows "
            "exist."
        )
    for row in range(2):
        part = slice(row * COLUMNS, (row + 1) * COLUMNS)
        rows = inside[:, :, part].max(axis=2).sum(axis=0)
        if rows.max() > ROWS_PER_BUS:
            raise RuntimeError(
                "PADI-bus(ses) with required number of synapse rows larger than the number of "
                "synapse rows on a single PADI-bus exist."
            )
        free = BUSES * ROWS_PER_BUS - int(rows.sum())
        if outside[:, part].max(axis=1).sum() > free:
            raise RuntimeError("External sources need more synapse rows than are left.")


class NeuronPlacement:
    """Which hardware neuron each neuron of the network gets, in the order of their creation."""

    def __init__(self, permutation: Any = None) -> None:
        numbers = list(range(N_NEURONS) if permutation is None else permutation)
        for number in numbers:
            if number < 0:
                raise TypeError("neuronPermutation: negative neuron")
            if number >= N_NEURONS:
                raise OverflowError("neuronPermutation: neuron out of range")
        if len(numbers) > N_NEURONS:
            raise OverflowError("neuronPermutation: too long")
        if len(set(numbers)) != len(numbers):
            raise ValueError("neuronPermutation: non unique entries")
        self._free = [math.floor(number) for number in numbers]

    def take(self, size: int) -> Any:
        """The next so many."""
        if size > len(self._free):
            raise ValueError("Cannot create more neurons than the permutation holds.")
        taken, self._free = self._free[:size], self._free[size:]
        return np.array(taken, dtype=np.int64)
