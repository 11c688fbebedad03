"""Brian2 through PyNN: fixed time steps, the samples of a batch side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.emulated.brian2.settings import default_preferences, readable_preferences
from hxloop.backends.pynn.adapter import PynnSession
from hxloop.backends.pynn.brian2_trains import Brian2Trains
from hxloop.backends.pynn.grid import GridDialect, time_step
from hxloop.backends.pynn.schedule import Array, SampleSchedule
from hxloop.backends.pynn.simulators import check_options
from hxloop.backends.pynn.trains import FEATURES, check_steps, simulate_trains
from hxloop.errors import UnknownNameError, unknown_name
from hxloop.network import NetworkSpec, NeuronSpec, Parameters
from hxloop.substrate import (
    BaseBackend,
    Calibration,
    Capabilities,
    Simulated,
    check_network,
    refuse_calibration,
)

CODEGEN_TARGETS = ("numpy", "cython")
# Brian2's exact integration divides by the difference of the time constants: equal ones give NaN.
NEAREST = 1e-6
# Synapses of all copies together; with more, part of the batch runs one after another.
MOST_SYNAPSES = 8_000_000


@dataclass(frozen=True)
class PynnBrian2Backend(BaseBackend):
    """Runs the network in Brian2 by way of PyNN, with a fixed time step.

    Networks whose neurons spike again, with loops, delays and connections that pass populations
    over, run as ``hxloop.backends.pynn.brian2_trains`` says: delays and refractory times are whole
    numbers of steps, 0 among them.

    Args:
        dt: time step in model time, or as a share of the shortest time constant if that is below
            1; errors are proportional to it.
        weight_limit: largest magnitude of a weight; None: unlimited.
        clip_weights: clip and count weights beyond the limit; False refuses them.
        codegen: how Brian2 computes: "numpy", or "cython", which compiles for half a minute when
            it is first used, with a C++ compiler, and is then a little faster.

    Raises:
        ConfigError: a value out of range.
        UnknownNameError: another codegen target.
    """

    name: ClassVar[str] = "pynn-brian2"

    dt: float = 1 / 100
    weight_limit: float | None = None
    clip_weights: bool = True
    codegen: str = "numpy"

    def __post_init__(self) -> None:
        check_options(self, largest_dt=0.1)
        if self.codegen not in CODEGEN_TARGETS:
            raise UnknownNameError(unknown_name("codegen target", self.codegen, CODEGEN_TARGETS))

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
            CapacityError: another session is open on pyNN.brian2, a refractory time is no multiple
                of the time step, or a calibration was given.
            MissingDependencyError: PyNN or Brian2 is not installed.
        """
        refuse_calibration(self.name, calibration)
        check_network(network, self.capabilities, self.name)
        dialect = Brian2Dialect(
            dt=time_step(self.dt, network),
            weight_limit=self.weight_limit,
            clip_weights=self.clip_weights,
        )
        dialect.codegen, dialect.dt_option = self.codegen, self.dt
        check_steps(network, dialect)
        return Brian2Session(self, dialect, network)


class Brian2Session(PynnSession):
    """A network opened in Brian2; see ``hxloop.backends.pynn.brian2_trains`` for all its spikes."""

    def __init__(
        self, backend: PynnBrian2Backend, dialect: Brian2Dialect, network: NetworkSpec
    ) -> None:
        super().__init__(backend, dialect, network)
        self._trains = Brian2Trains(dialect, network, partial(dialect.copies, network))

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        at_once = max(1, MOST_SYNAPSES // sum(pre * post for pre, post in self.network.shapes))
        with self._in_the_simulator() as (dialect, _):
            return simulate_trains(
                dialect, self.network, parameters, inputs, self._trains.run, at_once=at_once
            )

    def _free(self) -> None:
        self._trains.drop()
        super()._free()


class Brian2Dialect(GridDialect):
    """Brian2: built once, the batch as copies of the network.

    A step costs the same Python time for one copy as for hundreds. Connecting, weights and spikes
    of copies go by PyNN's private attributes of version 0.13, here and nowhere else: by its public
    ones connecting takes minutes, and reading seconds for each run.
    """

    name = PynnBrian2Backend.name
    module = "pyNN.brian2"
    requires = ("PyNN", "brian2")
    extra = "brian2,pynn"
    simulator = "Brian2"
    codegen = "numpy"
    _copies = 0

    def load(self) -> ModuleType:
        """Import ``pyNN.brian2`` and remember the global settings that a session changes.

        Raises:
            ConfigError: Brian2 cannot read the user's preferences.
        """
        with readable_preferences():
            sim = super().load()
        import brian2

        self._default_step = brian2.defaultclock.dt
        return sim

    def settings(self) -> AbstractContextManager[None]:
        """Brian2's own preferences, and this session's way to generate code."""
        return default_preferences(codegen__target=self.codegen)

    def setup(self, sim: Any) -> None:
        """Start empty. PyNN leaves its spike sources on Brian2's default clock: set that, too."""
        import brian2

        super().setup(sim)
        brian2.defaultclock.dt = self.step_ms * brian2.ms

    def time_constants(self, neuron: NeuronSpec) -> tuple[float, float]:
        """Never nearer than Brian2 can do."""
        tau_mem, tau_syn = neuron.tau_mem, neuron.tau_syn
        near = abs(tau_mem - tau_syn) < NEAREST * tau_mem
        return tau_mem, tau_mem * (1 - NEAREST) if near else tau_syn

    def copies(self, network: NetworkSpec, n_samples: int) -> int:
        """As many as there are samples, if memory allows.

        What has been built is kept for a batch that is not much smaller: an epoch may end with one.
        """
        synapses = sum(pre * post for pre, post in network.shapes)
        wanted = max(1, min(n_samples, MOST_SYNAPSES // synapses))
        if not wanted <= self._copies <= 4 * wanted:
            self._copies = wanted
        return self._copies

    def must_rebuild(self, before: SampleSchedule, now: SampleSchedule) -> bool:
        """Brian2 compiles the refractory period into the model."""
        return super().must_rebuild(before, now) or before.refractory != now.refractory

    def create_inputs(self, sim: Any, size: int) -> Any:
        """Population of the input; one unit more if it is alone, which PyNN cannot do."""
        return super().create_inputs(sim, max(size, 2))

    def connect(
        self, sim: Any, pre: Any, post: Any, native: Array, schedule: SampleSchedule
    ) -> list[Any]:
        """Every copy of the layer to the same copy of the next."""
        from pyNN.connectors import Connector

        copies, step_ms, (n_pre, n_post) = schedule.copies, self.step_ms, native.shape

        class Blocks(Connector):
            def connect(self, projection: Any) -> None:
                import brian2

                first = np.arange(copies)[:, None]
                i, j = np.divmod(np.arange(n_pre * n_post), n_post)
                synapses = projection._brian2_synapses[0][0]
                synapses.connect(i=(first * n_pre + i).ravel(), j=(first * n_post + j).ravel())
                synapses.delay = step_ms * brian2.ms
                projection._n_connections = copies * n_pre * n_post

        synapse = sim.StaticSynapse(weight=0.0, delay=step_ms)
        return [sim.Projection(pre, post, Blocks(), synapse, receptor_type="excitatory")]

    def set_weights(
        self, projections: Sequence[Any], native: Array, schedule: SampleSchedule
    ) -> None:
        """The same weights in every copy."""
        import brian2

        synapses = projections[0]._brian2_synapses[0][0]
        synapses.weight = np.tile(native.ravel(), schedule.copies) * brian2.nA

    def set_inputs(self, sim: Any, population: Any, trains_ms: Sequence[Array]) -> None:
        """Give the input its spikes."""
        import brian2

        counts = [len(train) for train in trains_ms]
        population.brian2_group.set_spikes(
            np.repeat(np.arange(len(trains_ms)), counts), np.concatenate(trains_ms) * brian2.ms
        )

    def read(self, population: Any) -> tuple[NDArray[np.int64], Array]:
        """Which unit of a layer spiked when (ms)."""
        monitor = population.recorder._devices["spikes"]
        return np.array(monitor.i, dtype=np.int64), np.array(monitor.t_, dtype=np.float64) * 1e3

    def reset(self, sim: Any) -> None:
        """Back to time 0, without PyNN's copy of everything that was recorded."""
        sim.simulator.state.reset()

    def close(self, sim: Any) -> None:
        """Drop the network, and set Brian2's default clock back."""
        import brian2

        super().close(sim)
        brian2.defaultclock.dt = self._default_step
