"""NEST through PyNN: precise spike times, between the points of the time grid."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.pynn.adapter import PynnSession
from hxloop.backends.pynn.dialect import MV_PER_UNIT, Dialect
from hxloop.backends.pynn.nest_trains import MOST_SYNAPSES, PA_PER_NA, run_in_nest
from hxloop.backends.pynn.schedule import Array, SampleSchedule
from hxloop.backends.pynn.simulators import check_options, environment
from hxloop.backends.pynn.trains import FEATURES, check_steps, simulate_trains
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec, Parameters
from hxloop.substrate import (
    BaseBackend,
    Calibration,
    Capabilities,
    Simulated,
    check_network,
    refuse_calibration,
)

# Two time constants closer than this (relative) lose digits in NEST's propagators: at 1e-9 times
# are off by 7e-6, at 1e-15 spikes are lost. Equal ones are exact, and as near to them as that.
NEAREST = 1e-6


@dataclass(frozen=True)
class PynnNestBackend(BaseBackend):
    """Runs the network in NEST (``iaf_psc_exp_ps``: exact integration, precise spike times).

    Networks whose neurons spike again, with loops, delays and connections that pass populations
    over, run as ``hxloop.backends.pynn.nest_trains`` says: delays and refractory times are whole
    numbers of steps, those of a loop at least one.

    Args:
        dt: time step in model time. Spikes are exact between steps; only an excursion above the
            threshold that begins and ends within one step is missed.
        weight_limit: largest magnitude of a weight; None: unlimited.
        clip_weights: clip and count weights beyond the limit; False refuses them.

    Raises:
        ConfigError: a value out of range.
    """

    name: ClassVar[str] = "pynn-nest"
    known_deviations: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "grazing-crossing": "an excursion above the threshold that begins and ends within one "
            "time step is missed"
        }
    )

    dt: float = 1 / 20
    weight_limit: float | None = None
    clip_weights: bool = True

    def __post_init__(self) -> None:
        check_options(self, largest_dt=0.1)

    @property
    def capabilities(self) -> Capabilities:
        """Spike times are exact but for what is left of the sample before."""
        return Capabilities(
            deterministic=True,
            time_resolution=1e-6,
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
            CapacityError: another session is open on NEST, a time constant is too short for
                ``dt``, a refractory time is no multiple of it, a loop has no delay of that length,
                or a calibration was given.
            MissingDependencyError: NEST is not installed.
        """
        refuse_calibration(self.name, calibration)
        check_network(network, self.capabilities, self.name)
        dialect = NestDialect(
            dt=self.dt, weight_limit=self.weight_limit, clip_weights=self.clip_weights
        )
        check_steps(network, dialect)
        return NestSession(self, dialect, network)


class NestSession(PynnSession):
    """A network opened in NEST; see ``hxloop.backends.pynn.nest_trains`` for all its spikes."""

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        network = self.network
        at_once = max(1, MOST_SYNAPSES // sum(pre * post for pre, post in network.shapes))
        with self._in_the_simulator() as (dialect, sim):
            run = partial(run_in_nest, dialect, sim, network)
            return simulate_trains(dialect, network, parameters, inputs, run, at_once=at_once)


@dataclass(frozen=True)
class Nodes:
    """A layer in NEST.

    Attributes:
        nodes: its neurons or generators, a NodeCollection.
        recorder: of their spikes; None for inputs.
    """

    nodes: Any
    recorder: Any = None

    @property
    def first_id(self) -> int:
        """Number of the first node; the others follow."""
        return int(self.nodes[0].global_id)


class NestDialect(Dialect):
    """NEST: built anew for every run.

    PyNN sets up, translates parameters and runs. Populations and projections are made in NEST
    itself: PyNN makes an object of each neuron, which loses 0.1 MB for every run on 5-120-3, sets
    weights neuron by neuron (1 s, after a run 12 s and growing), and reads in 0.4 s.
    """

    name = PynnNestBackend.name
    module = "pyNN.nest"
    requires = ("PyNN", "nest-simulator")
    extra = "nest"
    simulator = "NEST"
    least_refractory_steps = 1
    least_delay_steps = 1
    # What PyNN 0.13 does with NEST 3.10; none of it concerns who uses it.
    known_warnings = (
        "Cannot find nest-config",
        "[GS]etStatus\\(\\) is deprecated",
        "Provided for backward compatibility only. Set `nest.verbosity",
    )
    rebuild = True
    # NEST 3.10 crashes (SIGSEGV in ResetKernel) when another thread takes it over.
    one_thread = True

    def load(self) -> ModuleType:
        """Import ``pyNN.nest``, quietly.

        NEST would write a banner to standard output. PyNN would try, at every start, to compile
        NEST extensions (25 s with a compiler, in vain with the wheel) that the cells used here do
        not need: it finds no ``nest-config`` on an empty PATH, says so, and goes on.
        """
        with environment(PYNEST_QUIET="1", PATH=""):
            return super().load()

    def setup(self, sim: Any) -> None:
        """Start with an empty kernel, with precise spikes."""
        sim.setup(
            timestep=self.step_ms,
            min_delay=self.step_ms,
            spike_precision="off_grid",
        )
        _remove_folders(sim)

    def time_constants(self, neuron: NeuronSpec) -> tuple[float, float]:
        """Equal, if they are nearer than NEST can tell."""
        tau_mem, tau_syn = neuron.tau_mem, neuron.tau_syn
        return tau_mem, tau_mem if abs(tau_mem - tau_syn) < NEAREST * tau_mem else tau_syn

    def create_inputs(self, sim: Any, size: int) -> Nodes:
        """Spike generators, precise as PyNN sets them up."""
        import nest

        return Nodes(nest.Create("spike_generator", size))

    def create_layer(
        self, sim: Any, size: int, layer: LayerSpec, schedule: SampleSchedule
    ) -> Nodes:
        """Neurons at rest, with PyNN's parameters in NEST's words, and their recorder."""
        import nest

        cells = self.cells(sim, layer, schedule)
        parameters = cells.native_parameters
        parameters.shape = (size,)
        parameters.evaluate(simplify=True)
        model = cells.nest_name["off_grid"]
        rest = {"V_m": layer.neuron.v_leak * MV_PER_UNIT}
        neurons = nest.Create(model, size, params=parameters.as_dict() | rest)
        recorder = nest.Create("spike_recorder")
        nest.Connect(neurons, recorder)
        return Nodes(neurons, recorder)

    def connect(
        self, sim: Any, pre: Any, post: Any, native: Array, schedule: SampleSchedule
    ) -> list[Any]:
        """All synapses of a projection, with their weights of both signs, in one call."""
        import nest

        nest.Connect(
            pre.nodes,
            post.nodes,
            "all_to_all",
            {"weight": native.T * PA_PER_NA, "delay": self.step_ms},
        )
        return []

    def set_weights(
        self, projections: Sequence[Any], native: Array, schedule: SampleSchedule
    ) -> None:
        """Nothing to do: the weights were there when the network was built."""

    def set_inputs(self, sim: Any, population: Any, trains_ms: Sequence[Array]) -> None:
        """Give the generators their spikes."""
        population.nodes.set([{"spike_times": train} for train in trains_ms])

    def read(self, population: Any) -> tuple[NDArray[np.int64], Array]:
        """Which unit of a layer spiked when (ms)."""
        events = population.recorder.events
        units = np.asarray(events["senders"], dtype=np.int64) - int(population.first_id)
        return units, np.asarray(events["times"], dtype=np.float64)

    def close(self, sim: Any) -> None:
        """Empty the kernel."""
        sim.setup(timestep=self.step_ms, min_delay=self.step_ms)
        _remove_folders(sim)
        sim.end()


def _remove_folders(sim: Any) -> None:
    """Remove the folder that PyNN makes at every setup for what NEST writes to files: nothing here.

    Left for the end, it would stay behind a process that is killed, and a forked child would
    remove its parent's.
    """
    import nest

    state = sim.simulator.state
    nest.set(data_path=tempfile.gettempdir())
    while state.tempdirs:
        shutil.rmtree(state.tempdirs.pop(), ignore_errors=True)
