"""What a measure would show if nothing had been learned: the same data with one thing destroyed.

The untrained network is a null model, too; it comes from recording it. All functions return new
arrays and take their chance from a generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.synchrony import checked_times
from hxloop.errors import RunInputError

Array = NDArray[np.float64]


def label_shuffled(labels: ArrayLike, rng: np.random.Generator) -> NDArray[np.int64]:
    """The same labels in random order: destroys what activity has to do with classes.

    Args:
        labels: ``(samples,)``.
        rng: draws the order.
    """
    return rng.permutation(np.asarray(labels))


def jittered(times: ArrayLike, sigma: float, rng: np.random.Generator) -> Array:
    """Every spike moved by a normal random time: destroys synchrony finer than ``sigma``.

    Who spikes stays as it is. A spike that would move before 0 is reflected there.

    Args:
        times: ``(samples, neurons)``, ``inf`` = silent.
        sigma: standard deviation, model time.
        rng: draws the displacements.

    Raises:
        RunInputError: ``sigma`` is negative.
    """
    if not sigma >= 0:
        raise RunInputError(f"sigma: expected a time of at least 0; got {sigma}")
    spikes = checked_times(times)
    return np.abs(spikes + sigma * rng.standard_normal(spikes.shape))


def uniform_times(
    times: ArrayLike, start: ArrayLike, stop: ArrayLike, rng: np.random.Generator
) -> Array:
    """As many spikes, spread evenly over an interval: destroys all synchrony.

    Args:
        times: ``(samples, neurons)``; silent neurons stay silent.
        start: ``(samples,)`` or a number, beginning of the interval.
        stop: its end; where it is not finite, that sample's times are left as they are.
        rng: draws the times.
    """
    spikes = checked_times(times)
    low = np.broadcast_to(np.asarray(start, dtype=np.float64), len(spikes))[:, None]
    high = np.broadcast_to(np.asarray(stop, dtype=np.float64), len(spikes))[:, None]
    known = np.isfinite(low) & np.isfinite(high)
    span = np.where(known, high, 0.0) - np.where(known, low, 0.0)
    drawn = np.where(known, low, 0.0) + span * rng.random(spikes.shape)
    return np.where(np.isfinite(spikes) & known, drawn, spikes)


def neuron_shuffled(times: ArrayLike, rng: np.random.Generator) -> Array:
    """The spikes of each sample given to random neurons.

    Keeps the volley (every synchrony measure stays exactly as it is), destroys what the neurons
    say about the class.

    Args:
        times: ``(samples, neurons)``.
        rng: draws a new order for every sample.
    """
    return rng.permuted(checked_times(times), axis=1)


def weight_shuffled(weights: Sequence[ArrayLike], rng: np.random.Generator) -> tuple[Array, ...]:
    """Every neuron's outgoing weights given to random targets.

    Keeps the distribution of weights and Dale's law (a row keeps its signs), destroys which
    neurons are connected.

    Args:
        weights: ``(pre, post)`` of every layer.
        rng: draws a new order for every row.
    """
    return tuple(rng.permuted(np.asarray(matrix, dtype=np.float64), axis=1) for matrix in weights)
