"""NEURON through PyNN: fixed time steps, spikes on the time grid."""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from hxloop.backends.pynn.adapter import PynnSession
from hxloop.backends.pynn.grid import GridDialect, time_step
from hxloop.backends.pynn.neuron_mechanisms import compile_mechanisms
from hxloop.backends.pynn.schedule import SampleSchedule
from hxloop.backends.pynn.simulators import check_options, environment
from hxloop.engine.psp import psp_after
from hxloop.network import LayerSpec, NetworkSpec
from hxloop.substrate import (
    BaseBackend,
    Calibration,
    Capabilities,
    check_network,
    refuse_calibration,
)


@dataclass(frozen=True)
class PynnNeuronBackend(BaseBackend):
    """Runs the network in NEURON, with a fixed time step.

    Args:
        dt: time step in model time, or as a share of the shortest time constant if that is below
            1; errors are proportional to it.
        weight_limit: largest magnitude of a weight; None: unlimited.
        clip_weights: clip and count weights beyond the limit; False refuses them.

    Raises:
        ConfigError: a value out of range.
    """

    name: ClassVar[str] = "pynn-neuron"

    dt: float = 1 / 100
    weight_limit: float | None = None
    clip_weights: bool = True

    def __post_init__(self) -> None:
        check_options(self, largest_dt=0.1)

    @property
    def capabilities(self) -> Capabilities:
        """Spike times are good to a few time steps."""
        return Capabilities(
            deterministic=True, time_resolution=2 * self.dt, weight_limit=self.weight_limit
        )

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> PynnSession:
        """Open a session. ``seed`` is not used: there is no noise.

        Raises:
            CapacityError: another session is open on NEURON, or a calibration was given.
            MissingDependencyError: NEURON is not installed.
            CompilerError: PyNN's mechanisms, compiled once, cannot be.
        """
        refuse_calibration(self.name, calibration)
        check_network(network, self.capabilities, self.name)
        dialect = NeuronDialect(
            dt=time_step(self.dt, network),
            weight_limit=self.weight_limit,
            clip_weights=self.clip_weights,
        )
        return PynnSession(self, dialect, network)


class NeuronDialect(GridDialect):
    """NEURON: built once; weights and inputs are set between runs.

    Built anew for every run it would slow down from run to run: cells are never freed.

    In a step of length h NEURON takes the membrane from V to ``(V + h I/C) / (1 + h/tau)``: the
    implicit Euler method, with the synaptic current I at the start of the step, which itself decays
    exactly. The exact step is ``V exp(-h/tau_mem) + I k(h)/C`` (k as in ``hxloop.engine.psp``).
    Both are linear in V and I, so with other values of tau and C they are the same, and the
    membrane is exact at all points of the grid. With the nominal values it is half a percent too
    high at dt = 1/100, and the more so the slower it is.
    """

    name = PynnNeuronBackend.name
    module = "pyNN.neuron"
    requires = ("PyNN", "neuron")
    extra = "neuron"
    known_warnings = ("mpi4py not available",)

    # What is in NEURON now, whichever session put it there.
    _populations: ClassVar[list[Any]] = []

    def time_constants(self, layer: LayerSpec) -> tuple[float, float]:
        """The membrane's such that a step of NEURON is the exact one."""
        tau_mem, tau_syn = super().time_constants(layer)
        return self.dt / math.expm1(self.dt / tau_mem), tau_syn

    def capacitance(self, layer: LayerSpec) -> float:
        """Such that a step of NEURON is the exact one."""
        neuron, h = layer.neuron, self.dt
        exact = float(psp_after(h, neuron.tau_mem, neuron.tau_syn))
        return super().capacitance(layer) * h * math.exp(-h / neuron.tau_mem) / exact

    def load(self) -> ModuleType:
        """Import ``pyNN.neuron``; compile its mechanisms if that has not been done."""
        compile_mechanisms()
        with environment(NEURON_MODULE_OPTIONS="-nogui"):
            return super().load()

    def setup(self, sim: Any) -> None:
        """Start empty: free the cells, which PyNN keeps and NEURON goes on integrating."""
        for population in self._populations:
            for cell in population.all_cells:
                # A section that refers to itself is not garbage collected.
                for name in ("seg", "source_section"):
                    if hasattr(cell._cell, name):
                        delattr(cell._cell, name)
                cell._cell = None
        self._populations.clear()
        gc.collect()
        super().setup(sim)

    def create_inputs(self, sim: Any, size: int) -> Any:
        """Population of the input."""
        self._populations.append(super().create_inputs(sim, size))
        return self._populations[-1]

    def create_at_rest(
        self, sim: Any, size: int, layer: LayerSpec, schedule: SampleSchedule
    ) -> Any:
        """Population of a layer."""
        self._populations.append(super().create_at_rest(sim, size, layer, schedule))
        return self._populations[-1]

    def close(self, sim: Any) -> None:
        """Free the cells."""
        self.setup(sim)
        super().close(sim)
