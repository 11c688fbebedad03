"""All spikes of a run against the nominal model, and runs against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity, Spikes
from hxloop.conformance.check import Figures
from hxloop.conformance.compare import CLEAR_SLOPE
from hxloop.conformance.subject import Subject
from hxloop.conformance.train_membrane import Membrane
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import ConformanceError, RunFailed
from hxloop.network import NetworkSpec, NeuronSpec, Parameters
from hxloop.network.own_neurons import each_neuron
from hxloop.substrate import Session
from hxloop.substrate.check_trains import check_trains

Array = NDArray[np.float64]
Arrivals = list[tuple[float, float, bool]]

# Points at which a membrane is looked at for whether inhibition has undone a crossing.
_LOOKS = 65


def run_trains(session: Session, parameters: Parameters, inputs: Spikes) -> Activity:
    """Run once, and see that what comes back is an activity at all.

    Raises:
        ConformanceError: spikes that are unsorted, out of the window, of neurons that there are
            not, and so on.
    """
    activity = session.run(parameters, inputs)
    network = session.network
    try:
        check_trains(activity, network, inputs, parameters, session.capabilities)
    except RunFailed as error:
        raise ConformanceError(str(error)) from error
    return activity


def judge_trains(subject: Subject, session: Session, activity: Activity) -> Figures:
    """Compare every spike of a run with the nominal model.

    A spike is judged by the *recorded* spikes that arrived, the weights and delays *as held*, and
    the recorded spikes that its neuron had before: so an error of one spike is not counted again
    in all later ones. What is allowed is as in ``compare.judge_runs``: a spike may be as far from
    the exact time as ``time_resolution``, farther where the membrane rises slowly, or where it
    depends much on the recorded times that it is judged by, which may be off as far; and a crossing
    that inhibition undoes sooner may be missed.

    Raises:
        ConformanceError: a spike too early, too late, missing or superfluous; of a statistical
            subject: too many wrong decisions, or a number of spikes that is another altogether.
    """
    network = session.network
    if subject.statistical:
        return _judge_counts(subject, network, activity)
    resolution = max(subject.resolution, session.capabilities.time_resolution)
    judge = _Judge(resolution, subject.capabilities.latency, network.t_window)
    for index, (population, spikes) in enumerate(
        zip(network.populations, activity.spikes, strict=True)
    ):
        arrivals = arrivals_at(network, activity, index)
        neurons = each_neuron(population, activity.parameters.neurons)
        for sample in range(activity.batch):
            mine = spikes.samples == sample
            for neuron in range(population.n_neurons):
                own = spikes.times[mine & (spikes.units == neuron)].tolist()
                where = f"{population.name}, sample {sample}, neuron {neuron}"
                judge.train(where, neurons[neuron], arrivals[sample][neuron], own)
    return {"n_spikes": judge.n_spikes, "brief_crossings_missed": judge.n_brief}


@dataclass
class _Judge:
    resolution: float
    latency: float
    window: float
    n_spikes: int = 0
    n_brief: int = 0

    def train(self, where: str, neuron: NeuronSpec, arrivals: Arrivals, own: list[float]) -> None:
        """All spikes of one neuron in one sample, and that there are no others."""
        membrane = Membrane(neuron, arrivals)
        distance = neuron.v_threshold - neuron.v_leak
        clear = CLEAR_SLOPE * distance
        slack = self.resolution + 1e-12 * self.window
        for rank, recorded in enumerate([*own, None]):
            end = self.window - slack if recorded is None else recorded - self.latency - slack
            for t, height in membrane.heights(end) if end > membrane.released else ():
                if height < distance + self.resolution * clear:
                    continue
                if height < distance + self.resolution * (clear + membrane.sensitivity(t)):
                    continue
                if self._is_undone(membrane, t, distance):
                    self.n_brief += 1
                    continue
                found = "none" if recorded is None else f"one at {recorded:.9g}"
                raise ConformanceError(
                    f"{where}: expected spike number {rank} before {t:.9g}, where the membrane is "
                    f"at {height / distance:.9g} of the threshold ({self.resolution:.3g} is "
                    f"allowed); got {found}"
                )
            if recorded is None:
                return
            true = recorded - self.latency
            if true + slack <= membrane.released:
                raise ConformanceError(
                    f"{where}: spike number {rank} at {recorded:.9g}, in the refractory time of "
                    f"the one before, which ends at {membrane.released:.9g}"
                )
            reached, when = max(
                ((h, t) for t, h in membrane.heights(true + slack)), default=(0.0, true)
            )
            off = self.resolution * (clear + membrane.sensitivity(when))
            if reached < distance - off:
                raise ConformanceError(
                    f"{where}: spike number {rank} at {recorded:.9g} without a cause: by "
                    f"{true + slack:.9g} the membrane reaches {reached / distance:.9g} of the "
                    f"threshold ({self.resolution:.3g} is allowed)"
                )
            self.n_spikes += 1
            membrane = replace(membrane, released=true + neuron.t_refractory)

    def _is_undone(self, membrane: Membrane, t: float, distance: float) -> bool:
        """Whether the membrane is below the threshold again within one resolution."""
        after = t + self.resolution * np.linspace(0, 1, _LOOKS)[1:]
        return min(membrane.at(float(u)) for u in after) < distance


def arrivals_at(network: NetworkSpec, activity: Activity, population: int) -> list[list[Arrivals]]:
    """For each sample and neuron of a population what arrived, as ``Membrane`` has it."""
    size = network.sizes[1 + population]
    found: list[list[Arrivals]] = [[[] for _ in range(size)] for _ in range(activity.batch)]
    held = activity.parameters
    sources = (activity.inputs, *activity.spikes)
    for index, (pre, post) in enumerate(network.ends):
        if post != population:
            continue
        weights = np.asarray(held.weights[index], np.float64)
        kind, delays = network.all_projections[index].delays, held.delays[index]
        late = np.zeros(weights.shape)
        if delays is not None:
            late = late + (delays[:, None] if kind == "axonal" else delays)
        source = sources[1 + pre]
        for sample, unit, t in zip(source.samples, source.units, source.times, strict=True):
            for neuron in range(size):
                arrival = (float(t + late[unit, neuron]), float(weights[unit, neuron]), pre >= 0)
                found[sample][neuron].append(arrival)
    return [[sorted(arrivals) for arrivals in row] for row in found]


def _judge_counts(subject: Subject, network: NetworkSpec, activity: Activity) -> Figures:
    """How many neurons spike where they should, and how often all together."""
    allowed = subject.tolerance
    expected = spike_trains(network, activity.parameters, activity.inputs)
    agree = [(a.count > 0) == (b.count > 0) for a, b in zip(activity.spikes, expected, strict=True)]
    decisions = float(np.concatenate([each.ravel() for each in agree]).mean())
    got, nominal = (sum(each.n_spikes for each in trains) for trains in (activity.spikes, expected))
    ratio = (1 + got) / (1 + nominal)
    if decisions < allowed.decisions or not 1 / allowed.counts <= ratio <= allowed.counts:
        raise ConformanceError(
            f"expected neurons to spike where those of the model do ({allowed.decisions:.0%} of "
            f"them at least), and as often to a factor of {allowed.counts:g}; got "
            f"{decisions:.1%}, and {got} spikes for {nominal}"
        )
    return {"decisions": decisions, "spikes": got, "nominal_spikes": nominal}


def require_same_trains(
    subject: Subject,
    first: Sequence[Spikes],
    second: Sequence[Spikes],
    what: str,
    tolerance: float,
) -> None:
    """Two runs must not differ; of a statistical subject, not by more than its noise might make.

    Args:
        subject: exact or statistical.
        first: of each population.
        second: the same under another condition.
        what: the condition that must not matter, in words.
        tolerance: largest difference of a spike time of an exact subject.

    Raises:
        ConformanceError: a spike that is missing, superfluous or at another time; statistical:
            more than a third of the counts differ by two spikes and more.
    """
    for index, (a, b) in enumerate(zip(first, second, strict=True)):
        if subject.statistical:
            far = float((np.abs(a.count - b.count) > 1).mean())
            if far > 1 / 3:
                raise ConformanceError(
                    f"{what}: expected the numbers of spikes that repeated runs have; in "
                    f"population {index} {far:.0%} differ by two and more"
                )
            continue
        if (a.count != b.count).any():
            sample, neuron = (int(i) for i in np.argwhere(a.count != b.count)[0])
            raise ConformanceError(
                f"{what}: expected the same spikes; population {index}, sample {sample}, neuron "
                f"{neuron} has {a.count[sample, neuron]}, then {b.count[sample, neuron]}"
            )
        for rank in range(int(a.count.max(initial=0))):
            x, y = a.nth(rank), b.nth(rank)
            spiked = np.isfinite(x)
            off = float(np.abs(x[spiked] - y[spiked]).max(initial=0.0))
            if off > tolerance:
                raise ConformanceError(
                    f"{what}: expected the same spike times to {tolerance:.3g}; spikes number "
                    f"{rank} of population {index} differ by up to {off:.3g}"
                )
