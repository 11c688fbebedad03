"""Checks of what the substrate can hold: weights, time constants, potentials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.conformance.check import CheckFunction, CheckGroup, Figures
from hxloop.conformance.compare import compare_with_model
from hxloop.conformance.subject import Subject
from hxloop.errors import CapacityError, CheckNotApplicable, ConformanceError, RunInputError
from hxloop.network import NeuronSpec

Array = NDArray[np.float64]

group = CheckGroup("substrate")

# How many networks of arbitrary neurons are compared for each kind of neuron.
CROWDS = 3


@group.check
def weights_as_held(subject: Subject) -> Figures:
    """weights_used are what the substrate holds: on its grid, as near as that allows."""
    task, capabilities = subject.plan.task, subject.capabilities
    activity = subject.usual[0]
    # Single precision is the coarsest in which a continuous weight may be held.
    allowed, step = 1e-6, None
    if capabilities.weight_levels is not None and capabilities.weight_limit is not None:
        step = capabilities.weight_limit / capabilities.weight_levels
        allowed = 0.5 * step * (1 + 1e-6)
    largest = 0.0
    for index, (asked, held) in enumerate(zip(task.weights, activity.weights_used, strict=True)):
        away = np.abs(asked - held)
        largest = max(largest, float(away.max()))
        if away.max() > allowed * max(1.0, np.abs(asked).max() if step is None else 1.0):
            pre, post = np.unravel_index(int(away.argmax()), away.shape)
            raise ConformanceError(
                f"weights_used[{index}]: expected {asked[pre, post]:.6g} to {allowed:.3g} from "
                f"neuron {pre} to {post}; got {held[pre, post]:.6g}"
            )
        if step is not None:
            off = np.abs(held / step - np.rint(held / step))
            if off.max() > 1e-3:
                raise ConformanceError(
                    f"weights_used[{index}]: expected multiples of {step:.6g} "
                    f"(weight_limit/weight_levels); got one that is {off.max():.3g} steps off"
                )
    return {"largest_rounding": largest, **({} if step is None else {"step": step})}


@group.check
def weights_at_the_limit(subject: Subject) -> None:
    """The largest weights of both signs are held as they are, and not counted as clipped."""
    limit = subject.capabilities.weight_limit
    if limit is None:
        raise CheckNotApplicable("its weights are unlimited (weight_limit is None)")
    weights = _checkerboard(subject, limit)
    activity = subject.session.run(weights, subject.plan.silence())
    for asked, held in zip(weights, activity.weights_used, strict=True):
        if not np.allclose(asked, held, rtol=1e-6, atol=0):
            raise ConformanceError(
                f"expected weights of +-{limit:g} to be held; got {held.flat[0]}"
            )
    if any(activity.info.clipped_weights):
        raise ConformanceError(
            f"clipped_weights: expected no weight of +-{limit:g} to count as clipped; got "
            f"{activity.info.clipped_weights}"
        )


@group.check
def weights_beyond_the_limit(subject: Subject) -> Figures:
    """Weights beyond the limit are clipped and counted layer by layer, or refused."""
    limit = subject.capabilities.weight_limit
    plan = subject.plan
    if limit is None:
        # Much stronger than usual: the spike follows the input at once.
        times = np.full((plan.batch, plan.n_inputs), 0.5)
        weights = [20 * np.abs(matrix) + 1 for matrix in plan.task.weights]
        return compare_with_model(subject, subject.session, weights, times).figures()
    weights = list(_checkerboard(subject, 0.5 * limit))
    weights[-1] = _checkerboard(subject, 3 * limit)[-1]
    weights[-1][0, 0] = 0.5 * limit
    if subject.capabilities.weight_levels is not None and weights[-1].size > 1:
        # Less than half a step beyond: clipped, too, though rounding alone would take it there.
        weights[-1].flat[-1] = np.copysign(
            limit * (1 + 0.4 / subject.capabilities.weight_levels), weights[-1].flat[-1]
        )
    try:
        activity = subject.session.run(weights, plan.silence())
    except (RunInputError, CapacityError):
        return {"refused": 1}
    held = activity.weights_used[-1]
    if np.abs(held).max() > limit * (1 + 1e-6) or (np.sign(held) != np.sign(weights[-1])).any():
        raise ConformanceError(
            f"weights_used[-1]: expected +-{limit:g} with the sign that was asked for; got "
            f"{held.min():g} to {held.max():g}"
        )
    expected = (*(0 for _ in weights[:-1]), weights[-1].size - 1)
    if activity.info.clipped_weights != expected:
        raise ConformanceError(
            f"clipped_weights: expected {expected}, one count for each layer; got "
            f"{activity.info.clipped_weights}"
        )
    return {"clipped": expected[-1]}


@group.check
def weights_rounded_to_zero(subject: Subject) -> Figures:
    """Weights too small for the grid are held as 0 and counted layer by layer."""
    limit, levels = subject.capabilities.weight_limit, subject.capabilities.weight_levels
    if limit is None or levels is None:
        raise CheckNotApplicable("its weights are continuous (weight_levels is None)")
    weights = _checkerboard(subject, 0.3 * limit / levels)
    weights[0][0] = 0.0
    activity = subject.session.run(weights, subject.plan.silence())
    if any(held.any() for held in activity.weights_used):
        raise ConformanceError("expected weights of 0.3 steps to be held as 0; got others")
    expected = tuple(int(np.count_nonzero(matrix)) for matrix in weights)
    if activity.info.zeroed_weights != expected:
        raise ConformanceError(
            f"zeroed_weights: expected {expected}, the weights other than 0 that are held as 0; "
            f"got {activity.info.zeroed_weights}"
        )
    return {"zeroed": sum(expected)}


def _checkerboard(subject: Subject, value: float) -> tuple[Array, ...]:
    return tuple(
        np.where(np.indices(shape).sum(axis=0) % 2 == 0, value, -value)
        for shape in subject.network.shapes
    )


def _with_neuron(subject: Subject, neuron: NeuronSpec) -> Figures:
    task = subject.plan.task_of(neuron)
    try:
        with subject.opened(task.network) as session:
            results = [compare_with_model(subject, session, task.weights, task.input_times)]
            if not subject.statistical:
                # And without a choice of what is easy to get right.
                for seed in range(CROWDS):
                    crowd = subject.plan.crowd_of(neuron, seed)
                    given = crowd.weights, crowd.input_times
                    results.append(compare_with_model(subject, session, *given))
            return max(results, key=lambda result: result.largest).figures()
    except CapacityError as error:
        declared = subject.capabilities.tau_ratios
        ratio = neuron.tau_mem / neuron.tau_syn
        if declared is None or any(np.isclose(ratio, known) for known in declared):
            raise CheckNotApplicable(f"refused: {error}") from error
        return {"refused": 1}


def _tau_ratio(ratio: float) -> CheckFunction:
    def check(subject: Subject) -> Figures:
        return _with_neuron(subject, replace(subject.plan.neuron, tau_mem=ratio))

    check.__doc__ = f"With tau_mem/tau_syn = {ratio:g} spike times are right, or it is refused."
    return check


for _ratio in (0.5, 1.0, 1.7, 2.0, 5.0):
    group.add(_tau_ratio(_ratio), f"tau-ratio-{_ratio:g}")


@group.check
def potentials(subject: Subject) -> Figures:
    """With leak and threshold other than 0 and 1 spike times are right, or it is refused."""
    neuron = replace(subject.plan.neuron, v_leak=-0.3, v_threshold=0.4, v_reset=-0.5)
    return _with_neuron(subject, neuron)


@group.check
def time_unit(subject: Subject) -> Figures:
    """With all time constants half as long spike times are right, or it is refused."""
    neuron = subject.plan.neuron
    # A network may state tau_syn in another unit than itself; weights act twice as fast.
    half = replace(neuron, tau_mem=neuron.tau_mem / 2, tau_syn=neuron.tau_syn / 2)
    if subject.capabilities.weight_limit is not None:
        half = replace(half, v_threshold=half.v_threshold / 2)
    return _with_neuron(subject, half)
