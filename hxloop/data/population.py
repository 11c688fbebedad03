"""From a few values to the spikes of many channels: overlapping receptive fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.data.unit_values import unit_values
from hxloop.errors import ConfigError

_TIME = "time (model time)"


@dataclass(frozen=True)
class PopulationEncoding:
    """Several channels for each feature, each with a value that it answers first.

    Channel k of ``fields`` has the centre ``k / (fields - 1)`` and the width (standard deviation)
    ``width / (fields - 1)``; its answer ``r = exp(-(value - centre)**2 / (2 width**2))`` becomes a
    spike at ``t_early + (1 - r) (t_late - t_early)``, and none where ``r < silent_below`` (Bohte,
    Kok and La Poutré, Neurocomputing 48, 17, 2002; there the outer centres lie beyond the range).
    The order is (fields of feature 0, fields of feature 1, ..., biases).

    Args:
        t_early: time of the spike at the centre of a field, model time.
        t_late: time of one that does not answer at all.
        bias_times: one channel for each entry, which spikes then in every sample.
        fields: channels of each feature.
        width: of a field, as a multiple of the distance of the centres.
        silent_below: the answer that is too weak for a spike.

    Raises:
        ConfigError: times that are negative, not finite or in the wrong order, fewer than two
            fields, no width.
    """

    t_early: float = 0.15
    t_late: float = 2.0
    bias_times: tuple[float, ...] = (0.9,)
    fields: int = 8
    width: float = 0.7
    silent_below: float = 0.1

    def __post_init__(self) -> None:
        where = "PopulationEncoding"
        checks.settle(
            self,
            t_early=checks.number(f"{where}.t_early", self.t_early, low=0, what=_TIME),
            t_late=checks.number(f"{where}.t_late", self.t_late, low=0, what=_TIME),
            bias_times=checks.numbers(f"{where}.bias_times", self.bias_times, low=0, what=_TIME),
            fields=checks.whole(f"{where}.fields", self.fields, low=2),
            width=checks.number(f"{where}.width", self.width, above=0),
            silent_below=checks.number(f"{where}.silent_below", self.silent_below, low=0, below=1),
        )
        if self.t_late <= self.t_early:
            raise ConfigError(
                f"{where}: expected t_early < t_late; got {self.t_early} and {self.t_late}"
            )

    @property
    def background(self) -> float:
        """No spike: no single channel stands for the value 0."""
        return math.inf

    def n_channels(self, n_features: int) -> int:
        """Number of input channels for so many features."""
        return n_features * self.fields + len(self.bias_times)

    def encode(self, samples: ArrayLike) -> NDArray[Any]:
        """Spike times of samples.

        Args:
            samples: ``(n, features)`` in [0, 1].

        Returns:
            ``(n, n_channels(features))`` in model time, ``inf`` = no spike; float32 if the samples
            are, else float64.

        Raises:
            RunInputError: wrong shape, NaN, or values outside [0, 1].
        """
        values = unit_values(samples)
        centres = np.linspace(0, 1, self.fields, dtype=values.dtype)
        distances = (values[:, :, None] - centres) * (self.fields - 1) / self.width
        answers = np.exp(-(distances**2) / 2)
        times = self.t_early + (1 - answers) * (self.t_late - self.t_early)
        times = np.where(answers < self.silent_below, np.inf, times).astype(values.dtype)
        bias = np.broadcast_to(self.bias_times, (len(values), len(self.bias_times)))
        return np.concatenate([times.reshape(len(values), -1), bias], axis=1, dtype=times.dtype)
