"""The ideal substrate: exact, deterministic, unlimited. The reference, and a template to copy.

A new backend needs what is here: a name, capabilities, and a session that simulates. All else is
done for it: what is opened is checked, a run is checked, timed and counted, and closing closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.precision import PRECISIONS, RESOLUTION, check_precision
from hxloop.checks import settle, whole
from hxloop.engine import NeuronParameters
from hxloop.engine.compiled.interface import first_spike_times_cpu
from hxloop.engine.spike_trains import MAX_SPIKES, spike_trains
from hxloop.network import Feature, Parameters
from hxloop.substrate import BaseBackend, BaseSession, Capabilities, Simulated

Array = NDArray[np.float64]


class IdealSession(BaseSession["IdealBackend"]):
    """An open network on the ideal substrate."""

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        # Copies: the caller goes on changing its weights.
        dtype = PRECISIONS[self.backend.precision]
        held = [matrix.astype(dtype, order="C") for matrix in weights]
        layers, times = [], input_times
        for matrix, layer in zip(held, self.network.layers, strict=True):
            neurons = NeuronParameters.uniform(layer.neuron, matrix.shape[1])
            times = first_spike_times_cpu(times, matrix, neurons, self.network.t_window)
            layers.append(times)
        return Simulated(first_spike_times=layers, weights_used=held)

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        dtype = PRECISIONS[self.backend.precision]
        weights = tuple(matrix.astype(dtype) for matrix in parameters.weights)
        held = Parameters(weights, parameters.delays, parameters.neurons)
        spikes = spike_trains(self.network, held, inputs, max_spikes=self.backend.max_spikes)
        return Simulated(spikes=spikes, weights_used=weights)


@dataclass(frozen=True)
class IdealBackend(BaseBackend):
    """Runs the nominal model of every neuron exactly, in software. There is no noise.

    Args:
        precision: of membranes, and of the gradient, which follows the weights in use: "double",
            or "single", about 1.5 times as fast. In single precision spike times are off by 1e-6
            in the median; those that graze the threshold, where the digits halve, by up to 5e-3.
            Where neurons may spike more than once, only the weights are rounded to it.
        max_spikes: a network whose neurons spike more often than this in a sample, on average
            over the neurons of a block, counts as one that does not stop.

    Raises:
        ConfigError: another precision, or ``max_spikes`` no whole number from 1.
    """

    precision: str = "double"
    max_spikes: int = MAX_SPIKES

    name: ClassVar[str] = "ideal"
    session: ClassVar[type[IdealSession]] = IdealSession

    def __post_init__(self) -> None:
        check_precision(self.name, self.precision)
        settle(self, max_spikes=whole(f"backend {self.name!r}: max_spikes", self.max_spikes, low=1))

    @property
    def capabilities(self) -> Capabilities:
        """No limits; spike times are exact to rounding."""
        return Capabilities(
            deterministic=True,
            time_resolution=RESOLUTION[self.precision],
            features=frozenset(Feature),
        )
