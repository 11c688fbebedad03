"""What a measure would show if nothing had been learned: the same data with one thing destroyed.

The untrained network is a null model, too; it comes from recording it. All functions return new
arrays and take their chance from a generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.decisions import checked_times
from hxloop.analysis.measures.synchrony import shorth_of_sorted
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


def class_permuted(times: ArrayLike, labels: ArrayLike, rng: np.random.Generator) -> Array:
    """Every neuron's spikes given to other samples of the same class, each neuron on its own.

    Keeps what each neuron does for a class (its latencies, how often it is silent), destroys what
    neurons do together in one sample: volleys that come earlier in one sample than in another,
    and who spikes along with whom. Trial shuffling, as for peri-stimulus time histograms (Perkel,
    Gerstein & Moore, Biophys. J. 7, 419, 1967), within a class. The number of spikes in a sample
    is kept only in the mean.

    Args:
        times: ``(samples, neurons)``.
        labels: ``(samples,)``.
        rng: draws an order for every neuron and class.
    """
    spikes, known = checked_times(times), np.asarray(labels)
    result = spikes.copy()
    for label in np.unique(known):
        members = known == label
        result[members] = rng.permuted(spikes[members], axis=0)
    return result


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
    return next(_draws_of_as_many(layers, rng, least))


def matched_shorths(
    layers: Sequence[ArrayLike], rng: np.random.Generator, n_draws: int = 4
) -> Array:
    """Shorths of several layers at the same number of spikes, ``(samples, layers)``.

    Mean over some draws of ``as_many_spikes``, see there.

    Args:
        layers: spike times ``(samples, neurons)`` of the layers to compare.
        rng: draws which spikes.
        n_draws: how often.

    Returns:
        NaN for samples in which a layer has fewer than 3 spikes.
    """
    draws = islice(_draws_of_as_many(layers, rng, 3), n_draws)
    found: Array = np.mean(
        [[shorth_of_sorted(times) for times in drawn] for drawn in draws], axis=0
    ).T
    return found


def _draws_of_as_many(
    layers: Sequence[ArrayLike], rng: np.random.Generator, least: int
) -> Iterator[list[Array]]:
    """Draws of ``as_many_spikes``, without end; the layers are sorted once."""
    ordered = []
    for times in layers:
        spikes = np.sort(checked_times(times), axis=1)
        ordered.append(spikes[:, : int(np.isfinite(spikes).sum(axis=1).max(initial=0))])
    few = np.min([np.isfinite(spikes).sum(axis=1) for spikes in ordered], axis=0)
    few = np.where(few >= least, few, 0)
    kept = np.arange(int(few.max(initial=0))) < few[:, None]
    while True:
        drawn = []
        for spikes in ordered:
            times = np.full(kept.shape, np.inf)
            drawn.append(times)
            key = rng.random(spikes.shape)
            key[~np.isfinite(spikes)] = 2.0
            if not kept.size:
                continue
            # Those with the smallest keys, in the order of their times.
            largest = np.take_along_axis(np.sort(key, axis=1), np.maximum(few - 1, 0)[:, None], 1)
            times[kept] = spikes[(key <= largest) & (few > 0)[:, None]]
        yield drawn


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
    """The weights of every layer given to other connections of the same sign.

    Keeps the weights, and which connections are excitatory, inhibitory or none (and so Dale's
    law); destroys which excitatory connections are strong.

    Args:
        weights: ``(pre, post)`` of every layer.
        rng: draws a new order for either sign of every layer.
    """
    result = []
    for matrix in weights:
        mixed = np.array(matrix, dtype=np.float64)
        for chosen in (mixed > 0, mixed < 0):
            mixed[chosen] = rng.permutation(mixed[chosen])
        result.append(mixed)
    return tuple(result)
