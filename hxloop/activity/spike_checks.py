"""What a list of spikes has to be, in order or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.checks.arrays import as_array
from hxloop.checks.class_numbers import indices
from hxloop.errors import HxloopError, RunInputError

Times = NDArray[np.float64]
Whole = NDArray[np.int64]
Error = type[HxloopError]


def put_in_order(
    samples: ArrayLike,
    units: ArrayLike,
    times: ArrayLike,
    shape: tuple[int, int],
    where: str,
    error: Error,
) -> tuple[Whole, Whole, Times]:
    """Spikes in any order, sorted by sample, time and neuron; see ``Spikes.from_events``.

    Args:
        samples, units, times: ``(spikes,)``.
        shape: number of samples and of neurons.
        where: begins messages.
        error: what is raised.

    Raises:
        error: lengths differ, indices that are no whole numbers or out of range, times that
            are negative or not finite, or two spikes of a neuron at the same time.
    """
    for name, number in zip(("batch", "n_units"), shape, strict=True):
        checks.whole(f"{where}: {name}", number, low=0, error=error)
    when = checks.real_array(f"{where}: times", times, shape=("spikes",), error=error)
    n = len(when)
    sample = indices(f"{where}: samples", samples, n, shape[0], error)
    unit = indices(f"{where}: units", units, n, shape[1], error)
    _check_times(when, sample, unit, where, error)
    order = np.lexsort((unit, when, sample))
    sample, unit, when = sample[order], unit[order], when[order]
    _check_once(when, sample, unit, where, error)
    return sample, unit, when


def check_events(
    times: ArrayLike, units: ArrayLike, offsets: ArrayLike, n_units: int
) -> tuple[Times, Whole, Whole]:
    """Spikes that are in order already, see ``Spikes``: float64, and int64.

    Raises:
        RunInputError: they are not, or not what ``Spikes`` says they have to be.
    """
    where, error = "Spikes", RunInputError
    when = checks.real_array(f"{where}: times", times, shape=("spikes",), error=error)
    n = len(when)
    unit = indices(f"{where}: units", units, n, n_units, error)
    ends = _check_offsets(offsets, n, where, error)
    sample = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    _check_times(when, sample, unit, where, error)
    same = np.diff(sample) == 0
    later, equal = np.diff(when) > 0, np.diff(when) == 0
    back = same & ~(later | (equal & (np.diff(unit) >= 0)))
    if back.any():
        i = int(np.argmax(back)) + 1
        raise error(
            f"{where}: spike {i} (sample {sample[i]}, neuron {unit[i]}) is at {when[i]:g}, after "
            f"one of neuron {unit[i - 1]} at {when[i - 1]:g}; expected the spikes of a sample by "
            "time, of equal times by neuron. Spikes.from_events takes them in any order"
        )
    _check_once(when, sample, unit, where, error)
    return when, unit, ends


def _check_offsets(offsets: ArrayLike, n: int, where: str, error: Error) -> Whole:
    found = as_array(f"{where}: offsets", offsets, error)
    if found.dtype.kind not in "iu" or found.ndim != 1 or not len(found):
        raise error(
            f"{where}: offsets: expected whole numbers, one more than there are samples, in one "
            f"axis; got {found.dtype} {found.shape}"
        )
    ends = found.astype(np.int64)
    if ends[0] != 0 or ends[-1] != n or (np.diff(ends) < 0).any():
        raise error(
            f"{where}: offsets: expected numbers that begin with 0, do not go back and end with "
            f"{n}, the number of spikes; got {checks.shown(ends.tolist())}"
        )
    return ends


def _check_times(when: Times, sample: Whole, unit: Whole, where: str, error: Error) -> None:
    wrong = ~(np.isfinite(when) & (when >= 0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise error(
            f"{where}: spike {i} (sample {sample[i]}, neuron {unit[i]}) is at {when[i]}; "
            "expected a finite time, 0 or later. A neuron that does not spike has no entry"
        )


def _check_once(when: Times, sample: Whole, unit: Whole, where: str, error: Error) -> None:
    twice = np.flatnonzero((np.diff(sample) == 0) & (np.diff(when) == 0) & (np.diff(unit) == 0))
    if twice.size:
        i = int(twice[0])
        raise error(
            f"{where}: neuron {unit[i]} spikes twice at {when[i]:g} in sample {sample[i]}; "
            "expected each spike once"
        )
