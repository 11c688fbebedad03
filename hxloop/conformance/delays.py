"""Checks of connections that take time, and of those that pass populations over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

import numpy as np

from hxloop.conformance.check import CheckFunction, CheckGroup, Figures
from hxloop.conformance.compare_trains import run_trains
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import (
    CLOSE_DELAY,
    chain,
    drawn_inputs,
    drawn_parameters,
    judge_crowds,
    need,
    opened,
    opened_delayed,
    play,
    skipping,
    usual_neuron,
)
from hxloop.errors import CheckNotApplicable, ConformanceError, RunInputError
from hxloop.network import Feature, Parameters
from hxloop.network.neuron import DELAY_KINDS
from hxloop.substrate import Session

group = CheckGroup("delays")


def _opened(subject: Subject, kind: str) -> AbstractContextManager[Session]:
    return opened_delayed(subject, lambda neuron: chain(subject, neuron), kind)


def _kind(kind: str) -> CheckFunction:
    def check(subject: Subject) -> Figures:
        with _opened(subject, kind) as session:
            return judge_crowds(subject, session)

    check.__doc__ = (
        f"With {kind} delays of every projection, down to the shortest, all spikes are right."
    )
    return check


for _name in DELAY_KINDS:
    group.add(_kind(_name), f"{_name}-delays")


@group.check
def delays_shift(subject: Subject) -> Figures:
    """A delay of all inputs makes the spikes of the first population so much later."""
    with _opened(subject, "axonal") as session:
        network = session.network
        least = network.all_projections[0].min_delay
        inputs = drawn_inputs(subject, network=network)
        # Early enough to be seen later, too.
        inputs = type(inputs).from_events(
            inputs.samples, inputs.units, 0.5 * inputs.times,
            batch=inputs.batch, n_units=inputs.n_units,
        )  # fmt: skip
        first = []
        for delay in (0.5, 1.0):
            parameters = drawn_parameters(subject, network, delay=least + delay)
            first.append(run_trains(session, parameters, inputs).spikes[0].first)
        both = np.isfinite(first).all(axis=0)
        if not both.any():
            raise ConformanceError("expected spikes with delayed inputs; there is none")
        moved = first[1][both] - first[0][both]
        off = 2 * max(subject.resolution, session.capabilities.time_resolution) + 2 * CLOSE_DELAY
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
    largest, refused, ran = 0.0, None, False
    for kind in DELAY_KINDS:
        with ExitStack() as stack:
            try:
                session = stack.enter_context(_opened(subject, kind))
            except CheckNotApplicable as error:
                # Of some kinds, as a chip may; not of all.
                refused = error
                continue
            played = play(subject, session)
            asked, held = played.parameters.delays, played.activity.parameters.delays
            for index, (a, b) in enumerate(zip(asked, held, strict=True)):
                if a is None or b is None:
                    continue
                off = float(np.abs(a - b).max())
                largest = max(largest, off)
                if off > CLOSE_DELAY or b.min() < 0:
                    raise ConformanceError(
                        f"{kind} delays of projection {index}: expected them as asked to "
                        f"{CLOSE_DELAY:g}, and 0 at least; they are up to {off:.3g} off, the "
                        f"shortest is {b.min():.3g}"
                    )
            ran = True
    if not ran:
        raise CheckNotApplicable(str(refused)) from refused
    return {"largest_rounding": largest}


@group.check
def delays_beyond_the_window(subject: Subject) -> None:
    """What would arrive after the window's end arrives in no sample, not even the next."""
    with _opened(subject, "axonal") as session:
        network = session.network
        parameters = drawn_parameters(subject, network, delay=1.25 * network.t_window)
        activity = run_trains(session, parameters, drawn_inputs(subject, network=network))
        held = activity.parameters.delays[0]
        if held is not None and held.min() <= network.t_window:
            raise CheckNotApplicable(
                f"its longest delay, {held.min():.4g}, ends within the window of "
                f"{network.t_window:g}"
            )
        for spikes in activity.spikes:
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
    with _opened(subject, "axonal") as session:
        good = drawn_parameters(subject, session.network)
        for what, spoil in BAD:
            try:
                session.run(spoil(good), drawn_inputs(subject, network=session.network))
            except RunInputError:
                continue
            raise ConformanceError(f"{what}: expected RunInputError; it ran")
        play(subject, session)


@group.check
def skip_connections(subject: Subject) -> Figures:
    """Where connections pass populations over, all spikes are right."""
    need(subject, Feature.SKIP)
    network = skipping(subject)
    neuron = usual_neuron(subject)
    layers = tuple(replace(layer, neuron=neuron) for layer in network.populations)
    with opened(subject, replace(network, layers=layers)) as session:
        return judge_crowds(subject, session)
