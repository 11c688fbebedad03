"""Is what a substrate returned of a network with features possible? See ``check_activity``."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Activity, Spikes
from hxloop.errors import RunFailed
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate.capabilities import Capabilities
from hxloop.substrate.physics import check_weights


def check_trains(
    activity: Activity,
    network: NetworkSpec,
    asked: Spikes,
    parameters: Parameters,
    capabilities: Capabilities,
) -> None:
    """Refuse spike trains that no run of the network can have had. Nothing is repaired.

    Spikes that the model cannot explain are not refused: a measured neuron is not the model. They
    are counted where the gradient is taken (``GradientCounts.n_not_rising``).

    Args:
        activity: what the run returned.
        network: that was run.
        asked: the input spikes that were asked for.
        parameters: weights, delays and neurons that were asked for.
        capabilities: of the session.

    Raises:
        RunFailed: not an ``Activity``; another number of populations, samples or neurons; spikes
            that are unsorted, not finite, negative or after the window; a second spike of a
            neuron that spikes once; weights or delays of other shapes, signs, or beyond the range;
            neurons that have other parameters of their own.
    """
    if not isinstance(activity, Activity):
        raise RunFailed(f"a run returned {type(activity).__name__}; expected an Activity")
    where = f"backend {activity.info.backend!r} returned"
    sizes = [spikes.n_units for spikes in (activity.inputs, *activity.spikes)]
    if sizes != list(network.sizes):
        raise RunFailed(
            f"{where} spikes of populations of the sizes {sizes}; expected {list(network.sizes)}, "
            f"the input first, for network {network}"
        )
    names = ["input", *(population.name for population in network.populations)]
    for name, spikes in zip(names, (activity.inputs, *activity.spikes), strict=True):
        if spikes.batch != asked.batch:
            raise RunFailed(f"{where} {spikes.batch} samples of {name}; expected {asked.batch}")
        _check_events(f"{where} the spikes of {name}", spikes, network.t_window, name == "input")
    for layer, spikes in zip(network.populations, activity.spikes, strict=True):
        if layer.neuron.spikes_once and not spikes.once:
            sample, neuron = (int(i) for i in np.argwhere(spikes.count > 1)[0])
            raise RunFailed(
                f"{where} {spikes.count[sample, neuron]} spikes of neuron {neuron} of "
                f"{layer.name} in sample {sample}; expected at most one (t_refractory = inf)"
            )
    used = activity.parameters
    for what, got, expected in (
        ("weights_used", [w.shape for w in used.weights], list(network.shapes)),
        ("delays_used", [None if d is None else d.shape for d in used.delays],
         list(network.delay_shapes)),
    ):  # fmt: skip
        if got != expected:
            raise RunFailed(f"{where} {what} of shapes {got}; expected {expected}")
    if _shapes_of_neurons(used) != _shapes_of_neurons(parameters):
        raise RunFailed(
            f"{where} neurons_used of {_shapes_of_neurons(used)}; expected those asked for, "
            f"{_shapes_of_neurons(parameters)}"
        )
    for index, (matrix, held) in enumerate(zip(parameters, used, strict=True)):
        if not np.isfinite(held).all():
            raise RunFailed(f"{where} weights_used[{index}] that are not all finite")
        check_weights(f"{where} weights_used[{index}]", matrix, held, capabilities)


def _shapes_of_neurons(held: Parameters) -> dict[str, tuple[int, ...]]:
    return {
        f"{population}.{name}": np.shape(array)
        for population, own in held.neurons.items()
        for name, array in own.items()
    }


def _check_events(what: str, spikes: Spikes, t_window: float, inputs: bool) -> None:
    times, _, offsets = spikes.events
    late = np.zeros(len(times), np.bool_) if inputs else times > t_window
    wrong = ~(np.isfinite(times) & (times >= 0)) | late
    if wrong.any():
        k = int(np.argmax(wrong))
        raise RunFailed(
            f"{what}, number {k}, at {times[k]} (sample {spikes.samples[k]}, neuron "
            f"{spikes.units[k]}); expected times between 0 and t_window = {t_window:g}"
        )
    first_of_sample = np.zeros(len(times), np.bool_)
    first_of_sample[offsets[:-1][offsets[:-1] < len(times)]] = True
    back = np.flatnonzero((np.diff(times, prepend=-np.inf) < 0) & ~first_of_sample)
    if back.size:
        k = int(back[0])
        raise RunFailed(
            f"{what} not sorted by time: number {k} at {times[k]:g} after {times[k - 1]:g}"
        )
