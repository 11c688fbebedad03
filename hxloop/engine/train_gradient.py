"""Exact gradients of recorded spike trains: weights, delays, input times, thresholds and resets.

The equations stand in ``hxloop.engine.compiled.train_backward``. As in ``hxloop.engine.gradient``
the substrate says when its neurons spiked, and the model how these times would move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.blocks import (
    Arrivals,
    Rows,
    arrivals,
    neuron_table,
    rows_into,
    starts_of,
)
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.engine.compiled.train_backward import slopes, sweep
from hxloop.engine.gradient import GradientCounts
from hxloop.engine.time_constants import of_time_constants
from hxloop.network import NetworkSpec, NeuronParameters, Parameters

Array = NDArray[np.float64]
_PAIRS = 4  # a pair of an arrival and a neuron takes as long here as so many in the forward pass


@dataclass(frozen=True, kw_only=True)
class TrainGradients:
    """Gradients of a loss.

    Attributes:
        weights: of each projection ``(pre, post)``.
        delays: of each projection, of the shape of its delays; None where it has none.
        inputs: ``(spikes,)``, of the times of all input spikes, in their order in ``Spikes``.
        thresholds: of each population ``(post,)``.
        resets: of each population ``(post,)``.
        time_constants: if asked for, of each population ``(post, 3)``: those of the membrane, of
            excitation and of inhibition. Of neurons whose two currents decay alike the second is
            that of both together, the third 0.
    """

    weights: tuple[Array, ...]
    delays: tuple[Array | None, ...]
    inputs: Array
    thresholds: tuple[Array, ...]
    resets: tuple[Array, ...]
    time_constants: tuple[Array, ...] = ()


def train_gradients(
    network: NetworkSpec,
    parameters: Parameters,
    inputs: Spikes,
    recorded: Sequence[Spikes],
    of_spikes: Sequence[Array | None],
    neurons: Sequence[NeuronParameters] | None = None,
    *,
    min_slope: float = 1e-6,
    max_dw_norm: float | None = None,
    counts: GradientCounts | None = None,
    time_constants: bool = False,
) -> TrainGradients:
    """The gradient of a loss of recorded spike times, by one sweep back over them.

    Args:
        network: any network.
        parameters: weights and delays as the substrate held them.
        inputs: as delivered.
        recorded: spikes of each population, as measured.
        of_spikes: for each population dL/dT of each spike, ``(spikes,)``, in the order of
            ``Spikes.events``; None: the loss does not see them.
        neurons: of each population; None: as ``parameters`` have them.
        min_slope: spikes at which the model's membrane rises more slowly than this, or is held,
            pass no gradient on, and are counted.
        max_dw_norm: cap on ``|dL/dT| max_i |dT/dw_i|`` of a spike for the loss of a single
            sample, beyond which it passes no gradient on and is counted, see
            ``recorded_spike_times``; None: no cap.
        counts: where to count spikes and gradients that were not passed on.
        time_constants: whether their gradients are wanted, too.
    """
    layers = parameters.layers(network) if neurons is None else tuple(neurons)
    sources = (inputs, *recorded)
    sizes = [spikes.n_spikes for spikes in sources]
    first = [0, *np.cumsum(sizes).tolist()]
    of_all = np.zeros(first[-1])
    for start, grads in zip(first[1:], of_spikes, strict=False):
        if grads is not None:
            of_all[start : start + len(grads)] = grads
    total = GradientCounts() if counts is None else counts
    weights: list[Array] = [np.zeros(shape) for shape in network.shapes]
    delays = [None if shape is None else np.zeros(shape) for shape in network.delay_shapes]
    of_neurons: list[Array] = [np.zeros((layer.n_neurons, 2)) for layer in network.layers]
    cap = math.inf if max_dw_norm is None else max_dw_norm / inputs.batch
    for block in reversed(network.blocks):
        rows = rows_into(network, parameters, block)
        coming = arrivals(network, rows, sources, first)
        table = neuron_table([layers[population] for population in block])
        own = _own(network, block, recorded, first, rows, coming, table, cap)
        events = _merged(own, rows, coming)
        of_weights, of_delays, of_extra, found = _sweep(
            events, rows, table, min_slope, cap, of_all, inputs.batch, total
        )
        for i, of_own, late in rows.parted(network, of_weights, of_delays, of_extra):
            weights[i], delays[i] = of_own, late
        if time_constants:
            slow = ~(own.before > min_slope)
            factors = of_all[own.numbers] / np.where(slow, np.inf, own.before)
            factors[np.abs(factors) * own.kernel > cap] = 0.0
            more = of_time_constants(
                rows, coming, table, own.cells, own.times, own.units, factors,
                _work(coming, len(table)),
            )  # fmt: skip
            found = np.concatenate([found, more], axis=1)
        starts = starts_of(network, block)
        for population in block:
            low = starts[population]
            of_neurons[population] = found[low : low + network.sizes[1 + population]]
    return TrainGradients(
        weights=tuple(weights),
        delays=tuple(delays),
        inputs=of_all[: sizes[0]],
        thresholds=tuple(each[:, 0] for each in of_neurons),
        resets=tuple(each[:, 1] for each in of_neurons),
        time_constants=tuple(each[:, 2:] for each in of_neurons) if time_constants else (),
    )


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


@dataclass(frozen=True, kw_only=True)
class _Own:
    """Spikes of a block sorted by sample, neuron and time, and what the model says of each."""

    cells: NDArray[np.int64]
    samples: NDArray[np.int64]
    times: Array
    units: NDArray[np.int64]
    numbers: NDArray[np.int64]
    before: Array
    after: Array
    released: Array
    previous: NDArray[np.int64]
    kernel: Array


def _own(
    network: NetworkSpec,
    block: Sequence[int],
    recorded: Sequence[Spikes],
    first: Sequence[int],
    rows: Rows,
    coming: Arrivals,
    table: Array,
    cap: float,
) -> _Own:
    batch, post = len(coming.offsets) - 1, len(table)
    starts = starts_of(network, block)
    own = [
        (recorded[p].samples, recorded[p].times, recorded[p].units + starts[p],
         first[1 + p] + np.arange(recorded[p].n_spikes))
        for p in block
    ]  # fmt: skip
    samples, times, units, numbers = (np.concatenate([part[k] for part in own]) for k in range(4))
    order = np.lexsort((times, samples * post + units))
    samples, times, units, numbers = samples[order], times[order], units[order], numbers[order]
    cell = samples * post + units
    cells = np.searchsorted(cell, np.arange(batch * post + 1)).astype(np.int64)
    n = len(times)
    before, after, released, kernel = np.zeros(n), np.zeros(n), np.full(n, -np.inf), np.zeros(n)

    def part(chosen: slice) -> None:
        slopes(
            chosen.start, chosen.stop, coming.offsets, coming.base, coming.rows, rows.weights,
            rows.extra, table, cells, times, math.isfinite(cap), before, after, released, kernel,
        )  # fmt: skip

    run_parts(samples_of_parts(batch, _work(coming, post)), part)
    previous = np.full(n, -1)
    follows = np.flatnonzero(np.diff(cell) == 0) + 1
    previous[follows] = numbers[follows - 1]
    return _Own(
        cells=cells, samples=samples, times=times, units=units, numbers=numbers, before=before,
        after=after, released=released, previous=previous, kernel=kernel,
    )  # fmt: skip


def _merged(own: _Own, rows: Rows, coming: Arrivals) -> _Events:
    """Spikes and arrivals sorted by sample and time, spikes before arrivals of the same time."""
    n, batch = len(own.times), len(coming.offsets) - 1
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
    sample, time = np.concatenate([own.samples, arrived]), np.concatenate([own.times, base])
    late = np.concatenate([np.zeros(n), np.ones(len(base))])
    order = np.lexsort((late, time, sample))

    def merged(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.concatenate([ours, theirs])[order])

    return _Events(
        offsets=np.searchsorted(sample[order], np.arange(batch + 1)).astype(np.int64),
        times=time[order],
        rows=merged(np.full(n, -1), row),
        targets=merged(own.units, target),
        numbers=merged(own.numbers, number),
        before=merged(own.before, zero),
        after=merged(own.after, zero),
        released=merged(own.released, zero),
        previous=merged(own.previous, none),
        kernel=merged(own.kernel, zero),
    )


def _work(coming: Arrivals, post: int) -> int:
    per_sample = int(np.diff(coming.offsets).max(initial=0))
    return _PAIRS * post * (1 + per_sample)


def _sweep(
    events: _Events,
    rows: Rows,
    table: Array,
    min_slope: float,
    cap: float,
    of_spikes: Array,
    batch: int,
    counts: GradientCounts,
) -> tuple[Array, Array, Array, Array]:
    post = len(table)
    work = _PAIRS * post * (1 + int(np.diff(events.offsets).max(initial=0)))
    parts = samples_of_parts(batch, work)
    number = {part.start: i for i, part in enumerate(parts)}
    of_weights = np.zeros((len(parts), *rows.weights.shape))
    of_delays = np.zeros((len(parts), len(rows.delays)))
    of_extra = np.zeros((len(parts), *rows.extra.shape))
    of_neurons = np.zeros((len(parts), post, 2))
    counted = np.zeros((len(parts), 3), np.int64)

    def part(chosen: slice) -> None:
        i = number[chosen.start]
        sweep(
            chosen.start, chosen.stop, events.offsets, events.times, events.rows, events.targets,
            events.numbers, events.before, events.after, events.released, events.previous,
            events.kernel, rows.weights, rows.ranges, table, min_slope, cap, of_spikes,
            of_weights[i], of_delays[i], of_extra[i], of_neurons[i], counted[i],
        )  # fmt: skip

    run_parts(parts, part)
    n_spikes, n_not_rising, n_capped = (int(n) for n in counted.sum(axis=0))
    counts.n_spikes += n_spikes
    counts.n_not_rising += n_not_rising
    counts.n_capped += n_capped
    return of_weights.sum(0), of_delays.sum(0), of_extra.sum(0), of_neurons.sum(0)
