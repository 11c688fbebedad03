"""NEST through PyNN: precise spike times, between the points of the time grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop.backend import Capabilities, check_network
from hxloop.backends.pynn_adapter import PynnSession
from hxloop.backends.pynn_dialect import (
    Dialect,
    check_options,
    environment,
    refuse_calibration,
)
from hxloop.backends.sample_schedule import Array, SampleSchedule
from hxloop.network import LayerSpec, NetworkSpec

PA_PER_NA = 1000.0  # NEST counts currents in pA, PyNN in nA

# Two time constants closer than this (relative) lose digits in NEST's propagators: at 1e-9 times
# are off by 7e-6, at 1e-15 spikes are lost. Equal ones are exact, and as near to them as that.
NEAREST = 1e-6


@dataclass(frozen=True)
class PynnNestBackend:
    """Runs the network in NEST (``iaf_psc_exp_ps``: exact integration, precise spike times).

    Args:
        dt: time step in model time. Spikes are exact between steps; only an excursion above the
            threshold that begins and ends within one step is missed.
        weight_limit: largest magnitude of a weight; None: unlimited.
        clip_weights: clip and count weights beyond the limit; False refuses them.

    Raises:
        ConfigError: a value out of range.
    """

    name: ClassVar[str] = "pynn-nest"

    dt: float = 1 / 20
    weight_limit: float | None = None
    clip_weights: bool = True

    def __post_init__(self) -> None:
        check_options(self, largest_dt=0.1)

    @property
    def capabilities(self) -> Capabilities:
        """Spike times are exact but for what is left of the sample before."""
        return Capabilities(
            deterministic=True, time_resolution=1e-6, weight_limit=self.weight_limit
        )

    def open(
        self, network: NetworkSpec, *, calibration: Any = None, seed: int | None = None
    ) -> PynnSession:
        """Open a session. ``seed`` is not used: there is no noise.

        Raises:
            CapacityError: another session is open on NEST, a time constant is too short for
                ``dt``, or a calibration was given.
            MissingDependencyError: NEST is not installed.
        """
        refuse_calibration(self.name, calibration)
        check_network(network, self.capabilities, self.name)
        dialect = NestDialect(
            dt=self.dt, weight_limit=self.weight_limit, clip_weights=self.clip_weights
        )
        return PynnSession(dialect, network, self.capabilities)


class NestDialect(Dialect):
    """NEST: built anew for every run.

    Setting weights after a run takes 12 s and more (measured, 960 synapses, and growing);
    building anew takes 0.2 s.
    """

    name = PynnNestBackend.name
    module = "pyNN.nest"
    requires = ("PyNN", "nest-simulator")
    extra = "nest"
    # What PyNN 0.13 does with NEST 3.10; none of it concerns who uses it.
    known_warnings = (
        "Cannot find nest-config",
        "[GS]etStatus\\(\\) is deprecated",
        "Provided for backward compatibility only. Set `nest.verbosity",
    )
    rebuild = True

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

    def time_constants(self, layer: LayerSpec) -> tuple[float, float]:
        """Equal, if they are nearer than NEST can tell."""
        tau_mem, tau_syn = layer.neuron.tau_mem, layer.neuron.tau_syn
        return tau_mem, tau_mem if abs(tau_mem - tau_syn) < NEAREST * tau_mem else tau_syn

    def create_layer(self, sim: Any, size: int, layer: LayerSpec, schedule: SampleSchedule) -> Any:
        """Population of a layer at rest, with a recorder of its own.

        PyNN's reading asks the kernel for the time again and again: 0.4 s for a batch of 150.
        """
        import nest

        population = self.create_at_rest(sim, size, layer, schedule)
        population.hxloop_recorder = nest.Create("spike_recorder")
        nest.Connect(population.node_collection, population.hxloop_recorder)
        return population

    def connect(
        self, sim: Any, pre: Any, post: Any, native: Array, schedule: SampleSchedule
    ) -> list[Any]:
        """All synapses of a projection, with their weights of both signs, in one call.

        PyNN connects and sets weights neuron by neuron: 1 s for 5-120-3.
        """
        import nest

        nest.Connect(
            pre.node_collection,
            post.node_collection,
            "all_to_all",
            {"weight": native.T * PA_PER_NA, "delay": self.step_ms},
        )
        return []

    def set_weights(
        self, projections: Sequence[Any], native: Array, schedule: SampleSchedule
    ) -> None:
        """Nothing to do: the weights were there when the network was built."""

    def read(self, population: Any) -> tuple[NDArray[np.int64], Array]:
        """Which unit of a layer spiked when (ms)."""
        events = population.hxloop_recorder.events
        units = np.asarray(events["senders"], dtype=np.int64) - int(population.first_id)
        return units, np.asarray(events["times"], dtype=np.float64)

    def close(self, sim: Any) -> None:
        """Empty the kernel."""
        sim.setup(timestep=self.step_ms, min_delay=self.step_ms)
        sim.end()
