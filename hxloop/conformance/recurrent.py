"""Checks of loops; run where they are declared."""

from __future__ import annotations

import numpy as np

from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare import require_usual
from hxloop.conformance.compare_trains import judge_trains, require_same_trains, run_trains
from hxloop.conformance.plan import WINDOW
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import (
    CROWDS,
    drawn_inputs,
    drawn_parameters,
    judge_crowds,
    need,
    opened_loop,
    play,
    spiking,
    volley,
)
from hxloop.errors import CapacityError, CheckNotApplicable, RunFailed, RunInputError
from hxloop.network import Feature, Parameters

group = CheckGroup("recurrent")


def _needed(subject: Subject) -> None:
    need(subject, Feature.MULTI_SPIKE)
    need(subject, Feature.RECURRENT)


@group.check
def loops(subject: Subject) -> Figures:
    """All spikes of populations that feed themselves and each other are right."""
    _needed(subject)
    with opened_loop(subject) as session:
        return judge_crowds(subject, session)


@group.check
def loops_that_spike_once(subject: Subject) -> Figures:
    """A loop of neurons that spike once a sample is right, too, or refused."""
    need(subject, Feature.RECURRENT)
    with opened_loop(subject, subject.plan.neuron) as session:
        figures: dict[str, float] = {}
        for seed in range(1 if subject.statistical else CROWDS):
            parameters = drawn_parameters(subject, session.network, seed)
            activity = run_trains(session, parameters, drawn_inputs(subject, seed))
            found = judge_trains(subject, session, activity)
            figures = {name: figures.get(name, 0.0) + value for name, value in found.items()}
        return figures


@group.check
def loops_beside_others(subject: Subject) -> None:
    """Activity that goes on in its loop after the window's end reaches no other sample or run."""
    _needed(subject)
    plan = subject.plan
    with opened_loop(subject) as session:
        played = play(subject, session)
        # Every neuron drives all others: it would not end by itself.
        lasting = Parameters(
            tuple(np.full(shape, plan.strong) for shape in session.network.shapes),
            played.parameters.delays,
        )
        loud = run_trains(session, lasting, volley(subject, np.arange(0.0, WINDOW, 0.5)))
        quiet = np.arange(plan.batch) % 2 == 1
        inputs = volley(subject, np.array([0.0])).before(0.0)[0]
        kept = ~quiet[inputs.samples]
        half = type(inputs).from_events(
            inputs.samples[kept], inputs.units[kept], inputs.times[kept],
            batch=plan.batch, n_units=plan.n_inputs,
        )  # fmt: skip
        beside = run_trains(session, lasting, half)
        for spikes in beside.spikes:
            found = spikes.count[quiet]
            if found.size:
                subject.require(found == 0, "no spike of a sample without input", found * 1.0)
        after = run_trains(session, played.parameters, played.inputs)
        off = 2 * max(subject.resolution, session.capabilities.time_resolution)
        what = f"after a run of {sum(spikes.n_spikes for spikes in loud.spikes)} spikes"
        require_same_trains(subject, played.activity.spikes, after.spikes, what, off)


@group.check
def loop_without_end(subject: Subject) -> Figures:
    """A loop that does not stop is counted up to the window's end, or raises a clear error."""
    _needed(subject)
    plan = subject.plan
    session = None
    for t_refractory in (0.0, 0.1, 0.5):
        try:
            session = opened_loop(subject, spiking(subject, t_refractory=t_refractory))
            with session as opened:
                network = opened.network
                strongest = plan.strong * (30 if subject.capabilities.weight_limit is None else 1)
                parameters = Parameters(
                    tuple(np.full(shape, strongest) for shape in network.shapes),
                    drawn_parameters(subject, network).delays,
                )
                inputs = volley(subject, np.array([0.0]))
                try:
                    activity = run_trains(opened, parameters, inputs)
                except (RunInputError, RunFailed):
                    figures = {"refused": 1.0}
                else:
                    figures = {"spikes": float(sum(s.n_spikes for s in activity.spikes))}
                play(subject, opened)
            require_usual(subject, "after a loop that does not stop")
            return figures
        except (CapacityError, CheckNotApplicable):
            continue
    raise CheckNotApplicable("it refuses refractory times of 0, 0.1 and 0.5")
