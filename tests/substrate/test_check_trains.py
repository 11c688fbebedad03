"""Spike trains that no run can have had are refused, with the place; nothing is repaired."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hxloop.activity import Activity, Spikes
from hxloop.errors import RunFailed
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population
from hxloop.substrate import get_backend
from hxloop.substrate.check_trains import check_trains

ONCE = NeuronSpec()
SPEC = NetworkSpec(
    2,
    (Population("hidden", 3, NeuronSpec(t_refractory=0.5)), Population("output", 2, ONCE)),
    t_window=6.0,
)
INPUTS = Spikes.from_first([[0.5, 1.0], [0.2, 0.9]])
WEIGHTS = Parameters([np.full(shape, 4.0) for shape in SPEC.shapes])


@pytest.fixture(scope="module")
def sound() -> Any:
    with get_backend("ideal").open(SPEC) as session:
        yield session.run(WEIGHTS, INPUTS), session.capabilities


def spikes(times: list[float], units: list[int], n_units: int = 3) -> Spikes:
    """All of sample 0; sample 1 is silent."""
    return Spikes.from_events([0] * len(times), units, times, batch=2, n_units=n_units)


def test_what_a_run_returned_passes(sound) -> None:
    activity, capabilities = sound
    assert activity.spikes[0].n_spikes > 6  # several of a neuron
    assert not activity.spikes[0].once
    check_trains(activity, SPEC, INPUTS, WEIGHTS, capabilities)


Changes = dict[str, Any]


def first_sample(activity: Any) -> Changes:
    return {"spikes": (activity.spikes[0].select(slice(1)), activity.spikes[1])}


def late(activity: Any) -> Changes:
    return {"spikes": (spikes([1.0, 6.5], [0, 1]), activity.spikes[1])}


def twice(activity: Any) -> Changes:
    return {"spikes": (activity.spikes[0], spikes([1.0, 2.0], [1, 1], 2))}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda a: {"spikes": a.spikes[:1]}, r"of the sizes \[2, 3\]; expected \[2, 3, 2\]"),
        (first_sample, "1 samples of hidden; expected 2"),
        (
            late,
            r"spikes of hidden, number 1, at 6.5 \(sample 0, neuron 1\); expected times between",
        ),
        (twice, r"2 spikes of neuron 1 of output in sample 0; expected at most one"),
        (
            lambda a: {"parameters": Parameters([w[:, :1] for w in WEIGHTS])},
            "weights_used of shapes",
        ),
    ],
)
def test_what_cannot_have_been_is_told(sound, changes, said: str) -> None:
    activity, capabilities = sound
    parts = {"spikes": activity.spikes, "parameters": activity.parameters, **changes(activity)}
    with pytest.raises(RunFailed, match=said):
        spoilt = Activity.of_spikes(
            activity.inputs, parts["spikes"], parts["parameters"], activity.info
        )
        check_trains(spoilt, SPEC, INPUTS, WEIGHTS, capabilities)


def test_what_is_no_activity_is_told(sound) -> None:
    with pytest.raises(RunFailed, match="a run returned list; expected an Activity"):
        check_trains([1], SPEC, INPUTS, WEIGHTS, sound[1])  # type: ignore[arg-type]
