"""Time series: several channels of values, one after the other, as many as each sample has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.errors import RunInputError
from hxloop.text import Brief


@dataclass(frozen=True, repr=False)
class TimeSeries(Brief):
    """Samples of several channels, at equal distances in time.

    Attributes:
        values: ``(n, channels, longest)``, finite; 0 beyond the end of a sample, whatever came.
        lengths: ``(n,)``, how many values each sample has of each channel.

    Raises:
        RunInputError: no such arrays, a value that is missing (NaN) or infinite, or a length below
            1 or beyond the longest.
    """

    values: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        where = "TimeSeries"
        values = checks.real_array(
            f"{where}: values", self.values, shape=("n", "channels", "time")
        ).astype(np.float64)
        n, _, longest = values.shape
        if longest < 1:
            raise RunInputError(f"{where}: expected at least one value of each channel; got none")
        lengths = np.asarray(self.lengths)
        whole = lengths.dtype.kind in "iu" and lengths.shape == (n,)
        if not whole or ((lengths < 1) | (lengths > longest)).any():
            raise RunInputError(
                f"{where}: lengths: expected {n} whole numbers from 1 to {longest}, one a sample; "
                f"got {checks.shown(self.lengths)}"
            )
        beyond = np.arange(longest) >= lengths[:, None, None]
        values[np.broadcast_to(beyond, values.shape)] = 0
        wrong = ~np.isfinite(values)
        if wrong.any():
            sample, channel, place = (int(i) for i in np.argwhere(wrong)[0])
            raise RunInputError(
                f"{where}: expected finite values; got {values[sample, channel, place]} at sample "
                f"{sample}, channel {channel}, value {place}. Fill what is missing, or shorten the "
                "sample (lengths)"
            )
        checks.settle(
            self, values=checks.read_only(values), lengths=checks.frozen(lengths.astype(np.int64))
        )

    @classmethod
    def of(cls, samples: TimeSeries | ArrayLike) -> TimeSeries:
        """Time series from what may be an array ``(n, channels, time)``, all of one length.

        Raises:
            RunInputError: it is neither.
        """
        if isinstance(samples, cls):
            return samples
        shape = ("n", "channels", "time")
        values = checks.real_array("samples", samples, shape=shape)
        return cls(values, np.full(len(values), values.shape[2]))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(n, channels, longest)``."""
        n, channels, longest = self.values.shape
        return n, channels, longest

    def select(self, samples: slice | NDArray[Any]) -> TimeSeries:
        """Some of the samples, in the order given."""
        return TimeSeries(self.values[samples], self.lengths[samples])
