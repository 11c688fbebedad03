"""Checks of single events: inputs at the edges, at once, inhibitory, and brief crossings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare import CLEAR_SLOPE, compare_with_model
from hxloop.conformance.plan import WINDOW, peak_psp
from hxloop.conformance.subject import Subject
from hxloop.errors import CapacityError, CheckNotApplicable, ConformanceError

Array = NDArray[np.float64]

group = CheckGroup("events")


@group.check
def input_at_zero(subject: Subject) -> Figures:
    """Inputs at t = 0 are delivered at t = 0."""
    task = subject.plan.task
    times = np.where(np.isfinite(task.input_times), 0.0, np.inf)
    return compare_with_model(subject, subject.session, task.weights, times).figures()


@group.check
def input_at_window_end(subject: Subject) -> None:
    """Inputs at the window's end or later are accepted and reach no sample, not even the next."""
    plan = subject.plan
    weights = plan.uniform(plan.strong)
    for late in (WINDOW, 1.5 * WINDOW, 100 * WINDOW):
        times = plan.silence()
        times[::2] = late
        for activity in subject.repeat(weights, times):
            for layer in activity.first_spike_times:
                what = f"silence with inputs at {late:g}, the window being {WINDOW:g}"
                subject.require(np.isinf(layer), what, layer)


@group.check
def spikes_near_window_end(subject: Subject) -> Figures:
    """Spikes shortly before the window's end are reported, those after it are not."""
    task = subject.plan.task
    # Shifted so that the spikes of the first layer come around the end.
    times = task.input_times + WINDOW - 1.2
    return compare_with_model(subject, subject.session, task.weights, times).figures()


@group.check
def simultaneous_inputs(subject: Subject) -> Figures:
    """Inputs at the same instant add up, whatever their signs."""
    task = subject.plan.task
    times = np.full_like(task.input_times, 0.5)
    times[1::2, : subject.plan.n_inputs // 2] = 1.0
    return compare_with_model(subject, subject.session, task.weights, times).figures()


@group.check
def causality(subject: Subject) -> None:
    """No neuron spikes before the first excitatory input it has."""
    task = subject.plan.task
    for activity in subject.repeat(task.weights, task.input_times):
        previous = activity.input_times
        for used, got in zip(activity.weights_used, activity.first_spike_times, strict=True):
            earliest = np.where(used[None] > 0, previous[:, :, None], np.inf).min(axis=1)
            good = np.isinf(got) | (got >= earliest - subject.resolution)
            subject.require(good, "a spike after the first excitatory input", got)
            previous = got


@group.check
def inhibition_delays(subject: Subject) -> Figures:
    """Purely inhibitory input never causes a spike, and added to excitation it delays the spike."""
    plan = subject.plan
    half = plan.n_inputs - max(1, plan.n_inputs // 4)
    weights = plan.uniform(plan.strong)
    weights[0][half:] = -plan.strong
    times = np.zeros((plan.batch, plan.n_inputs))
    both = subject.first_layer(weights, times)
    times[:, half:] = np.inf
    alone = subject.first_layer(weights, times)
    subject.require(np.isfinite(alone), "a spike of neurons driven by excitation alone", alone)
    subject.require(both > alone, "a later spike, or none, with inhibition added", both)
    inhibited = subject.first_layer(plan.uniform(-plan.strong), np.zeros_like(times))
    subject.require(np.isinf(inhibited), "silence with inhibition alone", inhibited)
    delayed = np.isfinite(both) & np.isfinite(alone)
    delay = both[delayed] - alone[delayed]
    return {"median_delay": float(np.median(delay))} if delay.size else {}


@group.check
def brief_crossing(subject: Subject) -> Figures:
    """A crossing that inhibition undoes is seen if it lasts longer than the resolution."""
    if subject.statistical:
        raise CheckNotApplicable("statistical: how long a crossing lasts differs between neurons")
    plan = subject.plan
    excitatory = plan.n_inputs // 2 + 1
    weights = plan.uniform(plan.strong)
    weights[0][excitatory:] = (
        -2 * plan.strong
        if not subject.capabilities.weight_limit
        else (-subject.capabilities.weight_limit)
    )
    times = np.zeros((plan.batch, plan.n_inputs))
    times[:, excitatory:] = np.inf
    crossing = subject.first_layer(weights, times)
    subject.require(np.isfinite(crossing), "a spike driven by half of the inputs", crossing)
    crossed = float(np.median(crossing))
    # Inhibition from just after the crossing down to one resolution after it.
    lasting = np.geomspace(0.2, max(2 * subject.resolution, 1e-6), plan.batch)
    times[:, excitatory:] = crossed + lasting[:, None]
    got = subject.first_layer(weights, times)
    seen = np.isfinite(got).all(axis=1)
    if not seen.all():
        raise ConformanceError(
            f"a crossing at {crossed:.6g} undone by inhibition {lasting[~seen].max():.3g} later "
            f"was missed; the declared time_resolution is {subject.resolution:.3g}"
        )
    return {"shortest_seen": float(lasting.min())}


@group.check
def grazing_crossing(subject: Subject) -> Figures:
    """A peak just above the threshold is a spike, one just below it is not."""
    if subject.statistical:
        raise CheckNotApplicable("statistical: thresholds differ between neurons")
    plan = subject.plan
    weights = plan.uniform(plan.strong)
    # Off any time grid that starts at 0.
    times = np.full((plan.batch, plan.n_inputs), 0.5137)
    held = subject.session.run(weights, times).weights_used[0]
    peak = float(held.sum(axis=0).mean()) * peak_psp(plan.neuron)
    # The membrane error that is allowed elsewhere, see ``compare``; for exact solvers, rounding.
    shift = max(2 * CLEAR_SLOPE * subject.resolution, 1e-9)
    for side, expected in ((-shift, "a spike"), (shift, "silence")):
        neuron = replace(plan.neuron, v_threshold=peak * (1 + side))
        try:
            with subject.opened(plan.network(neuron)) as session:
                got = session.run(weights, times).first_spike_times[0]
        except CapacityError as error:
            raise CheckNotApplicable(f"it takes no other threshold: {error}") from error
        where = f"{expected} where the membrane peaks at {1 / (1 + side):.12g} of the threshold"
        subject.require(np.isfinite(got) if side < 0 else np.isinf(got), where, got)
    # Near its peak the membrane is a parabola, V'' = -V/(tau_mem tau_syn).
    lasting = 2 * np.sqrt(2 * shift * plan.neuron.tau_mem * plan.neuron.tau_syn)
    return {"relative_excess": shift, "excursion": float(lasting)}
