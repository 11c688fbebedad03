"""NEURON through PyNN: fixed time steps, spikes on the time grid."""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from hxloop.activity import Spikes
from hxloop.backends.pynn.adapter import PynnSession
from hxloop.backends.pynn.dialect import CAPACITANCE_NF, MV_PER_UNIT
from hxloop.backends.pynn.given import HeldLayer
from hxloop.backends.pynn.grid import GridDialect, time_step
from hxloop.backends.pynn.neuron_mechanisms import compile_mechanisms
from hxloop.backends.pynn.neuron_trains import NeuronTrains
from hxloop.backends.pynn.schedule import Array, SampleSchedule
from hxloop.backends.pynn.simulators import check_options, environment
from hxloop.backends.pynn.trains import FEATURES, check_steps, simulate_trains
from hxloop.engine.psp import psp_after
from hxloop.errors import RunInputError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec, Parameters
from hxloop.substrate import (
    BaseBackend,
    Calibration,
    Capabilities,
    Simulated,
    check_network,
    refuse_calibration,
)

# Currents (nA) into a neuron, which it is held at its reset against by a conductance of 1e12 uS
# (refrac.mod of PyNN): these move it by a thousandth of a threshold of 1.
LARGEST_CURRENT_NA = 1e9


@dataclass(frozen=True)
class PynnNeuronBackend(BaseBackend):
    """Runs the network in NEURON, with a fixed time step.

    Networks whose neurons spike again, with loops, delays and connections that pass populations
    over, run as ``hxloop.backends.pynn.neuron_trains`` says: delays and refractory times are whole
    numbers of half steps, and neurons are held for half a step at least.

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
            deterministic=True,
            time_resolution=2 * self.dt,
            weight_limit=self.weight_limit,
            features=FEATURES,
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
            CapacityError: another session is open on NEURON, a refractory time is no multiple of
                half the time step, or a calibration was given.
            MissingDependencyError: NEURON is not installed.
            CompilerError: PyNN's mechanisms, compiled once, cannot be.
        """
        refuse_calibration(self.name, calibration)
        check_network(network, self.capabilities, self.name)
        step = time_step(self.dt, network)
        dialect, of_trains = (self._dialect(each) for each in (step, step / 2))
        check_steps(network, of_trains)
        return NeuronSession(self, dialect, of_trains, network)

    def _dialect(self, step: float) -> NeuronDialect:
        dialect = NeuronDialect(
            dt=step, weight_limit=self.weight_limit, clip_weights=self.clip_weights
        )
        dialect.dt_option = self.dt
        return dialect


class NeuronSession(PynnSession):
    """A network opened in NEURON; see ``hxloop.backends.pynn.neuron_trains`` for all its spikes."""

    def __init__(
        self,
        backend: PynnNeuronBackend,
        dialect: NeuronDialect,
        of_trains: NeuronDialect,
        network: NetworkSpec,
    ) -> None:
        super().__init__(backend, dialect, network)
        self._of_trains = of_trains
        self._trains = NeuronTrains(of_trains, network)

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        # NEURON holds one network: that of first spikes, or that of all of them.
        self._trains.drop()
        return super()._simulate(weights, input_times, trial)

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        with self._in_the_simulator() as (_, sim):
            run = partial(self._trains.run, sim)
            return simulate_trains(
                self._of_trains, self.network, parameters, inputs, run, at_once=inputs.batch
            )

    def _free(self) -> None:
        self._trains.drop()
        super()._free()


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
    simulator = "NEURON"
    # It sees a membrane cross the threshold if it was below at the point before.
    least_refractory_steps = 1
    known_warnings = ("mpi4py not available",)

    # What is in NEURON now, whichever session put it there.
    _populations: ClassVar[list[Any]] = []

    def time_constants(self, neuron: NeuronSpec) -> tuple[float, float]:
        """The membrane's such that a step of NEURON is the exact one."""
        tau_mem, tau_syn = super().time_constants(neuron)
        return self.dt / math.expm1(self.dt / tau_mem), tau_syn

    def capacitance(self, neuron: NeuronSpec) -> float:
        """Such that a step of NEURON is the exact one."""
        h = self.dt
        exact = float(psp_after(h, neuron.tau_mem, neuron.tau_syn))
        return super().capacitance(neuron) * h * math.exp(-h / neuron.tau_mem) / exact

    def hold(self, matrix: Array) -> HeldLayer:
        """What becomes of a weight matrix.

        Raises:
            RunInputError: weights into a neuron that overcome what holds it at its reset: NEURON
                would lose spikes, or make them up, without a word.
        """
        held = super().hold(matrix)
        currents = np.abs(held.native).sum(axis=0)
        if currents.max(initial=0.0) > LARGEST_CURRENT_NA:
            neuron = int(np.argmax(currents))
            scale = CAPACITANCE_NF * MV_PER_UNIT / self.ms_per_tau
            raise RunInputError(
                f"backend {self.name!r}: weights into neuron {neuron} add up to "
                f"{currents[neuron] / scale:.3g}; NEURON holds a neuron at its reset against "
                f"{LARGEST_CURRENT_NA / scale:.3g} at most, and loses spikes beyond. Did the "
                "training diverge? weight_limit clips and counts such weights; the other backends "
                "take them"
            )
        return held

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

    def create_cells(self, sim: Any, layer: LayerSpec, t_refractory: float) -> list[Any]:
        """NEURON's objects of the neurons of a layer that spike again, at rest."""
        cells = self.lif_cells(sim, layer, t_refractory, layer.neuron.v_reset)
        rest = {"v": layer.neuron.v_leak * MV_PER_UNIT}
        population = sim.Population(layer.n_neurons, cells, initial_values=rest)
        self._populations.append(population)
        return [cell._cell for cell in population.all_cells]

    def set_cell(self, cell: Any, neuron: NeuronSpec) -> None:
        """Make one of these a neuron of other parameters; its refractory time stays."""
        tau_mem, tau_syn = self.time_constants(neuron)
        # The time constant of the membrane is held as a conductance, to this capacitance.
        cell.c_m = self.capacitance(neuron)
        cell.tau_m = tau_mem * self.ms_per_tau
        cell.tau_e = cell.tau_i = tau_syn * self.ms_per_tau
        cell.v_thresh = neuron.v_threshold * MV_PER_UNIT
        cell.v_reset = neuron.v_reset * MV_PER_UNIT

    def close(self, sim: Any) -> None:
        """Free the cells."""
        self.setup(sim)
        super().close(sim)
