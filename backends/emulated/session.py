"""A network on an emulated chip: one run after another, by either solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import RunInfo, Spikes
from hxloop.backends.emulated.chip import EmulatedChip
from hxloop.backends.emulated.event_solver import ChipLayer, EventSolver
from hxloop.backends.emulated.imperfections import FIRST_SPIKES_ONLY
from hxloop.backends.emulated.knob_session import KnobSession
from hxloop.backends.emulated.layers import layers_in_trial
from hxloop.backends.emulated.link import cross
from hxloop.backends.emulated.model import ChipModel
from hxloop.backends.emulated.readout import ChipReadout, ReadoutNoise
from hxloop.backends.emulated.synapses import Synapses, hold
from hxloop.backends.emulated.trains import (
    ChipRun,
    counted,
    run_in_trial,
    trimmed,
    with_refractory,
)
from hxloop.backends.precision import PRECISIONS
from hxloop.chip.calibration import KnobCalibration, refractory_excess_of
from hxloop.chip.clock import n_moved, n_tied, stamps, truncate
from hxloop.chip.delay_neurons import DelayNeurons
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.placement import PlacedLayer
from hxloop.chip.readout import Codes, check_codes
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import RunInputError
from hxloop.network import Feature, NetworkSpec, Parameters
from hxloop.substrate import Simulated

Array = NDArray[np.float64]


class Solver(Protocol):
    """Computes the spikes of a network whose parameters have all been drawn."""

    def run(self, input_times: Array, layers: Sequence[ChipLayer]) -> list[Array]:
        """First spike times of every layer, ``(batch, post)`` each, ``inf`` = silent."""
        ...

    def run_trains(self, inputs: Spikes, run: ChipRun) -> tuple[Spikes, ...]:
        """All spikes of every population, as they leave it."""
        ...

    def close(self) -> None:
        """Free what the solver holds."""
        ...


class EmulatedChipSession(KnobSession[EmulatedChip]):
    """A network on an emulated chip.

    Attributes:
        circuits: for each layer ``(post, merged)``, which circuits make up its neurons.
    """

    def __init__(
        self,
        backend: EmulatedChip,
        network: NetworkSpec,
        seed: int,
        calibration: KnobCalibration | None = None,
    ) -> None:
        self._calibration = calibration
        self._statistics, self._curves = backend.statistics, backend.curves(network)
        self._drawing = backend.drawing
        trial_lsb = self._statistics.threshold_trial * OperatingPoint().distance_lsb
        levels, lsb = backend.capabilities.weight_levels, backend.weight_lsb
        readout = ChipReadout(self._curves, lsb, levels, ReadoutNoise(seed, trial_lsb),
                              backend.tau_syn_us)  # fmt: skip
        super().__init__(backend, network, seed, readout, self._curves.model.chip_id)
        self._placed_network = self._as_counted()
        self._where = f"backend {backend.name!r}"
        unit_us = backend.tau_syn_us * self._time_scale
        self._delay_neurons = DelayNeurons(unit_us, counted=backend.quantise_times)
        self._delay_neurons.check(network, self._where)
        if calibration is None:
            self._place(backend.chip_model(network), None)
        else:
            lsb *= calibration.weight_scale
            codes = check_codes(calibration.codes, self.knob_ranges, self.n_circuits)
            self._readout.set_knobs(codes)
            self._turned(self.codes, calibration.target)
            # A calibration is for its target: what else neurons are to be it did not look for.
            features = self.capabilities.features - {Feature.NEURON_PARAMETERS}
            self.capabilities = replace(self.capabilities, features=features)
        self._grid = WeightGrid(lsb) if backend.quantise_weights else None
        if self._grid is not None:
            self.capabilities = replace(self.capabilities, weight_limit=self._grid.limit)
        limit = None if self._grid is None else self._grid.limit
        self._synapses = Synapses(network, self._statistics, backend.chip, limit)
        self._dtype = PRECISIONS[backend.precision]
        self._solver = _make_solver(backend, network)

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...]:
        """For each layer ``(post, merged)``, which circuits make up its neurons."""
        return tuple(placed.circuits for placed in self._layers)

    @property
    def placed(self) -> tuple[PlacedLayer, ...]:
        """The neurons of each layer as they truly are: hidden from whoever trains on a chip."""
        return tuple(self._layers)

    @property
    def t_refractory(self) -> tuple[float, ...]:
        """For each population the refractory time as the chip counts it, model time."""
        scale = self._time_scale
        return tuple(layer.neuron.t_refractory / scale for layer in self._placed_network.layers)

    def _turned(self, codes: Mapping[str, Codes], target: OperatingPoint | None) -> None:
        calibration = self._calibration
        if target is None:
            target = calibration.target if calibration else OperatingPoint()
        # The grid is in weights of the size that they were measured to have.
        scale = 1.0 if calibration is None else calibration.weight_scale
        model = self._curves.pattern(codes, target, scale)
        usable = calibration.usable if calibration else None
        self._place(model, usable)

    def _place(self, model: ChipModel, usable: NDArray[np.bool_] | None) -> None:
        excess = refractory_excess_of(self._calibration)
        if excess is not None and self.backend.quantise_times:
            asked, circuits = self._asked, model.circuits(self.network, usable)
            model = trimmed(model, asked, circuits, excess, self.backend.tau_syn_us)
        self._model = model, usable
        self._layers = model.place(self._placed_network, usable)
        self._delay_shifts = [
            None if circuits is None else model.t_refractory[circuits[:, 0]]
            for circuits in model.delay_circuits(self.network, usable)
        ]

    def _who(self) -> RunInfo:
        digest = self._calibration.digest if self._calibration else None
        return replace(super()._who(), chip_id=self.chip_id, calibration_digest=digest)

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        with self._knob_lock:
            placed, trial = self._layers, self._stream(trial)
        scaled = input_times * self._time_scale
        delivered = self._truncate(scaled)
        held = hold(weights, self._grid, self._dtype)
        noise = self._drawing.noise(self._statistics, self.seed, trial)
        arrived = cross([delivered], noise, 0)
        driven = self._synapses.driven(held.values, noise)
        layers = layers_in_trial(placed, driven, len(input_times), noise, self.backend.dt)
        exact = self._solver.run(arrived.times[0], layers)
        left = cross(exact, noise, 1)
        spikes = [self._recorded(layer) for layer in left.times]
        return Simulated(
            first_spike_times=spikes,
            input_times=delivered / self._time_scale,
            weights_used=held.values,
            trial=trial,
            clipped_weights=held.clipped,
            zeroed_weights=held.zeroed,
            rounded_inputs=n_moved(scaled, delivered, self.backend.tick, self.network.t_window),
            tied_outputs=n_tied(spikes[-1], left.times[-1]),
            lost_spikes=arrived.lost
            + left.lost
            + sum(int(layer.lost.sum()) for layer in layers if layer.lost is not None),
        )

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        if only_first := self._statistics.of_these(FIRST_SPIKES_ONLY):
            raise RunInputError(
                f"{self._where}: imperfections {', '.join(only_first)} are modelled for inputs "
                "that spike once, and chains of nominal neurons that do. Set them to 0"
            )
        with self._knob_lock:
            placed, shifts, trial = self._layers, self._delay_shifts, self._stream(trial)
            model, usable = self._model
        if own := parameters.neurons:
            placed = model.place(self._placed_network, usable, own)
        scale, network = self._time_scale, self.network
        scaled = inputs.at(inputs.times * scale)
        given = self._stamps(scaled)
        delivered = scaled.at(given)
        held = hold(parameters.weights, self._grid, self._dtype)
        delays = self._delay_neurons.hold(parameters.delays, self._where)
        made = [
            None if each is None or shift is None else each * scale + shift
            for each, shift in zip(delays, shifts, strict=True)
        ]
        noise = self._drawing.noise(self._statistics, self.seed, trial)
        driven = self._synapses.driven(held.values, noise)
        run = run_in_trial(self._placed_network, placed, driven, made, noise)
        exact = self._solver.run_trains(delivered, run)
        spikes = [self._recorded_trains(spikes) for spikes in exact]
        decides = network.output_index
        return Simulated(
            spikes=spikes,
            inputs=delivered.at(delivered.times / scale),
            weights_used=held.values,
            delays_used=delays,
            trial=trial,
            clipped_weights=held.clipped,
            zeroed_weights=held.zeroed,
            rounded_inputs=n_moved(scaled.times, given, self.backend.tick, network.t_window),
            tied_outputs=n_tied(spikes[decides].first, exact[decides].first),
            lost_spikes=run.departures.lost,
        )

    def _as_counted(self) -> NetworkSpec:
        """The network with the refractory times that the chip's counters have."""
        scale, asked = self._time_scale, self._asked
        if not self.backend.quantise_times:
            return asked
        held = counted(asked, self.backend.tau_syn_us, f"backend {self.backend.name!r}")
        off = [
            abs(a.neuron.t_refractory - b.neuron.t_refractory)
            for a, b in zip(asked.layers, held.layers, strict=True)
            if not a.neuron.spikes_once
        ]
        resolution = self.capabilities.time_resolution + max(off, default=0.0) / scale
        self.capabilities = replace(self.capabilities, time_resolution=resolution)
        return held

    @property
    def _asked(self) -> NetworkSpec:
        return with_refractory(self.network, self._time_scale)

    @property
    def _time_scale(self) -> float:
        return 1.0 if self._calibration is None else self._calibration.time_scale

    def _recorded(self, spikes: Array) -> Array:
        """Spike times as recorded, in the model time that a calibration makes of them."""
        stamped = self._truncate(spikes)
        if self._calibration is None:
            return stamped
        times = np.maximum(stamped / self._time_scale - self._calibration.spike_offset, 0.0)
        return np.where(times > self.network.t_window, np.inf, times)

    def _recorded_trains(self, spikes: Spikes) -> Spikes:
        """All spikes of a population as recorded; none at the moment of another of its neuron."""
        scale, window = self._time_scale, self.network.t_window
        until = max(window * scale, float(spikes.times.max(initial=0.0)))
        times = self._stamps(spikes, until) / scale
        if self._calibration is not None:
            # Before the offset there is no time: what comes there comes one a cycle from 0.
            earliest = spikes.ranks * (self.backend.tick / scale)
            times = np.maximum(times - self._calibration.spike_offset, earliest)
        return spikes.at(times, window)

    def _stamps(self, spikes: Spikes, t_window: float = np.inf) -> Array:
        """Times of all spikes as the chip's clock has them; always a new array."""
        if not self.backend.quantise_times:
            return spikes.times.copy()
        return stamps(spikes, self.backend.tick, t_window)

    def _truncate(self, times: Array) -> Array:
        """Times cut down to the chip's clock; always a new array."""
        if not self.backend.quantise_times:
            return times.copy()
        return truncate(times, self.backend.tick)

    def _free(self) -> None:
        self._solver.close()


def _make_solver(chip: EmulatedChip, network: NetworkSpec) -> Solver:
    if chip.solver == "event":
        return EventSolver(network.t_window)
    # Imported here: Brian2 takes seconds to import and is not needed for the other solver.
    from hxloop.backends.emulated.brian2.chip import make_brian2_solver

    return make_brian2_solver(
        network,
        dt=chip.dt,
        codegen=chip.codegen,
        cache_dir=chip.cache_dir,
        jitter=chip.statistics.spike_jitter,
    )
