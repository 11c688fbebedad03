"""Spikes after the first ones, as lists beside dense first spike times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.recorded_checks import check_indices
from hxloop.activity.spikes import Spikes
from hxloop.errors import RunInputError


@dataclass(frozen=True)
class FurtherSpikes:
    """Spikes of one layer after the first of each neuron, ``(spike,)`` each.

    Attributes:
        samples: index of the sample, ascending.
        neurons: index of the neuron.
        times: model time.

    So they came before ``Spikes``, which hold all spikes; files that have them are read.
    """

    samples: NDArray[np.int64]
    neurons: NDArray[np.int64]
    times: NDArray[np.float64]

    def select(self, samples: NDArray[np.int64]) -> FurtherSpikes:
        """The spikes of some samples, which are numbered anew in the order given."""
        order = np.argsort(self.samples, kind="stable")
        first = np.searchsorted(self.samples[order], samples, side="left")
        last = np.searchsorted(self.samples[order], samples, side="right")
        parts = [order[start:stop] for start, stop in zip(first, last, strict=True)]
        chosen = np.concatenate([np.empty(0, np.int64), *parts])
        numbers = np.repeat(np.arange(len(samples)), last - first)
        return FurtherSpikes(numbers, self.neurons[chosen], self.times[chosen])

    def check(self, where: str, n_samples: int, n_neurons: int) -> None:
        """Check that the spikes are of these samples and neurons.

        Raises:
            RunInputError: lengths differ, indices out of range, times not finite or negative.
        """
        n = len(self.times)
        check_indices(f"{where}, samples", self.samples, n, 0, n_samples)
        check_indices(f"{where}, neurons", self.neurons, n, 0, n_neurons)
        if not (np.isfinite(self.times) & (self.times >= 0)).all():
            raise RunInputError(f"{where}: expected finite times from 0 on")

    def merged(self, first: NDArray[Any], where: str) -> Spikes:
        """All spikes: these, and the first ones ``(n, neurons)``.

        Raises:
            RunInputError: a neuron spikes twice at the same time.
        """
        samples, neurons = np.nonzero(np.isfinite(first))
        return Spikes.from_events(
            np.concatenate([samples, self.samples]),
            np.concatenate([neurons, self.neurons]),
            np.concatenate([first[samples, neurons], self.times]),
            batch=len(first),
            n_units=first.shape[1],
            where=where,
        )
