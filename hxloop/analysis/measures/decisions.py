"""When a sample was decided, and which spikes can have contributed to that."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.errors import RunInputError

Array = NDArray[np.float64]


def decision_times(output_times: ArrayLike, decisions: ArrayLike | None = None) -> Array:
    """When every sample was decided: the spike of the neuron decided for, ``inf`` = never.

    Args:
        output_times: ``(samples, outputs)``.
        decisions: ``(samples,)``, index of the output neuron decided for; negative = none. None:
            the earliest one, which is the rule of time-to-first-spike coding only.

    Raises:
        RunInputError: NaN, or not one decision for each sample, or of no output neuron.
    """
    times = checked_times(output_times)
    if decisions is None:
        found: Array = times.min(axis=1)
        return found
    chosen = np.asarray(decisions)
    if chosen.shape != times.shape[:1] or chosen.dtype.kind not in "iu":
        raise RunInputError(
            f"decisions: expected {len(times)} whole numbers, one a sample; got {chosen.dtype} "
            f"{chosen.shape}"
        )
    if (chosen >= times.shape[1]).any():
        sample = int(np.argmax(chosen >= times.shape[1]))
        raise RunInputError(
            f"decisions: that of sample {sample} is {chosen[sample]}; expected an output neuron, "
            f"0 to {times.shape[1] - 1}, or -1 for none"
        )
    own = np.take_along_axis(times, np.maximum(chosen, 0)[:, None], axis=1)[:, 0]
    return np.where(chosen >= 0, own, np.inf)


def causal_spikes(times: ArrayLike, decided: ArrayLike) -> Array:
    """The spikes that can have contributed to the decision; the others become silence.

    Args:
        times: ``(samples, neurons)``.
        decided: ``(samples,)``, time of the decision; ``inf`` = none, then all are silent.

    Returns:
        A new array of the same shape: ``t`` where ``t <= decided < inf``, else ``inf``.

    Raises:
        RunInputError: shapes that do not fit, NaN.
    """
    spikes, limit = checked_times(times), np.asarray(decided, dtype=np.float64)
    if limit.shape != spikes.shape[:1]:
        raise RunInputError(
            f"decision times: expected one for each of {len(spikes)} samples; got the shape "
            f"{limit.shape}"
        )
    limit = np.where(np.isfinite(limit), limit, -np.inf)
    return np.where(spikes <= limit[:, None], spikes, np.inf)


def checked_times(times: ArrayLike) -> Array:
    """Spike times as float64 ``(samples, neurons)``.

    Raises:
        RunInputError: not two-dimensional, or NaN (with its place).
    """
    array = np.asarray(times, dtype=np.float64)
    if array.ndim != 2:
        raise RunInputError(
            f"spike times: expected (samples, neurons); got the shape {array.shape}"
        )
    if np.isnan(array).any():
        sample, neuron = np.argwhere(np.isnan(array))[0]
        raise RunInputError(
            f"spike times, sample {sample}, neuron {neuron}: got NaN; a silent neuron is inf"
        )
    return array
