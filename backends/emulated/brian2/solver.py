"""First spike times of a network whose parameters have all been drawn, integrated by Brian2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.brian2.model import NEVER, ModelShape
from hxloop.backends.emulated.brian2.runners import BinaryRunner, NumpyRunner
from hxloop.engine.psp import psp_after
from hxloop.errors import ConfigError, RunFailed, RunInputError, SessionClosedError
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


@dataclass(frozen=True)
class LayerDynamics:
    """One layer in one run.

    Attributes:
        tau_mem, tau_syn_exc, tau_syn_inh: ``(post,)``, model time.
        threshold: ``(batch, post)``, distance from leak to threshold; ``inf`` = never fires,
            <= 0 = fires at time 0.
        jitter: ``(batch, post)``, added to each spike time before it is delivered; None: none.
    """

    tau_mem: Array
    tau_syn_exc: Array
    tau_syn_inh: Array
    threshold: Array
    jitter: Array | None = None


class _Runner(Protocol):
    def run(self, data: dict[str, Array]) -> list[Array]: ...

    def close(self) -> None: ...


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
        self._sizes = tuple(int(size) for size in sizes)
        self._t_window = float(t_window)
        self._options = options
        self._jitter = earliest is not None
        # No spike is shifted to before 0.
        self._lag = min(float(earliest or 0.0), self._t_window)
        self._shape: ModelShape | None = None
        self._runners: list[_Runner] = []
        self._pool: ThreadPoolExecutor | None = None
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
            self._check(input_times, weights, layers)
            return self._integrate(input_times, weights, layers)

    def _integrate(
        self, input_times: Array, weights: Sequence[Array], layers: Sequence[LayerDynamics]
    ) -> list[Array]:
        batch = input_times.shape[0]
        results = [np.full((batch, size), np.inf) for size in self._sizes[1:]]
        if batch == 0:
            return results
        shape = self._model_for(batch)
        fixed = _constants(shape, weights, layers)
        parts = [
            slice(start, min(start + shape.batch, batch)) for start in range(0, batch, shape.batch)
        ]

        def run_parts(runner: _Runner, parts: Sequence[slice]) -> None:
            for part in parts:
                spikes = runner.run(fixed | self._trial(shape, part, input_times, layers))
                for result, times in zip(results, spikes, strict=True):
                    chunk = times.reshape(shape.batch, -1)[: part.stop - part.start]
                    if np.isnan(chunk).any():
                        raise RunFailed("the Brian2 model returned NaN as a spike time")
                    result[part] = np.where(chunk <= self._t_window, chunk, np.inf)

        n = len(self._runners)
        waiting = []
        if self._pool is not None:
            for index in range(1, min(n, len(parts))):
                shared = self._pool.submit(run_parts, self._runners[index], parts[index::n])
                waiting.append(shared)
        run_parts(self._runners[0], parts[::n])
        for other in waiting:
            other.result()
        return results

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
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        while self._runners:
            self._runners.pop().close()

    def _model_for(self, batch: int) -> ModelShape:
        """The shape of the model, whose runners are there afterwards."""
        processes = 1 if self._options.target == "numpy" else self._options.processes
        synapses = sum(a * b for a, b in zip(self._sizes[:-1], self._sizes[1:], strict=True))
        size = max(-(-batch // processes), min(batch, MIN_SAMPLES))
        size = max(1, min(size, MAX_SYNAPSES // synapses))
        old = self._shape
        if old is None or (batch > MAX_CHUNKS * processes * old.batch and size > old.batch):
            self._free()
            shape = ModelShape(
                self._sizes, size, self._options.dt, self._t_window, self._jitter, self._lag
            )
            if self._options.target == "numpy":
                self._runners = [NumpyRunner(shape)]
            else:
                cache = self._options.cache_dir
                self._runners = [BinaryRunner(shape, cache) for _ in range(processes)]
            if processes > 1:
                self._pool = ThreadPoolExecutor(processes - 1, thread_name_prefix="hxloop-brian2")
            self._shape = old = shape
        return old

    def _trial(
        self,
        shape: ModelShape,
        part: slice,
        input_times: Array,
        layers: Sequence[LayerDynamics],
    ) -> dict[str, Array]:
        """What differs from sample to sample, padded to the batch of the model."""
        times = np.full((shape.batch, self._sizes[0]), NEVER)
        n = part.stop - part.start
        chunk = input_times[part]
        times[:n] = np.where(chunk <= self._t_window, chunk, NEVER)
        data = {"inputs.t_in": times}
        for index, layer in enumerate(layers):
            threshold = np.full((shape.batch, self._sizes[index + 1]), NEVER)
            chunk = layer.threshold[part]
            threshold[:n] = np.where(chunk <= 0, -NEVER, np.minimum(chunk, NEVER))
            data[f"layer{index}.th"] = threshold
            if self._jitter:
                shift = np.zeros(threshold.shape)
                if layer.jitter is not None:
                    shift[:n] = layer.jitter[part]
                data[f"layer{index}.shift"] = shift
        return data

    def _check(
        self, input_times: Array, weights: Sequence[Array], layers: Sequence[LayerDynamics]
    ) -> None:
        pairs = list(zip(self._sizes[:-1], self._sizes[1:], strict=True))
        batch = input_times.shape[0]
        _expect("input_times", input_times, (batch, self._sizes[0]))
        if len(weights) != len(pairs) or len(layers) != len(pairs):
            raise RunInputError(
                f"Brian2 solver: expected weights and dynamics of {len(pairs)} layers; got "
                f"{len(weights)} and {len(layers)}"
            )
        for index, ((pre, post), matrix, layer) in enumerate(
            zip(pairs, weights, layers, strict=True)
        ):
            where = f"layer {index}: "
            _expect(where + "weights", matrix, (pre, post))
            for name in ("tau_mem", "tau_syn_exc", "tau_syn_inh"):
                _expect(where + name, getattr(layer, name), (post,))
            _expect(where + "threshold", layer.threshold, (batch, post))
            if layer.jitter is not None:
                _expect(where + "jitter", layer.jitter, (batch, post))
                if not self._jitter:
                    raise RunInputError(f"{where}jitter given to a Brian2 solver made without")
                if self._lag < self._t_window and -layer.jitter.min(initial=0) > self._lag:
                    raise RunInputError(
                        f"{where}jitter shifts a spike by {layer.jitter.min():g}; the Brian2 "
                        f"solver was made for shifts down to {-self._lag:g}"
                    )


def _expect(where: str, values: Array, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise RunInputError(f"{where}: expected shape {shape}; got {values.shape}")
    if np.isnan(values).any():
        raise RunInputError(f"{where}: expected numbers; got NaN")


def _constants(
    shape: ModelShape, weights: Sequence[Array], layers: Sequence[LayerDynamics]
) -> dict[str, Array]:
    """What is the same for every sample of a run."""
    data: dict[str, Array] = {}
    h = shape.dt
    for index, (matrix, layer) in enumerate(zip(weights, layers, strict=True)):
        tm, te, ti = layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh
        per_neuron = {
            "em": np.exp(-h / tm),
            "ee": np.exp(-h / te),
            "ei": np.exp(-h / ti),
            "ke": psp_after(h, tm, te),
            "ki": psp_after(h, tm, ti),
            "rm": 1 / tm,
            "re": 1 / te,
            "ri": 1 / ti,
        }
        for name, values in per_neuron.items():
            data[f"layer{index}.{name}"] = np.tile(values, shape.batch)
        data[f"weights{index}.values"] = matrix
    return data
