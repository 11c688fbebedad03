"""The router of the chip, as the vendor's greedy one decides; restated step by step, to the letter.

Source: electronicvisions/grenade, ``src/grenade/vx/network/routing/greedy``, at ``6ac13f3`` and at
``d1d8ee1`` (which EBRAINS 12 ships), alike. What is routed are the projections of the double;
nothing here is shared with what the backend uses to place neurons.

Neuron ``i`` of 512 sits in row ``i // 256`` and column ``i % 256``. Its events leave by output
``column // 32``, of eight: block ``output // 4``, bus ``output % 4``. Each half has four buses of
32 synapse drivers, of two rows each.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

N_NEURONS, COLUMNS, BUSES, BLOCKS, HALVES = 512, 256, 4, 2, 2
DRIVERS, ROWS_PER_DRIVER, SYNAPSE_LABELS, ROW_ADDRESSES = 32, 2, 64, 32
LARGEST_WEIGHT = 63
# All that Python is told: the reasons go to a log.
REFUSED = "No router of portfolio was successful."
RECEPTORS = ("excitatory", "inhibitory")


def parallel_synapses(weights: Any) -> Any:
    """How many synapses realise each weight: one for each 63, at least one."""
    return np.maximum(1, -(-np.abs(weights) // LARGEST_WEIGHT)).astype(np.int64)


def check_routing(projections: Sequence[Any], place: dict[int, Any]) -> None:
    """Refuse a network that the router does not route.

    Args:
        projections: all of them.
        place: ``id(population)`` -> hardware neurons of it; inputs are not in it.

    Raises:
        RuntimeError: what the vendor's router says.
    """
    internal, external = _sources(projections, place)
    requests = _partition(internal, external)
    if requests is None or not _allocate(requests):
        raise RuntimeError(REFUSED)


def _sources(
    projections: Sequence[Any], place: dict[int, Any]
) -> tuple[dict[int, Any], dict[tuple[int, int], Any]]:
    """Of each source ``(2, 512)``, how many synapses of each receptor each neuron has from it."""
    internal: dict[int, Any] = {}
    external: dict[tuple[int, int], Any] = {}
    for projection in projections:
        count = parallel_synapses(projection.weights) * connected(projection)
        targets, sources = place[id(projection.post)], place.get(id(projection.pre))
        receptor = RECEPTORS.index(projection.receptor_type)
        for index, row in enumerate(count):
            table: dict[Any, Any] = external if sources is None else internal
            key = (id(projection.pre), index) if sources is None else int(sources[index])
            degrees = table.setdefault(key, np.zeros((2, N_NEURONS), dtype=np.int64))
            degrees[receptor, targets] += row
    return internal, external


def connected(projection: Any) -> Any:
    """Which pairs have a synapse: all, where a projection does not say."""
    return vars(projection).get("connected", 1)


def _drivers(in_degree: Any) -> list[int]:
    """Drivers that so many synapses need in each half."""
    rows = in_degree.reshape(2, HALVES, COLUMNS).max(axis=2).sum(axis=0)
    return [-(-int(r) // ROWS_PER_DRIVER) for r in rows]


def _partition(internal: dict[int, Any], external: dict[Any, Any]) -> list[Any] | None:
    """Requests ``(labels, {(bus, half): drivers})`` in the router's order; None: does not fit."""
    requests = []
    used = np.zeros((BUSES, HALVES), dtype=np.int64)
    for bus in range(BUSES):
        for block in range(BLOCKS):
            sources = sorted(n for n in internal if n % COLUMNS // 32 == block * BUSES + bus)
            for start in range(0, len(sources), SYNAPSE_LABELS):
                chunk = sum(internal[n] for n in sources[start : start + SYNAPSE_LABELS])
                shapes = {}
                for half, drivers in enumerate(_drivers(chunk)):
                    used[bus, half] += drivers
                    if chunk.reshape(2, HALVES, COLUMNS)[:, half].any():
                        shapes[bus, half] = drivers
                fixture = bus << 2 | block << 4
                requests.append(([fixture + free for free in range(4)], shapes))
    if (used > DRIVERS).any():
        return None
    order = list(external)
    for half in range(HALVES):
        done = 0
        for bus in range(BUSES):
            unused = DRIVERS - int(used[bus, half])
            chunk, chunks, in_degree = [], [], np.zeros((2, N_NEURONS), dtype=int)
            while done < len(order) and _drivers(in_degree)[half] <= unused:
                if len(chunk) == SYNAPSE_LABELS:
                    drivers = _drivers(in_degree)[half]
                    unused -= drivers
                    chunks.append(drivers)
                    chunk, in_degree = [], np.zeros((2, N_NEURONS), dtype=int)
                if _drivers(external[order[done]])[half] > 0:
                    chunk.append(order[done])
                    in_degree = in_degree + external[order[done]]
                done += 1
            while _drivers(in_degree)[half] > unused:
                in_degree = in_degree - external[chunk.pop()]
                done -= 1
            if chunk:
                chunks.append(_drivers(in_degree)[half])
            for drivers in chunks:
                requests.append((list(range(ROW_ADDRESSES)), {(bus, half): drivers}))
        if done != len(order):
            return None
    return requests


def _allocate(requests: list[Any]) -> bool:
    """Try the labels in all combinations, on those buses together that share a request."""
    for bus in range(BUSES):
        here = [r for r in requests if any(b == bus for b, _ in r[1])]
        inside = [r for r in here if len(r[0]) < ROW_ADDRESSES]
        # Requests of inputs are of one half each, so the halves can be looked at one by one.
        for chosen in itertools.product(*(labels for labels, _ in inside)):
            if all(_half_allocates(bus, half, here, inside, chosen) for half in range(HALVES)):
                break
        else:
            return False
    return True


def _half_allocates(
    bus: int, half: int, here: list[Any], inside: list[Any], chosen: tuple[int, ...]
) -> bool:
    fixed = [
        (label, shapes[bus, half])
        for label, (_, shapes) in zip(chosen, inside, strict=True)
        if (bus, half) in shapes
    ]
    outside = [s[bus, half] for labels, s in here if len(labels) == 32 and (bus, half) in s]
    for free in itertools.product(range(ROW_ADDRESSES), repeat=len(outside)):
        if _greedy((*fixed, *zip(free, outside, strict=True))):
            return True
    return False


@lru_cache(maxsize=100_000)
def _greedy(groups: tuple[tuple[int, int], ...]) -> bool:
    """The drivers of one bus: which masks isolate whom, who can have which, and who gets them."""
    labels = [label for label, _ in groups]
    if len(set(labels)) != len(labels):
        return False
    isolating = [
        [m for m in range(ROW_ADDRESSES) if all(m & a != m & b for b in labels if b != a)]
        for a in labels
    ]
    if not all(isolating):
        return False
    can_have = [
        [i for i, label in enumerate(labels) if any(label & m == d & m for m in isolating[i])]
        for d in range(DRIVERS)
    ]
    if any(sum(i in who for who in can_have) < drivers for i, (_, drivers) in enumerate(groups)):
        return False
    taken: set[int] = set()
    got = [0] * len(groups)
    for exclusive in (True, False):
        for i, (_, drivers) in enumerate(groups):
            for d, who in enumerate(can_have):
                if got[i] == drivers:
                    break
                if d in taken or i not in who or (exclusive and len(who) != 1):
                    continue
                got[i] += 1
                taken.add(d)
    return got == [drivers for _, drivers in groups]


class NeuronPlacement:
    """Which hardware neuron each neuron of the network gets, in the order of their creation.

    Where there are more than the permutation holds, EBRAINS 12 refuses; master runs the network in
    several executions, in each of them from the beginning of the permutation, and says nothing.
    """

    def __init__(self, permutation: Any = None, *, partitions: bool = False) -> None:
        numbers = list(range(N_NEURONS) if permutation is None else permutation)
        for number in numbers:
            if number < 0:
                raise (TypeError if partitions else ValueError)("neuronPermutation: negative")
            if number >= N_NEURONS:
                raise (OverflowError if partitions else ValueError)("neuronPermutation: too large")
        if len(numbers) > N_NEURONS:
            raise (OverflowError if partitions else ValueError)("neuronPermutation: too long")
        if len(set(numbers)) != len(numbers):
            raise ValueError("neuronPermutation: non unique entries")
        self._all = [int(number) for number in numbers]
        self._free, self._partitions = list(self._all), partitions

    def take(self, size: int) -> Any:
        """The next so many."""
        while self._partitions and size > len(self._free):
            self._free += self._all
        if size > len(self._free):
            raise ValueError("Cannot create more neurons than the permutation holds.")
        taken, self._free = self._free[:size], self._free[size:]
        return np.array(taken, dtype=np.int64)
