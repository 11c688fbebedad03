"""Whether arrays of recorded activity fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.spikes import Spikes
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec
from hxloop.network.own_neurons import OwnNeurons, checked_own


def check_times(where: str, times: NDArray[Any], n: int | None = None) -> None:
    """Check spike times ``(n, neurons)``.

    Raises:
        RunInputError: another shape, no floating-point numbers, NaN, or negative.
    """
    if times.ndim != 2 or times.dtype.kind != "f" or (n is not None and len(times) != n):
        rows = "n" if n is None else n
        raise RunInputError(
            f"{where}: expected floating-point times ({rows}, neurons); got {times.dtype} "
            f"{times.shape}"
        )
    if times.size and not times.min() >= 0:  # the minimum is NaN where any is
        sample, neuron = (int(i) for i in np.argwhere(~(times >= 0))[0])
        raise RunInputError(
            f"{where}: the time of sample {sample}, neuron {neuron} is {times[sample, neuron]}; "
            "expected 0 or later, inf for a silent neuron"
        )


def check_indices(where: str, indices: NDArray[Any], n: int, low: int, high: int) -> None:
    """Check indices of output neurons ``(n,)``.

    Raises:
        RunInputError: another shape or type, or beyond ``low <= index < high``.
    """
    if indices.shape != (n,) or indices.dtype != np.int64:
        raise RunInputError(f"{where}: expected int64 ({n},); got {indices.dtype} {indices.shape}")
    wrong = (indices < low) | (indices >= high)
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise RunInputError(
            f"{where}: number {sample} is {indices[sample]}; expected {low} to {high - 1}"
        )


def check_trains(where: str, trains: Spikes, first: NDArray[Any]) -> None:
    """Check that all spikes of a population belong to its first ones ``(n, neurons)``.

    Raises:
        RunInputError: no ``Spikes``, other numbers of samples or neurons, or other first spikes.
    """
    if not isinstance(trains, Spikes):
        raise RunInputError(
            f"{where}: expected Spikes; got {checks.shown(trains)}. Make them with "
            "Spikes.from_events or Spikes.from_first"
        )
    if (trains.batch, trains.n_units) != first.shape:
        raise RunInputError(
            f"{where}: expected spikes of {first.shape[1]} neurons in {first.shape[0]} samples; "
            f"got {trains!r}"
        )
    wrong = trains.first != first
    if wrong.any():
        sample, neuron = checks.first_place(wrong)
        raise RunInputError(
            f"{where}: the first of all spikes of sample {sample}, neuron {neuron} is at "
            f"{trains.first[sample, neuron]:g}; its first spike time is "
            f"{first[sample, neuron]:g}. Expected both from one run"
        )


def check_delays(where: str, delays: Sequence[Any], network: NetworkSpec | None) -> None:
    """Check delays of a recorded network, one entry for each projection.

    Raises:
        RunInputError: the network is not known, another shape, or not finite and 0 or more.
    """
    if all(array is None for array in delays):
        return
    if network is None:
        raise RunInputError(f"{where}: delays without the network whose they are; give both")
    shapes = tuple(None if array is None else array.shape for array in delays)
    if shapes != network.delay_shapes:
        raise RunInputError(
            f"{where}: expected delays of shapes {network.delay_shapes}; got {shapes}"
        )
    for index, array in enumerate(delays):
        if array is not None and not (np.isfinite(array) & (array >= 0)).all():
            raise RunInputError(
                f"{where}: delays of projection {index} are not all finite and 0 or more"
            )


def check_neurons(where: str, neurons: OwnNeurons, network: NetworkSpec | None) -> OwnNeurons:
    """Parameters that neurons of a recorded network had each for itself, float64.

    Raises:
        RunInputError: the network is not known, or its neurons can have no such parameters.
    """
    if not neurons:
        return {}
    if network is None:
        raise RunInputError(f"{where}: neurons without the network whose they are; give both")
    return checked_own(network, neurons, f"{where}, neurons", RunInputError)
