"""The connections into a block of a network, as rows of one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.network import NetworkSpec, Parameters

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The connections into a block: one row for each projection and presynaptic neuron.

    Attributes:
        projections: indices of the projections, in the order of their rows.
        first: number of the first row of each of them.
        weights: ``(rows, post)``, 0 where a row does not reach.
        delays: ``(rows,)``, what all connections of a row have.
        extra: ``(rows, post)``, what they have of their own; ``(0, 0)`` where none does.
        ranges: ``(rows, 3)``: from and to which neuron of the block a row reaches, and whether
            it has ``extra``.
    """

    projections: tuple[int, ...]
    first: tuple[int, ...]
    weights: Array
    delays: Array
    extra: Array
    ranges: Whole

    def parted(
        self, network: NetworkSpec, of_weights: Array, of_delays: Array, of_extra: Array
    ) -> Iterator[tuple[int, Array, Array | None]]:
        """Gradients of the rows as those of the projections: index, of weights, of delays.

        Args:
            network: the network.
            of_weights, of_delays, of_extra: of the shapes of ``weights``, ``delays``, ``extra``.
        """
        for i, first in zip(self.projections, self.first, strict=True):
            pre, post = network.shapes[i]
            low = int(self.ranges[first, 0])
            here = slice(first, first + pre), slice(low, low + post)
            kind = network.all_projections[i].delays
            if kind == "axonal":
                yield i, of_weights[here], of_delays[here[0]]
            elif kind is None:
                yield i, of_weights[here], None
            else:
                each = of_extra[here]
                yield i, of_weights[here], each.sum(axis=0) if kind == "dendritic" else each


def starts_of(network: NetworkSpec, block: Sequence[int]) -> dict[int, int]:
    """Number of the first neuron of each population of a block, counted within the block."""
    starts, total = {}, 0
    for population in block:
        starts[population] = total
        total += network.sizes[1 + population]
    return starts


def rows_into(network: NetworkSpec, parameters: Parameters, block: Sequence[int]) -> Rows:
    """The rows of all projections into a block."""
    starts = starts_of(network, block)
    post = sum(network.sizes[1 + population] for population in block)
    chosen = [i for i, (_, end) in enumerate(network.ends) if end in starts]
    sizes = [network.shapes[i][0] for i in chosen]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = int(first[-1])
    own = [network.all_projections[i].delays in ("dendritic", "synaptic") for i in chosen]
    result = Rows(
        projections=tuple(chosen),
        first=tuple(int(i) for i in first[:-1]),
        weights=np.zeros((rows, post)),
        delays=np.zeros(rows),
        extra=np.zeros((rows, post) if any(own) else (0, 0)),
        ranges=np.zeros((rows, 3), np.int64),
    )
    for place, i in enumerate(chosen):
        low = starts[network.ends[i][1]]
        here = slice(first[place], first[place + 1]), slice(low, low + network.shapes[i][1])
        result.weights[here] = parameters.weights[i]
        result.ranges[here[0]] = (here[1].start, here[1].stop, own[place])
        delays = parameters.delays[i]
        if delays is not None and own[place]:
            result.extra[here] = delays
        elif delays is not None:
            result.delays[here[0]] = delays
    return result
