"""Is what a substrate returned possible at all? The counterpart of ``check_run``, after a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.errors import RunFailed
from hxloop.network import NetworkSpec

Array = NDArray[np.float64]


def check_activity(activity: Activity, network: NetworkSpec, asked: Array) -> None:
    """Refuse an activity that no run of the network can have had.

    Nothing is repaired: a substrate that returns one such number may have returned others that
    cannot be told from good ones.

    Args:
        activity: what the run returned.
        network: that was run.
        asked: ``(batch, n_inputs)``, the input times that were asked for.

    Raises:
        RunFailed: not an ``Activity``; a layer, sample or neuron too many or too few, or more
            than one time for each neuron; times that are no float64; NaN, a negative time, a spike
            after the window; an input spike in a channel that had none; weights that are no
            finite numbers or have another shape.
    """
    if not isinstance(activity, Activity):
        raise RunFailed(f"a run returned {type(activity).__name__}; expected an Activity")
    where = f"backend {activity.info.backend!r} returned"
    batch = len(asked)
    expected = [(batch, size) for size in network.sizes[1:]]
    got = [np.shape(times) for times in activity.first_spike_times]
    if got != expected:
        raise RunFailed(
            f"{where} spike times of shapes {got}; expected one first spike for each sample and "
            f"neuron of every layer of {network}: {expected}"
        )
    if np.shape(activity.input_times) != asked.shape:
        raise RunFailed(
            f"{where} input times of shape {np.shape(activity.input_times)}; expected {asked.shape}"
        )
    _check_numbers(f"{where} input times", activity.input_times, np.float64)
    for index, times in enumerate(activity.first_spike_times):
        _check_numbers(f"{where} spike times of layer {index}", times, np.float64)
        wrong = np.isnan(times) | (times < 0) | ((times > network.t_window) & (times < np.inf))
        if wrong.any():
            sample, neuron = _first(wrong)
            raise RunFailed(
                f"{where} the spike time {times[sample, neuron]} in layer {index}, sample "
                f"{sample}, neuron {neuron}; expected a time between 0 and t_window = "
                f"{network.t_window:g}, or inf for a silent neuron"
            )
    _check_inputs(where, activity.input_times, asked)
    _check_weights(where, activity.weights_used, network)


def _check_inputs(where: str, delivered: Array, asked: Array) -> None:
    wrong = np.isnan(delivered) | (delivered < 0) | (np.isinf(asked) & np.isfinite(delivered))
    if wrong.any():
        sample, channel = _first(wrong)
        raise RunFailed(
            f"{where} the input time {delivered[sample, channel]} in sample {sample}, channel "
            f"{channel}, where {asked[sample, channel]} was asked for; expected the time that was "
            "delivered, inf for a channel without a spike"
        )


def _check_weights(where: str, used: tuple[Array, ...], network: NetworkSpec) -> None:
    got = tuple(np.shape(matrix) for matrix in used)
    if got != network.shapes:
        raise RunFailed(f"{where} weights_used of shapes {got}; expected {network.shapes}")
    for index, matrix in enumerate(used):
        _check_numbers(f"{where} weights_used[{index}]", matrix, np.floating)
        if not np.isfinite(matrix).all():
            pre, post = _first(~np.isfinite(matrix))
            raise RunFailed(
                f"{where} weights_used[{index}] with {matrix[pre, post]} from neuron {pre} to "
                f"neuron {post}; expected finite numbers"
            )


def _check_numbers(what: str, values: Any, kind: type[np.floating[Any]]) -> None:
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, kind):
        got = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise RunFailed(f"{what} as {got}; expected an array of {kind.__name__}")


def _first(wrong: NDArray[np.bool_]) -> tuple[int, int]:
    row, column = (int(i) for i in np.argwhere(wrong)[0])
    return row, column
