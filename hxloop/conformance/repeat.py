"""Checks that a result depends on the sample and the weights, and on nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.conformance.check import CheckGroup
from hxloop.conformance.compare import require_alike, times_of
from hxloop.conformance.subject import Subject
from hxloop.errors import CheckNotApplicable, ConformanceError

Array = NDArray[np.float64]
Layers = tuple[Array, ...]

group = CheckGroup("repeat")


def _together(parts: list[list[Activity]]) -> list[Layers]:
    """Runs of parts of a batch, put together: one entry for each repetition."""
    return [
        tuple(np.concatenate(layer) for layer in zip(*(r.first_spike_times for r in run)))  # noqa: B905
        for run in zip(*parts, strict=True)
    ]


def _several(subject: Subject) -> None:
    if subject.plan.batch < 2:
        raise CheckNotApplicable("it runs one sample at a time (max_batch = 1)")


@group.check
def a_b_a(subject: Subject) -> None:
    """A run is the same before and after another one with other weights and inputs."""
    task = subject.plan.task
    before = subject.repeat(task.weights, task.input_times)
    others = [np.full_like(w, subject.plan.strong) for w in task.weights]
    subject.repeat(others, task.input_times[::-1] * 0.5)
    after = subject.repeat(task.weights, task.input_times)
    # Deterministic means the same numbers, not nearly the same.
    tolerance = 0.0 if subject.capabilities.deterministic else 2 * subject.resolution
    require_alike(subject, times_of(before), times_of(after), "after another run", tolerance)


@group.check
def many_to_one(subject: Subject) -> None:
    """Spikes of a run with much activity do not reach a later, weakly driven run."""
    plan = subject.plan
    loud = np.zeros((plan.batch, plan.n_inputs))
    subject.session.run(plan.uniform(plan.strong), loud)
    for layer in subject.session.run(plan.uniform(plan.strong), plan.silence()).first_spike_times:
        subject.require(np.isinf(layer), "silence without input, after a run full of spikes", layer)


@group.check
def seeded_noise(subject: Subject) -> None:
    """With a seed, the same trial is the same noise, in this session and the next."""
    task = subject.plan.task

    def run(trial: int) -> Activity:
        return subject.session.run(task.weights, task.input_times, trial=trial)

    if subject.capabilities.deterministic:
        raise CheckNotApplicable("no noise: every trial is the same")
    first = run(3)
    if first.info.seed is None:
        raise CheckNotApplicable("its noise has no seed (RunInfo.seed is None)")
    run(4)
    again = run(3)
    subject.close()
    later = run(3)
    for what, other in (("again", again), ("in a new session of the same seed", later)):
        for a, b in zip(first.first_spike_times, other.first_spike_times, strict=True):
            if not np.array_equal(a, b):
                raise ConformanceError(f"trial 3 {what}: expected the same spikes; they differ")
    if first.info.trial != 3:
        raise ConformanceError(f"RunInfo.trial: expected 3; got {first.info.trial!r}")


@group.check
def neighbours(subject: Subject) -> None:
    """A sample spikes as it does whatever the other samples of its batch are."""
    _several(subject)
    task, plan = subject.plan.task, subject.plan
    among_others = subject.usual
    # The other samples: silent, and all inputs at once just before and after.
    for what, neighbour in (("silent", np.inf), ("strong", 0.0), ("late", 3.9)):
        times = np.full((plan.batch, plan.n_inputs), neighbour)
        times[1::2] = task.input_times[1::2]
        among_these = subject.repeat(task.weights, times)
        require_alike(
            subject,
            [tuple(layer[1::2] for layer in run.first_spike_times) for run in among_others],
            [tuple(layer[1::2] for layer in run.first_spike_times) for run in among_these],
            f"with {what} neighbours",
            2 * subject.resolution,
        )


@group.check
def order(subject: Subject) -> None:
    """The order of the samples does not matter."""
    _several(subject)
    task = subject.plan.task
    straight = subject.usual
    reverse = subject.repeat(task.weights, task.input_times[::-1])
    turned = [tuple(layer[::-1] for layer in run) for run in times_of(reverse)]
    require_alike(subject, times_of(straight), turned, "in reverse order", 2 * subject.resolution)


@group.check
def batch_size(subject: Subject) -> None:
    """The size of the batch does not matter, down to a batch of one, and may change."""
    _several(subject)
    task, size = subject.plan.task, subject.plan.batch
    whole = times_of(subject.usual)
    for step in (1, max(2, size // 2), max(1, size - 1)):
        parts = [
            subject.repeat(task.weights, task.input_times[start : start + step])
            for start in range(0, size, step)
        ]
        what = f"in batches of {step} instead of {size}"
        require_alike(subject, whole, _together(parts), what, 2 * subject.resolution)


@group.check
def input_order(subject: Subject) -> None:
    """The numbering of the inputs does not matter."""
    if subject.statistical:
        raise CheckNotApplicable("statistical: the synapses of the substrate may differ")
    task = subject.plan.task
    straight = subject.usual
    weights = (np.ascontiguousarray(task.weights[0][::-1]), *task.weights[1:])
    renumbered = subject.repeat(weights, np.ascontiguousarray(task.input_times[:, ::-1]))
    tolerance = 2 * subject.resolution + 1e-12
    require_alike(subject, times_of(straight), times_of(renumbered), "inputs renumbered", tolerance)
