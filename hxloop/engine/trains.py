"""All spikes of a network: several of a neuron, loops, delays. Exact, event by event.

A network is computed block by block (``NetworkSpec.blocks``): a population without a loop neuron by
neuron, populations in a loop together, by the order of their events. The equations stand in
``hxloop.network.spec``, the kernels in ``hxloop.engine.compiled.trains``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.engine.compiled.trains import chain_block, loop_block
from hxloop.engine.psp import peak_after
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, NeuronParameters, Parameters

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

# A neuron that spikes more often in one sample is taken for one that never stops.
MAX_SPIKES = 1000
# Finding a spike takes as long as so many pairs of arrivals and neurons.
_PAIRS_PER_SPIKE = 30


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


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Spikes on their way into a block, sorted by sample and time.

    Attributes:
        offsets: ``(batch + 1,)``, where each sample begins.
        base: ``(arrivals,)``, when, without the ``extra`` of ``Rows``.
        rows: ``(arrivals,)``, through which row.
        spikes: ``(arrivals,)``, which spike of the sources it is: of all their spikes, one source
            after the other.
    """

    offsets: Whole
    base: Array
    rows: Whole
    spikes: Whole


def arrivals(
    network: NetworkSpec,
    rows: Rows,
    sources: Sequence[Spikes | None],
    first_spike: Sequence[int],
) -> Arrivals:
    """The arrivals of the spikes of some sources.

    Args:
        network: the network.
        rows: into the block.
        sources: spikes of the input, then of each population; None: not known, left out.
        first_spike: of each source, the number of its first spike.
    """
    parts, batch = [], 0
    for i, first in zip(rows.projections, rows.first, strict=True):
        pre = 1 + network.ends[i][0]
        spikes = sources[pre]
        if spikes is None:
            continue
        batch = spikes.batch
        row = first + spikes.units
        when = spikes.times + rows.delays[row]
        parts.append((spikes.samples, when, row, first_spike[pre] + np.arange(len(when))))
    samples, base, row, number = (np.concatenate([part[k] for part in parts]) for k in range(4))
    if len(parts) > 1 or rows.delays.any():
        order = np.lexsort((base, samples))
        samples, base, row, number = samples[order], base[order], row[order], number[order]
    offsets = np.searchsorted(samples, np.arange(batch + 1))
    return Arrivals(
        offsets=offsets.astype(np.int64),
        base=np.ascontiguousarray(base, np.float64),
        rows=row.astype(np.int64),
        spikes=number.astype(np.int64),
    )


def neuron_table(layers: Sequence[NeuronParameters]) -> Array:
    """Parameters of the neurons of a block as the kernels take them, ``(post, 8)``."""
    columns = []
    for layer in layers:
        one = layer.tau_syn_exc == layer.tau_syn_inh
        peak = peak_after(layer.tau_mem, layer.tau_syn_exc) * (1 + 1e-12)
        columns.append(
            np.stack(
                [layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh,
                 layer.v_threshold - layer.v_leak, layer.v_reset - layer.v_leak,
                 layer.t_refractory, one.astype(np.float64), peak],
                axis=1,
            )
        )  # fmt: skip
    return np.concatenate(columns)


def spike_trains(
    network: NetworkSpec,
    parameters: Parameters,
    inputs: Spikes,
    neurons: Sequence[NeuronParameters] | None = None,
    *,
    max_spikes: int = MAX_SPIKES,
) -> tuple[Spikes, ...]:
    """When the neurons of a network spike, all of them, exactly.

    Args:
        network: any network.
        parameters: its weights and delays, see ``Parameters.of``.
        inputs: of ``network.n_inputs`` channels, any number of spikes each.
        neurons: of each population; None: the nominal ones.
        max_spikes: how many spikes of one neuron in one sample are too many, on average over
            the population.

    Returns:
        The spikes of each population, up to ``network.t_window``.

    Raises:
        RunInputError: ``inputs`` do not fit, or a network that does not stop spiking.
    """
    layers = nominal(network) if neurons is None else tuple(neurons)
    sources: list[Spikes | None] = [
        Spikes.of(inputs, network.n_inputs, where="inputs"), *(None for _ in layers)
    ]  # fmt: skip
    nothing = [0] * len(sources)
    for block in network.blocks:
        rows = rows_into(network, parameters, block)
        coming = arrivals(network, rows, sources, nothing)
        table = neuron_table([layers[population] for population in block])
        found = _block(network, block, rows, coming, table, max_spikes)
        starts = starts_of(network, block)
        for population in block:
            size = network.sizes[1 + population]
            sources[1 + population] = _part(found, starts[population], size)
    return tuple(spikes for spikes in sources[1:] if spikes is not None)


def nominal(network: NetworkSpec) -> tuple[NeuronParameters, ...]:
    """The nominal neurons of each population."""
    return tuple(
        NeuronParameters.uniform(layer.neuron, layer.n_neurons) for layer in network.layers
    )


def in_a_loop(network: NetworkSpec, block: Sequence[int]) -> bool:
    """Whether the populations of a block feed themselves."""
    return any(pre in block and post in block for pre, post in network.ends)


def _block(
    network: NetworkSpec,
    block: Sequence[int],
    rows: Rows,
    coming: Arrivals,
    table: Array,
    max_spikes: int,
) -> Spikes:
    batch, post = len(coming.offsets) - 1, len(table)
    loop = in_a_loop(network, block)
    starts, outgoing = _outgoing(network, block, rows) if loop else (np.zeros(0, np.int64),) * 2
    per_sample = int(np.diff(coming.offsets).max(initial=0))
    once = bool(np.isinf(table[:, 5]).all())
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
            results = table, network.t_window, times, units, counts  # noqa: B023
            if loop:
                chosen = rows.ranges, rows.delays, starts, outgoing
                loop_block(*ends, *given, *chosen, *results)
            else:
                chain_block(*ends, *given, *results)

        run_parts(parts, part)
        if int(counts.max(initial=0)) <= capacity:
            break
        if capacity == most:
            _overflow(network, block, units[int(np.argmax(counts))], max_spikes, counts)
        capacity = min(most, 4 * capacity)
    kept = np.arange(capacity) < counts[:, None]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Spikes(times[kept], units[kept], offsets, post)


def _outgoing(network: NetworkSpec, block: Sequence[int], rows: Rows) -> tuple[Whole, Whole]:
    """Of each neuron of a block, the rows within the block that its spikes take."""
    starts = starts_of(network, block)
    pairs = [
        (starts[network.ends[i][0]] + unit, first + unit)
        for i, first in zip(rows.projections, rows.first, strict=True)
        if network.ends[i][0] in starts
        for unit in range(network.shapes[i][0])
    ]
    table = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    post = rows.weights.shape[1]
    first_rows = np.searchsorted(table[:, 0], np.arange(post + 1)).astype(np.int64)
    return first_rows, np.ascontiguousarray(table[:, 1])


def _part(found: Spikes, start: int, size: int) -> Spikes:
    if size == found.n_units:
        return found
    times, units, offsets = found.events
    chosen = (units >= start) & (units < start + size)
    before = np.concatenate([[0], np.cumsum(chosen)])
    return Spikes(times[chosen], units[chosen] - start, before[offsets].astype(np.int64), size)


def _overflow(
    network: NetworkSpec, block: Sequence[int], units: Whole, max_spikes: int, counts: Whole
) -> None:
    sample = int(np.argmax(counts))
    often = np.bincount(units)
    worst = int(np.argmax(often))
    starts = starts_of(network, block)
    population = max(p for p in block if starts[p] <= worst)
    names = [network.populations[p].name for p in block]
    raise RunInputError(
        f"network {network}: its activity does not stop; more than {max_spikes} spikes of a "
        f"neuron of {', '.join(names)} on average in sample {sample} (neuron "
        f"{worst - starts[population]} of {network.populations[population].name}: {often[worst]} "
        f"or more within t_window = {network.t_window:g}). Lower the weights, lengthen "
        "t_refractory, or allow more with max_spikes"
    )
