"""Samples of a data set, encoded: what a network is trained and tested with."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Spikes
from hxloop.data import Dataset, Encoding, SpikeTrainEncoding
from hxloop.training.options import ImageChannels, SpikeData


def spike_data(dataset: Dataset, encoding: Encoding) -> SpikeData:
    """Encode a data set.

    Pixels can be shifted only where each spikes once; of channels that spike several times none is
    taken for a pixel.

    Raises:
        RunInputError: samples that the encoding does not take, or what it made are no spikes.
    """
    times, samples, side = encoding.encode(dataset.samples), dataset.samples, dataset.image_side
    image = ImageChannels(side, encoding.background) if side else None
    merged = dataset.merged
    if isinstance(times, Spikes):
        image = None
        if isinstance(samples, Spikes) and isinstance(encoding, SpikeTrainEncoding):
            merged += samples.n_spikes - times.n_spikes  # what is missing fell on another one
    return SpikeData(times, dataset.labels, image, merged, dataset.clipped)


def same_inputs(one: object, other: object) -> bool:
    """Whether two of what ``SpikeData.input_times`` may be hold the same spikes."""
    if isinstance(one, Spikes) or isinstance(other, Spikes):
        return isinstance(one, Spikes) and isinstance(other, Spikes) and one == other
    return np.array_equal(one, other)  # type: ignore[arg-type]
