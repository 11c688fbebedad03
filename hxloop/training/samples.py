"""Encoded samples: what a network is trained and tested with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.errors import RunInputError
from hxloop.text import Brief


@dataclass(frozen=True)
class ImageChannels:
    """Input channels that are the pixels of a square image, row by row, and come first.

    Attributes:
        side: rows and columns.
        background: spike time of a pixel beyond the border; ``inf`` = no spike.

    Raises:
        ConfigError: no such numbers.
    """

    side: int
    background: float

    def __post_init__(self) -> None:
        checks.settle(
            self,
            side=checks.whole("ImageChannels.side", self.side, low=1),
            background=checks.number(
                "ImageChannels.background", self.background, low=0, finite=False
            ),
        )

    def shifted(self, times: NDArray[np.float64], shifts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Copies of images, moved by ``shifts`` ``(batch, 2)`` pixels (rows, columns)."""
        n, side = len(times), self.side
        border = int(np.abs(shifts).max(initial=0))
        wide = np.full((n, side + 2 * border, side + 2 * border), self.background)
        inner = slice(border, border + side)
        wide[:, inner, inner] = times[:, : side * side].reshape(n, side, side)
        places = border + np.arange(side)
        rows = places[None, :] - shifts[:, :1]
        columns = places[None, :] - shifts[:, 1:]
        moved = wide[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
        result = times.copy()
        result[:, : side * side] = moved.reshape(n, -1)
        return result


@dataclass(frozen=True, repr=False)
class SpikeData(Brief):
    """Encoded samples, in arrays of its own.

    A read-only array, such as one mapped from a file with ``np.load(..., mmap_mode="r")``, is
    not copied.

    Attributes:
        input_times: ``(n, n_inputs)``, model time, ``inf`` = no spike; anything that holds such
            an array (``hxloop.checks.real_array``). float32 stays float32. Or ``Spikes``, of
            channels that spike several times.
        labels: ``(n,)``, index of the right output neuron, whole numbers of any type.
        image: the image that the first channels are; None: no image.
        merged: how many more input spikes there were, each at the very time of another one on its
            channel, which counts once with it.
        clipped: how many values lay beyond the range of the training samples, and were cut to it
            before they were encoded.

    Raises:
        RunInputError: no such arrays, lengths differ, there is no sample, or a time is NaN or
            negative.
    """

    input_times: NDArray[np.float64] | NDArray[np.float32] | Spikes
    labels: NDArray[np.int64]
    image: ImageChannels | None = None
    merged: int = 0
    clipped: int = 0

    def __post_init__(self) -> None:
        times = self.input_times
        if not isinstance(times, Spikes):
            times = checks.spike_times(
                "SpikeData: input_times", times, shape=("n", "n_inputs"), keep_single=True
            )
        labels = checks.labels("SpikeData: labels", self.labels)
        if len(times) != len(labels):
            raise RunInputError(
                "SpikeData: expected input_times (n, n_inputs) and labels (n,); got "
                f"{(len(times), times.shape[1])} and {labels.shape}"
            )
        if len(labels) == 0:
            raise RunInputError("SpikeData: expected at least one sample; got none")
        if self.image is not None and not isinstance(self.image, ImageChannels):
            raise RunInputError(
                f"SpikeData: image: expected ImageChannels or None; got {checks.shown(self.image)}"
            )
        if isinstance(times, Spikes) and self.image is not None:
            raise RunInputError(
                "SpikeData: image: expected None with input_times that are Spikes; the pixels of "
                "an image spike once"
            )
        kept = times.kept() if isinstance(times, Spikes) else checks.kept(times)
        merged = checks.whole("SpikeData: merged", self.merged, low=0)
        clipped = checks.whole("SpikeData: clipped", self.clipped, low=0)
        checks.settle(
            self, input_times=kept, labels=checks.kept(labels), merged=merged, clipped=clipped
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return int(self.input_times.shape[1])

    @property
    def spikes_again(self) -> bool:
        """Whether a channel spikes more than once in a sample."""
        return isinstance(self.input_times, Spikes) and not self.input_times.once

    def inputs(
        self, samples: slice | NDArray[np.int64]
    ) -> NDArray[np.float64] | NDArray[np.float32] | Spikes:
        """The input of some samples: an array, or ``Spikes``."""
        times = self.input_times
        return times.select(samples) if isinstance(times, Spikes) else times[samples]
