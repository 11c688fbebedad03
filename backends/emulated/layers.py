"""The layers of a chip in one run of first spikes, with the noise of the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.analog_steps import Analog
from hxloop.backends.emulated.event_solver import ChipLayer
from hxloop.backends.emulated.imperfections import STEPWISE
from hxloop.backends.emulated.model import TrialNoise
from hxloop.backends.emulated.trains import in_trial
from hxloop.chip.placement import PlacedLayer

Array = NDArray[np.float64]


def layers_in_trial(
    placed: Sequence[PlacedLayer],
    driven: Sequence[Array],
    batch: int,
    noise: TrialNoise,
    dt: float,
) -> list[ChipLayer]:
    """The layers as they are in one run.

    Args:
        placed: where they are.
        driven: weights of each as its synapses pass them on.
        batch: number of samples.
        noise: of the run.
        dt: time step of what is solved step by step.
    """
    layers = []
    for index, (layer, weights) in enumerate(zip(placed, driven, strict=True)):
        post = weights.shape[1]
        shifts = noise.threshold_of_sample(index, batch, post)
        layers.append(
            ChipLayer(
                weights=layer.effective_weights(weights),
                parameters=in_trial(layer, index, noise),
                jitter=noise.jitter(index, batch, post),
                lost=noise.lost(index, batch, post),
                shifts=None if shifts is None else layer.scale * shifts,
                analog=_analog(index, layer.scale, noise, dt),
            )
        )
    return layers


def _analog(layer: int, scale: float, noise: TrialNoise, dt: float) -> Analog | None:
    """What of a layer is solved step by step; None: nothing."""
    spread = noise.imperfections
    if not spread.of_these(STEPWISE):
        return None
    return Analog(
        saturation=spread.input_saturation,
        noise=spread.membrane_noise,
        crosstalk=spread.spike_crosstalk,
        scale=scale,
        generator=noise.of_membranes(layer),
        dt=dt,
    )
