"""All spikes of a network: several of a neuron, loops, delays. Exact, event by event.

A network is computed block by block (``hxloop.engine.blocks``). The equations stand in
``hxloop.network.spec``, the kernels in ``hxloop.engine.compiled.loop_block``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.blocks import (
    Block,
    Departures,
    arrivals,
    carry,
    neuron_table,
    outgoing,
    rows_into,
    starts_of,
)
from hxloop.engine.compiled.chain_block import chain_block
from hxloop.engine.compiled.loop_block import loop_block
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
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
        neurons: of each population; None: as ``parameters`` have them.
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
    layers = parameters.layers(network) if neurons is None else tuple(neurons)
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
            coming=arrivals(network, rows, sources, nothing, departures),
            table=neuron_table([layers[population] for population in populations]),
            late=np.zeros((0, 0, 0)),
            carried=np.zeros((0, 0, 0)),
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
    if not block.in_a_loop:
        found = solve(block)
        shifts = _shifts(block, departures, int(found.count.max(initial=1)))
        return _departed(block, found, shifts, departures)
    ranks = _RANKS
    while True:
        shifts, carried = _shifts(block, departures, ranks), _within(block, departures, ranks)
        if shifts is None and carried is None:
            return solve(block)
        shifts = None if shifts is None else np.maximum(shifts, 0.0)
        none = np.zeros((0, 0, 0))
        late, through = (none if each is None else each for each in (shifts, carried))
        found = solve(replace(block, late=late, carried=through))
        if found.count.max(initial=0) <= ranks:
            sent = _departed(block, found, shifts, departures)
            if carried is not None:
                _count_busy(block, sent, carried, departures)
            return sent
        ranks = int(found.count.max())


def _shifts(block: Block, departures: Departures, ranks: int) -> Array | None:
    parts, some = [], False
    for population in block.populations:
        part = departures.shifts(population, block.batch, ranks)
        some |= part is not None
        size = block.network.sizes[1 + population]
        parts.append(np.zeros((ranks, block.batch, size)) if part is None else part)
    return np.concatenate(parts, axis=2) if some else None


def _within(block: Block, departures: Departures, ranks: int) -> Array | None:
    """``carried`` of a block in a loop; None: nothing that could be busy."""
    found = np.full((ranks, block.batch, len(block.rows.weights)), np.nan)
    for i, first in _delayed_within(block):
        part = departures.carried(i, block.batch, ranks)
        if part is not None:
            found[:, :, first : first + part.shape[2]] = part
    return None if np.isnan(found).all() else found


def _delayed_within(block: Block) -> list[tuple[int, int]]:
    """Projections with delays within a block, each with its first row."""
    network, rows = block.network, block.rows
    return [
        (i, first)
        for i, first in zip(rows.projections, rows.first, strict=True)
        if network.ends[i][0] in block.populations and network.all_projections[i].delays
    ]


def _count_busy(block: Block, sent: Spikes, carried: Array, departures: Departures) -> None:
    starts = starts_of(block.network, block.populations)
    for i, first in _delayed_within(block):
        pre = block.network.ends[i][0]
        part = _part(sent, starts[pre], block.network.sizes[1 + pre])
        here = slice(first, first + part.n_units)
        passed, _ = carry(part, block.rows.delays[here], carried[:, :, here])
        departures.lose(int((~passed).sum()))


def _departed(block: Block, found: Spikes, shifts: Array | None, departures: Departures) -> Spikes:
    if shifts is None:
        return found
    late = shifts[found.ranks, found.samples, found.units]
    departures.lose(int(np.isinf(late).sum()))
    times = np.maximum(found.times + late, 0.0)
    order = np.lexsort((found.units, times, found.samples))
    kept = order[times[order] <= block.network.t_window]
    offsets = np.searchsorted(found.samples[kept], np.arange(found.batch + 1))
    return Spikes.trusted(times[kept], found.units[kept], offsets.astype(np.int64), found.n_units)


def exact_block(max_spikes: int = MAX_SPIKES) -> BlockSolver:
    """Solves a block exactly; see ``spike_trains``."""
    return lambda block: _exact(block, max_spikes)


def _exact(block: Block, max_spikes: int) -> Spikes:
    rows, coming, table = block.rows, block.coming, block.table
    batch, post, loop = block.batch, block.post, block.in_a_loop
    starts, onward = outgoing(block) if loop else (np.zeros(0, np.int64),) * 2
    per_sample = int(np.diff(coming.offsets).max(initial=0))
    once = block.spikes_once
    most = post if once else max_spikes * post
    capacity = min(most, post if once else 4 * post + 4 * per_sample + 16)

    def run(first: int, last: int, capacity: int) -> tuple[Array, Whole, Whole]:
        n, offsets = last - first, coming.offsets[first : last + 1]
        times, units = np.empty((n, capacity)), np.empty((n, capacity), np.int64)
        counts = np.zeros(n, np.int64)
        late, carried = (
            np.ascontiguousarray(each[:, first:last]) for each in (block.late, block.carried)
        )

        def part(chosen: slice) -> None:
            given = offsets, coming.base, coming.rows, rows.weights, rows.extra
            results = table, block.network.t_window, times, units, counts
            if loop:
                between = rows.ranges, rows.delays, starts, onward, late, carried
                loop_block(chosen.start, chosen.stop, *given, *between, *results)
            else:
                chain_block(chosen.start, chosen.stop, *given, *results)

        run_parts(samples_of_parts(n, post * (per_sample + _PAIRS_PER_SPIKE)), part)
        return times, units, counts

    while True:
        times, units, counts = run(0, batch, capacity)
        more = np.flatnonzero(counts > capacity)
        if not more.size:
            break
        # One sample tells whether it ever stops, before all of them try.
        first = int(more[0])
        _, of_one, count = run(first, first + 1, most)
        if count[0] > most:
            _overflow(block, of_one[0], max_spikes, first)
        capacity = min(most, max(4 * capacity, 2 * int(count[0])))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    ends = list(enumerate(counts.tolist()))
    when = np.concatenate([np.empty(0), *(times[b, :n] for b, n in ends)])
    which = np.concatenate([np.empty(0, np.int64), *(units[b, :n] for b, n in ends)])
    return Spikes.trusted(when, which, offsets, post)


def _part(found: Spikes, start: int, size: int) -> Spikes:
    if size == found.n_units:
        return found
    times, units, offsets = found.events
    chosen = (units >= start) & (units < start + size)
    before = np.concatenate([[0], np.cumsum(chosen)])
    return Spikes.trusted(
        times[chosen], units[chosen] - start, before[offsets].astype(np.int64), size
    )


def _overflow(block: Block, units: Whole, max_spikes: int, sample: int) -> None:
    network = block.network
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
