"""What a measure would show if nothing had been learned: the same data with one thing destroyed.

The untrained network is a null model, too; it comes from recording it. All functions return new
arrays and take their chance from a generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.synchrony import checked_times
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


def as_many_spikes(
    layers: Sequence[ArrayLike], rng: np.random.Generator, least: int = 3
) -> list[Array]:
    """In every sample as many spikes of each layer as of the layer with the fewest, at random.

    The shortest half of few spikes is shorter than that of many from the same distribution: of
    3 spread evenly it is .126 of the whole in the mean, of 30 .34, of 100 .415. So widths of
    volleys can only be compared at the same number of spikes.

    Args:
        layers: spike times ``(samples, neurons)``, silent = ``inf``.
        rng: draws which spikes.
        least: of a sample in which some layer has fewer spikes, all times become ``inf``; the
            shortest half of fewer than 3 spikes is 0 whatever they do.

    Returns:
        Sorted times ``(samples, most spikes kept)`` of each layer.
    """
    spikes = [checked_times(times) for times in layers]
    counts = [np.isfinite(times).sum(axis=1) for times in spikes]
    few = np.min(counts, axis=0)
    few = np.where(few >= least, few, 0)
    most = int(few.max(initial=0))
    result = []
    for times, count in zip(spikes, counts, strict=True):
        ordered = np.sort(times, axis=1)[:, : int(count.max(initial=0))]
        key = rng.random(ordered.shape)
        key[~np.isfinite(ordered)] = 2.0
        drawn = np.take_along_axis(ordered, np.argsort(key, axis=1)[:, :most], axis=1)
        drawn[np.arange(drawn.shape[1]) >= few[:, None]] = np.inf
        result.append(np.sort(drawn, axis=1))
    return result


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
