"""How synchronous a volley of spikes is: spread measures for each sample.

A volley is the set of spikes of one layer in one sample. Times are ``(samples, neurons)`` in model
time, ``inf`` = silent; of neurons that spike again ``(samples, spikes)``, see ``spike_rows``. All
measures are computed for all samples at once.

Conventions, fixed because every number depends on them
-------------------------------------------------------
- **Decision**: the spike of the output neuron that was decided for. Which neuron that is, is the
  business of the loss (the earliest, or the one nearest to a target time, which may be the last),
  and recorded with the activity. A sample without such a spike has no causal spikes, and its
  causal measures are not defined (NaN).
- **Causal spikes**: those not later than the decision, ``t_i <= t_decision``. "Not later"
  instead of "earlier" matters where times lie on a grid, as in the published data.
- **Half of the spikes**: ``ceil(n/2)`` of n.

With these, and input channels that code for the background treated like all others, the mean
over samples of the causal shorth of a network whose spike times were published with arXiv
2508.12975 (150 samples) is 0.037, 0.086, 0.108, 0.029, 0.012 from the input to layer 4 after
training, as a second program computed it from the same spike times. With ``floor(n/2) + 1`` spikes
as half, or with spikes strictly before the decision, it is not. No figure of the paper is known
here, nor whether it uses these conventions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.decisions import causal_spikes, checked_times, decision_times
from hxloop.analysis.measures.spike_contrast import spike_contrast

__all__ = [
    "NORMAL_HALF_WIDTH",
    "PACKET_REACH",
    "TRUNCATED_STD",
    "Array",
    "SpikeStatistics",
    "causal_spikes",
    "checked_times",
    "decision_times",
    "layer_statistics",
    "packet_mask",
    "pulse_packets",
    "shorth",
    "shorth_of_sorted",
    "spike_contrast",
    "spike_statistics",
]

Array = NDArray[np.float64]

# Half of a normal distribution lies in an interval of so many standard deviations.
NORMAL_HALF_WIDTH = 1.3489795003921634
# How far from its centre a pulse packet reaches, in standard deviations, and the standard
# deviation of a normal distribution cut off there.
PACKET_REACH = 3.0
# The variance that is missing beyond: 2 r phi(r)/P(|x| < r).
TRUNCATED_STD = math.sqrt(
    1
    - PACKET_REACH
    * math.sqrt(2 / math.pi)
    * math.exp(-(PACKET_REACH**2) / 2)
    / math.erf(PACKET_REACH / math.sqrt(2))
)

# Spike times worked on at once.
_CHUNK = 1_000_000


@dataclass(frozen=True)
class SpikeStatistics:
    """Spread of the spikes of each sample; each field has the shape ``(samples,)``.

    Attributes:
        n_spikes: number of spikes.
        median: median spike time; NaN without spikes.
        std: standard deviation (of the population, divisor n); 0 for one spike, else NaN.
        iqr: inter-quartile range, quartiles by linear interpolation (Hyndman & Fan, Am. Stat.
            50, 361, 1996, definition 7); 0 for one spike, NaN without.
        shorth: length of the shortest interval that holds ``ceil(n/2)`` spikes (the shortest
            half of Rousseeuw & Leroy, Stat. Neerl. 42, 103, 1988); robust against late
            stragglers. 0 for one and for two spikes, NaN without.
        packet_a: number of spikes in the pulse packet; see ``pulse_packets``.
        packet_sigma: its temporal dispersion.
    """

    n_spikes: Array
    median: Array
    std: Array
    iqr: Array
    shorth: Array
    packet_a: Array
    packet_sigma: Array

    def means(self, chosen: ArrayLike | None = None) -> dict[str, float]:
        """Mean over samples of every field, of those for which it is defined; NaN if of none.

        Args:
            chosen: ``(samples,)`` mask or indices; None = all.
        """
        result = {}
        for field in fields(self):
            values = getattr(self, field.name)
            values = values if chosen is None else values[np.asarray(chosen)]
            values = values[~np.isnan(values)]
            result[field.name] = float(values.mean()) if len(values) else float("nan")
        return result


def spike_statistics(times: ArrayLike) -> SpikeStatistics:
    """All spread measures of every sample; see ``SpikeStatistics``.

    Args:
        times: ``(samples, neurons)``, ``inf`` = silent.

    Raises:
        RunInputError: not two-dimensional, or NaN (with its place).
    """
    spikes = checked_times(times)
    names = [field.name for field in fields(SpikeStatistics)]
    columns = {name: np.empty(len(spikes)) for name in names}
    step = max(1, _CHUNK // max(1, spikes.shape[1]))
    for start in range(0, len(spikes), step):
        part = slice(start, start + step)
        for name, values in _statistics(np.sort(spikes[part], axis=1)).items():
            columns[name][part] = values
    return SpikeStatistics(**columns)


def shorth(times: ArrayLike) -> Array:
    """Length of the shortest interval that holds half of the spikes, ``(samples,)``.

    See ``SpikeStatistics.shorth``.
    """
    spikes = checked_times(times)
    result = np.empty(len(spikes))
    step = max(1, _CHUNK // max(1, spikes.shape[1]))
    for start in range(0, len(spikes), step):
        ordered = np.sort(spikes[start : start + step], axis=1)
        result[start : start + step] = shorth_of_sorted(ordered)
    return result


def shorth_of_sorted(ordered: Array) -> Array:
    """The same of rows that are sorted, silent neurons (``inf``) at the end."""
    return _shortest_half(ordered, np.isfinite(ordered).sum(axis=1))[0]


def pulse_packets(times: ArrayLike) -> tuple[Array, Array]:
    """Pulse-packet parameters (a, sigma) of every sample.

    A pulse packet is described by the number of its spikes, a, and the standard deviation of
    their times, sigma (Diesmann, Gewaltig & Aertsen, Nature 402, 529, 1999). Those are
    clear for a volley made for the purpose; recorded activity also holds spikes that do not
    belong to the packet, so that a definition is needed: centre and width are first read
    robustly off the shortest half (midpoint, and length/1.349, exact for a normal
    distribution); the packet is the spikes within 3 such widths of the centre; a is their
    number, and sigma their standard deviation, divided by 0.987 for the cut at 3 sigma.

    One spike gives (1, 0), no spike (0, NaN). Where half of the spikes coincide, the packet is
    these coincident spikes, and sigma is 0.

    Returns:
        a and sigma, each ``(samples,)``.
    """
    statistics = spike_statistics(times)
    return statistics.packet_a, statistics.packet_sigma


def packet_mask(times: ArrayLike) -> NDArray[np.bool_]:
    """Which spikes are in the pulse packet of their sample, see ``pulse_packets``.

    Args:
        times: ``(samples, neurons)``, ``inf`` = silent.

    Returns:
        The same shape.
    """
    spikes = checked_times(times)
    ordered = np.sort(spikes, axis=1)
    _, centre, reach = _packet(ordered, np.isfinite(ordered).sum(axis=1))
    finite = np.isfinite(spikes)
    away = np.abs(np.where(finite, spikes, 0.0) - centre[:, None])
    inside: NDArray[np.bool_] = finite & (away <= reach[:, None])
    return inside


def layer_statistics(
    layers: Sequence[ArrayLike], decided: ArrayLike
) -> list[tuple[SpikeStatistics, SpikeStatistics]]:
    """For every layer the statistics of (all spikes, causal spikes).

    Args:
        layers: spike times ``(samples, neurons)`` from the input to the output.
        decided: ``(samples,)``, see ``decision_times``.
    """
    return [
        (spike_statistics(times), spike_statistics(causal_spikes(times, decided)))
        for times in layers
    ]


def _statistics(ordered: Array) -> dict[str, Array]:
    """Measures of rows of sorted spike times, silent neurons at the end."""
    rows = len(ordered)
    n = np.isfinite(ordered).sum(axis=1)
    some = n > 0
    undefined = np.where(some, 0.0, np.nan)
    result = {
        "n_spikes": n.astype(np.float64),
        **{name: undefined.copy() for name in ("median", "std", "iqr", "shorth", "packet_sigma")},
        "packet_a": np.zeros(rows),
    }
    if not some.any():
        return result
    finite = np.isfinite(ordered)
    filled = np.where(finite, ordered, 0.0)
    last = np.maximum(n - 1, 0)

    def quantile(q: float) -> Array:
        place = q * last
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, last)
        low = np.take_along_axis(filled, below[:, None], 1)[:, 0]
        high = np.take_along_axis(filled, above[:, None], 1)[:, 0]
        found: Array = low + (place - below) * (high - low)
        return found

    count = np.maximum(n, 1)
    result["median"] += quantile(0.5)
    result["iqr"] += quantile(0.75) - quantile(0.25)
    result["std"] += _std(filled, finite, count)

    result["shorth"], centre, reach = _packet(ordered, n)
    inside = finite & (np.abs(filled - centre[:, None]) <= reach[:, None])
    a = inside.sum(axis=1)
    result["packet_a"] = a.astype(np.float64)
    result["packet_sigma"] += _std(filled, inside, np.maximum(a, 1)) / TRUNCATED_STD
    return result


def _packet(ordered: Array, n: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """The shorth of each sorted row, the centre of its packet, and how far that reaches."""
    if not ordered.shape[1]:
        nothing = np.zeros(len(ordered))
        return np.full(len(ordered), np.nan), nothing, nothing
    shortest, start = _shortest_half(ordered, n)
    some = n > 0
    length = np.where(some, shortest, 0.0)
    first = np.where(some, ordered[np.arange(len(ordered)), start], 0.0)
    return shortest, first + length / 2, PACKET_REACH * length / NORMAL_HALF_WIDTH


def _shortest_half(ordered: Array, n: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Length of the shortest interval with half of the ``n`` spikes of each row, and its start."""
    rows, neurons = ordered.shape
    if neurons == 0:
        return np.full(rows, np.nan), np.zeros(rows, np.int64)
    end = np.arange(neurons) + np.maximum((n + 1) // 2, 1)[:, None] - 1
    with np.errstate(invalid="ignore"):  # inf - inf, behind the last spike
        width = np.take_along_axis(ordered, np.minimum(end, neurons - 1), 1) - ordered
    width[end >= n[:, None]] = np.inf
    start = width.argmin(axis=1)
    return np.where(n > 0, width[np.arange(rows), start], np.nan), start


def _std(values: Array, mask: NDArray[np.bool_], count: NDArray[np.int64]) -> Array:
    """Standard deviation of the masked entries of every row; two passes, so nothing cancels."""
    mean = np.where(mask, values, 0.0).sum(axis=1) / count
    deviation = np.where(mask, values - mean[:, None], 0.0)
    found: Array = np.sqrt((deviation**2).sum(axis=1) / count)
    return found
