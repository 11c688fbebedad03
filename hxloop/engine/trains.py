"""All spikes of a network: several of a neuron, loops, delays. Exact, event by event.

A network is computed block by block (``hxloop.engine.blocks``). The equations stand in
``hxloop.network.spec``, the kernels in ``hxloop.engine.compiled.trains``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.blocks import (
    Block,
    arrivals,
    neuron_table,
    nominal,
    outgoing,
    rows_into,
    starts_of,
)
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.engine.compiled.trains import chain_block, loop_block
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, NeuronParameters, Parameters

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

# A neuron that spikes more often in one sample is taken for one that never stops.
MAX_SPIKES = 1000
# Finding a spike takes as long as so many pairs of arrivals and neurons.
_PAIRS_PER_SPIKE = 30
# How many spikes of a neuron are drawn noise for at first.
_RANKS = 8

# Computes all spikes of a block: exactly (``exact_block``), or as a simulator does.
BlockSolver = Callable[[Block], Spikes]


class Departures(Protocol):
    """When spikes leave, on a substrate that does not send them as they happen."""

    def shifts(self, population: int, batch: int, ranks: int) -> Array | None:
        """By how much later than it happens each spike leaves, and is recorded.

        Args:
            population: index of the population.
            batch: number of samples.
            ranks: how many spikes of each neuron.

        Returns:
            ``(ranks, batch, neurons)``; ``inf``: never, it is lost; None: all leave as they happen.
            The first of them do not depend on how many are asked for.
        """
        ...

    def lose(self, number: int) -> None:
        """So many spikes never left."""
        ...


def spike_trains(
    network: NetworkSpec,
    parameters: Parameters,
    inputs: Spikes,
    neurons: Sequence[NeuronParameters] | None = None,
    *,
    max_spikes: int = MAX_SPIKES,
    departures: Departures | None = None,
    solve: BlockSolver | None = None,
) -> tuple[Spikes, ...]:
    """When the neurons of a network spike, all of them, exactly.

    Args:
        network: any network.
        parameters: its weights and delays, see ``Parameters.of``.
        inputs: of ``network.n_inputs`` channels, any number of spikes each.
        neurons: of each population; None: the nominal ones.
        max_spikes: how many spikes of one neuron in one sample are too many, on average over
            the population.
        departures: when they leave; None: as they happen. Within a loop none leaves before it
            happened, what would is sent at once.
        solve: how a block is solved; None: exactly.

    Returns:
        The spikes of each population as they left, up to ``network.t_window``.

    Raises:
        RunInputError: ``inputs`` do not fit, or a network that does not stop spiking.
    """
    layers = nominal(network) if neurons is None else tuple(neurons)
    sources: list[Spikes | None] = [
        Spikes.of(inputs, network.n_inputs, where="inputs"), *(None for _ in layers)
    ]  # fmt: skip
    nothing = [0] * len(sources)
    for populations in network.blocks:
        rows = rows_into(network, parameters, populations)
        block = Block(
            network=network,
            populations=populations,
            rows=rows,
            coming=arrivals(network, rows, sources, nothing),
            table=neuron_table([layers[population] for population in populations]),
            late=np.zeros((0, 0, 0)),
        )
        found = _left(block, departures, solve or exact_block(max_spikes))
        starts = starts_of(network, populations)
        for population in populations:
            size = network.sizes[1 + population]
            sources[1 + population] = _part(found, starts[population], size)
    return tuple(spikes for spikes in sources[1:] if spikes is not None)


def _left(block: Block, departures: Departures | None, solve: BlockSolver) -> Spikes:
    """The spikes of a block as they leave."""
    if departures is None:
        return solve(block)
    loop, ranks = block.in_a_loop, _RANKS
    found = None if loop else solve(block)
    while True:
        if found is not None:
            ranks = int(found.count.max(initial=1))
        shifts = _shifts(block, departures, ranks)
        if shifts is None:
            return solve(block) if found is None else found
        if loop:
            shifts = np.maximum(shifts, 0.0)
            found = solve(replace(block, late=shifts))
        if found is not None and found.count.max(initial=0) <= ranks:
            late = shifts[found.ranks, found.samples, found.units]
            departures.lose(int(np.isinf(late).sum()))
            return _departed(found, late, block.network.t_window)


def _shifts(block: Block, departures: Departures, ranks: int) -> Array | None:
    parts, some = [], False
    for population in block.populations:
        part = departures.shifts(population, block.batch, ranks)
        some |= part is not None
        size = block.network.sizes[1 + population]
        parts.append(np.zeros((ranks, block.batch, size)) if part is None else part)
    return np.concatenate(parts, axis=2) if some else None


def _departed(found: Spikes, late: Array, t_window: float) -> Spikes:
    times = np.maximum(found.times + late, 0.0)
    order = np.lexsort((found.units, times, found.samples))
    kept = order[times[order] <= t_window]
    offsets = np.searchsorted(found.samples[kept], np.arange(found.batch + 1))
    return Spikes(times[kept], found.units[kept], offsets.astype(np.int64), found.n_units)


def exact_block(max_spikes: int = MAX_SPIKES) -> BlockSolver:
    """Solves a block exactly; see ``spike_trains``."""
    return lambda block: _exact(block, max_spikes)


def _exact(block: Block, max_spikes: int) -> Spikes:
    rows, coming, table, late = block.rows, block.coming, block.table, block.late
    batch, post, loop = block.batch, block.post, block.in_a_loop
    starts, onward = outgoing(block) if loop else (np.zeros(0, np.int64),) * 2
    per_sample = int(np.diff(coming.offsets).max(initial=0))
    once = block.spikes_once
    most = post if once else max_spikes * post
    capacity = min(most, post if once else 4 * post + 4 * per_sample + 16)
    parts = samples_of_parts(batch, post * (per_sample + _PAIRS_PER_SPIKE))
    while True:
        times = np.empty((batch, capacity))
        units = np.empty((batch, capacity), np.int64)
        counts = np.zeros(batch, np.int64)

        def part(samples: slice) -> None:
            ends = samples.start, samples.stop
            given = coming.offsets, coming.base, coming.rows, rows.weights, rows.extra
            results = table, block.network.t_window, times, units, counts  # noqa: B023
            if loop:
                chosen = rows.ranges, rows.delays, starts, onward, late
                loop_block(*ends, *given, *chosen, *results)
            else:
                chain_block(*ends, *given, *results)

        run_parts(parts, part)
        if int(counts.max(initial=0)) <= capacity:
            break
        if capacity == most:
            _overflow(block, units[int(np.argmax(counts))], max_spikes, counts)
        capacity = min(most, 4 * capacity)
    kept = np.arange(capacity) < counts[:, None]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Spikes(times[kept], units[kept], offsets, post)


def _part(found: Spikes, start: int, size: int) -> Spikes:
    if size == found.n_units:
        return found
    times, units, offsets = found.events
    chosen = (units >= start) & (units < start + size)
    before = np.concatenate([[0], np.cumsum(chosen)])
    return Spikes(times[chosen], units[chosen] - start, before[offsets].astype(np.int64), size)


def _overflow(block: Block, units: Whole, max_spikes: int, counts: Whole) -> None:
    network = block.network
    sample = int(np.argmax(counts))
    often = np.bincount(units)
    worst = int(np.argmax(often))
    starts = starts_of(network, block.populations)
    population = max(p for p in block.populations if starts[p] <= worst)
    names = [network.populations[p].name for p in block.populations]
    raise RunInputError(
        f"network {network}: its activity does not stop; more than {max_spikes} spikes of a "
        f"neuron of {', '.join(names)} on average in sample {sample} (neuron "
        f"{worst - starts[population]} of {network.populations[population].name}: {often[worst]} "
        f"or more within t_window = {network.t_window:g}). Lower the weights, lengthen "
        "t_refractory, or allow more with max_spikes"
    )
