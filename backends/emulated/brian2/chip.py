"""Hands a layer of the drawn chip to the Brian2 solver in the arrays that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.emulated.brian2.blocks import Brian2Blocks
from hxloop.backends.emulated.brian2.given import LayerDynamics
from hxloop.backends.emulated.brian2.settings import check_installed
from hxloop.backends.emulated.brian2.solver import Brian2Options, Brian2Solver
from hxloop.backends.emulated.event_solver import ChipLayer
from hxloop.backends.emulated.trains import ChipRun
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import NetworkSpec

Array = NDArray[np.float64]

# No normal deviate is larger in a lifetime of runs (one in 10^15).
SIGMAS = 8.0


class _ChipOnBrian2:
    def __init__(self, solver: Brian2Solver, blocks: Brian2Blocks) -> None:
        self._solver, self._blocks = solver, blocks

    def run(self, input_times: Array, layers: Sequence[ChipLayer]) -> list[Array]:
        """First spike times of every layer."""
        batch = input_times.shape[0]
        return self._solver.run(
            input_times,
            [layer.weights for layer in layers],
            [dynamics_of(layer, batch) for layer in layers],
        )

    def run_trains(self, inputs: Spikes, run: ChipRun) -> tuple[Spikes, ...]:
        """All spikes of every population, as they leave."""
        return spike_trains(
            run.network,
            run.parameters,
            inputs,
            run.neurons,
            departures=run.departures,
            solve=self._blocks,
        )

    def close(self) -> None:
        """Free the Brian2 networks."""
        self._solver.close()
        self._blocks.close()


def make_brian2_solver(
    network: NetworkSpec, *, dt: float, codegen: str, cache_dir: str | None, jitter: float
) -> _ChipOnBrian2:
    """A Brian2 model of the network's shape, for spikes with a jitter of this standard deviation.

    Raises:
        MissingDependencyError: Brian2 is not installed.
        CompilerError: codegen "cpp_standalone" without a C++ compiler.
    """
    check_installed()
    options = Brian2Options(
        dt=dt, target=codegen, cache_dir=Path(cache_dir) if cache_dir is not None else None
    )
    earliest = SIGMAS * jitter if jitter > 0 else None
    solver = Brian2Solver(network.sizes, network.t_window, options, earliest=earliest)
    return _ChipOnBrian2(solver, Brian2Blocks(options))


def dynamics_of(layer: ChipLayer, batch: int) -> LayerDynamics:
    """A layer of a run in the arrays of the solver, for so many samples."""
    parameters = layer.parameters
    threshold = np.tile(parameters.v_threshold - parameters.v_leak, (batch, 1))
    if layer.shifts is not None:
        threshold = threshold + layer.shifts
    if layer.lost is not None:
        threshold[layer.lost] = np.inf
    return LayerDynamics(
        tau_mem=parameters.tau_mem,
        tau_syn_exc=parameters.tau_syn_exc,
        tau_syn_inh=parameters.tau_syn_inh,
        threshold=threshold,
        jitter=layer.jitter,
    )
