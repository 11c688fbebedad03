"""Spike times against the nominal model, and runs against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.conformance.subject import Subject, median
from hxloop.engine.psp import psp_after
from hxloop.errors import ConformanceError
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import Session

Array = NDArray[np.float64]

# Slope of the membrane at threshold, in leak-threshold distances per tau_syn, below which a spike
# may be off by more than the declared resolution: the same error of the membrane moves it more.
CLEAR_SLOPE = 0.1


@dataclass(frozen=True)
class Deviation:
    """How far spike times lie from the nominal model, one layer at a time.

    Attributes:
        largest: largest distance from the expected time, after the declared latency.
        latency: median of what is recorded minus what the model says, of the layer in which it is
            farthest from the declared latency.
        typical: median distance from the expected time.
        wrong: fraction of (sample, neuron) that spike here and are silent there.
        n_spikes: how many spikes were compared.
        n_brief: how many crossings were missed that the model undoes sooner than the resolution.
    """

    largest: float
    latency: float
    typical: float
    wrong: float
    n_spikes: int
    n_brief: int = 0

    def figures(self) -> dict[str, float]:
        """As a check returns them."""
        return {
            "largest_error": self.largest,
            "median_error": self.typical,
            "latency": self.latency,
            "wrong_decisions": self.wrong,
            "brief_crossings_missed": self.n_brief,
        }


def compare_with_model(
    subject: Subject, session: Session, weights: Sequence[Array], times: Array
) -> Deviation:
    """Run in a session, and judge with ``judge_runs``."""
    return judge_runs(subject, session.network, subject.repeat(weights, times, session))


def judge_runs(subject: Subject, network: NetworkSpec, runs: Sequence[Activity]) -> Deviation:
    """Compare every layer of runs with the nominal model of what that layer was given.

    Each layer is judged by the *recorded* times of the layer before and the weights *as held*, so
    neither rounding of weights nor an error of an earlier layer counts.

    A spike may lie as far from the expected time as the declared ``time_resolution``, and
    further where the membrane rises slowly (less than ``CLEAR_SLOPE``): everything between the
    times at which the model reaches a slightly lower and a slightly higher threshold is
    allowed, and so is silence where the higher one is not reached within the window. A crossing
    that inhibition undoes sooner than the resolution may be missed.

    Raises:
        ConformanceError: a spike too early, too late, missing or superfluous; of a statistical
            subject: too large a median or too many wrong decisions.
    """
    judge = _judge_typical if subject.statistical else _judge_exact
    return judge(subject, network, runs)


def _judge_exact(subject: Subject, network: NetworkSpec, runs: Sequence[Activity]) -> Deviation:
    (activity,) = runs
    resolution, latency = subject.resolution, subject.capabilities.latency
    # Rounding of the comparison itself.
    slack = resolution + 1e-12 * network.t_window
    errors: list[Array] = []
    wrong = []
    n_brief = 0
    previous = activity.input_times
    for index, (layer, used, got) in enumerate(
        zip(network.layers, activity.weights_used, activity.first_spike_times, strict=True)
    ):
        neuron, window = layer.neuron, network.t_window
        shift = CLEAR_SLOPE * resolution * (neuron.v_threshold - neuron.v_leak)

        def expect(shift: float, edge: float) -> Array:
            shifted = replace(neuron, v_threshold=neuron.v_threshold + shift)  # noqa: B023
            times = subject.reference(previous, used, shifted, edge)  # noqa: B023
            return times + latency

        exact = expect(0.0, window)
        earliest = expect(-shift, window + slack) - slack
        latest = expect(shift, window) + slack
        latest[latest > window] = np.inf
        bad = ~((earliest <= got) & (got <= latest))
        brief = np.zeros_like(bad)
        for sample, post in np.argwhere(bad & (got > exact)):
            brief[sample, post] = _is_brief(
                previous[sample], used[:, post], neuron, exact[sample, post] - latency, resolution
            )
        bad &= ~brief
        n_brief += int(brief.sum())
        if bad.any():
            sample, post = (int(i) for i in np.argwhere(bad)[0])
            raise ConformanceError(
                f"layer {index}, sample {sample}, neuron {post}: expected a spike at "
                f"{exact[sample, post]:.9g}, from {earliest[sample, post]:.9g} to "
                f"{latest[sample, post]:.9g} (time_resolution {resolution:.3g}, latency "
                f"{latency:.3g}); got {got[sample, post]:.9g}. {int(bad.sum())} of {bad.size} are "
                f"wrong. Largest error of a spike: {_largest(got, exact):.3g}"
            )
        both = np.isfinite(got) & np.isfinite(exact) & ~brief
        errors.append(got[both] - exact[both])
        wrong.append(np.isfinite(got) != np.isfinite(exact))
        previous = got
    return replace(_deviation(errors, wrong, latency), n_brief=n_brief)


def _is_brief(
    times: Array, weights: Array, neuron: NeuronSpec, crossing: float, lasting: float
) -> bool:
    """Whether the membrane is below the threshold again so soon after it crossed it."""
    after = crossing + lasting * np.linspace(0, 1, 65)[1:]
    since = after[:, None] - times
    response = psp_after(np.maximum(since, 0), neuron.tau_mem, neuron.tau_syn)
    membrane = np.where(since > 0, response, 0.0) @ weights
    return bool((membrane < neuron.v_threshold - neuron.v_leak).any())


def _judge_typical(subject: Subject, network: NetworkSpec, runs: Sequence[Activity]) -> Deviation:
    allowed = subject.tolerance
    # The median run of each layer: every layer is judged by the median of the one before.
    layers = [
        median([run.first_spike_times[i] for run in runs]) for i in range(len(network.layers))
    ]
    errors, wrong = [], []
    previous = runs[0].input_times
    for layer, used, got in zip(network.layers, runs[0].weights_used, layers, strict=True):
        exact = subject.reference(previous, used, layer.neuron, network.t_window)
        exact = exact + subject.capabilities.latency
        both = np.isfinite(got) & np.isfinite(exact)
        errors.append(got[both] - exact[both])
        wrong.append(np.isfinite(got) != np.isfinite(exact))
        previous = got
    result = _deviation(errors, wrong, subject.capabilities.latency)
    if result.typical > allowed.time or result.wrong > 1 - allowed.decisions:
        raise ConformanceError(
            f"median of {len(runs)} runs: expected spike times within {allowed.time:g} of the "
            f"nominal model in the median, and at most {1 - allowed.decisions:.0%} wrong "
            f"decisions; got {result.typical:.3g} and {result.wrong:.1%}"
        )
    return result


def _deviation(
    errors: Sequence[Array], wrong: Sequence[NDArray[np.bool_]], latency: float
) -> Deviation:
    # Expected times include the declared latency already.
    medians = [float(np.median(layer)) for layer in errors if len(layer)]
    every = np.abs(np.concatenate(errors))
    return Deviation(
        largest=float(every.max(initial=0.0)),
        latency=latency + max(medians, key=abs, default=0.0),
        typical=float(np.median(every)) if len(every) else 0.0,
        wrong=float(np.mean(np.concatenate([layer.ravel() for layer in wrong]))),
        n_spikes=len(every),
    )


def _largest(got: Array, exact: Array) -> float:
    both = np.isfinite(got) & np.isfinite(exact)
    return float(np.abs(got[both] - exact[both]).max(initial=0.0))


def times_of(runs: Sequence[Activity]) -> list[tuple[Array, ...]]:
    """First spike times of every layer, for each run."""
    return [run.first_spike_times for run in runs]


def require_usual(subject: Subject, when: str) -> None:
    """The usual task must give the usual result.

    Raises:
        ConformanceError: it does not.
    """
    task = subject.plan.task
    again = subject.repeat(task.weights, task.input_times)
    require_alike(subject, times_of(subject.usual), times_of(again), when, 2 * subject.resolution)


def require_alike(
    subject: Subject,
    first: Sequence[Sequence[Array]],
    second: Sequence[Sequence[Array]],
    what: str,
    tolerance: float,
) -> None:
    """Two sets of repeated runs must not differ.

    Args:
        subject: exact or statistical.
        first: for each run the first spike times of every layer, ``(sample, neuron)``.
        second: the same under another condition.
        what: the condition that must not matter, in words.
        tolerance: largest difference of a spike time of an exact subject.

    Raises:
        ConformanceError: exact: a spike that differs by more than ``tolerance`` or is missing;
            statistical: differences between the conditions twice as large as between
            runs of the first one.
    """
    if not subject.statistical:
        for index, (a, b) in enumerate(zip(first[0], second[0], strict=True)):
            with np.errstate(invalid="ignore"):
                same = (np.abs(a - b) <= tolerance) | (np.isinf(a) & np.isinf(b))
            if not same.all():
                sample, neuron = (int(i) for i in np.argwhere(~same)[0])
                raise ConformanceError(
                    f"{what}: expected the same spike times to {tolerance:.3g}; layer {index}, "
                    f"sample {sample}, neuron {neuron}: {a[sample, neuron]:.12g}, then "
                    f"{b[sample, neuron]:.12g}; {int((~same).sum())} of {same.size} differ"
                )
        return
    runs = [[np.concatenate([t.ravel() for t in run]) for run in part] for part in (first, second)]
    within = [_distance(a, b) for i, a in enumerate(runs[0]) for b in runs[0][:i]]
    between = [_distance(a, b) for a in runs[0] for b in runs[1]]
    (noise, flips), (difference, flipped) = np.mean(within, axis=0), np.mean(between, axis=0)
    if difference > 2 * noise + 2 * subject.resolution or flipped > 2 * flips + 0.05:
        raise ConformanceError(
            f"{what}: expected differences like those between repeated runs (median "
            f"{noise:.3g}, {flips:.1%} of the decisions); got {difference:.3g} and {flipped:.1%}"
        )


def _distance(a: Array, b: Array) -> tuple[float, float]:
    """Median difference of spike times, and fraction of decisions that differ."""
    both = np.isfinite(a) & np.isfinite(b)
    median = float(np.median(np.abs(a[both] - b[both]))) if both.any() else 0.0
    return median, float((np.isfinite(a) != np.isfinite(b)).mean())
