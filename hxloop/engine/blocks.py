"""The blocks of a network as solvers take them: connections, arrivals, parameters of neurons.

A network is computed block by block (``NetworkSpec.blocks``): a population without a loop neuron by
neuron, populations in a loop together, by the order of their events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.psp import peak_after
from hxloop.engine.rows import Rows as Rows
from hxloop.engine.rows import rows_into as rows_into
from hxloop.engine.rows import starts_of as starts_of
from hxloop.network import NetworkSpec, NeuronParameters

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


class Departures(Protocol):
    """When spikes leave and arrive, on a substrate that does not send them as they happen."""

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

    def carried(self, projection: int, batch: int, ranks: int) -> Array | None:
        """By how much later than by its delay each spike arrives, where axons carry one at a time.

        Args:
            projection: index of one with delays.
            batch, ranks: as for ``shifts``, of the presynaptic neurons.

        Returns:
            ``(ranks, batch, pre)``, above minus the delay; None: they carry any number, exactly.
        """
        ...

    def lose(self, number: int) -> None:
        """So many spikes never left, or found their axon busy."""
        ...


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
    departures: Departures | None = None,
) -> Arrivals:
    """The arrivals of the spikes of some sources.

    Args:
        network: the network.
        rows: into the block.
        sources: spikes of the input, then of each population; None: not known, left out.
        first_spike: of each source, the number of its first spike.
        departures: what carries delayed spikes; None: nothing that could be busy.
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
        part = spikes.samples, when, row, first_spike[pre] + np.arange(len(when))
        late = _carried(network, i, spikes, departures)
        if departures is not None and late is not None:
            passed, when = carry(spikes, rows.delays[first : first + spikes.n_units], late)
            departures.lose(int((~passed).sum()))
            part = part[0][passed], when[passed], row[passed], part[3][passed]
        parts.append(part)
    samples, base, row, number = parts[0]
    if len(parts) > 1:
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


def _carried(
    network: NetworkSpec, projection: int, spikes: Spikes, departures: Departures | None
) -> Array | None:
    if departures is None or network.all_projections[projection].delays is None:
        return None
    return departures.carried(projection, spikes.batch, int(spikes.count.max(initial=1)))


def carry(spikes: Spikes, delays: Array, late: Array) -> tuple[NDArray[np.bool_], Array]:
    """Spikes through axons that carry one at a time; while they do, they take no other.

    Args:
        spikes: of the presynaptic neurons.
        delays: ``(neurons,)``.
        late: ``(ranks, batch, neurons)``, by how much later each arrives.

    Returns:
        ``(spikes,)`` each: which are passed on, and when they arrive.
    """
    busy = np.zeros((spikes.batch, spikes.n_units))
    free = np.zeros((int(spikes.count.max(initial=0)), *busy.shape), np.bool_)
    for k in range(len(free)):
        times = spikes.nth(k)
        free[k] = times >= busy
        busy = np.where(free[k] & np.isfinite(times), times + delays + late[k], busy)
    place = spikes.ranks, spikes.samples, spikes.units
    return free[place], spikes.times + delays[spikes.units] + late[place]


def neuron_table(layers: Sequence[NeuronParameters]) -> Array:
    """Parameters of the neurons of a block as the kernels take them, ``(post, 8)``."""
    columns = []
    for layer in layers:
        one = layer.tau_syn_exc == layer.tau_syn_inh
        peak = _peaks(layer.tau_mem, layer.tau_syn_exc) * (1 + 1e-12)
        columns.append(
            np.stack(
                [layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh,
                 layer.v_threshold - layer.v_leak, layer.v_reset - layer.v_leak,
                 layer.t_refractory, one.astype(np.float64), peak],
                axis=1,
            )
        )  # fmt: skip
    return np.concatenate(columns)


def _peaks(tau_mem: Array, tau_syn: Array) -> Array:
    if (tau_mem == tau_mem[0]).all() and (tau_syn == tau_syn[0]).all():
        return np.full(tau_mem.shape, _peak(float(tau_mem[0]), float(tau_syn[0])))
    return peak_after(tau_mem, tau_syn)


@lru_cache(maxsize=64)
def _peak(tau_mem: float, tau_syn: float) -> float:
    return float(peak_after(tau_mem, tau_syn))


def feeds_itself(network: NetworkSpec, block: Sequence[int]) -> bool:
    """Whether populations of a block are connected among themselves."""
    return any(pre in block and post in block for pre, post in network.ends)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a network in one run: all that a solver of it needs to know.

    Attributes:
        network: the whole of it.
        populations: indices of those in the block.
        rows: the connections into it.
        coming: the arrivals from outside.
        table: parameters of its neurons, see ``neuron_table``.
        late: ``(ranks, batch, post)``: by how much later than it happens the k-th spike of a
            neuron leaves, 0 or more; ``inf``: never. No ranks: all leave at once. Matters where
            ``in_a_loop``.
        carried: ``(ranks, batch, rows)``: by how much later than by its delay that spike arrives
            through a row that carries one spike at a time; NaN: one that carries any number. No
            ranks: all do.
    """

    network: NetworkSpec
    populations: tuple[int, ...]
    rows: Rows
    coming: Arrivals
    table: Array
    late: Array
    carried: Array

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.coming.offsets) - 1

    @property
    def post(self) -> int:
        """Number of neurons."""
        return len(self.table)

    @property
    def in_a_loop(self) -> bool:
        """Whether its populations feed themselves."""
        return feeds_itself(self.network, self.populations)

    @property
    def spikes_once(self) -> bool:
        """Whether none of its neurons spikes twice."""
        return bool(np.isinf(self.table[:, 5]).all())


def outgoing(block: Block) -> tuple[Whole, Whole]:
    """Of each neuron of a block, the rows within the block that its spikes take.

    Returns:
        Rows ``row[start[j]:start[j + 1]]`` are those of neuron j.
    """
    network, rows = block.network, block.rows
    starts = starts_of(network, block.populations)
    pairs = [
        (starts[network.ends[i][0]] + unit, first + unit)
        for i, first in zip(rows.projections, rows.first, strict=True)
        if network.ends[i][0] in starts
        for unit in range(network.shapes[i][0])
    ]
    table = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    first_rows = np.searchsorted(table[:, 0], np.arange(block.post + 1)).astype(np.int64)
    return first_rows, np.ascontiguousarray(table[:, 1])
