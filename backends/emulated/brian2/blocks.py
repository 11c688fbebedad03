"""All spikes of the blocks of a network, integrated by Brian2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.emulated.brian2.block_parts import BlockShape
from hxloop.backends.emulated.brian2.fleet import Fleet, Runner
from hxloop.backends.emulated.brian2.model import NEVER
from hxloop.backends.emulated.brian2.solver import Brian2Options
from hxloop.engine.blocks import Block, outgoing
from hxloop.engine.psp import psp_after
from hxloop.errors import RunFailed, SessionClosedError
from hxloop.substrate.guard import SessionGuard, UncopiedSession

Array = NDArray[np.float64]
# A channel is made for so many arrivals at least: a model is compiled for their number.
_ARRIVALS = 4


class Brian2Blocks(UncopiedSession):
    """Solves blocks (``BlockSolver`` of the engine), with a model for each of a network.

    A model is compiled anew when a channel has twice as many spikes as it was made for. One run is
    done at a time: threads wait for each other, and a forked child is refused.

    Args:
        options: time step and code generation.

    Raises:
        CompilerError: target "cpp_standalone" without a C++ compiler (at the first run).
    """

    def __init__(self, options: Brian2Options) -> None:
        self._options = options
        self._fleets: dict[tuple[int, ...], Fleet] = {}
        self._closed = False
        self._guard = SessionGuard(
            "backend 'emulated-chip', solver 'brian2'", "its folder and its running model"
        )

    def __call__(self, block: Block) -> Spikes:
        """All spikes of a block, up to the window.

        Raises:
            RunFailed: the compiled model failed.
            SessionClosedError: after ``close``.
            SessionOwnerError: in a forked child of the process that made the solver.
        """
        with self._guard.alone():
            if self._closed:
                raise SessionClosedError("the Brian2 solver is closed; make another one")
            return self._solve(block)

    def _solve(self, block: Block) -> Spikes:
        given = _Given(block)
        fleet, shape = self._model_for(block, given)
        fixed = given.constants(shape)
        found: list[tuple[Array, Array, Array]] = []

        def run_parts(runner: Runner, parts: Sequence[slice]) -> None:
            for part in parts:
                _, cells, times = runner.run(fixed | given.of_samples(shape, part))
                if np.isnan(times).any():
                    raise RunFailed("the Brian2 model returned NaN as a spike time")
                kept = times <= shape.t_window
                samples, units = np.divmod(cells[kept].astype(np.int64), shape.post)
                found.append((samples + part.start, units, times[kept]))

        fleet.share(block.batch, run_parts)
        samples, units, times = (np.concatenate([part[k] for part in found]) for k in range(3))
        order = np.lexsort((units, times, samples))
        offsets = np.searchsorted(samples[order], np.arange(block.batch + 1))
        return Spikes.trusted(times[order], units[order], offsets.astype(np.int64), block.post)

    def _model_for(self, block: Block, given: _Given) -> tuple[Fleet, BlockShape]:
        """A model for a block and batches like this, and its shape."""
        options, fleet = self._options, self._fleets.get(block.populations)
        old = None if fleet is None else fleet.shape
        arrivals = max(_ARRIVALS, _power_of_two(given.most))
        shape = BlockShape(
            channels=len(given.outside),
            arrivals=arrivals,
            post=block.post,
            batch=0 if old is None else old.batch,
            dt=options.dt,
            t_window=block.network.t_window,
            loop=block.in_a_loop,
            ranks=given.ranks,
            senders=tuple(given.senders.tolist()),
        )
        if isinstance(old, BlockShape) and shape.ranks == old.ranks:
            shape = BlockShape(**{**vars(shape), "arrivals": max(arrivals, old.arrivals)})
        samples = options.samples(block.batch, shape.n_synapses, shape.batch or None)
        if fleet is None or samples is not None or shape != old:
            if fleet is not None:
                self._fleets.pop(block.populations).close()
            shape = BlockShape(**{**vars(shape), "batch": samples or shape.batch})
            fleet = Fleet(shape, options.target, options.cache_dir, options.sharing)
            self._fleets[block.populations] = fleet
        return fleet, shape

    def close(self) -> None:
        """Free models and their temporary files; ``__call__`` raises afterwards.

        A run of another thread is waited for. In a forked child nothing happens: model and files
        are the parent's.
        """
        if not self._guard.here:
            return
        with self._guard.closing() as alone:
            self._closed = True
            if alone:  # else its folder is removed at the next start of hxloop
                while self._fleets:
                    self._fleets.popitem()[1].close()


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


class _Given:
    """What a model is given for a run of a block, in the arrays that it takes."""

    def __init__(self, block: Block) -> None:
        self._block, rows = block, block.rows
        inside = np.zeros(len(rows.weights), np.bool_)
        onward = sender = np.zeros(0, np.int64)
        if block.in_a_loop:
            starts, onward = outgoing(block)
            inside[onward] = True
            sender = np.repeat(np.arange(block.post), np.diff(starts))
        through = np.zeros(len(onward), np.bool_)
        if block.carried.size:
            through = ~np.isnan(block.carried[0, 0, onward])
        self._at_once, self._axons = (sender[~through], onward[~through]), onward[through]
        self.senders = sender[through]
        self.ranks = max(block.late.shape[0], block.carried.shape[0])
        self.outside = np.flatnonzero(~inside)
        coming = block.coming
        sample = np.repeat(np.arange(block.batch), np.diff(coming.offsets))
        early = coming.base <= block.network.t_window
        channel = np.cumsum(~inside)[coming.rows[early]] - 1
        counted = Spikes.trusted(
            coming.base[early], channel,
            np.searchsorted(sample[early], np.arange(block.batch + 1)).astype(np.int64),
            len(self.outside),
        )  # fmt: skip
        self._coming = counted
        self.most = int(counted.count.max(initial=0))

    def constants(self, shape: BlockShape) -> dict[str, Array]:
        """What is the same for every sample, by the names of ``BlockModel``."""
        block, h = self._block, shape.dt
        tm, te, ti = block.table[:, 0], block.table[:, 1], block.table[:, 2]
        per_neuron = {
            "em": np.exp(-h / tm),
            "ee": np.exp(-h / te),
            "ei": np.exp(-h / ti),
            "ke": psp_after(h, tm, te),
            "ki": psp_after(h, tm, ti),
            "rm": 1 / tm,
            "re": 1 / te,
            "ri": 1 / ti,
            "rest": block.table[:, 4],
            "hold": np.minimum(block.table[:, 5], NEVER),
        }
        data = {f"layer0.{name}": np.tile(v, shape.batch) for name, v in per_neuron.items()}
        data["weights0.values"] = block.rows.weights[self.outside]
        if shape.loop:
            inner = np.zeros((block.post, block.post))
            sender, row = self._at_once
            np.add.at(inner, sender, block.rows.weights[row])
            data["weights1.values"] = inner
        if shape.senders:
            data["weights2.values"] = block.rows.weights[self._axons]
            data["axons.delay"] = np.tile(block.rows.delays[self._axons], shape.batch)
        return data

    def of_samples(self, shape: BlockShape, part: slice) -> dict[str, Array]:
        """What differs from sample to sample, padded to the batch of the model."""
        n, coming = part.stop - part.start, self._coming.select(part)
        arrivals = np.full((shape.arrivals + 1, shape.batch, shape.channels), NEVER)
        arrivals[coming.ranks, coming.samples, coming.units] = coming.times
        threshold = np.full((shape.batch, shape.post), NEVER)
        threshold[:n] = np.minimum(self._block.table[:, 3], NEVER)
        data = {
            "arrivals.values": arrivals.reshape(shape.arrivals + 1, -1),
            "layer0.th": threshold,
        }
        if shape.ranks:
            data["late.values"] = _table(shape, shape.post, self._block.late[:, part])
        if shape.senders:
            own = self._block.carried[:, part][:, :, self._axons]
            data["carried.values"] = _table(shape, len(shape.senders), own)
        return data


def _table(shape: BlockShape, columns: int, values: Array) -> Array:
    """``(ranks + 1, batch * columns)`` of ``(ranks, samples, columns)``, padded with 0."""
    table = np.zeros((shape.ranks + 1, shape.batch, columns))
    if values.size:
        table[: len(values), : values.shape[1]] = np.minimum(values, NEVER)
    return table.reshape(shape.ranks + 1, -1)
