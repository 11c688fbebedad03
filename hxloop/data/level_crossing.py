"""From time series to spikes: one whenever a value crosses a level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.series import TimeSeries
from hxloop.errors import ConfigError, RunInputError

_TIME = "time (model time)"
# Spikes of all samples together; a level so fine that it makes more is a mistake.
MOST_SPIKES = 1 << 28


@dataclass(frozen=True)
class LevelCrossingEncoding:
    """A spike at each crossing of equidistant levels, up and down on channels of their own.

    Levels are at ``level_origin + k level_step`` for all whole k. Between two values a series is
    a straight line, so the time of a crossing is exact. A value that lies on a level counts as
    above it: upwards a line crosses when it reaches the level, downwards when it leaves it
    (send-on-delta with fixed levels; Miskowicz, Sensors 6, 49, 2006).

    Channels are those of the series for crossings upwards, as many again for crossings
    downwards, then one for each bias. What a series starts from makes no spike, unless ``onset``
    puts ``level_origin`` in front of it.

    Args:
        t_early: time of the first value, model time.
        t_late: time of the last value of each series, however long it is; without ``interval``.
        bias_times: one channel for each entry, which spikes then in every sample.
        level_step: distance of the levels, in the units of the values.
        level_origin: where one of them is.
        interval: from one value to the next, model time: the longer a series the later it ends.
            None: all end at ``t_late``.
        onset: whether every series begins one value earlier, at ``level_origin``.

    Raises:
        ConfigError: times that are negative, not finite or in the wrong order, or levels that have
            no distance.
    """

    t_early: float = 0.15
    t_late: float = 2.0
    bias_times: tuple[float, ...] = (0.9,)
    level_step: float = 0.25
    level_origin: float = 0.0
    interval: float | None = None
    onset: bool = False

    def __post_init__(self) -> None:
        where = "LevelCrossingEncoding"
        checks.settle(
            self,
            t_early=checks.number(f"{where}.t_early", self.t_early, low=0, what=_TIME),
            t_late=checks.number(f"{where}.t_late", self.t_late, low=0, what=_TIME),
            bias_times=checks.numbers(f"{where}.bias_times", self.bias_times, low=0, what=_TIME),
            level_step=checks.number(f"{where}.level_step", self.level_step, above=0),
            level_origin=checks.number(f"{where}.level_origin", self.level_origin),
            onset=checks.flag(f"{where}.onset", self.onset),
        )
        if self.interval is not None:
            interval = checks.number(f"{where}.interval", self.interval, above=0, what=_TIME)
            checks.settle(self, interval=interval)
        elif self.t_late <= self.t_early:
            raise ConfigError(
                f"{where}: expected t_early < t_late; got {self.t_early} and {self.t_late}"
            )

    @property
    def background(self) -> float:
        """No spike: nothing crosses a level."""
        return math.inf

    def n_channels(self, n_features: int) -> int:
        """Number of input channels for so many channels of the series."""
        return 2 * n_features + len(self.bias_times)

    def encode(self, samples: TimeSeries | ArrayLike) -> Spikes:
        """Spikes of time series.

        Args:
            samples: ``TimeSeries``, or ``(n, channels, time)``.

        Returns:
            Of ``n_channels(channels)`` channels, model time.

        Raises:
            RunInputError: no such series, values that are missing, or far more crossings than
                anything could be trained with.
        """
        series = TimeSeries.of(samples)
        n, channels, _ = series.shape
        heights, lengths = self._in_steps(series)
        below = np.floor(heights).astype(np.int64)
        # How many levels lie between a value and the next, and on which side.
        ended = np.arange(below.shape[2] - 1) >= lengths[:, None, None] - 1
        rises = np.where(ended, 0, np.diff(below, axis=2))
        self._check_number(int(np.abs(rises).sum()))
        place = np.nonzero(rises)
        counts = np.abs(rises[place])
        sample, channel, segment = (np.repeat(index, counts) for index in place)
        rank = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
        start, end = heights[sample, channel, segment], heights[sample, channel, segment + 1]
        up = end > start
        first = below[sample, channel, segment]
        fraction = (np.where(up, first + 1 + rank, first - rank) - start) / (end - start)
        interval = self._intervals(lengths)[sample]
        biases = len(self.bias_times)
        return Spikes.from_events(
            np.concatenate([sample, np.repeat(np.arange(n), biases)]),
            np.concatenate(
                [np.where(up, channel, channels + channel), np.tile(self._biases(channels), n)]
            ),
            np.concatenate(
                [self.t_early + (segment + fraction) * interval, np.tile(self.bias_times, n)]
            ),
            batch=n,
            n_units=self.n_channels(channels),
            where="spikes at level crossings",
        )

    def _in_steps(self, series: TimeSeries) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values in units of ``level_step`` above ``level_origin``, and lengths."""
        heights = (series.values - self.level_origin) / self.level_step
        if np.abs(heights).max(initial=0) > MOST_SPIKES:
            self._check_number(int(min(np.abs(heights).max(), 1e18)))
        if not self.onset:
            return heights, series.lengths
        return np.pad(heights, ((0, 0), (0, 0), (1, 0))), series.lengths + 1

    def _intervals(self, lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.interval is not None:
            return np.full(len(lengths), self.interval)
        return (self.t_late - self.t_early) / np.maximum(lengths - 1, 1)

    def _biases(self, channels: int) -> NDArray[np.int64]:
        return np.arange(2 * channels, self.n_channels(channels))

    def _check_number(self, n: int) -> None:
        if n > MOST_SPIKES:
            raise RunInputError(
                f"level_step: a step of {self.level_step:g} makes {n:.3g} spikes of these values; "
                f"expected at most {MOST_SPIKES}. Take a wider one"
            )
