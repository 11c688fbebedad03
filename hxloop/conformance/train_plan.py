"""The networks that the checks of features run: neurons that spike again, loops, delays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity, Spikes
from hxloop.conformance.check import Figures
from hxloop.conformance.compare_trains import judge_trains, run_trains
from hxloop.conformance.plan import WINDOW, peak_psp
from hxloop.conformance.subject import Subject
from hxloop.errors import CapacityError, CheckNotApplicable
from hxloop.network import (
    Feature,
    NetworkSpec,
    NeuronSpec,
    Parameters,
    Population,
    Projection,
)
from hxloop.substrate import Session

Array = NDArray[np.float64]

REFRACTORY, RESET = 0.5, -0.25
# Of a loop on a substrate where nothing can arrive at once, see ``loop``.
LOOP_DELAY = 0.5
# What delays may be no shorter than, tried one after the other: substrates that make delays by
# neurons of their own make no short ones, and carry one spike at a time.
LEAST_DELAYS = (0.0, LOOP_DELAY, 1.5)
# How far a delay may be held from what was asked for, in model time: a substrate has its grid.
CLOSE_DELAY = 0.1
# Random tasks of a check that is judged spike by spike.
CROWDS = 2


def need(subject: Subject, feature: Feature) -> None:
    """The check concerns backends that declare a feature.

    Raises:
        CheckNotApplicable: it does not.
    """
    if feature not in subject.capabilities.features:
        raise CheckNotApplicable(f"it does not declare the feature {feature.value}")


def spiking(subject: Subject, **changes: float) -> NeuronSpec:
    """The neuron of the plan, which spikes again."""
    neuron = replace(subject.plan.neuron, t_refractory=REFRACTORY, v_reset=RESET)
    return replace(neuron, **changes)


def usual_neuron(subject: Subject) -> NeuronSpec:
    """One that spikes again where the backend declares that, else one that spikes once."""
    again = Feature.MULTI_SPIKE in subject.capabilities.features
    return spiking(subject) if again else subject.plan.neuron


def chain(subject: Subject, neuron: NeuronSpec) -> NetworkSpec:
    """The chain of the plan, of such neurons."""
    plan = subject.plan
    return NetworkSpec.feed_forward(plan.n_inputs, *plan.sizes, neuron=neuron, t_window=WINDOW)


def delayed(network: NetworkSpec, kind: str, min_delay: float = 0.0) -> NetworkSpec:
    """The network with delays of every projection, and a window so much longer."""
    late = [
        replace(each, delays=kind, min_delay=min_delay)  # keeps what it connects
        for each in network.all_projections
    ]
    t_window = network.t_window + min_delay * len(network.layers)
    return replace(network, projections=tuple(late), t_window=t_window)


def loop(subject: Subject, *, delayed: bool, neuron: NeuronSpec | None = None) -> NetworkSpec:
    """A population that feeds itself, and one behind it that feeds back.

    Args:
        subject: for the sizes.
        delayed: whether the projections of the loop have delays of ``LOOP_DELAY`` at least.
        neuron: of all of them.
    """
    plan, neuron = subject.plan, neuron or spiking(subject)
    late = {"delays": "axonal", "min_delay": LOOP_DELAY} if delayed else {}
    populations = [Population("hidden", plan.sizes[0], neuron)]
    projections = [Projection("input", "hidden"), Projection("hidden", "hidden", **late)]  # type: ignore[arg-type]
    if len(plan.sizes) > 1:
        populations.append(Population("output", plan.sizes[-1], neuron))
        projections.append(Projection("hidden", "output", **late))  # type: ignore[arg-type]
        projections.append(Projection("output", "hidden", **late))  # type: ignore[arg-type]
    return NetworkSpec(
        plan.n_inputs, tuple(populations), t_window=WINDOW, projections=tuple(projections)
    )


def skipping(subject: Subject) -> NetworkSpec:
    """The input reaches the last of three populations by three ways."""
    plan, neuron = subject.plan, spiking(subject)
    return NetworkSpec(
        plan.n_inputs,
        (
            Population("first", max(1, plan.sizes[0] // 2), neuron),
            Population("second", max(1, plan.sizes[0] // 2), neuron),
            Population("output", plan.sizes[-1], neuron),
        ),
        t_window=WINDOW,
        projections=(
            Projection("input", "first"),
            Projection("first", "second"),
            Projection("input", "output"),
            Projection("first", "output"),
            Projection("second", "output"),
        ),
    )


def drawn_inputs(subject: Subject, seed: int = 0, network: NetworkSpec | None = None) -> Spikes:
    """Up to three spikes of every channel, one where that is all; the last of samples is silent.

    Args:
        subject: for the sizes, and whether a channel may spike again.
        seed: of the drawing.
        network: what they are for; one may take one spike at a time.
    """
    plan = subject.plan
    rng = np.random.default_rng([31, seed])
    shape = (plan.batch, plan.n_inputs, 3)
    times = rng.uniform(0, 0.75 * WINDOW, shape)
    kept = rng.random(shape) < 0.7
    if plan.batch > 1:
        kept[-1] = False
    samples, units, _ = np.nonzero(kept)
    spikes = Spikes.from_events(
        samples, units, times[kept], batch=plan.batch, n_units=plan.n_inputs
    )
    again = Feature.MULTI_SPIKE in subject.capabilities.features
    if network is not None and _one_at_a_time(network):
        again = False
    return spikes if again else Spikes.from_first(spikes.first)


def drawn_parameters(
    subject: Subject, network: NetworkSpec, seed: int = 0, delay: float | None = None
) -> Parameters:
    """Weights with which most neurons spike several times, and delays.

    Args:
        subject: for the strength.
        network: whose they are.
        seed: of the drawing.
        delay: of all; None: drawn, 0 among them where the network allows it.
    """
    plan, rng = subject.plan, np.random.default_rng([32, seed])
    neuron = network.layers[0].neuron
    strong = plan.strong * peak_psp(plan.neuron) / peak_psp(neuron)
    limit = 1.25 * strong
    weights: list[Array] = []
    delays: list[Array | None] = []
    for (pre, post), (rows, columns), projection, shape in zip(
        network.ends, network.shapes, network.all_projections, network.delay_shapes, strict=True
    ):
        # What comes back is weak, and of both signs.
        mean = 0.7 * strong * plan.n_inputs / rows if pre < post else 0.0
        spread = 0.5 * strong if pre < post else 0.35 * strong
        weights.append(np.clip(rng.normal(mean, spread, (rows, columns)), -limit, limit))
        if shape is None:
            delays.append(None)
            continue
        drawn = projection.min_delay + rng.uniform(0, 0.8, shape)
        if delay is None and not projection.min_delay:
            drawn.flat[0] = 0.0
        delays.append(drawn if delay is None else np.full(shape, delay))
    return Parameters(tuple(weights), tuple(delays))


@contextmanager
def opened(subject: Subject, network: NetworkSpec) -> Iterator[Session]:
    """A session of a network, unless the backend refuses its numbers.

    Raises:
        CheckNotApplicable: it does.
    """
    subject.close()
    try:
        session = subject.backend.open(network, seed=subject.seed)
    except CapacityError as error:
        raise CheckNotApplicable(f"refused: {error}") from error
    try:
        yield session
    finally:
        session.close()


@contextmanager
def opened_delayed(
    subject: Subject, made_of: Callable[[NeuronSpec], NetworkSpec], kind: str
) -> Iterator[Session]:
    """A session of a network with delays of a kind: with any if the backend can, else longer ones.

    Args:
        subject: the backend.
        made_of: the network without delays, of its neuron.
        kind: of the delays.

    Raises:
        CheckNotApplicable: it does not declare delays, or refuses these.
    """
    need(subject, Feature.DELAYS)
    subject.close()
    for least in LEAST_DELAYS:
        neuron = usual_neuron(subject) if least <= LOOP_DELAY else subject.plan.neuron
        try:
            session = subject.backend.open(delayed(made_of(neuron), kind, least), seed=subject.seed)
        except CapacityError as error:
            refused = error
            continue
        try:
            yield session
        finally:
            session.close()
        return
    raise CheckNotApplicable(f"refused: {refused}") from refused


def _one_at_a_time(network: NetworkSpec) -> bool:
    return any(each.min_delay > LOOP_DELAY for each in network.all_projections)


@contextmanager
def opened_loop(subject: Subject, neuron: NeuronSpec | None = None) -> Iterator[Session]:
    """A session of a network with loops: without delays if the backend can, else with them."""
    subject.close()
    try:
        session = subject.backend.open(
            loop(subject, delayed=False, neuron=neuron), seed=subject.seed
        )
    except CapacityError:
        if Feature.DELAYS not in subject.capabilities.features:
            raise
        with opened(subject, loop(subject, delayed=True, neuron=neuron)) as session:
            yield session
        return
    try:
        yield session
    finally:
        session.close()


@dataclass(frozen=True)
class Played:
    """A run and what it was of.

    Attributes:
        parameters: as asked.
        inputs: as asked.
        activity: what came back.
    """

    parameters: Parameters
    inputs: Spikes
    activity: Activity


def play(subject: Subject, session: Session, seed: int = 0) -> Played:
    """Run drawn parameters and inputs, and see that what comes back is an activity."""
    parameters = drawn_parameters(subject, session.network, seed)
    inputs = drawn_inputs(subject, seed, session.network)
    return Played(parameters, inputs, run_trains(session, parameters, inputs))


def judge_crowds(subject: Subject, session: Session) -> Figures:
    """Judge runs of a few drawn networks; the figures are those of all of them together."""
    figures: dict[str, float] = {}
    for seed in range(1 if subject.statistical else CROWDS):
        found = judge_trains(subject, session, play(subject, session, seed).activity)
        figures = {name: figures.get(name, 0.0) + value for name, value in found.items()}
    return figures


def volley(subject: Subject, times: np.ndarray) -> Spikes:
    """All channels of all samples spike together, at these times."""
    plan = subject.plan
    shape = (plan.batch, plan.n_inputs, len(times))
    samples, units, which = (each.ravel() for each in np.indices(shape))
    return Spikes.from_events(samples, units, times[which], batch=plan.batch, n_units=plan.n_inputs)


def joined(parts: list[Spikes]) -> Spikes:
    """One batch of several."""
    samples = np.concatenate([spikes.samples + b for b, spikes in enumerate(parts)])
    units = np.concatenate([spikes.units for spikes in parts])
    times = np.concatenate([spikes.times for spikes in parts])
    return Spikes.from_events(samples, units, times, batch=len(parts), n_units=parts[0].n_units)
