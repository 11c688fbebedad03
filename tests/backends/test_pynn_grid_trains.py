"""NEURON and Brian2 run neurons that spike again, loops, delays, skip connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.activity import Activity, Spikes
from hxloop.engine.psp import psp_after
from hxloop.errors import CapacityError, RunFailed, RunInputError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters
from tests.backends.pynn_trains import DT, drawn, loop, opened

# NEST, NEURON and Brian2 take seconds to start: once, for all tests of them.
pytestmark = pytest.mark.xdist_group("test_pynn_simulators.py")

NEURON = NeuronSpec(tau_mem=1.5, t_refractory=0.2, v_reset=-0.2)
# A loop without any delay, and one with delays; whatever else there is.
NETWORK = loop(NEURON, 0.0)
# Steps of each simulator, and whether it takes the nearest point of the grid or the next one.
STEPS = {"pynn-neuron": (DT / 2, False), "pynn-brian2": (DT, True)}


@pytest.fixture(scope="module", params=sorted(STEPS))
def simulator(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def session(simulator: str) -> Iterator[Any]:
    with opened(simulator, NETWORK) as session:
        yield session


def on_grid(network: NetworkSpec, activity: Activity, dt: float, nearest: bool) -> list[list[Any]]:
    """(sample, neuron, step) of all spikes of each population, step by step in plain numpy.

    Membrane and current are exact from one point of the grid to the next; a neuron spikes at the
    first point at which its membrane is above the threshold, or half a step before that.
    """
    held, last = activity.parameters, round(network.t_window / dt)
    sizes, samples = network.sizes[1:], range(activity.batch)
    found: list[list[Any]] = [[] for _ in sizes]
    for b in samples:
        arriving = [np.zeros((last + 1, size)) for size in sizes]

        def send(pre: int, unit: int, step: int, arriving: Any = arriving) -> None:
            for index, (source, post) in enumerate(network.ends):
                if source != pre:
                    continue
                kind, late = network.all_projections[index].delays, held.delays[index]
                weights = held.weights[index]
                each = np.zeros(weights.shape) if late is None else late
                each = each[:, None] if kind == "axonal" else each
                steps = np.rint(np.broadcast_to(each, weights.shape)[unit] / dt).astype(int)
                for neuron, arrives in enumerate(step + steps):
                    if arrives <= last:
                        arriving[post][arrives, neuron] += weights[unit, neuron]

        mine = activity.inputs.samples == b
        for unit, t in zip(activity.inputs.units[mine], activity.inputs.times[mine], strict=True):
            send(-1, int(unit), round(t / dt))
        state = [(np.zeros(n), np.zeros(n), np.full(n, -(10**6))) for n in sizes]
        for step in range(last + 1):
            for p, layer in enumerate(network.layers):
                v, current, spiked = state[p]
                neuron = layer.neuron
                k = [float(psp_after(h, neuron.tau_mem, 1.0)) for h in (dt, dt / 2)]
                if step:
                    v = v * np.exp(-dt / neuron.tau_mem) + current * k[0]
                    current = current * np.exp(-dt)
                holds = spiked + round(neuron.t_refractory / dt)
                v = np.where(step <= holds, neuron.v_reset, v)
                seen = v * np.exp(-dt / 2 / neuron.tau_mem) + current * k[1] if nearest else v
                for n in np.flatnonzero((seen > neuron.v_threshold) & (step > holds)):
                    found[p].append((b, int(n), step))
                    spiked[n] = step
                    v[n] = neuron.v_reset
                state[p] = v, current, spiked
            # What is sent without a delay arrives after all have been looked at.
            for p in range(len(sizes)):
                for sample, n, when in found[p]:
                    if (sample, when) == (b, step):
                        send(p, n, step)
            state = [
                (v, current + arriving[p][step], spiked)
                for p, (v, current, spiked) in enumerate(state)
            ]
    return [sorted(each) for each in found]


def steps_of(spikes: Spikes, dt: float) -> list[Any]:
    steps = np.rint(spikes.times / dt).astype(int)
    np.testing.assert_allclose(spikes.times, steps * dt, rtol=0, atol=1e-9)
    return sorted(zip(spikes.samples.tolist(), spikes.units.tolist(), steps.tolist(), strict=True))


def test_held_exactly_and_delivered_at_once_on_the_grid(session: Any, simulator: str) -> None:
    given, inputs = drawn(NETWORK, seed=1, batch=4)
    activity = session.run(given, inputs)
    dt, nearest = STEPS[simulator]
    expected = on_grid(NETWORK, activity, dt, nearest)
    assert max(spikes.count.max() for spikes in activity.spikes) >= 3
    for spikes, steps in zip(activity.spikes, expected, strict=True):
        assert steps_of(spikes, dt) == steps
    # The first spikes are those of the ideal substrate, to the rounding of up to three populations.
    with get_backend("ideal").open(NETWORK) as ideal:
        exact = ideal.run(activity.parameters, activity.inputs)
    first, true = activity.spikes[0].first, exact.spikes[0].first
    assert np.array_equal(np.isfinite(first), np.isfinite(true))
    fired = np.isfinite(first)
    bias = float(np.mean(first[fired] - true[fired]))
    assert abs(bias) < DT / 4 if nearest else 0 < bias < DT / 2


def test_a_sample_does_not_depend_on_its_neighbours_at_all(session: Any) -> None:
    given, inputs = drawn(NETWORK, seed=2, batch=4)
    # A loop that goes on and on: no pause on a common time axis would be long enough.
    endless = Parameters(tuple(np.abs(matrix) * 3 for matrix in given.weights), given.delays)
    whole = session.run(endless, inputs)
    backwards = session.run(endless, inputs.select([3, 2, 1, 0]))
    alone = session.run(endless, inputs.select([2]))
    for mine, reverse, one in zip(whole.spikes, backwards.spikes, alone.spikes, strict=True):
        assert mine.select([2]) == one
        assert mine.select([3, 2, 1, 0]) == reverse
    # There are spikes of each to be compared, and they are its own.
    assert (whole.spikes[0].count.sum(axis=1) > 0).all()
    assert whole.spikes[0].select([0]) != whole.spikes[0].select([2])
    last = max(float(spikes.times.max()) for spikes in whole.spikes)
    assert last > NETWORK.t_window - 2 * NEURON.t_refractory


def test_input_spikes_of_one_step_are_delivered_one_after_the_other(
    session: Any, simulator: str
) -> None:
    dt, _ = STEPS[simulator]
    times = [0.4, 0.4 + 0.1 * dt, 0.4 + 0.2 * dt, 0.4, NETWORK.t_window, NETWORK.t_window - dt / 9]
    given, _ = drawn(NETWORK, seed=1)
    inputs = Spikes.from_events([0] * 6, [0, 0, 0, 1, 2, 2], times, batch=1, n_units=4)
    activity = session.run(given, inputs)
    expected = [(0, 0, k + round(0.4 / dt)) for k in range(3)] + [(0, 1, round(0.4 / dt))]
    expected += [(0, 2, round(NETWORK.t_window / dt) - k) for k in (1, 0)]
    assert steps_of(activity.inputs, dt) == expected
    assert activity.info.rounded_inputs == 3
    # What comes after the window is reported as it was asked for, and plays no part.
    late = Spikes.from_events([0], [0], [NETWORK.t_window + 0.123], batch=1, n_units=4)
    activity = session.run(given, late)
    assert activity.inputs == late
    assert activity.info.rounded_inputs == 0 == sum(s.n_spikes for s in activity.spikes)
    n = round(NETWORK.t_window / dt) + 2
    crowd = np.linspace(0, NETWORK.t_window, n)
    inputs = Spikes.from_events([0] * n, [3] * n, crowd, batch=1, n_units=4)
    with pytest.raises(
        RunInputError, match=rf"channel 3 of sample 0 spikes {n} times .*{n - 1} of"
    ):
        session.run(given, inputs)


@pytest.mark.parametrize("late", [1e3, 1e12, 1e308])
def test_what_comes_after_the_window_comes_never_however_long_it_takes(
    session: Any, late: float
) -> None:
    given, inputs = drawn(NETWORK, seed=3, batch=2)
    delays = tuple(None if d is None else np.full_like(d, late) for d in given.delays)
    activity = session.run(Parameters(given.weights, delays), inputs)
    cut = tuple(
        np.zeros_like(w) if d is not None else w for w, d in zip(given.weights, delays, strict=True)
    )
    expected = session.run(Parameters(cut, given.delays), inputs)
    for spikes, without in zip(activity.spikes, expected.spikes, strict=True):
        assert spikes == without
    assert any(spikes.n_spikes for spikes in activity.spikes)


def test_weights_beyond_what_holds_a_neuron_are_refused_not_lost(
    session: Any, simulator: str
) -> None:
    given, inputs = drawn(NETWORK, seed=3, batch=2)

    def run(weight: float) -> Activity:
        matrices = tuple(np.full_like(w, weight) for w in given.weights)
        return session.run(Parameters(matrices, given.delays), inputs)

    before = run(1e6)
    expected = on_grid(NETWORK, before, *STEPS[simulator])
    assert [len(spikes) for spikes in expected] == [s.n_spikes for s in before.spikes]
    if simulator == "pynn-neuron":  # it lost spikes of 1e300, and made some up at 1e30
        with pytest.raises(RunInputError, match=r"into neuron 0 add up to 4e\+30; NEURON holds"):
            run(1e30)
    else:
        assert run(1e30).spikes == before.spikes
    with pytest.raises(RunInputError, match=r"expected weights from -1e\+30 to 1e\+30"):
        run(1e31)
    assert run(1e6).spikes == before.spikes


def test_what_the_grid_would_bend_is_refused_with_the_number(simulator: str) -> None:
    half = 2 if simulator == "pynn-neuron" else 1
    with pytest.raises(CapacityError, match=r"'a' has t_refractory = 0.33; .* whole number") as got:
        opened(simulator, loop(replace(NEURON, t_refractory=0.33)), dt=0.05)
    dt = float(str(got.value).rpartition("dt = ")[2])
    assert dt <= 0.05 and 0.33 * half / dt == pytest.approx(round(0.33 * half / dt), abs=1e-6)
    # As near to no step as it is: no neuron spikes at every step without a word.
    with pytest.raises(CapacityError, match=r"'a' has t_refractory = 1e-09"):
        opened(simulator, loop(replace(NEURON, t_refractory=1e-9)), dt=0.05)
    if simulator == "pynn-neuron":
        with pytest.raises(CapacityError, match=r"t_refractory = 0; NEURON.* at least one"):
            opened(simulator, loop(replace(NEURON, t_refractory=0.0)))


def test_after_a_run_that_dies_the_next_one_is_as_before(
    session: Any, simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, inputs = drawn(NETWORK, seed=1, batch=4)
    before = session.run(given, inputs).spikes

    def dies(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("the simulator broke down")

    with monkeypatch.context() as patch:
        patch.setattr({"pynn-neuron": "pyNN.neuron.run"}.get(simulator, "brian2.Network.run"), dies)
        with pytest.raises(RunFailed, match="broke down"):
            session.run(given, inputs)
    after = session.run(given, inputs).spikes
    assert all(a == b for a, b in zip(before, after, strict=True))
