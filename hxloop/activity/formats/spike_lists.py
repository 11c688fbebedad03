"""Recorded activity as lists of spikes, for formats that know no first spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.recorded import RecordedActivity


@dataclass(frozen=True)
class SpikeList:
    """All spikes of a layer, or of the input: ``(spike,)`` each, in no order.

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
    """All spikes of input and layers, those after the first ones with them."""
    lists = []
    for index, first_times in enumerate((state.input_times, *state.layer_times)):
        samples, neurons = np.nonzero(np.isfinite(first_times))
        times = first_times[samples, neurons].astype(np.float64)
        if index and state.further_spikes is not None:
            further = state.further_spikes[index - 1]
            samples = np.concatenate([samples, further.samples])
            neurons = np.concatenate([neurons, further.neurons])
            times = np.concatenate([times, further.times])
        n = first_times.shape[1]
        lists.append(
            SpikeList(
                state.layer_names[index], n, _populations(state, index, n), samples, neurons, times
            )
        )
    return tuple(lists)


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
