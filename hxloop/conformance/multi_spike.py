"""Checks of neurons, and inputs, that spike more than once; run where that is declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxloop.activity import Spikes
from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare_trains import judge_trains, run_trains
from hxloop.conformance.plan import WINDOW
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import (
    REFRACTORY,
    chain,
    drawn_inputs,
    drawn_parameters,
    judge_crowds,
    need,
    opened,
    spiking,
    volley,
)
from hxloop.errors import CheckNotApplicable, ConformanceError
from hxloop.network import Feature, Parameters

GROUP = "multi-spike"
group = CheckGroup(GROUP)


@group.check
def all_spikes(subject: Subject) -> Figures:
    """Every spike is right to the declared time_resolution, and there is no other."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        return judge_crowds(subject, session)


@group.check
def refractory_times(subject: Subject) -> Figures:
    """No neuron spikes again before its refractory time is over, and soon after it if driven."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        inputs = volley(subject, np.arange(0.0, 2.0, 0.1))
        parameters = Parameters(subject.plan.uniform(subject.plan.strong))
        activity = run_trains(session, parameters, inputs)
        intervals = _intervals(activity.spikes[0])
        if not intervals.size:
            raise ConformanceError(
                "expected neurons that are driven far above threshold to spike again; none does"
            )
        shortest = float(intervals.min())
        typical = float(np.median(intervals))
        # Each of the two spikes may be off; a chip counts its refractory times, and draws them.
        off = 2 * max(subject.resolution, session.capabilities.time_resolution) + 1e-9
        if subject.statistical:
            shortest, off = typical, REFRACTORY / 2
        if not (REFRACTORY - off <= shortest and typical <= 3 * REFRACTORY + off):
            raise ConformanceError(
                f"t_refractory = {REFRACTORY:g}: expected intervals of that at least, and not much "
                f"longer ones of neurons that are driven far above threshold; the shortest is "
                f"{shortest:.6g}, the median {typical:.6g}"
            )
        return {"shortest": shortest, "median": typical}


@group.check
def reset_potential(subject: Subject) -> Figures:
    """After a spike the membrane starts from v_reset, below or above the leak, or it is refused."""
    need(subject, Feature.MULTI_SPIKE)
    figures: dict[str, float] = {}
    for reset in (-1.0, 0.6):
        with opened(subject, chain(subject, spiking(subject, v_reset=reset))) as session:
            found = judge_crowds(subject, session)
        figures |= {f"{name} ({reset:g})": value for name, value in found.items()}
    return figures


def _bursts(subject: Subject, t_refractory: float) -> Figures:
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject, t_refractory=t_refractory))) as session:
        return judge_crowds(subject, session)


@group.check
def bursts(subject: Subject) -> Figures:
    """With a short refractory time all spikes of a burst are right, or it is refused."""
    return _bursts(subject, 0.1)


@group.check
def no_refractory_time(subject: Subject) -> Figures:
    """Without a refractory time all spikes are right, or it is refused."""
    return _bursts(subject, 0.0)


@group.check
def trains_of_other_neurons(subject: Subject) -> Figures:
    """With another ratio of time constants all spikes are right, or it is refused."""
    need(subject, Feature.MULTI_SPIKE)
    neuron = spiking(subject, tau_mem=2.0)
    with opened(subject, chain(subject, neuron)) as session:
        return judge_crowds(subject, session)


@group.check
def once_beside_many(subject: Subject) -> Figures:
    """Neurons that spike once, behind ones that spike again, do so, or the mixture is refused."""
    need(subject, Feature.MULTI_SPIKE)
    network = chain(subject, spiking(subject))
    if len(network.layers) < 2:
        raise CheckNotApplicable("it has one layer")
    last = replace(network.layers[-1], neuron=replace(subject.plan.neuron, v_reset=-0.25))
    with opened(subject, replace(network, layers=(*network.layers[:-1], last))) as session:
        return judge_crowds(subject, session)


@group.check
def inputs_that_spike_again(subject: Subject) -> Figures:
    """Several input spikes of a channel are all delivered, to neurons that spike once as well."""
    need(subject, Feature.MULTI_SPIKE)
    parameters = Parameters(subject.plan.task.weights)
    inputs = drawn_inputs(subject)
    activity = run_trains(subject.session, parameters, inputs)
    if (activity.inputs.count != inputs.count).any():
        raise ConformanceError(
            f"expected {inputs.n_spikes} input spikes to be delivered, each in its channel; got "
            f"{activity.inputs.n_spikes}"
        )
    moved = float(np.abs(_sorted(activity.inputs) - _sorted(inputs)).max(initial=0.0))
    off = max(subject.resolution, subject.session.capabilities.time_resolution)
    if moved > off + 1e-12:
        raise ConformanceError(
            f"expected input spikes when they were asked for, to {off:.3g}; one is {moved:.3g} off"
        )
    return judge_trains(subject, subject.session, activity)


@group.check
def trains_at_the_window_end(subject: Subject) -> Figures:
    """Neurons that spike on and on are reported up to the window's end, and not after it."""
    need(subject, Feature.MULTI_SPIKE)
    with opened(subject, chain(subject, spiking(subject))) as session:
        # The last ones come after the window, and reach nothing.
        inputs = volley(subject, np.arange(0.05, 1.5 * WINDOW, 0.25))
        parameters = drawn_parameters(subject, session.network)
        return judge_trains(subject, session, run_trains(session, parameters, inputs))


def _intervals(spikes: Spikes) -> np.ndarray:
    order = np.lexsort((spikes.times, spikes.units, spikes.samples))
    samples, units, times = spikes.samples[order], spikes.units[order], spikes.times[order]
    same = (np.diff(samples) == 0) & (np.diff(units) == 0)
    found: np.ndarray = np.diff(times)[same]
    return found


def _sorted(spikes: Spikes) -> np.ndarray:
    """Times channel by channel."""
    found: np.ndarray = spikes.times[np.lexsort((spikes.times, spikes.units, spikes.samples))]
    return found
