"""Checks of connections that take time, and of those that pass populations over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hxloop.conformance.check import CheckFunction, CheckGroup, Figures
from hxloop.conformance.compare_trains import run_trains
from hxloop.conformance.plan import WINDOW
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import (
    chain,
    drawn_inputs,
    drawn_parameters,
    judge_crowds,
    need,
    opened,
    play,
    skipping,
    spiking,
)
from hxloop.errors import ConformanceError, RunInputError
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Parameters
from hxloop.network.neuron import DELAY_KINDS

group = CheckGroup("delays")

# How far a delay may be held from what was asked for, in model time: a substrate has its grid.
HELD = 0.1


def _neuron(subject: Subject) -> NeuronSpec:
    again = Feature.MULTI_SPIKE in subject.capabilities.features
    return spiking(subject) if again else subject.plan.neuron


def _delayed(subject: Subject, kind: str) -> NetworkSpec:
    need(subject, Feature.DELAYS)
    return chain(subject, _neuron(subject), kind)


def _kind(kind: str) -> CheckFunction:
    def check(subject: Subject) -> Figures:
        with opened(subject, _delayed(subject, kind)) as session:
            return judge_crowds(subject, session)

    check.__doc__ = f"With {kind} delays of every projection, 0 among them, all spikes are right."
    return check


for _name in DELAY_KINDS:
    group.add(_kind(_name), f"{_name}-delays")


@group.check
def delays_shift(subject: Subject) -> Figures:
    """A delay of all inputs makes the spikes of the first population so much later."""
    network = _delayed(subject, "axonal")
    with opened(subject, network) as session:
        inputs = drawn_inputs(subject)
        # Early enough to be seen later, too.
        inputs = type(inputs).from_events(
            inputs.samples, inputs.units, 0.5 * inputs.times,
            batch=inputs.batch, n_units=inputs.n_units,
        )  # fmt: skip
        first = []
        for delay in (0.5, 1.0):
            parameters = drawn_parameters(subject, network, delay=delay)
            first.append(run_trains(session, parameters, inputs).spikes[0].first)
        both = np.isfinite(first).all(axis=0)
        if not both.any():
            raise ConformanceError("expected spikes with delayed inputs; there is none")
        moved = first[1][both] - first[0][both]
        off = 2 * max(subject.resolution, session.capabilities.time_resolution) + 2 * HELD
        got, wrong = float(np.median(moved)), float(np.abs(moved - 0.5).max())
        if abs(got - 0.5) > off or (not subject.statistical and wrong > off):
            raise ConformanceError(
                f"inputs delayed by 0.5 more: expected spikes later by 0.5 to {off:.3g}; got "
                f"{got:.6g} in the median, and up to {wrong:.3g} off"
            )
        return {"median": got}


@group.check
def delays_as_held(subject: Subject) -> Figures:
    """Delays are held as asked or on a grid that is told, never negative, and of their shapes."""
    largest = 0.0
    for kind in DELAY_KINDS:
        with opened(subject, _delayed(subject, kind)) as session:
            played = play(subject, session)
            asked, held = played.parameters.delays, played.activity.parameters.delays
            for index, (a, b) in enumerate(zip(asked, held, strict=True)):
                if a is None or b is None:
                    continue
                off = float(np.abs(a - b).max())
                largest = max(largest, off)
                if off > HELD or b.min() < 0:
                    raise ConformanceError(
                        f"{kind} delays of projection {index}: expected them as asked to "
                        f"{HELD:g}, and 0 at least; they are up to {off:.3g} off, the shortest "
                        f"is {b.min():.3g}"
                    )
    return {"largest_rounding": largest}


@group.check
def delays_beyond_the_window(subject: Subject) -> None:
    """What would arrive after the window's end arrives in no sample, not even the next."""
    network = _delayed(subject, "axonal")
    with opened(subject, network) as session:
        parameters = drawn_parameters(subject, network, delay=1.25 * WINDOW)
        for spikes in run_trains(session, parameters, drawn_inputs(subject)).spikes:
            counts = spikes.count.astype(np.float64)
            subject.require(counts == 0, "no spike where no input arrives in time", counts)
        play(subject, session)


def _without(parameters: Parameters) -> Parameters:
    return Parameters(parameters.weights)


def _with_first(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Parameters], Parameters]:
    def changed(parameters: Parameters) -> Parameters:
        others = parameters.delays[1:]
        return Parameters(parameters.weights, (change(np.asarray(parameters.delays[0])), *others))

    return changed


BAD: tuple[tuple[str, Callable[[Parameters], Parameters]], ...] = (
    ("no delays", _without),
    ("a negative delay", _with_first(lambda d: d - d.max() - 0.1)),
    ("a delay of NaN", _with_first(lambda d: d * np.nan)),
    ("a delay of inf", _with_first(lambda d: d + np.inf)),
    ("delays of another shape", _with_first(lambda d: d[:-1])),
)


@group.check
def bad_delays(subject: Subject) -> None:
    """Delays that are missing, negative, not finite or of a wrong shape raise RunInputError."""
    network = _delayed(subject, "axonal")
    with opened(subject, network) as session:
        good = drawn_parameters(subject, network)
        for what, spoil in BAD:
            try:
                session.run(spoil(good), drawn_inputs(subject))
            except RunInputError:
                continue
            raise ConformanceError(f"{what}: expected RunInputError; it ran")
        play(subject, session)


@group.check
def skip_connections(subject: Subject) -> Figures:
    """Where connections pass populations over, all spikes are right."""
    need(subject, Feature.SKIP)
    network = skipping(subject)
    neuron = _neuron(subject)
    layers = tuple(replace(layer, neuron=neuron) for layer in network.populations)
    with opened(subject, replace(network, layers=layers)) as session:
        return judge_crowds(subject, session)
