"""Checks of leaky read-outs, whose membranes the host reads; run where they are declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity, Spikes
from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare_trains import (
    arrivals_at,
    judge_trains,
    run_trains,
)
from hxloop.conformance.plan import WINDOW, peak_psp
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_membrane import Membrane
from hxloop.conformance.train_plan import (
    CLOSE_DELAY,
    Played,
    chain,
    drawn_inputs,
    drawn_parameters,
    need,
    opened,
    opened_delayed,
    play,
    usual_neuron,
)
from hxloop.errors import ConformanceError
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Parameters
from hxloop.network.own_neurons import each_neuron
from hxloop.substrate import Session
from hxloop.training.readout import membranes_of

Array = NDArray[np.float64]

group = CheckGroup("read-out")

# Of membranes, in units of the threshold: what a substrate in single precision may round weights.
ROUNDING = 1e-5


def _network(subject: Subject, neuron: NeuronSpec | None = None) -> NetworkSpec:
    """The chain of the plan, with a read-out at its end."""
    need(subject, Feature.READOUT)
    network = chain(subject, neuron or usual_neuron(subject))
    last = network.layers[-1]
    silent = replace(last, neuron=replace(last.neuron, v_threshold=np.inf))
    return replace(network, layers=(*network.layers[:-1], silent))


@group.check
def read_outs_never_spike(subject: Subject) -> Figures:
    """A read-out has no spikes, however it is driven; those before it are right as ever."""
    network = _network(subject)
    with opened(subject, network) as session:
        driven = run_trains(session, Parameters(subject.plan.uniform(subject.plan.strong)),
                            drawn_inputs(subject))  # fmt: skip
        played = play(subject, session)
        for activity in (driven, played.activity):
            if n_spikes := activity.spikes[network.output_index].n_spikes:
                raise ConformanceError(
                    f"expected no spikes of a read-out (v_threshold = inf); got {n_spikes}"
                )
        return judge_trains(subject, session, played.activity)


@group.check
def highest_membranes(subject: Subject) -> Figures:
    """The highest membranes are those of recorded spikes and of weights as asked, to their grid."""
    with opened(subject, _network(subject)) as session:
        return judge_membranes(subject, session, play(subject, session))


@group.check
def highest_membranes_of_other_neurons(subject: Subject) -> Figures:
    """With another ratio of time constants the membranes of read-outs are right, or refused."""
    network = _network(subject)
    last = network.layers[-1]
    slow = replace(last, neuron=replace(last.neuron, tau_mem=2.0))
    with opened(subject, replace(network, layers=(*network.layers[:-1], slow))) as session:
        return judge_membranes(subject, session, play(subject, session))


@group.check
def highest_membranes_behind_delays(subject: Subject) -> Figures:
    """What arrives at a read-out after a delay counts from then on, and not after the window."""
    with opened_delayed(subject, lambda neuron: _network(subject, neuron), "axonal") as session:
        played = play(subject, session)
        asked, held = played.parameters.delays[-1], played.activity.parameters.delays[-1]
        if asked is None or held is None or np.abs(asked - held).max() > CLOSE_DELAY:
            raise ConformanceError(
                f"delays into a read-out: expected them held as asked to {CLOSE_DELAY:g}; asked "
                f"for {asked}, got {held}"
            )
        return judge_membranes(subject, session, played)


@group.check
def read_outs_at_the_window_end(subject: Subject) -> Figures:
    """Spikes up to the window's end move the membrane of a read-out, later inputs do not."""
    plan = subject.plan
    need(subject, Feature.READOUT)
    alone = replace(_network(subject), layers=_network(subject).layers[-1:], projections=())
    with opened(subject, alone) as session:
        times = np.full((plan.batch, plan.n_inputs), np.inf)
        # The last input comes before the end, or (every other sample) after it.
        times[:, 0] = np.where(np.arange(plan.batch) % 2, 1.25 * WINDOW, 0.75 * WINDOW)
        inputs = Spikes.from_first(times)
        parameters = drawn_parameters(subject, alone)
        activity = run_trains(session, parameters, inputs)
        figures = judge_membranes(subject, session, Played(parameters, inputs, activity))
        late = membranes_of(alone, activity)[1::2]
        if late.any():
            raise ConformanceError(
                f"expected a read-out at rest where the only input comes after the window; its "
                f"membrane reaches {late.max():.6g}"
            )
        return figures


def judge_membranes(subject: Subject, session: Session, played: Played) -> Figures:
    """Compare what the host reads with closed forms, by weights as *asked for*.

    The spikes are the recorded ones, and delays those held, so that what may differ is the grid of
    the weights alone.

    Raises:
        ConformanceError: a membrane is off by more than that, or none rises above the leak.
    """
    network, activity = session.network, played.activity
    got = membranes_of(network, activity)
    asked = Parameters(
        played.parameters.weights, activity.parameters.delays, played.parameters.neurons
    )
    as_asked = Activity.of_spikes(activity.inputs, activity.spikes, asked, activity.info)
    expected, per_weight = _highest(network, as_asked)
    limit, levels = session.capabilities.weight_limit, session.capabilities.weight_levels
    step = limit / levels if limit is not None and levels is not None else 0.0
    allowed = ROUNDING + 0.501 * step * per_weight
    off = np.abs(got - expected)
    if (off > allowed).any():
        place = np.unravel_index(int(np.argmax(off - allowed)), off.shape)
        raise ConformanceError(
            f"read-out, sample {place[0]}, neuron {place[1]}: expected a highest membrane of "
            f"{expected[place]:.6g} to {allowed[place]:.3g}; got {got[place]:.6g} from the "
            "spikes, weights and delays that came back"
        )
    if not expected.any():
        raise ConformanceError("expected read-outs whose membranes rise above the leak; none does")
    return {"largest_error": float(off.max()), "highest": float(got.max())}


def _highest(network: NetworkSpec, activity: Activity) -> tuple[Array, Array]:
    """Highest membranes ``(batch, post)`` of the output, and what 1 more in all weights adds."""
    index = network.output_index
    neurons = each_neuron(network.populations[index], activity.parameters.neurons)
    arrivals = arrivals_at(network, activity, index)
    found = np.zeros((activity.batch, len(neurons)))
    per_weight = np.zeros(found.shape)
    for sample, each in enumerate(arrivals):
        for k, neuron in enumerate(neurons):
            heights = Membrane(neuron, each[k]).heights(network.t_window)
            found[sample, k] = max((height for _, height in heights), default=0.0)
            per_weight[sample, k] = len(each[k]) * peak_psp(neuron)
    return np.maximum(found, 0.0), per_weight
