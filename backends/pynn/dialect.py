"""What differs between PyNN simulators: units, signs, delays, what can be updated in place.

The base class speaks to simulators with the standard cell ``IF_curr_exp``. Each simulator has
a module with what it does differently, and its backend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.pynn.given import Delivered, HeldLayer, give_spikes
from hxloop.backends.pynn.packages import Packages
from hxloop.backends.pynn.schedule import Array, SampleSchedule, Spacing, spacing
from hxloop.errors import CapacityError, RunInputError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec

# A time step of a simulator: exact in binary, so that points of the grid are exact, too.
STEP_MS = 0.5
# One unit of the weights in the simulator, and a capacitance that cancels out.
MV_PER_UNIT = 1.0
CAPACITANCE_NF = 1.0


class Dialect(Packages):
    """One simulator, for one session. Override what differs.

    Attributes (and those of ``Packages``):
        ms_per_tau: milliseconds of the simulator's clock in one unit of model time.
        stamped: spikes are recorded on a time grid, where different neurons may share a moment.
        latency: delay of every layer in model time, subtracted from what is recorded.
        receptors: one projection each; two where a projection cannot mix signs.
        residue: what may be left of a membrane potential when the next sample starts.
        rebuild: the network is built anew for every run.
        one_thread: the simulator works only in the thread of the process that first used it.
        simulator: its name, as messages say it.
        least_refractory_steps: for how many time steps it holds a neuron at least.
        least_delay_steps: how many steps after it happened it delivers a spike at the soonest.
        chip_id: which chip; None for a simulator.
        calibration_digest: of the calibration in use; None without one.
    """

    ms_per_tau: float = 1.0
    stamped: bool = False
    latency: float = 0.0
    receptors: tuple[str, ...] = ("excitatory",)
    rebuild: bool = False
    one_thread: bool = False
    residue: float = 1e-6
    simulator: str = ""
    least_refractory_steps: int = 0
    least_delay_steps: int = 0
    chip_id: str | None = None
    calibration_digest: str | None = None

    def __init__(self, *, dt: float, weight_limit: float | None, clip_weights: bool) -> None:
        self.dt = dt
        self.dt_option = dt
        self.latency = dt
        self.step_ms = STEP_MS
        self.ms_per_tau = STEP_MS / dt
        self.weight_limit = weight_limit
        self.clip_weights = clip_weights

    # --- opening ---

    def check(self, network: NetworkSpec) -> None:
        """Refuse what the simulator cannot do, before it is started.

        Raises:
            CapacityError: a time constant that the time step cannot resolve.
        """
        for index, layer in enumerate(network.layers):
            self.check_neuron(layer.neuron, f"layer {index}")

    def check_neuron(self, neuron: NeuronSpec, which: str) -> None:
        """The same for a neuron, nominal or with parameters of its own; ``which`` in messages."""
        for name, tau in (("tau_mem", neuron.tau_mem), ("tau_syn", neuron.tau_syn)):
            if tau < 5 * self.dt:
                raise CapacityError(
                    f"backend {self.name!r}: {which} has {name} = {tau:g}, which a time "
                    f"step of dt = {self.dt:g} does not resolve (at least 5 steps). Choose "
                    f"dt <= {tau / 5:.3g}."
                )

    def setup(self, sim: Any) -> None:
        """Start with an empty simulator."""
        sim.setup(timestep=self.step_ms, min_delay=self.step_ms)

    def settings(self) -> AbstractContextManager[None]:
        """What of the simulator's global settings a session needs while it works."""
        return nullcontext()

    # --- building ---

    def input_cells(self, sim: Any) -> Any:
        """Cell type of the input."""
        return sim.SpikeSourceArray()

    def time_constants(self, neuron: NeuronSpec) -> tuple[float, float]:
        """``tau_mem, tau_syn`` as simulated, in model time."""
        return neuron.tau_mem, neuron.tau_syn

    def capacitance(self, neuron: NeuronSpec) -> float:
        """Capacitance as simulated, in nF; a weight acts in inverse proportion."""
        return CAPACITANCE_NF

    def cells(self, sim: Any, layer: LayerSpec, schedule: SampleSchedule) -> Any:
        """Cell type of a layer.

        It is reset to the leak, not to ``v_reset``, on which first spikes do not depend: so it
        is at rest when the next sample starts.
        """
        return self.lif_cells(sim, layer, schedule.refractory, layer.neuron.v_leak)

    def lif_cells(self, sim: Any, layer: LayerSpec, t_refractory: float, v_reset: float) -> Any:
        """Cell type of neurons that are held at ``v_reset`` for ``t_refractory``, model time."""
        neuron = layer.neuron
        tau_mem, tau_syn = self.time_constants(neuron)
        return sim.IF_curr_exp(
            cm=self.capacitance(neuron),
            tau_m=tau_mem * self.ms_per_tau,
            tau_syn_E=tau_syn * self.ms_per_tau,
            tau_syn_I=tau_syn * self.ms_per_tau,
            tau_refrac=t_refractory * self.ms_per_tau,
            v_rest=neuron.v_leak * MV_PER_UNIT,
            v_reset=v_reset * MV_PER_UNIT,
            v_thresh=neuron.v_threshold * MV_PER_UNIT,
            i_offset=0.0,
        )

    def create_inputs(self, sim: Any, size: int) -> Any:
        """Population of the input."""
        return sim.Population(size, self.input_cells(sim))

    def create_at_rest(
        self, sim: Any, size: int, layer: LayerSpec, schedule: SampleSchedule
    ) -> Any:
        """Population of a layer."""
        rest = {"v": layer.neuron.v_leak * MV_PER_UNIT}
        return sim.Population(size, self.cells(sim, layer, schedule), initial_values=rest)

    def create_layer(self, sim: Any, size: int, layer: LayerSpec, schedule: SampleSchedule) -> Any:
        """Population of a layer, recorded."""
        population = self.create_at_rest(sim, size, layer, schedule)
        population.record("spikes")
        return population

    def connect(
        self, sim: Any, pre: Any, post: Any, native: Array, schedule: SampleSchedule
    ) -> list[Any]:
        """All-to-all projections, one for each receptor; ``set_weights`` gives the weights."""
        return [
            sim.Projection(
                pre,
                post,
                sim.AllToAllConnector(),
                synapse_type=sim.StaticSynapse(weight=0.0, delay=self.step_ms),
                receptor_type=receptor,
            )
            for receptor in self.receptors
        ]

    def prepare(self, sim: Any) -> None:
        """After building, before anything is set."""

    # --- running ---

    def hold(self, matrix: Array) -> HeldLayer:
        """What becomes of a weight matrix.

        The current that a weight w stands for: ``dV/dt`` jumps by ``w`` potential units per unit
        of model time, so the current is ``w * C * mV/ms``.

        Raises:
            RunInputError: a weight is beyond the range and may not be clipped.
        """
        values, n_clipped = matrix.copy(), 0
        if self.weight_limit is not None:
            n_clipped = int((np.abs(matrix) > self.weight_limit).sum())
            if n_clipped and not self.clip_weights:
                raise RunInputError(
                    f"backend {self.name!r}: {n_clipped} weights lie beyond the range of "
                    f"+-{self.weight_limit:g}, the largest is {np.abs(matrix).max():g}; "
                    "clip_weights=True clips and counts them"
                )
            values = np.clip(matrix, -self.weight_limit, self.weight_limit)
        scale = CAPACITANCE_NF * MV_PER_UNIT / self.ms_per_tau
        return HeldLayer(values, values * scale, n_clipped)

    def deliver(self, times: Array, t_window: float) -> Delivered:
        """Input times as played."""
        return Delivered(times.copy())

    def deliver_trains(self, inputs: Spikes, t_window: float) -> tuple[Spikes, int]:
        """All input spikes as played, and how many were moved."""
        return inputs, 0

    def schedule(
        self, network: NetworkSpec, weights: Sequence[Array], times: Array
    ) -> SampleSchedule:
        """Where the samples run: one after another, as far apart as weights and inputs need.

        Args:
            network: of the session.
            weights: as held, model units.
            times: as delivered, ``(batch, n_inputs)``.
        """
        unit = math.ceil(1 / self.dt - 1e-9) * self.dt
        copies = self.copies(network, len(times))
        if copies >= len(times):
            # The refractory period is the same for all weights, so nothing need be built again.
            alone = network.t_window + (len(network.layers) + 1) * self.latency
            slot = math.ceil(alone / self.dt) * self.dt
            needed = Spacing(refractory=2 * slot, slot=slot)
        else:
            inputs = times[times <= network.t_window]
            needed = spacing(
                network,
                weights,
                last_input=float(inputs.max(initial=0.0)),
                residue=self.residue,
                latency=self.latency,
                step=unit,
            )
        return SampleSchedule(
            len(times),
            network.t_window,
            needed.slot,
            lead_in=4 * self.dt,
            copies=copies,
            refractory=needed.refractory,
            guard=self.dt,
        )

    def copies(self, network: NetworkSpec, n_samples: int) -> int:
        """How many samples run side by side."""
        return 1

    def must_rebuild(self, before: SampleSchedule, now: SampleSchedule) -> bool:
        """Whether a network built for one schedule is of no use for another."""
        return self.rebuild or before.copies != now.copies

    def set_refractory(self, population: Any, schedule: SampleSchedule) -> None:
        """Adapt a layer to another schedule."""
        population.set(tau_refrac=schedule.refractory * self.ms_per_tau)

    def set_weights(
        self, projections: Sequence[Any], native: Array, schedule: SampleSchedule
    ) -> None:
        """Give a layer its weights: one projection takes both signs, or each its own."""
        if len(projections) == 1:
            projections[0].set(weight=native)
            return
        projections[0].set(weight=np.maximum(native, 0))
        projections[1].set(weight=np.minimum(native, 0))

    def set_inputs(self, sim: Any, population: Any, trains_ms: Sequence[Array]) -> None:
        """Give the input population its spikes."""
        give_spikes(population, trains_ms)

    def run(self, sim: Any, duration_ms: float) -> None:
        """Run once."""
        sim.run(round(duration_ms / self.step_ms) * self.step_ms)

    def read(self, population: Any) -> tuple[NDArray[np.int64], Array]:
        """Which unit of a layer spiked when (ms)."""
        trains = population.get_data("spikes", clear=True).segments[-1].spiketrains
        ids, times = trains.multiplexed
        units = np.asarray(ids, dtype=np.int64) - int(population.first_id)
        return units, np.asarray(getattr(times, "magnitude", times), dtype=np.float64)

    def lost(self, sim: Any) -> int:
        """Spikes known to have got lost in the last run."""
        return 0

    def reset(self, sim: Any) -> None:
        """Back to time 0; network and weights stay."""
        sim.reset()

    def retryable(self, error: BaseException) -> bool:
        """Whether the same run may succeed when it is repeated."""
        return False

    def advice(self, error: BaseException) -> str:
        """What to do about a run that failed, a sentence; empty: nothing is known."""
        return ""

    # --- closing ---

    def close(self, sim: Any) -> None:
        """Free what the simulator holds."""
        sim.end()
