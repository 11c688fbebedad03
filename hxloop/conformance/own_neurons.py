"""Checks of parameters that neurons have each for itself; run where they are declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.conformance.check import CheckFunction, CheckGroup, Figures
from hxloop.conformance.compare_trains import judge_trains, require_same_trains, run_trains
from hxloop.conformance.readouts import judge_membranes
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import (
    Played,
    chain,
    drawn_inputs,
    drawn_parameters,
    need,
    opened,
    usual_neuron,
)
from hxloop.errors import CheckNotApplicable, ConformanceError, RunInputError
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Parameters
from hxloop.network.own_neurons import OF_SPIKES, OWN
from hxloop.substrate import Session

Array = NDArray[np.float64]
group = CheckGroup("neuron-parameters")

# What is drawn: time constants and thresholds as multiples of the nominal ones, resets as they are.
DRAWN = {
    "tau_mem": (0.8, 1.3),
    "tau_syn": (0.8, 1.3),
    "v_threshold": (0.85, 1.25),
    "v_reset": (-0.6, 0.3),
}


def _own(network: NetworkSpec, *names: str) -> dict[str, dict[str, Array]]:
    """Such parameters of all neurons that have a use for them, drawn."""
    rng = np.random.default_rng(33)
    own: dict[str, dict[str, Array]] = {}
    for population in network.populations:
        for name in names:
            if population.neuron.never_spikes and name in OF_SPIKES:
                continue
            nominal = 1.0 if name == "v_reset" else float(vars(population.neuron)[name])
            drawn = nominal * rng.uniform(*DRAWN[name], population.n_neurons)
            own.setdefault(population.name, {})[name] = drawn
    return own


def _needed(subject: Subject, names: tuple[str, ...]) -> None:
    need(subject, Feature.NEURON_PARAMETERS)
    if subject.capabilities.tau_ratios is not None and any(n.startswith("tau") for n in names):
        raise CheckNotApplicable("it declares the ratios of time constants that it can do")


def _play(session: Session, subject: Subject, *names: str) -> Played:
    network = session.network
    asked = drawn_parameters(subject, network)
    asked = Parameters(asked.weights, asked.delays, _own(network, *names))
    inputs = drawn_inputs(subject)
    activity = run_trains(session, asked, inputs)
    _require_held(asked, activity.parameters)
    return Played(asked, inputs, activity)


def _require_held(asked: Parameters, held: Parameters) -> None:
    for population, own in asked.neurons.items():
        for name, values in own.items():
            got = held.neurons[population][name]
            if not np.allclose(got, values, rtol=1e-6, atol=1e-9):
                raise ConformanceError(
                    f"neurons_used: expected {name} of {population} as asked for, {values}; got "
                    f"{got}"
                )


def _judged(subject: Subject, neuron: NeuronSpec, *names: str) -> Figures:
    _needed(subject, names)
    with opened(subject, chain(subject, neuron)) as session:
        return judge_trains(subject, session, _play(session, subject, *names).activity)


def _own_check(*names: str) -> CheckFunction:
    def check(subject: Subject) -> Figures:
        if "v_reset" in names:
            need(subject, Feature.MULTI_SPIKE)
        return _judged(subject, usual_neuron(subject), *names)

    check.__doc__ = f"With {' and '.join(names)} of every neuron its own all spikes are right."
    return check


group.add(_own_check("tau_mem", "tau_syn"), "own-time-constants")
group.add(_own_check("v_threshold"), "own-thresholds")
group.add(_own_check("v_reset"), "own-resets")


@group.check
def own_neurons_that_spike_once(subject: Subject) -> Figures:
    """Neurons of their own that spike once are right as well."""
    return _judged(subject, subject.plan.neuron, "tau_mem", "v_threshold")


@group.check
def own_neurons_of_read_outs(subject: Subject) -> Figures:
    """The membranes of read-outs follow their own time constants."""
    _needed(subject, ("tau_mem",))
    need(subject, Feature.READOUT)
    network = chain(subject, usual_neuron(subject))
    last = network.layers[-1]
    silent = replace(last, neuron=replace(last.neuron, v_threshold=np.inf))
    with opened(subject, replace(network, layers=(*network.layers[:-1], silent))) as session:
        return judge_membranes(subject, session, _play(session, subject, "tau_mem", "tau_syn"))


@group.check
def own_neurons_are_of_one_run(subject: Subject) -> None:
    """A run whose neurons have nothing of their own is nominal again, and keeps no array shared."""
    _needed(subject, ())
    with opened(subject, chain(subject, usual_neuron(subject))) as session:
        nominal = drawn_parameters(subject, session.network)
        inputs = drawn_inputs(subject)
        before = run_trains(session, nominal, inputs)
        played = _play(session, subject, "v_threshold")
        for population, own in played.parameters.neurons.items():
            for name, values in own.items():
                if np.shares_memory(values, played.activity.parameters.neurons[population][name]):
                    raise ConformanceError(
                        f"neurons_used: expected {name} of {population} in memory of its own; "
                        "it is the caller's, which changes it"
                    )
        after = run_trains(session, nominal, inputs)
        off = 2 * max(subject.resolution, session.capabilities.time_resolution)
        what = "after a run of neurons of their own"
        require_same_trains(subject, before.spikes, after.spikes, what, off)


def _spoilt(change: Callable[[Array], Array]) -> Callable[[str, Array], Mapping[str, object]]:
    return lambda name, good: {name: {"v_threshold": change(good)}}


BAD: tuple[tuple[str, Callable[[str, Array], Mapping[str, object]]], ...] = (
    ("of an unknown population", lambda name, good: {"no such one": {"v_threshold": good}}),
    ("of an unknown name", lambda name, good: {name: {"no such parameter": good}}),
    ("of another shape", _spoilt(lambda good: good[:-1])),
    ("that are NaN", _spoilt(lambda good: good * np.nan)),
    ("below the leak", _spoilt(lambda good: -good)),
    ("with time constants of 0", lambda name, good: {name: {OWN[0]: 0 * good}}),
)


@group.check
def bad_own_neurons(subject: Subject) -> None:
    """Parameters that no neuron may have raise RunInputError, and the session goes on."""
    _needed(subject, ())
    with opened(subject, chain(subject, usual_neuron(subject))) as session:
        network, good = session.network, drawn_parameters(subject, session.network)
        population = network.populations[0]
        for what, spoil in BAD:
            own = spoil(population.name, np.ones(population.n_neurons))
            try:
                session.run(
                    Parameters(good.weights, good.delays, own),  # type: ignore[arg-type]
                    drawn_inputs(subject),
                )
            except RunInputError:
                continue
            raise ConformanceError(f"parameters of neurons {what}: expected RunInputError; it ran")
        run_trains(session, good, drawn_inputs(subject))
