"""Data that are spikes already: their time scaled to model time, their channels merged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.errors import RunInputError


def without_repeats(
    samples: Iterable[tuple[NDArray[Any], NDArray[Any]]], n_units: int
) -> tuple[Spikes, int]:
    """Spikes of which those count once that are at the very same time on a channel.

    Args:
        samples: times, and channels, of the spikes of each, in any order; what they have to be was
            checked.
        n_units: number of channels.

    Returns:
        The spikes, in arrays that nobody can write to, and how many were left out.
    """
    times, units, ends, repeats = [], [], [0], 0
    for when, unit in samples:  # one by one: data sets have 1e8 spikes
        order = np.lexsort((unit, when))
        when, unit = when[order].astype(np.float64), unit[order].astype(np.int64)
        again = np.zeros(len(order), dtype=bool)
        again[1:] = (np.diff(when) == 0) & (np.diff(unit) == 0)
        times.append(when[~again])
        units.append(unit[~again])
        ends.append(ends[-1] + len(times[-1]))
        repeats += int(again.sum())
    held = np.concatenate([*times, np.empty(0)]), np.concatenate([*units, np.empty(0, np.int64)])
    arrays = (*held, np.array(ends, np.int64))
    for array in arrays:
        array.flags.writeable = False
    return Spikes.trusted(*arrays, n_units), repeats


@dataclass(frozen=True)
class SpikeTrainEncoding:
    """Spikes as the data have them, at ``t_early + time_scale t``.

    With ``merge_channels`` = m channel i becomes channel ``i // m``. Spikes that fall onto another
    one of their channel, at the very same time, count once with it; ``SpikeData.merged`` tells how
    many.

    Args:
        t_early: model time of the time 0 of the data.
        time_scale: model time for one unit of the time of the data: for seconds and a synaptic
            time constant of 20 ms, 50.
        merge_channels: how many neighbouring channels become one; the last one may be of fewer.

    Raises:
        ConfigError: a time that is negative or not finite, a scale that is not positive, or no
            channel.
    """

    t_early: float = 0.15
    time_scale: float = 1.0
    merge_channels: int = 1

    def __post_init__(self) -> None:
        where, what = "SpikeTrainEncoding", "time (model time)"
        checks.settle(
            self,
            t_early=checks.number(f"{where}.t_early", self.t_early, low=0, what=what),
            time_scale=checks.number(f"{where}.time_scale", self.time_scale, above=0),
            merge_channels=checks.whole(f"{where}.merge_channels", self.merge_channels, low=1),
        )

    @property
    def background(self) -> float:
        """No spike."""
        return math.inf

    def n_channels(self, n_features: int) -> int:
        """Number of input channels for so many channels of the data."""
        return -(-n_features // self.merge_channels)

    def encode(self, samples: Any) -> Spikes:
        """Spikes in model time.

        Args:
            samples: ``Spikes``, in the time of the data.

        Raises:
            RunInputError: they are no spikes.
        """
        if not isinstance(samples, Spikes):
            raise RunInputError(
                "samples: expected hxloop.activity.Spikes for the encoding 'spike-trains'; got "
                f"{checks.shown(samples)}. Values become spikes by another one: encoding.name"
            )
        times, units = samples.times, samples.units
        moved = (
            (
                self.t_early + self.time_scale * times[start:end],
                units[start:end] // self.merge_channels,
            )
            for start, end in pairwise(samples.offsets.tolist())
        )
        return without_repeats(moved, self.n_channels(samples.n_units))[0]
