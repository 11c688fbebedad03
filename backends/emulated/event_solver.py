"""The drawn chip solved event by event, exactly: no time step, no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.emulated.analog_steps import Analog, first_spikes_stepwise
from hxloop.backends.emulated.trains import ChipRun
from hxloop.engine.compiled.interface import first_spike_times_cpu
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import NeuronParameters

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ChipLayer:
    """What one layer of the chip is in one run: what both solvers are given.

    Attributes:
        weights: ``(pre, post)``, as the neurons feel them.
        parameters: of the neurons, with this run's thresholds.
        jitter: ``(batch, post)``, shift of each spike time; None without jitter.
        lost: ``(batch, post)``, whose spike is lost; None without loss.
        shifts: ``(batch, post)``, of each threshold in each sample; None: none.
        analog: what is solved step by step; None: nothing.
    """

    weights: Array
    parameters: NeuronParameters
    jitter: Array | None = None
    lost: NDArray[np.bool_] | None = None
    shifts: Array | None = None
    analog: Analog | None = None

    def samples(self, part: slice) -> ChipLayer:
        """The same layer for some samples of the batch."""
        return replace(
            self,
            jitter=None if self.jitter is None else self.jitter[part],
            lost=None if self.lost is None else self.lost[part],
            shifts=None if self.shifts is None else self.shifts[part],
        )


class EventSolver:
    """Solves layer by layer with the exact engine."""

    def __init__(self, t_window: float) -> None:
        self._t_window = t_window

    def run(self, input_times: Array, layers: Sequence[ChipLayer]) -> list[Array]:
        """First spike times of every layer, ``(batch, post)`` each."""
        results = []
        times = input_times
        for layer in layers:
            times = self._exact(times, layer)
            if layer.jitter is not None:
                times = np.maximum(times + layer.jitter, 0.0)
                times[times > self._t_window] = np.inf
            if layer.lost is not None:
                times[layer.lost] = np.inf
            results.append(times)
        return results

    def _exact(self, times: Array, layer: ChipLayer) -> Array:
        """First spikes of a layer, without jitter and loss."""
        weights, window = layer.weights, self._t_window
        if layer.analog is not None:
            return first_spikes_stepwise(
                times, weights, layer.parameters, layer.shifts, layer.analog, window
            )
        if layer.shifts is None:
            return first_spike_times_cpu(times, weights, layer.parameters, window)
        # The engine has one threshold for a neuron, here each sample has its own.
        found = [
            first_spike_times_cpu(times[s : s + 1], weights, _shifted(layer, shift), window)
            for s, shift in enumerate(layer.shifts)
        ]
        return np.concatenate(found)

    def run_trains(self, inputs: Spikes, run: ChipRun) -> tuple[Spikes, ...]:
        """All spikes of every population, as they leave."""
        return spike_trains(
            run.network, run.parameters, inputs, run.neurons, departures=run.departures
        )

    def close(self) -> None:
        """Nothing to free."""


def _shifted(layer: ChipLayer, shift: Array) -> NeuronParameters:
    parameters = layer.parameters
    return replace(parameters, v_threshold=parameters.v_threshold + shift)
