"""The gradients of one block: what the kernels take, and what they give.

A population that does not feed itself goes back neuron by neuron, populations in a loop event by
event.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.blocks import Arrivals, Rows
from hxloop.engine.compiled.chain_backward import chain_sweep
from hxloop.engine.compiled.loop_backward import sweep
from hxloop.engine.compiled.order import by_neuron
from hxloop.engine.compiled.slopes import AFTER, BEFORE, RELEASED, slopes
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.engine.gradient import GradientCounts

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
_PAIRS = 4  # a pair of an arrival and a neuron takes as long here as so many in the forward pass


@dataclass(frozen=True, kw_only=True)
class Own:
    """The spikes of a block, sorted by sample, neuron and time.

    Attributes:
        cells: ``(batch * post + 1,)``, where those of each sample and neuron begin.
        times: ``(spikes,)``, when.
        cell: ``(spikes,)``, of which sample and neuron.
        numbers: ``(spikes,)``, which of all spikes of the network each is.
    """

    cells: Whole
    times: Array
    cell: Whole
    numbers: Whole

    @classmethod
    def of(
        cls, recorded: Sequence[Spikes], starts: Sequence[int], first: Sequence[int], post: int
    ) -> Own:
        """Of the populations of a block: their spikes, first neurons and first spikes."""
        if len(recorded) == 1:
            (spikes,) = recorded
            cells, order = by_neuron(spikes.offsets, spikes.units, post)
            return cls(
                cells=cells,
                times=spikes.times[order],
                cell=spikes.cells[order],
                numbers=first[0] + order,
            )
        cell = np.concatenate(
            [s.samples * post + s.units + start for s, start in zip(recorded, starts, strict=True)]
        )
        times = np.concatenate([spikes.times for spikes in recorded])
        numbers = np.concatenate(
            [start + np.arange(s.n_spikes) for s, start in zip(recorded, first, strict=True)]
        )
        order = np.lexsort((times, cell))
        cell = cell[order]
        cells = np.searchsorted(cell, np.arange(recorded[0].batch * post + 1)).astype(np.int64)
        return cls(cells=cells, times=times[order], cell=cell, numbers=numbers[order])


@dataclass(frozen=True, kw_only=True)
class BlockGradients:
    """The gradients of a block, of the shapes of ``Rows``.

    Attributes:
        weights, delays, extra: of its rows.
        neurons: ``(post, 2)``, of thresholds and resets.
        factors: ``(spikes,)`` of ``Own``: dL/dT over the slope of the membrane, 0 where a spike
            passes no gradient on.
    """

    weights: Array
    delays: Array
    extra: Array
    neurons: Array
    factors: Array


def block_gradients(
    own: Own,
    rows: Rows,
    coming: Arrivals,
    table: Array,
    of_spikes: Array,
    counts: GradientCounts,
    *,
    loop: bool,
    min_slope: float,
    cap: float,
) -> BlockGradients:
    """Back through a block.

    Args:
        own: its recorded spikes.
        rows: connections into it.
        coming: arrivals in it, in a loop those of its own spikes as well.
        table: parameters of its neurons.
        of_spikes: dL/dT of all spikes of the network, by number; added to.
        counts: where to count spikes and gradients that were not passed on.
        loop: whether it feeds itself.
        min_slope, cap: see ``spike_gradients``; the cap is of ``|dL/dT| max_i |dT/dw_i|``.
    """
    batch, post = len(coming.offsets) - 1, len(table)
    if loop:
        said, kernel = _said(own, rows, coming, table, math.isfinite(cap))
        events = _merged(own, said, kernel, rows, coming, post)
        given = min_slope, cap, of_spikes

        def part(chosen: slice, *results: Array) -> None:
            sweep(
                chosen.start, chosen.stop, events.offsets, events.times, events.rows,
                events.targets, events.numbers, events.before, events.after, events.released,
                events.previous, events.kernel, rows.weights, rows.ranges, table, *given, *results,
            )  # fmt: skip

        found = _summed(part, rows, batch, work(events.offsets, post), counts)
        slow = ~(said[:, BEFORE] > min_slope)
        factors = of_spikes[own.numbers] / np.where(slow, np.inf, said[:, BEFORE])
        factors[np.abs(factors) * kernel > cap] = 0.0
        return BlockGradients(factors=factors, **found)
    factors = np.zeros(len(own.times))

    def back(chosen: slice, *results: Array) -> None:
        chain_sweep(
            chosen.start, chosen.stop, coming.offsets, coming.base, coming.rows, coming.spikes,
            rows.weights, rows.extra, table, own.cells, own.times, own.numbers, min_slope, cap,
            of_spikes, factors, *results,
        )  # fmt: skip

    return BlockGradients(
        factors=factors, **_summed(back, rows, batch, work(coming.offsets, post), counts)
    )


def work(offsets: Whole, post: int) -> int:
    """Of a sample, see ``samples_of_parts``."""
    return _PAIRS * post * (1 + int(np.diff(offsets).max(initial=0)))


def _summed(
    kernel: Callable[..., None], rows: Rows, batch: int, work: int, counts: GradientCounts
) -> dict[str, Array]:
    """Run a kernel on parts of the samples, each with results of its own; their sums."""
    parts = samples_of_parts(batch, work)
    number = {part.start: i for i, part in enumerate(parts)}
    post = rows.weights.shape[1]
    shapes = {
        "weights": rows.weights.shape,
        "delays": rows.delays.shape,
        "extra": rows.extra.shape,
        "neurons": (post, 2),
    }
    results = {name: np.zeros((len(parts), *shape)) for name, shape in shapes.items()}
    counted = np.zeros((len(parts), 3), np.int64)

    def part(chosen: slice) -> None:
        i = number[chosen.start]
        kernel(chosen, *(each[i] for each in results.values()), counted[i])

    run_parts(parts, part)
    n_spikes, n_not_rising, n_capped = (int(n) for n in counted.sum(axis=0))
    counts.n_spikes += n_spikes
    counts.n_not_rising += n_not_rising
    counts.n_capped += n_capped
    return {name: each.sum(axis=0) for name, each in results.items()}


def _said(
    own: Own, rows: Rows, coming: Arrivals, table: Array, want_kernel: bool
) -> tuple[Array, Array]:
    batch, post = len(coming.offsets) - 1, len(table)
    said, kernel = np.zeros((len(own.times), 3)), np.zeros(len(own.times))

    def part(chosen: slice) -> None:
        slopes(
            chosen.start, chosen.stop, coming.offsets, coming.base, coming.rows, rows.weights,
            rows.extra, table, own.cells, own.times, want_kernel, said, kernel,
        )  # fmt: skip

    run_parts(samples_of_parts(batch, work(coming.offsets, post)), part)
    return said, kernel


@dataclass(frozen=True, kw_only=True)
class _Events:
    """Spikes of a block and arrivals in it, as ``sweep`` takes them."""

    offsets: NDArray[np.int64]
    times: Array
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    numbers: NDArray[np.int64]
    before: Array
    after: Array
    released: Array
    previous: NDArray[np.int64]
    kernel: Array


def _merged(
    own: Own, said: Array, kernel: Array, rows: Rows, coming: Arrivals, post: int
) -> _Events:
    """Spikes and arrivals sorted by sample and time, spikes before arrivals of the same time."""
    n, batch = len(own.times), len(coming.offsets) - 1
    previous = np.full(n, -1)
    follows = np.flatnonzero(np.diff(own.cell) == 0) + 1
    previous[follows] = own.numbers[follows - 1]
    arrived = np.repeat(np.arange(batch), np.diff(coming.offsets))
    base, row, number = coming.base, coming.rows, coming.spikes
    target = np.full(len(base), -1)
    if rows.extra.size:
        # Where delays differ between neurons, an arrival is many.
        low, high, each = rows.ranges[row].T
        many = np.where(each == 1, high - low, 1)
        within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        arrived, base, row, number, each, low = (
            np.repeat(array, many) for array in (arrived, base, row, number, each, low)
        )
        target = np.where(each == 1, low + within, -1)
        base = base + np.where(each == 1, rows.extra[row, target], 0.0)
    none, zero = np.full(len(base), -1), np.zeros(len(base))
    sample, time = np.concatenate([own.cell // post, arrived]), np.concatenate([own.times, base])
    late = np.concatenate([np.zeros(n), np.ones(len(base))])
    order = np.lexsort((late, time, sample))

    def merged(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.concatenate([ours, theirs])[order])

    return _Events(
        offsets=np.searchsorted(sample[order], np.arange(batch + 1)).astype(np.int64),
        times=time[order],
        rows=merged(np.full(n, -1), row),
        targets=merged(own.cell % post, target),
        numbers=merged(own.numbers, number),
        before=merged(said[:, BEFORE], zero),
        after=merged(said[:, AFTER], zero),
        released=merged(said[:, RELEASED], zero),
        previous=merged(previous, none),
        kernel=merged(kernel, zero),
    )
