"""Whether the router of a BrainScaleS-2 chip finds a way, restated for chains of layers.

The rules are those of the greedy router of grenade (electronicvisions/grenade, ``src/grenade/vx/
network/routing/greedy``, read at ``6ac13f3`` and at ``d1d8ee1``, which EBRAINS 12 ships; the two
decide alike). It decides in three steps:

1. What neurons fire leaves by one of eight outputs: that of a block of 128 columns and a bus. Each
   output that a half of the chip listens to is a group there. A group takes synapse drivers of its
   bus in that half for itself: half as many as a target has rows of synapses from it at most,
   excitatory and inhibitory ones together; so one for each neuron of a layer there, and of several
   layers, whose targets are others, the largest number. A bus has 32 drivers in a half.
2. Inputs take the drivers that are left over, one each, bus by bus.
3. A driver listens to events whose row address agrees with its own number in the bits of a mask. So
   the groups on a bus need addresses of five bits by which enough drivers can be told to listen to
   one of them and to no other; those of an output are ``bus << 2 | block << 4`` and two free bits,
   that of inputs is free. Drivers are taken greedily: those first that only one group can have.

Every connection of a layer counts with both signs, since its weights may have either at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

COLUMNS = 256
HALVES, BLOCKS, BUSES = 2, 2, 4
# Columns of neurons whose events leave by the same output.
SEGMENT = 32
DRIVERS = 32
ALL_DRIVERS = (1 << DRIVERS) - 1

# How many neurons of a layer are in each half, block and bus: ``(halves, blocks, buses)``.
Counts = NDArray[np.int64]


def segment_of(neuron: int) -> tuple[int, int, int]:
    """Half, block and bus of a hardware neuron, 0 to 511."""
    half, column = divmod(neuron, COLUMNS)
    block, bus = divmod(column // SEGMENT, BUSES)
    return half, block, bus


@dataclass(frozen=True)
class Refusal:
    """Why the router finds no way.

    Attributes:
        reason: in words.
        missing: how many drivers too few there are; 0: enough, but they cannot be told apart.
    """

    reason: str
    missing: int = 0


def refusal(n_inputs: int, layers: Sequence[Counts]) -> Refusal | None:
    """Why a chain of layers, placed so, cannot be routed; None if it can.

    Args:
        n_inputs: of the first layer.
        layers: of each, how many of its neurons are in each half, block and bus.
    """
    groups = _groups(layers)
    used = np.maximum(groups, 0).sum(axis=1)
    if used.max() > DRIVERS:
        half, bus = divmod(int(used.argmax()), BUSES)
        return Refusal(
            f"bus {bus} of half {half} would need {used.max()} synapse drivers for neurons of this "
            f"network; it has {DRIVERS}",
            int(np.maximum(used - DRIVERS, 0).sum()),
        )
    inputs = np.zeros((HALVES, BUSES), dtype=np.int64)
    for half in np.flatnonzero(layers[0].any(axis=(1, 2))).tolist():
        left = n_inputs
        for bus in range(BUSES):
            inputs[half, bus] = min(left, DRIVERS - int(used[half, bus]))
            left -= int(inputs[half, bus])
        if left:
            return Refusal(
                f"{n_inputs} inputs need a synapse driver each in half {half} of the chip; "
                f"{n_inputs - left} are left of {BUSES * DRIVERS} there",
                left,
            )
    for bus in range(BUSES):
        if not _told_apart(
            bus,
            tuple((int(groups[0, b, bus]), int(groups[1, b, bus])) for b in range(BLOCKS)),
            (int(inputs[0, bus]), int(inputs[1, bus])),
        ):
            return Refusal(
                f"on bus {bus} the events of {int(used[:, bus].max())} neurons and "
                f"{int(inputs[:, bus].max())} inputs cannot be told apart by the row addresses "
                "that the router gives them"
            )
    return None


def _groups(layers: Sequence[Counts]) -> Counts:
    """Drivers of each ``(half, block, bus)``; -1 where a half does not listen to an output."""
    groups = np.full((HALVES, BLOCKS, BUSES), -1, dtype=np.int64)
    for source, target in pairwise(layers):
        count = source.sum(axis=0)
        for half in np.flatnonzero(target.any(axis=(1, 2))):
            groups[half] = np.maximum(groups[half], np.where(count > 0, count, -1))
    return groups


@lru_cache(maxsize=100_000)
def _told_apart(bus: int, blocks: tuple[tuple[int, int], ...], inputs: tuple[int, int]) -> bool:
    """Whether the groups of a bus get drivers, in both halves with the same addresses.

    Args:
        bus: its number.
        blocks: for each block, drivers in each half; -1: that half does not listen to it.
        inputs: drivers of the inputs in each half; 0: none come on this bus.
    """
    choices = [
        [bus << 2 | block << 4 | free for free in range(4)] if max(halves) >= 0 else [None]
        for block, halves in enumerate(blocks)
    ]
    for labels in product(*choices):
        if all(_half_is_served(half, labels, blocks, inputs) for half in range(HALVES)):
            return True
    return False


def _half_is_served(
    half: int,
    labels: tuple[int | None, ...],
    blocks: tuple[tuple[int, int], ...],
    inputs: tuple[int, int],
) -> bool:
    here = [
        (label, sizes[half])
        for label, sizes in zip(labels, blocks, strict=True)
        if label is not None and sizes[half] >= 0
    ]
    asked, sizes = tuple(label for label, _ in here), tuple(size for _, size in here)
    if not inputs[half]:
        return _served(asked, sizes)
    return any(_served((*asked, free), (*sizes, inputs[half])) for free in range(DRIVERS))


@lru_cache(maxsize=100_000)
def _served(labels: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    """Whether each group gets so many drivers, when they are taken as the router does."""
    if len(set(labels)) < len(labels):
        return False
    alone = [_isolated(label, labels) for label in labels]
    if not all(alone):
        return False
    free, got = ALL_DRIVERS, [0] * len(labels)
    for only in (True, False):
        for index, size in enumerate(sizes):
            candidates = alone[index] & free
            if only:
                for other, drivers in enumerate(alone):
                    candidates &= ALL_DRIVERS if other == index else ~drivers
            while candidates and got[index] < size:
                lowest = candidates & -candidates
                candidates ^= lowest
                free ^= lowest
                got[index] += 1
    return tuple(got) == sizes


@lru_cache(maxsize=100_000)
def _isolated(label: int, labels: tuple[int, ...]) -> int:
    """The drivers, as bits, that a mask can tell to listen to one label and to no other.

    The mask of all bits in which driver and label agree tells apart whatever any does.
    """
    found = 0
    for driver in range(DRIVERS):
        agree = ~(label ^ driver)
        if all((label ^ other) & agree & (DRIVERS - 1) for other in labels if other != label):
            found |= 1 << driver
    return found
