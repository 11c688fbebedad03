"""Checks that trains of spikes depend on their sample and the weights alone; of what comes back."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Activity, Spikes
from hxloop.conformance.check import CheckGroup
from hxloop.conformance.compare_trains import require_same_trains, run_trains
from hxloop.conformance.multi_spike import GROUP
from hxloop.conformance.plan import WINDOW
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import (
    chain,
    drawn_inputs,
    drawn_parameters,
    joined,
    need,
    opened,
    play,
    spiking,
    volley,
)
from hxloop.errors import CheckNotApplicable, ConformanceError, RunInputError
from hxloop.network import Feature, Parameters

group = CheckGroup(GROUP)


@group.check
def several_forms_agree(subject: Subject) -> None:
    """First spikes, counts, inputs and parameters of an activity are those of its spikes."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        played = play(subject, session)
        activity = played.activity
        for times, spikes in zip(activity.first_spike_times, activity.spikes, strict=True):
            if not np.array_equal(times, spikes.first):
                raise ConformanceError("first_spike_times: expected the first of all spikes")
        if not np.array_equal(activity.input_times, activity.inputs.first):
            raise ConformanceError("input_times: expected the first of the delivered inputs")
        if [w.shape for w in activity.parameters.weights] != list(session.network.shapes):
            raise ConformanceError("parameters: expected weights of every projection")
        if max(spikes.count.max() for spikes in activity.spikes) < 2:
            raise ConformanceError("expected some neuron to spike again; none does")
        _cannot_be_written(activity.read_only())


@group.check
def trains_are_independent(subject: Subject) -> None:
    """What a run returns is not changed by later runs, nor by who gave it its arguments."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        played = play(subject, session)
        kept = [spikes.copy() for spikes in (played.activity.inputs, *played.activity.spikes)]
        weights = played.activity.parameters.copy()
        asked = played.inputs.copy()
        play(subject, session, seed=1)
        if asked != played.inputs:
            raise ConformanceError("the input spikes that were given were written to")
        played.inputs.times[:] = 0.0
        for matrix in played.parameters.weights:
            matrix[:] = 0.0
        now = (played.activity.inputs, *played.activity.spikes)
        if any(a != b for a, b in zip(kept, now, strict=True)):
            raise ConformanceError("spikes of a run changed after it")
        pairs = zip(weights.weights, played.activity.parameters.weights, strict=True)
        if any(not np.array_equal(a, b) for a, b in pairs):
            raise ConformanceError("parameters of a run changed after it")


@group.check
def silent_trains(subject: Subject) -> None:
    """Without input there is no spike, beside and after samples full of them."""
    need(subject, Feature.MULTI_SPIKE)
    plan = subject.plan
    with opened(subject, chain(subject, spiking(subject))) as session:
        parameters = Parameters(plan.uniform(plan.strong))
        loud = volley(subject, np.arange(0.0, WINDOW, 0.2))
        some = loud.select(np.arange(0, plan.batch, 2))
        samples = some.samples * 2
        mixed = Spikes.from_events(
            samples, some.units, some.times, batch=plan.batch, n_units=plan.n_inputs
        )
        none = Spikes.from_first(plan.silence())
        for inputs in (mixed, none):
            activity = run_trains(session, parameters, inputs)
            silent = inputs.count.sum(axis=1) == 0
            for spikes in activity.spikes:
                found = spikes.count[silent]
                subject.require(found == 0, "no spike of a sample without input", found * 1.0)


@group.check
def trains_beside_others(subject: Subject) -> None:
    """All spikes of a sample are the same whatever its neighbours, its place and the batch are."""
    need(subject, Feature.MULTI_SPIKE)
    plan = subject.plan
    if plan.batch < 2:
        raise CheckNotApplicable("it runs one sample at a time (max_batch = 1)")
    with opened(subject, chain(subject, spiking(subject))) as session:
        played = play(subject, session)
        parameters, inputs, usual = played.parameters, played.inputs, played.activity.spikes
        # Neighbours that go on spiking until the end of their window and beyond.
        loud = volley(subject, np.arange(0.0, WINDOW, 0.1))
        parts = [loud.select([b]) if b % 2 else inputs.select([b]) for b in range(plan.batch)]
        among = run_trains(session, parameters, joined(parts)).spikes
        even = np.arange(0, plan.batch, 2)
        reverse = run_trains(session, parameters, inputs.select(np.arange(plan.batch)[::-1]))
        alone = run_trains(session, parameters, inputs.select([1]))
        off = 2 * max(subject.resolution, session.capabilities.time_resolution)
        for what, first, second in (
            ("among loud neighbours", [s.select(even) for s in usual],
             [s.select(even) for s in among]),
            ("in reverse order", usual,
             [s.select(np.arange(plan.batch)[::-1]) for s in reverse.spikes]),
            ("in a batch of its own", [s.select([1]) for s in usual], alone.spikes),
        ):  # fmt: skip
            require_same_trains(subject, first, second, what, off)


@group.check
def trains_again(subject: Subject) -> None:
    """All spikes of a run are the same after another run with other weights and inputs."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        before = play(subject, session).activity.spikes
        loud = volley(subject, np.arange(0.0, WINDOW, 0.1))
        run_trains(session, Parameters(subject.plan.uniform(subject.plan.strong)), loud)
        after = play(subject, session).activity.spikes
        exact = 0.0 if subject.capabilities.deterministic else 2 * subject.resolution
        require_same_trains(subject, before, after, "after another run", exact)


@group.check
def bad_trains(subject: Subject) -> None:
    """Input spikes of other channels than there are, or of no sample, raise RunInputError."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        parameters, inputs = drawn_parameters(subject, session.network), drawn_inputs(subject)
        times, units, offsets = inputs.events
        for what, bad in (
            ("of a channel too many", Spikes.trusted(times, units, offsets, inputs.n_units + 1)),
            ("of no sample", inputs.select([])),
        ):
            try:
                session.run(parameters, bad)
            except RunInputError:
                continue
            raise ConformanceError(f"input spikes {what}: expected RunInputError; it ran")
        run_trains(session, parameters, inputs)


def _cannot_be_written(activity: Activity) -> None:
    trains = [array for spikes in (activity.inputs, *activity.spikes) for array in spikes.events]
    delays = [array for array in activity.parameters.delays if array is not None]
    for array in (*trains, *activity.parameters.weights, *delays):
        if array.flags.writeable:
            raise ConformanceError("Activity.read_only: expected arrays that cannot be written to")
