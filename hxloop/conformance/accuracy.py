"""Checks of the declared accuracy: spike times, latency and gradients against the model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare import judge_runs
from hxloop.conformance.plan import Task, engine
from hxloop.conformance.subject import Subject, median
from hxloop.errors import CheckNotApplicable, ConformanceError
from hxloop.training.loop import LoopNetwork

Array = NDArray[np.float64]

group = CheckGroup("accuracy")

# Step of the central differences, in weights; their own error is about 1e-8.
STEP = 1e-5
SAMPLED_WEIGHTS = 60
# Largest change of a weight in a step along the gradient, in strong weights.
STEP_SIZE = 0.08
# Largest change of a spike time by a weight; spikes that graze the threshold do not move as far as
# their gradient says.
CAP = 1.0
# Relative change of a gradient when spike times move by one resolution: second derivative over
# first, at the slopes that the task keeps to.
GRADIENT_SENSITIVITY = 30.0


@group.check
def time_resolution(subject: Subject) -> Figures:
    """Spike times of every layer are right to the declared time_resolution."""
    result = judge_runs(subject, subject.network, subject.usual)
    return {**result.figures(), "declared_resolution": subject.resolution}


@group.check
def latency(subject: Subject) -> Figures:
    """The systematic delay that remains in the recorded times is the declared latency."""
    result = judge_runs(subject, subject.network, subject.usual)
    declared = subject.capabilities.latency
    # A shift of all spikes is a latency, even if it is smaller than the resolution; only rounding
    # down or up to a grid, by half a step on average, is not.
    allowed = subject.tolerance.time if subject.statistical else 0.75 * subject.resolution
    if abs(result.latency - declared) > allowed:
        raise ConformanceError(
            f"latency: expected {declared:.3g} to {allowed:.3g} as declared; the median of "
            f"{result.n_spikes} spikes is {result.latency:.3g}"
        )
    return {"latency": result.latency, "declared_latency": declared}


@group.check
def gradients(subject: Subject) -> Figures:
    """Gradients in the loop are those of the model, computed here by central differences."""
    if subject.statistical:
        raise CheckNotApplicable("statistical: see gradient-step")
    task = subject.plan.task
    network = LoopNetwork(subject.session, task.weights)
    output, activity = network.forward(task.input_times)
    # Different coefficients, so that no two outputs can be mistaken for each other.
    factors = np.cos(np.arange(output.numel())).reshape(tuple(output.shape))
    spiked = np.isfinite(activity.output_times)
    _must_spike(subject, spiked)
    got = _backward(network, output, factors * spiked)
    model = Task(subject.network, activity.weights_used, activity.input_times)
    chosen, expected = _differences(model, factors * spiked)
    largest = float(np.abs(got[chosen] - expected).max() / np.abs(expected).max())
    off = subject.resolution + abs(subject.capabilities.latency)
    allowed = 1e-6 + GRADIENT_SENSITIVITY * len(subject.network.layers) * off
    if largest > allowed:
        raise ConformanceError(
            f"gradient: expected that of the model to {allowed:.3g} of its largest entry; got "
            f"{largest:.3g}"
        )
    return {"largest_relative_error": largest}


@group.check
def gradient_step(subject: Subject) -> Figures:
    """A step along the gradient moves the output spikes of the substrate as predicted."""
    task = subject.plan.task
    network = LoopNetwork(subject.session, task.weights, max_dw_norm=CAP)
    output, activity = network.forward(task.input_times)
    spiked = np.isfinite(activity.output_times)
    _must_spike(subject, spiked)
    gradient = _backward(network, output, spiked / spiked.sum())
    if not gradient.any():
        raise ConformanceError("the gradient of the mean output time is 0 everywhere")
    step = gradient * (STEP_SIZE * subject.plan.strong / np.abs(gradient).max())
    sizes = np.cumsum([matrix.size for matrix in task.weights])[:-1]
    steps = np.split(step, sizes)
    moved = [w - s.reshape(w.shape) for w, s in zip(task.weights, steps, strict=True)]
    before, after = (
        median([run.output_times for run in runs])
        for runs in (subject.usual, subject.repeat(moved, task.input_times))
    )
    both = spiked & np.isfinite(before) & np.isfinite(after)
    predicted = -float(gradient @ step)
    measured = float((after[both] - before[both]).mean()) if both.any() else 0.0
    factor = subject.tolerance.step
    if not predicted * factor <= measured <= predicted / factor:
        raise ConformanceError(
            f"a step of the weights along the gradient: expected the mean output time to change "
            f"by {predicted:.3g}, to a factor of {factor:g}; got {measured:.3g}"
        )
    return {"predicted": predicted, "measured": measured}


def _must_spike(subject: Subject, spiked: NDArray[np.bool_]) -> None:
    if spiked.any():
        return
    if not subject.plan.task.drives_output:
        raise CheckNotApplicable("too few neurons, or too weak weights, to drive a second layer")
    raise ConformanceError("no output neuron spiked, so there is no gradient to compare")


def _backward(network: LoopNetwork, output: Tensor, factors: Array) -> Array:
    """Gradient of the weighted sum of the output times, flat, layer by layer."""
    # Silent outputs have factor 0, and inf times 0 would be NaN.
    output.backward(torch.from_numpy(factors).to(output.dtype))
    grads = [np.asarray(w.grad, dtype=np.float64).ravel() for w in network.weights]
    return np.concatenate(grads)


def _differences(task: Task, factors: Array) -> tuple[NDArray[np.int64], Array]:
    """Central differences of the weighted output times of the model, at some of the weights.

    Returns:
        Which weights, as indices into the flat weights of all layers, and the differences.
    """
    flat = np.concatenate([np.asarray(w, dtype=np.float64).ravel() for w in task.weights])
    chosen = np.random.default_rng(3).permutation(flat.size)[:SAMPLED_WEIGHTS]

    def value(index: int, step: float) -> float:
        moved = flat.copy()
        moved[index] += step
        times, start = task.input_times, 0
        for layer, (pre, post) in zip(task.network.layers, task.network.shapes, strict=True):
            matrix = moved[start : start + pre * post].reshape(pre, post)
            times = engine(times, matrix, layer.neuron, task.network.t_window)
            start += pre * post
        used = (factors != 0) & np.isfinite(times)
        return float((times[used] * factors[used]).sum())

    slopes = [(value(i, STEP) - value(i, -STEP)) / (2 * STEP) for i in chosen]
    return chosen, np.array(slopes)
