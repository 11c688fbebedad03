"""What a BrainScaleS-2 chip wants from PyNN: integers, signs, milliseconds, resets.

The rules are those of the published interface of ``pynn_brainscales.brainscales2``; see
``hxloop.backends.brainscales2.backend``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.brainscales2 import vendor
from hxloop.backends.brainscales2.options import BrainScaleS2Options
from hxloop.backends.brainscales2.placement import place_neurons
from hxloop.backends.brainscales2.routing import segment_of
from hxloop.backends.pynn.dialect import Dialect
from hxloop.backends.pynn.given import Delivered, HeldLayer
from hxloop.backends.pynn.schedule import Array, SampleSchedule
from hxloop.backends.pynn.train_spacing import train_spacing
from hxloop.chip.clock import CLOCK_SECONDS, n_moved, truncate
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import CapacityError, ConfigError
from hxloop.network import LayerSpec, NetworkSpec

CLOCK_MS = CLOCK_SECONDS * 1e3
WARM_UP_MS = 0.01
# Of the distance from leak to threshold: what may be left of a membrane when a sample starts. Chips
# are calibrated to some percent of it.
RESIDUE = 1e-3


class BrainScaleS2Dialect(Dialect):
    """How the chip differs from a simulator: nearly everywhere.

    Args:
        options: with a calibration's scales applied.
        network: what to run.
        digest: of the calibration.
        scales_of_chip: the chip that it was measured on; None: any.

    Raises:
        CapacityError: layers whose distances from leak to threshold differ.
        ConfigError: no such calibration file, or slots too short.
    """

    name = "pynn-brainscales2"
    module = vendor.MODULE
    requires = ("PyNN",)
    receptors = ("excitatory", "inhibitory")
    stamped = True
    # Recorded after the last slot, long after the last window: of no sample.
    known_warnings = ("Recorded at least one spike after t_stop",)

    def __init__(
        self,
        options: BrainScaleS2Options,
        network: NetworkSpec,
        digest: str | None,
        scales_of_chip: str | None = None,
    ) -> None:
        self.options = options
        self.calibration_digest = digest
        self.ms_per_tau = options.tau_us * 1e-3
        distances = {layer.neuron.v_threshold - layer.neuron.v_leak for layer in network.layers}
        if max(distances) - min(distances) > 1e-9 * max(distances):
            raise CapacityError(
                f"backend {self.name!r}: all layers must have the same distance from leak to "
                f"threshold, the unit of the chip's weights; got {sorted(distances)}"
            )
        self.distance = max(distances)
        self.grid = WeightGrid(options.relative_weight_lsb * self.distance)
        self._chip: Any = None
        self._started = False
        self._has_run = False
        self._duration_ms, self._lost = 0.0, 0
        self._inputs: Any = None
        self._permutation: list[int] = []
        self.circuits: tuple[NDArray[np.int64], ...] = ()
        self.events_of_a_spike = 1
        self.warm_up = True
        self.scales_of_chip = scales_of_chip

    def check(self, network: NetworkSpec) -> None:
        """Refuse what does not fit, before any time of the chip is spent.

        Raises:
            CapacityError: the network does not fit the chip, or needs other time constants, resets
                or refractory times than it can have, or than those of the calibration file; or its
                router would find no way.
            ConfigError: no such calibration file, or slots too short.
        """
        options = self.options
        file = options.calibration_file
        if file is not None and not Path(file).is_file():
            raise ConfigError(
                f"{self.name}: no calibration file {file}. {vendor.HOW_TO_GET_A_FILE}"
            )
        options.check_network(network)
        if file is not None:
            self.refractory = options.refractory(network)
        layers = place_neurons(network, options.failed_neurons, self.name)
        self._permutation = [neuron for layer in layers for neuron in layer]
        self.circuits = tuple(np.array(layer, dtype=np.int64)[:, None] for layer in layers)
        # An event for each half of the chip that the first layer is in.
        self.events_of_a_spike = len({segment_of(neuron)[0] for neuron in layers[0]})

    def load(self) -> ModuleType:
        """Import the vendor's PyNN, ask which chip there is, and read the calibration file.

        Raises:
            MissingDependencyError: it is not installed.
            FileFormatError: the file is no calibration.
            CalibrationError: scales of another chip.
        """
        sim = vendor.import_vendor(self.name)
        if self.options.calibration_file is not None:
            self._chip = vendor.read_calibration(sim, self.options.calibration_file)
            vendor.set_clock(self._chip, self.refractory)
        self.chip_id = vendor.chip_id(sim)
        vendor.check_chip(self.name, self.chip_id, self.scales_of_chip)
        return sim

    def setup(self, sim: Any) -> None:
        """Start with an empty network, of the neurons that work."""
        if self._started:
            sim.end()
            self._started = False
        extra: dict[str, Any] = {"neuronPermutation": self._permutation}
        if self._chip is not None:
            extra["initial_config"] = self._chip
        sim.setup(**extra)
        self._started = True

    def input_cells(self, sim: Any) -> Any:
        """Spikes from outside."""
        return sim.cells.SpikeSourceArray()

    def create_inputs(self, sim: Any, size: int) -> Any:
        """Population of the input; what PyNN keeps of it is cleared after every run."""
        self._inputs = super().create_inputs(sim, size)
        return self._inputs

    def cells(self, sim: Any, layer: LayerSpec, schedule: SampleSchedule) -> Any:
        """Neurons as the calibration file sets them, or with targets to calibrate to.

        Of a file's neurons the refractory time is set anew; what is given here goes before what the
        file says. The targets are nominal ones: a measured time scale is not among them.
        """
        options = self.options
        if self._chip is not None:
            return sim.cells.HXNeuron(
                refractory_period_refractory_time=self.refractory.counter(
                    options.refractory_us(layer.neuron)
                ),
                refractory_period_input_clock=1,
            )
        return sim.cells.CalibHXNeuronCuba(
            v_rest=options.v_leak_lsb,
            v_reset=options.v_leak_lsb + options.reset_above_leak_lsb(layer.neuron),
            v_thresh=options.v_threshold_lsb,
            tau_m=layer.neuron.tau_mem * options.tau_syn_us,
            tau_syn_E=layer.neuron.tau_syn * options.tau_syn_us,
            tau_syn_I=layer.neuron.tau_syn * options.tau_syn_us,
            tau_refrac=options.refractory_us(layer.neuron),
            i_synin_gm_E=options.i_synin_gm,
            i_synin_gm_I=options.i_synin_gm,
            synapse_dac_bias=options.synapse_dac_bias,
        )

    def create_at_rest(
        self, sim: Any, size: int, layer: LayerSpec, schedule: SampleSchedule
    ) -> Any:
        """Population of a layer; where it starts is the chip's own business."""
        return sim.Population(size, self.cells(sim, layer, schedule))

    def connect(
        self, sim: Any, pre: Any, post: Any, native: Array, schedule: SampleSchedule
    ) -> list[Any]:
        """Two projections, one for each sign."""
        return [
            sim.Projection(
                pre,
                post,
                sim.AllToAllConnector(),
                synapse_type=sim.synapses.StaticSynapse(weight=0),
                receptor_type=receptor,
            )
            for receptor in self.receptors
        ]

    def prepare(self, sim: Any) -> None:
        """Map, and calibrate; then a short run, so that the chip holds its configuration."""
        sim.run(None, sim.RunCommand.PREPARE)
        if self.warm_up:
            sim.run(WARM_UP_MS)
            self.reset(sim)

    def hold(self, matrix: Array) -> HeldLayer:
        """Whole numbers, rounded; clipped to 63."""
        held = self.grid.quantise(matrix)
        return HeldLayer(held.values, held.codes.astype(np.float64), held.n_clipped, held.n_zeroed)

    def deliver(self, times: Array, t_window: float) -> Delivered:
        """Truncated to the clock."""
        delivered = truncate(times, self.options.tick)
        return Delivered(delivered, n_moved(times, delivered, self.options.tick, t_window))

    def schedule(
        self, network: NetworkSpec, weights: Sequence[Array], times: Array
    ) -> SampleSchedule:
        """Slots of a fixed length, a whole number of clock cycles."""
        return self._in_slots(network, len(times), self.options.slot)

    def schedule_trains(
        self, network: NetworkSpec, weights: Sequence[Array], inputs: Spikes
    ) -> SampleSchedule:
        """The same, of longer slots where neurons that spike again need them."""
        options = self.options
        needed = train_spacing(
            network,
            weights,
            last_input=float(inputs.times.max(initial=0.0)),
            input_spikes=inputs.count.max(axis=0),
            held=[options.refractory_us(layer.neuron) / options.tau_us
                  for layer in network.layers],
            residue=RESIDUE * self.distance,
        )  # fmt: skip
        return self._in_slots(network, inputs.batch, max(options.slot, needed))

    def _in_slots(self, network: NetworkSpec, batch: int, slot: float) -> SampleSchedule:
        tick, offset = self.options.tick, abs(self.options.spike_offset_us) / self.options.tau_us
        return SampleSchedule(
            batch,
            network.t_window,
            math.ceil(slot / tick) * tick,
            lead_in=math.ceil((1 + offset) / tick) * tick,
            # A chip that stamps less late than is subtracted: at the start of the sample then.
            guard=offset + 2 * tick,
        )

    def set_inputs(self, sim: Any, population: Any, trains_ms: Sequence[Array]) -> None:
        """Input in the middle of its clock cycle: PyNN truncates, and rounding must not matter."""
        middle = [(np.rint(train / CLOCK_MS) + 0.5) * CLOCK_MS for train in trains_ms]
        super().set_inputs(sim, population, middle)

    def run(self, sim: Any, duration_ms: float) -> None:
        """Run once."""
        self._duration_ms = duration_ms
        sim.run(duration_ms)
        self._has_run = True
        self._lost = vendor.dropped_events(sim)

    def read(self, population: Any) -> tuple[NDArray[np.int64], Array]:
        """Which neuron of a layer spiked when (ms), not before the run nor after it.

        PyNN keeps nothing: it would gather.
        """
        segment = population.get_data("spikes", clear=True).segments[-1]
        trains = [np.asarray(train.magnitude, dtype=np.float64) for train in segment.spiketrains]
        units = [int(train.annotations["source_index"]) for train in segment.spiketrains]
        times = np.concatenate([*trains, np.zeros(0)]) - self.options.spike_offset_us * 1e-3
        counts = [len(train) for train in trains]
        times = np.clip(times, 0.0, self._duration_ms)
        return np.repeat(np.asarray(units, dtype=np.int64), counts), times

    def lost(self, sim: Any) -> int:
        """Events that the chip dropped in the last run, as it counted them itself."""
        return self._lost

    def reset(self, sim: Any) -> None:
        """Back to time 0. PyNN keeps an empty segment of the input for every run: cleared, too."""
        self._inputs.get_data("spikes", clear=True)
        sim.reset()

    def retryable(self, error: BaseException) -> bool:
        """Whether a new connection may mend it; the next run begins with one."""
        return vendor.may_succeed_next_time(error, has_run=self._has_run)

    def advice(self, error: BaseException) -> str:
        """What to do where the chip does not answer."""
        return vendor.advice(error)

    def close(self, sim: Any) -> None:
        """Give the chip back."""
        if self._started:
            self._started = False
            sim.end()

    def versions(self) -> dict[str, str]:
        """Versions of all that takes part."""
        return vendor.versions()
