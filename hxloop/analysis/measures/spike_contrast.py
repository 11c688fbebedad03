"""Synchrony of a layer over all samples at once, as elephant measures it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hxloop.activity import Spikes
from hxloop.analysis.measures.decisions import checked_times
from hxloop.errors import RunInputError


def spike_contrast(times: ArrayLike | Spikes, period: float, *, bin_size: float = 0.1) -> float:
    """Spike contrast of a layer (Ciba et al., J. Neurosci. Meth. 293, 136, 2018), by elephant.

    The samples are laid one behind the other, ``period`` apart, so that every neuron is one
    spike train. Synchrony is read at one bin size instead of at its best, because at the size
    of the period it is high for every network that is shown one sample at a time. Elephant
    stops at half the shortest interval within a train, which is long for neurons that spike
    once a sample: one more train, with two spikes half a bin apart after all others, takes it
    down to ``bin_size`` (and changes the result by about 2 parts in the number of spikes).

    Args:
        times: ``(samples, neurons)``, model time, or ``Spikes`` of neurons that spike again;
            silent neurons count as silent trains.
        period: time from one sample to the next, later than every spike.
        bin_size: at which time scale, model time, shorter than half the period.

    Returns:
        0 (no synchrony) to 1; NaN without spikes.

    Raises:
        RunInputError: a spike not before ``period``, or too large a ``bin_size``.
    """
    import quantities as pq
    from elephant.spike_train_synchrony import spike_contrast as contrast_of
    from neo import SpikeTrain

    spikes = times if isinstance(times, Spikes) else Spikes.from_first(checked_times(times))
    if not spikes.n_spikes:
        return float("nan")
    latest = float(spikes.times.max())
    if latest >= period or not 0 < bin_size < period / 2:
        raise RunInputError(
            f"period, bin_size: expected a period after the last spike at "
            f"{latest:g} and bins shorter than half of it; got {period:g} and "
            f"{bin_size:g}"
        )
    stop = period * (len(spikes) + 1)
    shifted = spikes.times + period * spikes.samples
    order = np.argsort(spikes.units, kind="stable")
    ends = np.searchsorted(spikes.units[order], np.arange(1, spikes.n_units))
    trains = np.split(shifted[order], ends)
    trains.append(np.array([stop - bin_size, stop - bin_size / 2]))
    _, trace = contrast_of(
        [SpikeTrain(train, units=pq.s, t_stop=stop) for train in trains],
        min_bin=bin_size * (1 - 1e-9) * pq.s,
        bin_shrink_factor=bin_size / (stop / 2),  # two sizes: half of all time, and the wanted one
        return_trace=True,
    )
    return float(trace.synchrony[-1])
