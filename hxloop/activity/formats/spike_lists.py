"""Recorded activity as lists of spikes, for formats that know no first spikes.

Such formats hold spikes and samples; ``left_out`` tells what else there was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.recorded import RecordedActivity


@dataclass(frozen=True)
class SpikeList:
    """All spikes of a layer, or of the input: ``(spike,)`` each, by sample and time.

    Attributes:
        name: of the layer.
        n_neurons: how many neurons it has.
        populations: for each neuron "input", "excitatory", "inhibitory", or "" where a neuron
            may be both.
        samples: index of the sample.
        neurons: index of the neuron.
        times: model time, from the start of the sample.
    """

    name: str
    n_neurons: int
    populations: tuple[str, ...]
    samples: NDArray[np.int64]
    neurons: NDArray[np.int64]
    times: NDArray[np.float64]

    def by(
        self, first: NDArray[np.int64], n_first: int, second: NDArray[Any]
    ) -> list[NDArray[np.int64]]:
        """Indices of the spikes, in groups of equal ``first``, each ordered by ``second``."""
        order = np.lexsort((second, first))
        return np.split(order, np.searchsorted(first[order], np.arange(1, n_first)))


def spike_lists(state: RecordedActivity) -> tuple[SpikeList, ...]:
    """All spikes of input and layers."""
    all_spikes = zip(state.layer_names, (state.inputs, *state.spikes), strict=True)
    return tuple(
        SpikeList(
            name,
            spikes.n_units,
            _populations(state, index, spikes.n_units),
            spikes.samples,
            spikes.units,
            spikes.times,
        )
        for index, (name, spikes) in enumerate(all_spikes)
    )


def left_out(state: RecordedActivity) -> tuple[str, ...]:
    """What Neo and NWB have no place for and the state holds."""
    held = {
        "weights": state.weights is not None,
        "delays": any(array is not None for array in state.delays),
        "neurons": bool(state.neurons),
        "network": state.network is not None,
        "runs": bool(state.runs),
    }
    return tuple(name for name, there in held.items() if there)


def window(state: RecordedActivity) -> float:
    """How long a sample lasts: the network's window, or until its last spike if that is later."""
    latest = max(float(spikes.times.max(initial=0)) for spikes in spike_lists(state))
    asked = state.network.t_window if state.network is not None else 0.0
    return max(asked, latest) or 1.0


def _populations(state: RecordedActivity, index: int, n: int) -> tuple[str, ...]:
    if index == 0:
        return ("input",) * n
    layer = state.network.layers[index - 1] if state.network is not None else None
    if layer is None or not layer.n_inhibitory:
        return ("",) * n
    return ("excitatory",) * layer.n_excitatory + ("inhibitory",) * layer.n_inhibitory
