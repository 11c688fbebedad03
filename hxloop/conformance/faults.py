"""Failure injection: what a broken run does to the loop. Nothing may be absorbed.

A session is put around the backend's that spoils what it returns. The loop must report it
(raise), retry it, or refuse it; training on it is the one thing that may not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.activity import Activity
from hxloop.conformance.check import CheckFunction, CheckGroup
from hxloop.conformance.subject import Subject
from hxloop.errors import ConformanceError, RunFailed
from hxloop.network import NetworkSpec
from hxloop.substrate import Capabilities, Session
from hxloop.training.loop import LoopNetwork

Array = NDArray[np.float64]
Spoil = Callable[[Activity], Any]

group = CheckGroup("faults")


@dataclass
class FaultySession:
    """A session that spoils the first runs of another one.

    Args:
        session: does the runs.
        spoil: makes of a good activity what is returned, or raises.
        times: how many runs are spoilt; the later ones are good.
        recorded: a good activity to spoil, so that the session inside need not run.
    """

    session: Session
    spoil: Spoil
    times: int = 1_000_000
    recorded: Activity | None = None
    runs: int = field(default=0, init=False)

    @property
    def network(self) -> NetworkSpec:
        """Of the session inside."""
        return self.session.network

    @property
    def capabilities(self) -> Capabilities:
        """Of the session inside."""
        return self.session.capabilities

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run in the session inside, then spoil the result."""
        activity = self.recorded or self.session.run(
            weights, input_times, record=record, trial=trial
        )
        self.runs += 1
        spoilt: Activity = self.spoil(activity) if self.runs <= self.times else activity
        return spoilt

    def close(self) -> None:
        """Close the session inside."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def with_spike(value: float, layer: int = -1) -> Spoil:
    """One spike time of a layer replaced."""

    def spoil(activity: Activity) -> Activity:
        layers = [times.copy() for times in activity.first_spike_times]
        layers[layer][-1, -1] = value
        return replace(activity, first_spike_times=tuple(layers))

    return spoil


def with_layer(change: Callable[[Array], Any]) -> Spoil:
    """The spike times of the last layer replaced."""
    return lambda activity: replace(
        activity,
        first_spike_times=(
            *activity.first_spike_times[:-1],
            change(activity.first_spike_times[-1]),
        ),
    )


def with_input(value: float) -> Spoil:
    """One delivered input time replaced."""

    def spoil(activity: Activity) -> Activity:
        times = activity.input_times.copy()
        times[0, 0] = value
        return replace(activity, input_times=times)

    return spoil


def with_weights(change: Callable[[Array], Any]) -> Spoil:
    """The first matrix of the weights in use replaced."""
    return lambda activity: replace(
        activity, weights_used=(change(activity.weights_used[0]), *activity.weights_used[1:])
    )


SPOILT: tuple[tuple[str, str, Spoil], ...] = (
    ("nan", "NaN as a spike time", with_spike(np.nan)),
    ("nan-in-hidden-layer", "NaN as a spike time of the first layer", with_spike(np.nan, layer=0)),
    ("negative-time", "a negative spike time", with_spike(-0.5)),
    ("minus-infinity", "a spike time of -inf", with_spike(-np.inf)),
    ("after-window", "a spike after the window", with_spike(1e3)),
    ("unknown-neuron", "a spike of a neuron that does not exist",
     with_layer(lambda t: np.hstack([t, t[:, :1]]))),
    ("missing-neuron", "a neuron too few", with_layer(lambda t: t[:, 1:])),
    ("spikes-twice", "two spikes of every neuron", with_layer(lambda t: np.stack([t, t], axis=2))),
    ("unknown-sample", "a sample too many", with_layer(lambda t: np.vstack([t, t[:1]]))),
    ("missing-layer", "a layer too few",
     lambda a: replace(a, first_spike_times=a.first_spike_times[:-1])),
    ("not-numbers", "spike times that are no numbers", with_layer(lambda t: t.astype(object))),
    ("whole-numbers", "spike times cut to whole numbers",
     with_layer(lambda t: np.where(np.isfinite(t), t, 0).astype(np.int64))),
    ("nothing", "None instead of an activity", lambda activity: None),
    ("nan-input", "NaN as a delivered input time", with_input(np.nan)),
    ("negative-input", "a negative delivered input time", with_input(-1.0)),
    ("missing-input", "an input channel too few",
     lambda a: replace(a, input_times=a.input_times[:, 1:])),
    ("nan-weight", "a NaN among the weights in use", with_weights(lambda w: w * np.nan)),
    ("transposed-weights", "weights in use of another shape", with_weights(lambda w: w[:, 1:])),
)  # fmt: skip


def _refused(what: str, spoil: Spoil) -> CheckFunction:
    def check(subject: Subject) -> None:
        task = subject.plan.task
        faulty = FaultySession(subject.session, spoil, recorded=subject.usual[0])
        # Not retryable: what returns one impossible number may return wrong ones, too.
        network = LoopNetwork(faulty, task.weights, retries=2)
        try:
            network.forward(task.input_times)
        except RunFailed as error:
            if error.retryable or faulty.runs != 1:
                raise ConformanceError(f"{what}: expected a refusal at once; {error}") from error
            return
        raise ConformanceError(f"{what}: expected RunFailed; the loop trains on it")

    check.__doc__ = f"A run that returns {what} is refused by the loop."
    return check


for _name, _what, _spoil in SPOILT:
    group.add(_refused(_what, _spoil), f"fault-{_name}")


@group.check
def fault_invented_input(subject: Subject) -> None:
    """A delivered input spike in a channel that had none is refused by the loop."""
    task = subject.plan.task
    times = task.input_times.copy()
    times[0, 0] = np.inf
    network = LoopNetwork(FaultySession(subject.session, with_input(0.25)), task.weights)
    try:
        network.forward(times)
    except RunFailed:
        return
    raise ConformanceError("expected RunFailed; the loop trains on an input that never was")


def _raises(error: BaseException) -> Spoil:
    def spoil(activity: Activity) -> Activity:
        raise error

    return spoil


@group.check
def fault_transient(subject: Subject) -> None:
    """A transient fault is retried, the retries are reported, and the result is a good one."""
    task = subject.plan.task
    stall = _raises(RunFailed("stalled", retryable=True))
    network = LoopNetwork(FaultySession(subject.session, stall, times=2), task.weights, retries=3)
    _, activity = network.forward(task.input_times)
    if activity.info.retries != 2:
        raise ConformanceError(f"RunInfo.retries: expected 2; got {activity.info.retries}")
    faulty = FaultySession(subject.session, stall)
    try:
        LoopNetwork(faulty, task.weights, retries=2).forward(task.input_times)
    except RunFailed:
        if faulty.runs == 3:
            return
    raise ConformanceError(f"expected RunFailed after one run and two retries; {faulty.runs} runs")


@group.check
def fault_raised(subject: Subject) -> None:
    """A run that raises anything else is not repeated, and its error arrives unchanged."""
    task = subject.plan.task
    for error in (RunFailed("burnt"), RuntimeError("of the simulator"), KeyboardInterrupt()):
        faulty = FaultySession(subject.session, _raises(error), recorded=subject.usual[0])
        try:
            LoopNetwork(faulty, task.weights, retries=2).forward(task.input_times)
        except (RuntimeError, KeyboardInterrupt) as caught:
            if caught is error and faulty.runs == 1:
                continue
        raise ConformanceError(
            f"{error!r}: expected it to arrive after one run; {faulty.runs} runs"
        )
