"""The checks of trains, loops and delays notice what they are there for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.conformance import ALL_CHECKS, CHECKS, Subject, run_check
from hxloop.conformance.train_membrane import Membrane
from hxloop.conformance.train_plan import chain, drawn_inputs, play, spiking
from hxloop.engine.psp import psp_after
from hxloop.network import Feature, NetworkSpec, NeuronSpec
from hxloop.substrate import get_backend
from tests.conformance.sabotage import Backend
from tests.conformance.train_sabotage import TRAIN_SABOTAGES

BY_NAME = {check.name: check for check in ALL_CHECKS}
IDS = [f"{number}-{name}" for number, (name, _) in enumerate(TRAIN_SABOTAGES)]


@pytest.mark.parametrize(("name", "backend"), TRAIN_SABOTAGES, ids=IDS)
def test_a_broken_promise_is_noticed(name: str, backend: Any) -> None:
    with Subject(backend) as subject:
        result = run_check(BY_NAME[name], subject)
    assert result.status == "failed", result


def test_they_run_where_they_are_declared() -> None:
    groups = ("multi-spike", "recurrent", "delays", "read-out", "neuron-parameters")
    chosen = [check for check in CHECKS if check.group in groups]
    assert {check.group for check in chosen} == set(groups)

    def status(*features: Feature) -> dict[str, str]:
        with Subject(Backend(declares={"features": frozenset(features)})) as subject:
            return {check.name: run_check(check, subject).status for check in chosen}

    assert set(status().values()) == {"not applicable"}
    only = status(Feature.DELAYS, Feature.SKIP)
    ran = {name for name, outcome in only.items() if outcome == "passed"}
    assert ran == {check.name for check in chosen if check.group == "delays"}
    assert "failed" not in only.values()


def test_the_membrane_of_the_checks_is_that_of_the_model() -> None:
    neuron = NeuronSpec(tau_mem=1.7, v_reset=-0.4, t_refractory=0.3)
    arrivals = [(0.2, 0.9, True), (0.7, -0.5, False), (1.4, 1.1, True)]
    free = Membrane(neuron, arrivals)
    expected = sum(w * float(psp_after(2.0 - a, 1.7, 1.0)) for a, w, _ in arrivals)
    assert free.at(2.0) == pytest.approx(expected, abs=1e-13)
    held = Membrane(neuron, arrivals, released=1.0)
    left = sum(w * math.exp(-(1.0 - a)) for a, w, _ in arrivals[:2])
    expected = -0.4 * math.exp(-1.0 / 1.7) + left * float(psp_after(1.0, 1.7, 1.0))
    expected += 1.1 * float(psp_after(0.6, 1.7, 1.0))
    assert held.at(2.0) == pytest.approx(expected, abs=1e-13)
    times = np.linspace(1.0, 3.0, 4001)
    highest = max(held.at(float(t)) for t in times[1:])
    assert max(height for _, height in held.heights(3.0)) == pytest.approx(highest, abs=1e-6)
    # What it depends on: each recorded arrival, and its release.
    step, terms = 1e-6, []
    for k in (0, 2):
        moved = [(a + step * (i == k), w, r) for i, (a, w, r) in enumerate(arrivals)]
        terms.append((Membrane(neuron, moved, 1.0).at(2.0) - held.at(2.0)) / step)
    terms.append((Membrane(neuron, arrivals, 1.0 + step).at(2.0) - held.at(2.0)) / step)
    assert held.sensitivity(2.0) == pytest.approx(math.hypot(*terms), rel=1e-4)


def test_a_drawn_task_has_what_the_checks_are_about() -> None:
    with Subject(get_backend("ideal")) as subject:
        inputs = drawn_inputs(subject)
        assert isinstance(inputs, Spikes) and inputs.count.max() == 3
        network: NetworkSpec = chain(subject, spiking(subject))
        with subject.opened(network) as session:
            counts = [spikes.count for spikes in play(subject, session).activity.spikes]
        assert all(count.max() > 1 for count in counts)
