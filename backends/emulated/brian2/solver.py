"""First spike times of a network whose parameters have all been drawn, integrated by Brian2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.brian2.fleet import Fleet, Runner
from hxloop.backends.emulated.brian2.given import (
    LayerDynamics,
    check_task,
    constants,
    of_samples,
)
from hxloop.backends.emulated.brian2.model import ModelShape
from hxloop.errors import ConfigError, RunFailed, SessionClosedError
from hxloop.machine import usable_cores
from hxloop.substrate.guard import SessionGuard, UncopiedSession

Array = NDArray[np.float64]

TARGETS = ("cpp_standalone", "numpy")
# Limits the memory of a run: about 30 bytes a synapse and sample.
MAX_SYNAPSES = 20_000_000
# One process runs at most this many pieces of a batch; beyond, a larger model is compiled.
MAX_CHUNKS = 8
# Fewer samples are not worth a process of their own.
MIN_SAMPLES = 16


@dataclass(frozen=True)
class Brian2Options:
    """How the Brian2 model is run.

    Args:
        dt: time step, model time.
        target: "cpp_standalone" (compiled once per shape, kept on disk) or "numpy".
        cache_dir: where compiled models are kept; None: ``~/.cache/hxloop/brian2``.
        processes: compiled models that share a batch, one process each; by default one for
            every core. The result does not depend on it.

    Raises:
        ConfigError: an unknown target, ``dt`` not a positive finite number, no process.
    """

    dt: float = 1 / 200
    target: str = "cpp_standalone"
    cache_dir: Path | None = None
    processes: int = field(default_factory=usable_cores)

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ConfigError(f"Brian2Options.target: expected one of {TARGETS}; {self.target!r}")
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ConfigError(f"Brian2Options.dt: expected a positive step; got {self.dt!r}")
        if self.processes < 1:
            raise ConfigError(f"Brian2Options.processes: expected >= 1; got {self.processes}")

    @property
    def sharing(self) -> int:
        """How many processes share a batch."""
        return 1 if self.target == "numpy" else self.processes

    def samples(self, batch: int, synapses: int, old: int | None) -> int | None:
        """Samples of one model, for batches like this; None: those of the one that there is.

        Args:
            batch: number of samples.
            synapses: of one sample.
            old: samples of the model that there is; None: none.
        """
        size = max(-(-batch // self.sharing), min(batch, MIN_SAMPLES))
        size = max(1, min(size, MAX_SYNAPSES // synapses))
        if old is None or (batch > MAX_CHUNKS * self.sharing * old and size > old):
            return size
        return None


class Brian2Solver(UncopiedSession):
    """Integrates a feed-forward network on a time grid, one Brian2 model for many runs.

    Arrays travel to the compiled model through a folder, so one run is done at a time: threads
    wait for each other, and a forked child is refused.

    Samples do not influence each other, so the first batch seen, divided by the processes that
    share it, gives the batch of the model: smaller batches are padded with silent samples,
    larger ones run in pieces.

    Args:
        sizes: number of inputs, then of the neurons of every layer.
        t_window: how long a sample is observed; later spikes do not count.
        options: time step and code generation.
        earliest: layers come with ``jitter``, which shifts no spike to earlier by more than this,
            model time. Costs a second test in each step, and so much more time to integrate for
            every layer but the first. None: without ``jitter``.

    Raises:
        CompilerError: target "cpp_standalone" without a C++ compiler (at the first run).
        ConfigError: a window that is not positive and finite.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        t_window: float,
        options: Brian2Options,
        *,
        earliest: float | None = None,
    ) -> None:
        if not (math.isfinite(t_window) and t_window > 0):
            raise ConfigError(
                f"the Brian2 solver integrates a finite window: expected t_window > 0 and "
                f"finite; got {t_window!r}"
            )
        self._options = options
        # Of a model for one sample; no spike is shifted to before 0.
        self._task = ModelShape(
            sizes=tuple(int(size) for size in sizes),
            batch=1,
            dt=options.dt,
            t_window=float(t_window),
            jitter=earliest is not None,
            lag=min(float(earliest or 0.0), float(t_window)),
        )
        self._fleet: Fleet | None = None
        self._closed = False
        self._guard = SessionGuard(
            "backend 'emulated-chip', solver 'brian2'", "its folder and its running model"
        )

    def run(
        self,
        input_times: Array,
        weights: Sequence[Array],
        layers: Sequence[LayerDynamics],
    ) -> list[Array]:
        """First spike times of every layer.

        Args:
            input_times: ``(batch, n_inputs)``, model time; ``inf`` = silent.
            weights: per layer ``(pre, post)``, signed, as the neurons feel them.
            layers: per layer.

        Returns:
            Per layer ``(batch, post)``; ``inf`` = no spike within the window.

        Raises:
            RunInputError: shapes that do not fit the network, NaN, or jitter that the solver
                was not made for.
            RunFailed: the compiled model failed; the message holds what it printed.
            SessionClosedError: after ``close``.
            SessionOwnerError: in a forked child of the process that made the solver.
        """
        with self._guard.alone():
            if self._closed:
                raise SessionClosedError("the Brian2 solver is closed; make another one")
            check_task(self._task, input_times, weights, layers)
            return self._integrate(input_times, weights, layers)

    def _integrate(
        self, input_times: Array, weights: Sequence[Array], layers: Sequence[LayerDynamics]
    ) -> list[Array]:
        batch = input_times.shape[0]
        results = [np.full((batch, size), np.inf) for size in self._task.sizes[1:]]
        if batch == 0:
            return results
        fleet, shape = self._model_for(batch)
        fixed = constants(shape, weights, layers)

        def run_parts(runner: Runner, parts: Sequence[slice]) -> None:
            for part in parts:
                spikes = runner.run(fixed | of_samples(shape, part, input_times, layers))
                for result, times in zip(results, spikes, strict=True):
                    chunk = times.reshape(shape.batch, -1)[: part.stop - part.start]
                    if np.isnan(chunk).any():
                        raise RunFailed("the Brian2 model returned NaN as a spike time")
                    result[part] = np.where(chunk <= self._task.t_window, chunk, np.inf)

        fleet.share(batch, run_parts)
        return results

    @property
    def runners(self) -> list[Runner]:
        """What runs the model, one in each process; [] as long as nothing was run."""
        return [] if self._fleet is None else self._fleet.runners

    def close(self) -> None:
        """Free the model and its temporary files; ``run`` raises afterwards.

        A run of another thread is waited for. In a forked child nothing happens: model and files
        are the parent's.
        """
        if not self._guard.here:
            return
        with self._guard.closing() as alone:
            self._closed = True
            if alone:  # else its folder is removed at the next start of hxloop
                self._free()

    def _free(self) -> None:
        if self._fleet is not None:
            self._fleet.close()
            self._fleet = None

    def _model_for(self, batch: int) -> tuple[Fleet, ModelShape]:
        """A model for batches like this, and its shape."""
        options, fleet = self._options, self._fleet
        old = None if fleet is None else fleet.shape.batch
        size = options.samples(batch, self._task.n_synapses, old)
        if fleet is None or size is not None:
            self._free()
            shape = replace(self._task, batch=size or 1)
            fleet = Fleet(shape, options.target, options.cache_dir, options.sharing)
            self._fleet = fleet
        return fleet, replace(self._task, batch=fleet.shape.batch)
