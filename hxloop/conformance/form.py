"""Checks of what comes back: types, shapes, silence, the record of the run."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.subject import Subject
from hxloop.errors import ConformanceError, RunFailed
from hxloop.substrate import Backend, Session
from hxloop.substrate.check_activity import check_activity

Array = NDArray[np.float64]

group = CheckGroup("form")


@group.check
def protocol(subject: Subject) -> None:
    """Backend and session have what the protocols name, and the session tells its network."""
    if not isinstance(subject.backend, Backend):
        raise ConformanceError("the backend lacks name, capabilities or open")
    session = subject.session
    if not isinstance(session, Session):
        raise ConformanceError("the session lacks network, capabilities, run, close or `with`")
    if session.network != subject.network:
        raise ConformanceError(f"session.network is {session.network}; expected {subject.network}")


@group.check
def picklable(subject: Subject) -> None:
    """A pickled backend comes back the same, so that it can be sent to another process."""
    copy = pickle.loads(pickle.dumps(subject.backend))
    for name in ("name", "capabilities"):
        before, after = getattr(subject.backend, name), getattr(copy, name)
        if before != after:
            raise ConformanceError(f"{name} after pickling: expected {before}; got {after}")


@group.check
def shapes(subject: Subject) -> None:
    """Spike times are float64 (batch, neuron) in [0, t_window] or inf, weights (pre, post)."""
    task = subject.plan.task
    for batch in (subject.plan.batch, 1):
        times = task.input_times[:batch]
        activity = subject.session.run(task.weights, times)
        try:
            check_activity(activity, subject.network, times)
        except RunFailed as error:
            raise ConformanceError(str(error)) from error


@group.check
def silent_neurons(subject: Subject) -> None:
    """A neuron whose input is too weak is inf, and one beside it that is driven is not."""
    weights = subject.plan.uniform(subject.plan.strong)
    weights[0][:, ::2] = 0.0
    times = np.zeros((subject.plan.batch, subject.plan.n_inputs))
    got = subject.first_layer(weights, times)
    subject.require(np.isinf(got[:, ::2]), "silence (inf) of a neuron without input", got[:, ::2])
    if got.shape[1] > 1:
        driven = got[:, 1::2]
        subject.require(np.isfinite(driven), "a spike of a neuron driven to twice its threshold")


@group.check
def no_input(subject: Subject) -> None:
    """A batch without any input spike runs, and everything is silent."""
    weights = subject.plan.uniform(subject.plan.strong)
    for activity in subject.repeat(weights, subject.plan.silence()):
        for layer in activity.first_spike_times:
            subject.require(np.isinf(layer), "silence (inf) without any input", layer)


@group.check
def silent_sample(subject: Subject) -> None:
    """A sample without input is silent between samples that spike."""
    weights = subject.plan.uniform(subject.plan.strong)
    times = np.zeros((subject.plan.batch, subject.plan.n_inputs))
    times[1::2] = np.inf
    runs = subject.repeat(weights, times)
    for index in range(len(subject.network.layers)):
        got = np.sort([run.first_spike_times[index] for run in runs], axis=0)[len(runs) // 2]
        if index == 0:
            strong = got[::2]
            subject.require(np.isfinite(strong), "a spike in a sample with strong input", strong)
        if len(got) > 1:
            subject.require(np.isinf(got[1::2]), "silence in a sample without input", got[1::2])


@group.check
def silent_layer(subject: Subject) -> None:
    """Behind a silent layer everything is silent."""
    weights = subject.plan.uniform(0.0)
    times = np.zeros((subject.plan.batch, subject.plan.n_inputs))
    for activity in subject.repeat(weights, times):
        for layer in activity.first_spike_times:
            subject.require(np.isinf(layer), "silence behind weights of 0", layer)


@group.check
def run_info(subject: Subject) -> None:
    """RunInfo tells who ran it, with which versions, how long it took, and every count."""
    problems = list(_info_problems(subject, subject.usual[0].info))
    if problems:
        raise ConformanceError("RunInfo: " + "; ".join(problems))


def _info_problems(subject: Subject, info: object) -> Iterator[str]:
    def get(name: str) -> object:
        return getattr(info, name, None)

    if get("backend") != subject.backend.name:
        yield f"backend: expected {subject.backend.name!r}, got {get('backend')!r}"
    versions = get("versions")
    if not isinstance(versions, dict) or not versions:
        yield f"versions: expected package -> version of what computed the run, got {versions!r}"
    elif not all(isinstance(text, str) for text in (*versions, *versions.values())):
        yield f"versions: expected text, got {versions!r}"
    clipped, layers = get("clipped_weights"), len(subject.network.layers)
    if not isinstance(clipped, tuple) or len(clipped) != layers:
        yield f"clipped_weights: expected one count for each of {layers} layers, got {clipped!r}"
    zeroed, levels = get("zeroed_weights"), subject.capabilities.weight_levels
    if not isinstance(zeroed, tuple) or len(zeroed) not in ((layers,) if levels else (0, layers)):
        yield f"zeroed_weights: expected one count for each of {layers} layers, got {zeroed!r}"
    for name in ("rounded_inputs", "tied_outputs", "discarded_spikes", "lost_spikes", "retries"):
        count = get(name)
        if not isinstance(count, int) or count < 0:
            yield f"{name}: expected a whole number >= 0, got {count!r}"
    seconds = get("duration_seconds")
    if not isinstance(seconds, float) or not seconds > 0:
        yield f"duration_seconds: expected a positive time, got {seconds!r}"


@group.check
def arguments_untouched(subject: Subject) -> None:
    """Read-only arguments are accepted and never written to, and nothing keeps a view of them."""
    task = subject.plan.task
    given = [array.copy() for array in (*task.weights, task.input_times)]
    for array in given:
        array.flags.writeable = False
    activity = subject.session.run(given[:-1], given[-1])
    for before, after in zip((*task.weights, task.input_times), given, strict=True):
        if not np.array_equal(before, after):
            raise ConformanceError("run changed its arguments")
    for array in _arrays(activity):
        if any(np.shares_memory(array, argument) for argument in given):
            raise ConformanceError(
                "the activity holds an array of the caller, who goes on changing it: copy it"
            )


@group.check
def results_independent(subject: Subject) -> None:
    """A later run does not change what an earlier one returned."""
    task = subject.plan.task
    first = subject.session.run(task.weights, task.input_times)
    before = [array.copy() for array in _arrays(first)]
    second = subject.session.run([-w for w in task.weights], task.input_times + 0.5)
    for index, (kept, array) in enumerate(zip(before, _arrays(first), strict=True)):
        if not np.array_equal(kept, array):
            raise ConformanceError(f"array {index} of an activity changed in the next run")
    if any(np.shares_memory(a, b) for a in _arrays(first) for b in _arrays(second)):
        raise ConformanceError("two activities share memory: return new arrays from every run")


def _arrays(activity: Activity) -> tuple[Array, ...]:
    return (activity.input_times, *activity.first_spike_times, *activity.weights_used)


@group.check
def delivered_inputs(subject: Subject) -> Figures:
    """input_times are as delivered: within the resolution of what was asked, changes counted."""
    activity = subject.usual[0]
    asked, delivered = subject.plan.task.input_times, activity.input_times
    same_channels = np.isinf(asked) == np.isinf(delivered)
    both = np.isfinite(asked) & np.isfinite(delivered)
    moved = np.abs(asked[both] - delivered[both])
    limit = max(subject.resolution, 1e-12)
    if not same_channels.all() or moved.max() > limit:
        raise ConformanceError(
            f"delivered input times: expected those asked for, to {limit:.3g}; got "
            f"{int((~same_channels).sum())} in another channel and a largest shift of "
            f"{moved.max():.3g}"
        )
    if (moved > 1e-9).any() and activity.info.rounded_inputs == 0:
        raise ConformanceError(
            f"{int((moved > 1e-9).sum())} input spikes were moved, RunInfo.rounded_inputs says 0"
        )
    return {"largest_shift": float(moved.max()), "rounded": activity.info.rounded_inputs}
