"""Checks that what cannot be run is refused, before it is run, and leaves the session usable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.conformance.check import CheckFunction, CheckGroup, Figures
from hxloop.conformance.compare import require_usual
from hxloop.conformance.plan import WINDOW
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_plan import chain, delayed, loop, skipping, spiking, volley
from hxloop.errors import (
    CapacityError,
    CheckNotApplicable,
    ConformanceError,
    HxloopError,
    RunInputError,
)
from hxloop.network import Feature, NetworkSpec, Parameters

Array = NDArray[np.float64]
Weights = Sequence[Array]

group = CheckGroup("refusals")


def _with(array: Array, index: tuple[int, int], value: float) -> Array:
    changed = array.copy()
    changed[index] = value
    return changed


# Name, what is wrong, how it is made of good weights and times.
BAD_RUNS: tuple[tuple[str, str, Callable[[Weights, Array], tuple[Any, Any]]], ...] = (
    ("nan-weight", "a NaN weight", lambda w, t: ([_with(w[0], (0, 0), np.nan), *w[1:]], t)),
    ("infinite-weight", "a weight of inf",
     lambda w, t: ([*w[:-1], _with(w[-1], (0, 0), np.inf)], t)),
    ("too-few-matrices", "weights of a layer too few", lambda w, t: (w[:-1], t)),
    ("wrong-weights", "weights of a wrong shape", lambda w, t: ([w[0][:, :-1], *w[1:]], t)),
    ("nan-time", "an input time of NaN", lambda w, t: (w, _with(t, (0, 0), np.nan))),
    ("negative-time", "a negative input time", lambda w, t: (w, _with(t, (0, 0), -0.1))),
    ("minus-infinity", "an input time of -inf", lambda w, t: (w, _with(t, (0, 0), -np.inf))),
    ("wrong-inputs", "input times of a wrong shape", lambda w, t: (w, t[:, :-1])),
    ("one-flat-sample", "input times without a batch axis", lambda w, t: (w, t[0])),
    ("empty-batch", "an empty batch", lambda w, t: (w, t[:0])),
)  # fmt: skip


def _bad_run(what: str, spoil: Callable[[Weights, Array], tuple[Any, Any]]) -> CheckFunction:
    def check(subject: Subject) -> None:
        task = subject.plan.task
        weights, times = spoil(list(task.weights), task.input_times)
        _must_raise(f"run with {what}", RunInputError, lambda: subject.session.run(weights, times))
        require_usual(subject, f"after a run with {what} was refused")

    check.__doc__ = f"A run with {what} raises RunInputError, and the session goes on."
    return check


for _name, _what, _spoil in BAD_RUNS:
    group.add(_bad_run(_what, _spoil), f"bad-{_name}")


@group.check
def unknown_record(subject: Subject) -> None:
    """Recordings it declares are made, one that it does not know raises RunInputError."""
    task = subject.plan.task
    known = sorted(subject.session.capabilities.records)
    activity = subject.session.run(task.weights, task.input_times, record=known)
    if len(activity.first_spike_times) != len(subject.network.layers):
        raise ConformanceError(f"run(record={known}): expected the first spikes as well")
    _must_raise(
        "run(record=['no such recording'])",
        RunInputError,
        lambda: subject.session.run(task.weights, task.input_times, record=["no such recording"]),
    )


@group.check
def unknown_calibration(subject: Subject) -> None:
    """What is no calibration of this substrate is refused, not ignored."""
    subject.close()
    wrong: Any = object()
    _must_raise(
        "open(calibration=<some object>)",
        HxloopError,
        lambda: subject.backend.open(subject.network, calibration=wrong).close(),
    )


@group.check
def largest_batch(subject: Subject) -> Figures:
    """A batch of max_batch samples runs, one more is refused."""
    largest = subject.session.capabilities.max_batch
    if largest is None:
        raise CheckNotApplicable("batches are unlimited (max_batch is None)")
    weights = subject.plan.uniform(subject.plan.strong)
    subject.session.run(weights, subject.plan.silence(largest))
    _must_raise(
        f"a batch of {largest + 1} samples, max_batch being {largest}",
        RunInputError,
        lambda: subject.session.run(weights, subject.plan.silence(largest + 1)),
    )
    return {"max_batch": largest}


@group.check
def most_layers(subject: Subject) -> Figures:
    """A network of max_layers layers opens, one more is refused when it is opened."""
    limit = subject.capabilities.max_layers
    if limit is None:
        raise CheckNotApplicable("depth is unlimited (max_layers is None)")
    _limit(subject, "max_layers", limit, lambda n: [1] * n, subject.plan.n_inputs)
    return {"max_layers": limit}


@group.check
def most_neurons(subject: Subject) -> Figures:
    """A network of max_neurons neurons opens, one more is refused when it is opened."""
    limit = subject.capabilities.max_neurons
    if limit is None:
        raise CheckNotApplicable("neurons are unlimited (max_neurons is None)")
    _limit(subject, "max_neurons", limit, lambda n: [n], subject.plan.n_inputs)
    return {"max_neurons": limit}


@group.check
def largest_fan_in(subject: Subject) -> Figures:
    """A neuron of max_fan_in inputs opens, one more input is refused when it is opened."""
    limit = subject.capabilities.max_fan_in
    if limit is None:
        raise CheckNotApplicable("inputs of a neuron are unlimited (max_fan_in is None)")
    subject.close()
    subject.backend.open(_network(subject, limit, [1]), seed=subject.seed).close()
    _must_raise(
        f"opening a neuron with {limit + 1} inputs, max_fan_in being {limit}",
        CapacityError,
        lambda: subject.backend.open(_network(subject, limit + 1, [1]), seed=1).close(),
    )
    return {"max_fan_in": limit}


@group.check
def undeclared_features(subject: Subject) -> None:
    """A network that needs a feature which is not declared is refused, and the feature named."""
    missing = set(Feature) - subject.capabilities.features
    if not missing:
        raise CheckNotApplicable("it declares every feature")
    subject.close()
    for feature in sorted(missing, key=lambda each: each.value):
        if feature.of_runs:
            continue
        network = _network_with(subject, feature)
        try:
            subject.backend.open(network, seed=subject.seed).close()
        except CapacityError as error:
            if feature.value in str(error):
                continue
            raise ConformanceError(
                f"a network with {feature.value}: expected an error that names it; got {error}"
            ) from error
        raise ConformanceError(f"a network with {feature.value}: expected CapacityError; it opened")
    if Feature.NEURON_PARAMETERS in missing:
        _neurons_refused(subject)
    if Feature.MULTI_SPIKE in missing:
        try:
            subject.session.run(subject.plan.task.weights, volley(subject, np.array([0.5, 1.0])))
        except RunInputError:
            return
        raise ConformanceError("inputs that spike again: expected RunInputError; it ran")


def _neurons_refused(subject: Subject) -> None:
    task = subject.plan.task
    name = subject.network.populations[0].name
    own = {name: {"v_threshold": np.ones(subject.network.sizes[1])}}
    try:
        subject.session.run(Parameters(tuple(task.weights), neurons=own), task.input_times)
    except CapacityError as error:
        if Feature.NEURON_PARAMETERS.value in str(error):
            return
        raise ConformanceError(
            f"a run with parameters of neurons: expected an error that names the feature "
            f"{Feature.NEURON_PARAMETERS.value}; got {error}"
        ) from error
    raise ConformanceError("a run with parameters of neurons: expected CapacityError; it ran")


def _limit(
    subject: Subject, name: str, limit: int, sizes: Callable[[int], list[int]], inputs: int
) -> None:
    subject.close()
    subject.backend.open(_network(subject, inputs, sizes(limit)), seed=subject.seed).close()
    _must_raise(
        f"opening a network of {limit + 1}, {name} being {limit}",
        CapacityError,
        lambda: subject.backend.open(_network(subject, inputs, sizes(limit + 1)), seed=1).close(),
    )


def _network(subject: Subject, inputs: int, sizes: list[int]) -> NetworkSpec:
    return NetworkSpec.feed_forward(inputs, *sizes, neuron=subject.plan.neuron, t_window=WINDOW)


def _must_raise(what: str, kind: type[HxloopError], call: Callable[[], object]) -> None:
    try:
        call()
    except kind as error:
        if not str(error):
            raise ConformanceError(f"{what}: {kind.__name__} without a message") from error
        return
    raise ConformanceError(f"{what}: expected {kind.__name__}; nothing was raised")


def _network_with(subject: Subject, feature: Feature) -> NetworkSpec:
    once = subject.plan.neuron
    if feature is Feature.MULTI_SPIKE:
        return chain(subject, spiking(subject))
    if feature is Feature.DELAYS:
        return delayed(chain(subject, once), "axonal")
    if feature is Feature.RECURRENT:
        return loop(subject, delayed=False, neuron=once)
    if feature is Feature.READOUT:
        network = chain(subject, once)
        silent = replace(network.layers[-1], neuron=replace(once, v_threshold=np.inf))
        return replace(network, layers=(*network.layers[:-1], silent))
    network = skipping(subject)
    return replace(network, layers=tuple(replace(p, neuron=once) for p in network.layers))
