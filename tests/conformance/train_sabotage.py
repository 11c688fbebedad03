"""Backends that break one promise about trains of spikes, loops or delays each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hxloop.activity import Activity, Spikes
from hxloop.errors import CapacityError, RunInputError
from hxloop.network import NetworkSpec, Parameters
from tests.conformance import sabotage
from tests.conformance.sabotage import NOISY, Backend, Run, Sabotaged, as_if

Array = np.ndarray
DELAY_NEURONS = (
    "emulated-chip",
    {"solver": "event", "imperfections": "none", "delay_neurons": True},
)


def trains(change: Callable[[Spikes, Spikes], Spikes]) -> Run:
    """The spikes of every population changed; told the inputs, too."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        activity = run(w, t)
        spikes = [change(each, activity.inputs) for each in activity.spikes]
        return Activity.of_spikes(activity.inputs, spikes, activity.parameters, activity.info)

    return run


def kept(spikes: Spikes, good: Array) -> Spikes:
    offsets = np.concatenate([[0], np.cumsum(good)])[spikes.offsets]
    return Spikes.trusted(spikes.times[good], spikes.units[good], offsets, spikes.n_units)


def at(spikes: Spikes, times: Array) -> Spikes:
    return Spikes.trusted(times, spikes.units, spikes.offsets, spikes.n_units)


def in_others(spikes: Spikes, inputs: Spikes) -> Spikes:
    """What a sample did shows in the next one."""
    return spikes.select(np.roll(np.arange(spikes.batch), 1))


def held(change: Callable[[Any, int, Array], Array]) -> Run:
    """Other weights are in use than reported; told the network, and which projection."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        matrices = [change(session.network, i, np.array(m)) for i, m in enumerate(w)]
        done = run(Parameters(tuple(matrices), getattr(w, "delays", ())), t)
        return Activity.of_spikes(done.inputs, done.spikes, w, done.info)

    return run


def without_loops(network: Any, index: int, matrix: Array) -> Array:
    pre, post = network.ends[index]
    return 0 * matrix if pre >= post else matrix


def without_skips(network: Any, index: int, matrix: Array) -> Array:
    pre, post = network.ends[index]
    return 0 * matrix if post > pre + 1 else matrix


def delayed(change: Callable[[Array], Array], told: bool = False) -> Run:
    """Other delays are in use than asked for, and reported or not."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        delays = tuple(None if d is None else change(np.array(d)) for d in w.delays)
        other = Parameters(w.weights, delays)
        done = run(other, t)
        return Activity.of_spikes(done.inputs, done.spikes, other if told else w, done.info)

    return run


def reports_delays(change: Callable[[Array], Array]) -> Run:
    """The delays that are reported are not those in use."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        done = run(w, t)
        delays = tuple(None if d is None else change(d) for d in done.parameters.delays)
        told = Parameters(done.parameters.weights, delays)
        return Activity.of_spikes(done.inputs, done.spikes, told, done.info)

    return run


def first_inputs(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    return run(w, Spikes.from_first(t.first) if isinstance(t, Spikes) else t)


def later_inputs_late(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    return run(w, at(t, t.times + 0.001 * t.ranks))


def other_first_spikes(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    done = run(w, t)
    return replace(done, first_spike_times=tuple(s + 1e-9 for s in done.first_spike_times))


def shares_inputs(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    return replace(run(w, t), input_trains=t)


def shares_weights(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    return replace(run(w, t), weights_used=w.weights)


def drifts(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    session.memory.append(None)
    late = 1e-12 * len(session.memory)
    return trains(lambda spikes, _: at(spikes, spikes.times * (1 - late)))(session, run, w, t)


def runs_out(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    raise MemoryError


def names_nothing(backend: Backend, session: Sabotaged) -> None:
    if session.network.features:
        raise CapacityError("no")


def own(change: Callable[[Array], Array], told: bool = False) -> Run:
    """Other parameters of neurons are in use than asked for, and reported or not."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        if not getattr(w, "neurons", None):
            return run(w, t)
        neurons = {
            population: {name: change(np.array(values)) for name, values in each.items()}
            for population, each in w.neurons.items()
        }
        other = Parameters(w.weights, w.delays, neurons)
        done = run(other, t)
        return Activity.of_spikes(done.inputs, done.spikes, other if told else w, done.info)

    return run


def keeps_own(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    """The neurons of a run are those of the one before, where it says nothing of them."""
    if w.neurons:
        session.memory.append(w.neurons)
    elif session.memory:
        w = Parameters(w.weights, w.delays, session.memory[-1])
    done = run(w, t)
    told = Parameters(done.parameters.weights, done.parameters.delays)
    return Activity.of_spikes(done.inputs, done.spikes, done.parameters if w.neurons else told,
                              done.info)  # fmt: skip


def shares_own(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    return replace(run(w, t), neurons_used=w.neurons)


def takes_any_own(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    """What no neuron may have is left out."""
    try:
        return run(w, t)
    except RunInputError:
        return run(w.weights, t)


def spiking_read_outs(network: NetworkSpec) -> NetworkSpec:
    last = network.layers[-1]
    spiking = replace(last, neuron=replace(last.neuron, v_threshold=1.0))
    return replace(network, layers=(*network.layers[:-1], spiking))


def reports_last(change: Callable[[Any, Any], tuple[Any, Any]]) -> Run:
    """Weights and delays of the last projection that are reported are not those in use."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        done = run(w, t)
        weight, delay = change(done.parameters.weights[-1], done.parameters.delays[-1])
        told = Parameters(
            (*done.parameters.weights[:-1], weight),
            (*done.parameters.delays[:-1], delay),
            done.neurons_used,
        )
        return Activity.of_spikes(done.inputs, done.spikes, told, done.info)

    return run


def inputs_up_to_half(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    """What comes late is left out of what is reported."""
    done = run(w, t)
    return Activity.of_spikes(done.inputs.before(2.0)[0], done.spikes, done.parameters, done.info)


def inputs_into_the_window(
    session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any
) -> Activity:
    """What comes after the window is reported at its end."""
    done = run(w, t)
    moved = at(done.inputs, np.minimum(done.inputs.times, 3.9))
    return Activity.of_spikes(moved, done.spikes, done.parameters, done.info)


ODD_SAMPLE = trains(lambda s, i: at(s, s.times * (1 - 1e-4 * i.n_spikes / (1 + i.batch))))

TRAIN_SABOTAGES = [
    ("all-spikes", Backend(network=as_if(tau_mem=1.0001))),
    ("all-spikes", Backend(trains(lambda s, _: kept(s, s.ranks != 1)))),
    ("all-spikes", Backend(trains(lambda s, _: kept(s, s.ranks < 1)), inner=NOISY)),
    ("refractory-times", Backend(network=as_if(t_refractory=0.3))),
    ("refractory-times", Backend(network=as_if(t_refractory=2.0))),
    ("refractory-times", Backend(trains(lambda s, _: kept(s, s.ranks == 0)))),
    ("reset-potential", Backend(network=as_if(v_reset=0.0))),
    ("bursts", Backend(trains(lambda s, _: kept(s, s.ranks < 4)))),
    ("no-refractory-time", Backend(network=as_if(t_refractory=1e-6))),
    ("trains-of-other-neurons", Backend(network=as_if(tau_mem=1.0))),
    ("once-beside-many", Backend(network=as_if(t_refractory=0.5))),
    ("inputs-that-spike-again", Backend(first_inputs)),
    ("inputs-that-spike-again", Backend(later_inputs_late)),
    ("trains-at-the-window-end", Backend(trains(lambda s, _: kept(s, s.times < 3.5)))),
    ("trains-at-the-window-end", Backend(network=sabotage.wider)),
    ("several-forms-agree", Backend(other_first_spikes)),
    ("trains-are-independent", Backend(shares_inputs)),
    ("trains-are-independent", Backend(shares_weights)),
    ("silent-trains", Backend(trains(in_others))),
    ("trains-beside-others", Backend(trains(in_others))),
    ("trains-beside-others", Backend(ODD_SAMPLE)),
    ("trains-again", Backend(drifts)),
    ("loops", Backend(held(without_loops))),
    ("loops-that-spike-once", Backend(held(without_loops))),
    ("loops-beside-others", Backend(trains(in_others))),
    ("loop-without-end", Backend(runs_out)),
    ("loop-without-end", Backend(trains(lambda s, _: at(s, s.times + 1.0)), inner=NOISY)),
    ("axonal-delays", Backend(delayed(lambda d: d * 1.001))),
    ("dendritic-delays", Backend(delayed(lambda d: d[::-1]))),
    ("synaptic-delays", Backend(delayed(lambda d: d[::-1]))),
    ("delays-shift", Backend(delayed(lambda d: 0.5 * d, told=True))),
    ("delays-as-held", Backend(delayed(lambda d: np.rint(4 * d) / 4, told=True))),
    ("delays-as-held", Backend(reports_delays(lambda d: d - 0.01))),
    ("delays-beyond-the-window", Backend(delayed(lambda d: d % 4.0))),
    ("skip-connections", Backend(held(without_skips))),
    ("read-outs-never-spike", Backend(network=spiking_read_outs)),
    ("read-outs-never-spike", Backend(network=as_if(tau_mem=1.001))),
    ("highest-membranes", Backend(reports_last(lambda w, d: (0 * w, d)))),
    ("highest-membranes", Backend(reports_last(lambda w, d: (np.rint(100 * w) / 100, d)))),
    ("highest-membranes-of-other-neurons", Backend(reports_last(lambda w, d: (2 * w, d)))),
    ("highest-membranes-behind-delays", Backend(reports_last(lambda w, d: (w, 0 * d)))),
    ("highest-membranes-behind-delays", Backend(reports_last(lambda w, d: (w[::-1], d)))),
    ("read-outs-at-the-window-end", Backend(inputs_up_to_half)),
    ("read-outs-at-the-window-end", Backend(inputs_into_the_window)),
    ("own-time-constants", Backend(own(lambda v: v[::-1]))),
    ("own-time-constants", Backend(own(lambda v: 1.01 * v, told=True))),
    ("own-thresholds", Backend(own(lambda v: 0 * v + v.mean()))),
    ("own-resets", Backend(own(lambda v: 0 * v))),
    ("own-neurons-that-spike-once", Backend(own(lambda v: v[::-1]))),
    ("own-neurons-of-read-outs", Backend(reports_last(lambda w, d: (0.9 * w, d)))),
    ("own-neurons-of-read-outs", Backend(own(lambda v: 0.9 * v, told=True))),
    ("own-neurons-are-of-one-run", Backend(keeps_own)),
    ("own-neurons-are-of-one-run", Backend(shares_own)),
    ("bad-own-neurons", Backend(takes_any_own)),
    ("axonal-delays", Backend(delayed(lambda d: d + 0.05), inner=DELAY_NEURONS)),
    ("delays-shift", Backend(delayed(lambda d: 0 * d + 2.0, told=True), inner=DELAY_NEURONS)),
    ("delays-as-held", Backend(reports_delays(lambda d: d - 0.2), inner=DELAY_NEURONS)),
    ("undeclared-features", Backend(declares={"features": frozenset()})),
    ("undeclared-features",
     Backend(on_open=names_nothing, declares={"features": frozenset()})),
]  # fmt: skip
