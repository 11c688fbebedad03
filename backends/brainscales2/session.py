"""All spikes of a network on a BrainScaleS-2 chip."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.brainscales2.dialect import BrainScaleS2Dialect
from hxloop.backends.brainscales2.pieces import joined, pieces
from hxloop.backends.pynn.adapter import PynnSession
from hxloop.backends.pynn.schedule import Array, Units
from hxloop.chip.clock import n_moved, n_tied, stamps
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate import Capabilities, Simulated
from hxloop.substrate.base_session import Substrate


class BrainScaleS2Session(PynnSession):
    """A network opened on a chip.

    Of populations whose neurons spike again all spikes are read. Of others the first one of each
    neuron in each sample; a chip with too short a refractory time may send more, which is counted.
    A batch is as many runs as the chip needs for it (``hxloop.backends.brainscales2.pieces``).
    """

    def __init__(
        self,
        backend: Substrate,
        dialect: BrainScaleS2Dialect,
        network: NetworkSpec,
        capabilities: Capabilities,
    ) -> None:
        super().__init__(backend, dialect, network, capabilities)
        self._chip_dialect = dialect

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...]:
        """For each layer ``(post, 1)``, the hardware neurons that its neurons are on."""
        return self._chip_dialect.circuits

    def prepare_only(self) -> float:
        """Place, route and (without a file) calibrate, in the vendor's software; run nothing.

        Returns:
            Seconds that it took.

        Raises:
            RunFailed: the vendor's software refused the network.
        """
        dialect, start = self._chip_dialect, time.perf_counter()
        held = [dialect.hold(np.zeros(shape)) for shape in self.network.shapes]
        schedule = dialect.schedule(self.network, (), np.zeros((1, self.network.n_inputs)))
        dialect.warm_up = False
        try:
            with self._alone(), self._in_the_simulator():
                self._build(held, schedule)
        finally:
            dialect.warm_up, self._built = True, None
        return time.perf_counter() - start

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        played = (input_times <= self.network.t_window).sum(axis=1)
        slots = self._pieces(played, self._chip_dialect.options.slot)
        run = super()._simulate
        return joined([run(weights, input_times[samples], trial) for samples in slots])

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        dialect = self._chip_dialect
        held = [dialect.hold(matrix).values for matrix in parameters.weights]
        slot = dialect.schedule_trains(self.network, held, inputs).slot
        slots = self._pieces(inputs.count.sum(axis=1), slot)
        return joined([self._one_run(parameters, inputs.select(samples)) for samples in slots])

    def _pieces(self, spikes: NDArray[np.int64], slot: float) -> list[slice]:
        dialect = self._chip_dialect
        seconds = slot * dialect.options.tau_us * 1e-6
        events = np.asarray(spikes, np.int64) * dialect.events_of_a_spike
        return pieces(events, seconds, f"backend {dialect.name!r}")

    def _one_run(self, parameters: Parameters, inputs: Spikes) -> Simulated:
        dialect, network = self._chip_dialect, self.network
        held = [dialect.hold(matrix) for matrix in parameters.weights]
        truncated = stamps(inputs, dialect.options.tick)
        delivered = inputs.at(truncated)
        played, _ = delivered.before(network.t_window)
        discarded = repeated = 0
        with self._in_the_simulator(keep=True) as (_, sim):
            schedule = dialect.schedule_trains(network, [layer.values for layer in held], played)

            def collect(index: int, units: Units, times: Array) -> Spikes:
                nonlocal discarded, repeated
                layer = network.populations[index]
                if layer.neuron.spikes_once:
                    first = schedule.first_spikes(units, times, layer.n_neurons)
                    discarded += first.n_discarded
                    repeated += first.n_repeated
                    return Spikes.from_first(first.times)
                where = f"backend {dialect.name!r} returned spikes of {layer.name}"
                spikes, outside = schedule.all_spikes(units, times, layer.n_neurons, where)
                discarded += outside
                return spikes

            spikes = self._play(held, schedule, schedule.trains_of(played), collect)
            lost = dialect.lost(sim)
        return Simulated(
            spikes=spikes,
            inputs=delivered,
            weights_used=[layer.values for layer in held],
            clipped_weights=tuple(layer.n_clipped for layer in held),
            zeroed_weights=tuple(layer.n_zeroed for layer in held if layer.n_zeroed is not None),
            rounded_inputs=n_moved(inputs.times, truncated, dialect.options.tick, network.t_window),
            tied_outputs=n_tied(np.asarray(spikes[network.output_index].first)),
            discarded_spikes=discarded,
            lost_spikes=lost,
            repeated_spikes=repeated,
        )
