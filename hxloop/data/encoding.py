"""From values to spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.level_crossing import LevelCrossingEncoding
from hxloop.data.population import PopulationEncoding
from hxloop.data.spike_trains import SpikeTrainEncoding
from hxloop.data.unit_values import unit_values
from hxloop.errors import ConfigError
from hxloop.registry import Registry

_TIME = "time (model time)"


@runtime_checkable
class Encoding(Protocol):
    """What makes spikes of values.

    Another package's is a dataclass whose fields are its options, in the entry points
    ``hxloop.encodings``.
    """

    @property
    def background(self) -> float:
        """Spike time of the value 0, ``inf`` = no spike: of what lies beyond an image."""
        ...

    def n_channels(self, n_features: int) -> int:
        """Number of input channels for so many features, or channels of a series."""
        ...

    def encode(self, samples: Any) -> NDArray[Any] | Spikes:
        """Spikes on ``n_channels(features)`` channels, of what the data set has as samples.

        Args:
            samples: an array ``(n, features)`` in [0, 1]; of time series ``TimeSeries``, or an
                array ``(n, channels, time)``; of data sets of spikes ``Spikes``.

        Returns:
            An array ``(n, n_channels)``, model time, ``inf`` = no spike, where channels spike once;
            with images, the first ``features`` channels are pixels. Else ``Spikes``, of as many
            samples and channels.
        """
        ...


@dataclass(frozen=True)
class LatencyEncoding:
    """One spike for each feature, the larger the value the later; plus bias spikes.

    A value v in [0, 1] becomes a spike at ``t_early + v (t_late - t_early)`` (Göltz et al.
    2021, Methods); with ``large_first`` at ``t_early + (1 - v) (t_late - t_early)``, as for
    images, where the bright pixels come first. Bias channels spike at the same time in every
    sample. Channels can be replicated, because the weight of a single synapse on a chip is
    limited: the order is (features, biases), repeated ``replicate`` times.

    Args:
        t_early: spike time of the value 0, model time.
        t_late: spike time of the value 1.
        bias_times: one channel for each entry.
        replicate: how many copies of every channel; 5 on BrainScaleS-2.
        large_first: whether large values come early.
        silent_zero: whether the value 0 (the background of an image) gives no spike.

    Raises:
        ConfigError: times that are negative, not finite or in the wrong order, or no copy.
    """

    t_early: float = 0.15
    t_late: float = 2.0
    bias_times: tuple[float, ...] = (0.9,)
    replicate: int = 1
    large_first: bool = False
    silent_zero: bool = False

    def __post_init__(self) -> None:
        where = "LatencyEncoding"
        checks.settle(
            self,
            t_early=checks.number(f"{where}.t_early", self.t_early, low=0, what=_TIME),
            t_late=checks.number(f"{where}.t_late", self.t_late, low=0, what=_TIME),
            bias_times=checks.numbers(f"{where}.bias_times", self.bias_times, low=0, what=_TIME),
            replicate=checks.whole(f"{where}.replicate", self.replicate, low=1),
            large_first=checks.flag(f"{where}.large_first", self.large_first),
            silent_zero=checks.flag(f"{where}.silent_zero", self.silent_zero),
        )
        if self.t_late <= self.t_early:
            raise ConfigError(
                f"LatencyEncoding: expected t_early < t_late; got {self.t_early} and {self.t_late}"
            )

    def n_channels(self, n_features: int) -> int:
        """Number of input channels for so many features."""
        return (n_features + len(self.bias_times)) * self.replicate

    def encode(self, samples: ArrayLike) -> NDArray[Any]:
        """Spike times of samples.

        Args:
            samples: ``(n, features)`` in [0, 1].

        Returns:
            ``(n, n_channels(features))`` in model time, ``inf`` = no spike; float32 if the
            samples are, else float64.

        Raises:
            RunInputError: wrong shape, NaN, or values outside [0, 1].
        """
        values = unit_values(samples)
        late = 1 - values if self.large_first else values
        times = self.t_early + late * (self.t_late - self.t_early)
        if self.silent_zero:
            times = np.where(values == 0, np.inf, times).astype(values.dtype)
        bias = np.broadcast_to(self.bias_times, (len(values), len(self.bias_times)))
        channels = np.concatenate([times, bias], axis=1, dtype=times.dtype)
        return np.tile(channels, (1, self.replicate)) if self.replicate > 1 else channels

    @property
    def background(self) -> float:
        """Spike time of the value 0."""
        if self.silent_zero:
            return math.inf
        return self.t_late if self.large_first else self.t_early


ENCODINGS: dict[str, type[Any]] = {
    "latency": LatencyEncoding,
    "level-crossing": LevelCrossingEncoding,
    "population": PopulationEncoding,
    "spike-trains": SpikeTrainEncoding,
}
REGISTRY = Registry("encoding", "hxloop.encodings", ENCODINGS)


def encoding_names() -> tuple[str, ...]:
    """Names that ``get_encoding`` knows, those of other packages among them."""
    return REGISTRY.names()


def get_encoding(name: str, **options: Any) -> Encoding:
    """An encoding by name.

    Raises:
        UnknownNameError: no such encoding or option; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: an option out of range, or what is registered is no encoding.
    """
    asked = "hxloop.data.Encoding asks for (background, n_channels, encode)"
    encoding: Encoding = REGISTRY.make(name, options, Encoding, asked)
    return encoding
