"""What a training sees of its samples: in which order, shifted how, with which noise.

All of it is a function of the seed, the epoch and the batch, so that nothing random has to be
stored, and a training that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.checks.random_streams import entropy
from hxloop.errors import ConfigError
from hxloop.training.options import SpikeData, TrainingOptions

# Streams of the training seed (0 is the initial weights).
_ORDER, _INPUT_NOISE, _SHIFT = 1, 2, 3


def sample_order(n_samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Numbers of all samples, in the order of an epoch."""
    return np.random.default_rng(entropy(seed, _ORDER, epoch)).permutation(n_samples)


def training_inputs(
    data: SpikeData, samples: NDArray[np.int64], options: TrainingOptions, epoch: int, batch: int
) -> NDArray[np.float64] | Spikes:
    """Input spike times of a batch, images shifted and times moved as ``options`` says.

    Args:
        data: of the training.
        samples: numbers of those in the batch.
        options: ``max_shift`` (pixels, either way), ``input_noise`` (standard deviation, model
            time; times stay at or above 0), ``seed``.
        epoch, batch: which batch this is, from 0.

    Returns:
        ``(len(samples), n_inputs)``, float64, or the ``Spikes`` of as many samples.

    Raises:
        ConfigError: shifts are asked for of data that are no images.
    """
    chosen = data.inputs(samples)
    if isinstance(chosen, Spikes):
        return _moved(chosen, options, epoch, batch)
    times = np.asarray(chosen, dtype=np.float64)
    if options.max_shift:
        if data.image is None:
            raise ConfigError("training.max_shift: these data are no images; set it to 0")
        rng = np.random.default_rng(entropy(options.seed, _SHIFT, epoch, batch))
        reach = options.max_shift
        times = data.image.shifted(times, rng.integers(-reach, reach + 1, (len(times), 2)))
    if options.input_noise:
        rng = np.random.default_rng(entropy(options.seed, _INPUT_NOISE, epoch, batch))
        noise = rng.standard_normal(times.shape)
        times = np.maximum(times + options.input_noise * noise, 0.0)
    return times


def _moved(spikes: Spikes, options: TrainingOptions, epoch: int, batch: int) -> Spikes:
    """All spikes with noise on their times, as ``options`` says."""
    if options.max_shift:
        raise ConfigError("training.max_shift: these data are no images; set it to 0")
    if not options.input_noise:
        return spikes
    rng = np.random.default_rng(entropy(options.seed, _INPUT_NOISE, epoch, batch))
    noise = rng.standard_normal(spikes.n_spikes)
    times = np.maximum(spikes.times + options.input_noise * noise, 0.0)
    order = np.lexsort((spikes.units, times, spikes.samples))
    return Spikes.trusted(times[order], spikes.units[order], spikes.offsets, spikes.n_units)
