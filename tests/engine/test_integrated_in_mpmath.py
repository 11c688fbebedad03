"""Loops with delays against their differential equations, integrated with 25 digits.

By the Taylor series of the equations, in steps: no kernel, no closed form, nothing of the engine.
The same integration gives differences for the gradients in high precision.
"""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.engine.spike_gradient import spike_gradients
from hxloop.engine.spike_trains import spike_trains
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection

WINDOW, STEP, TERMS, SCAN = 5, 0.25, 30, 12
NEURON = NeuronSpec(tau_mem=1.6, tau_syn=0.9, v_reset=-0.25, t_refractory=0.4)
NETWORK = NetworkSpec(
    2,
    (Population("memory", 2, NEURON), Population("output", 1, NEURON)),
    projections=(
        Projection("input", "memory"),
        Projection("memory", "memory", delays="axonal", min_delay=0.1),
        Projection("memory", "output"),
    ),
    t_window=float(WINDOW),
)
INPUTS = Spikes.from_events([0, 0, 0, 0], [0, 1, 0, 1], [0.2, 0.35, 1.5, 2.6], batch=1, n_units=2)


def parameters(seed):
    rng = np.random.default_rng(seed)
    weights = [
        rng.normal(2.4, 0.6, (2, 2)),
        rng.normal(0.3, 0.8, (2, 2)),
        rng.normal(1.5, 0.3, (2, 1)),
    ]
    return Parameters(tuple(weights), (None, rng.uniform(0.3, 0.9, 2), None))


def exact(held):
    """The same numbers with all digits of mpmath."""
    weights = [[[mpmath.mpf(float(w)) for w in row] for row in matrix] for matrix in held.weights]
    return weights, [mpmath.mpf(float(delay)) for delay in held.delays[1]]


def series(v, current, held):
    """Taylor coefficients of membrane and current, highest first, from their equations."""
    tau_mem, tau_syn = mpmath.mpf(NEURON.tau_mem), mpmath.mpf(NEURON.tau_syn)
    vs, currents = [v], [current]
    for n in range(1, TERMS):
        vs.append(mpmath.mpf(0) if held else (currents[-1] - vs[-1] / tau_mem) / n)
        currents.append(-currents[-1] / tau_syn / n)
    return vs[::-1], currents[::-1]


def crossing(membrane, length):
    """The first time in a step at which a membrane reaches 1 from below; None: it does not."""

    def above(t):
        return mpmath.polyval(membrane, t) - 1

    values = [above(length * k / SCAN) for k in range(SCAN + 1)]
    for k, (before, after) in enumerate(pairwise(values)):
        if before < 0 <= after:
            ends = (length * k / SCAN, length * (k + 1) / SCAN)
            return mpmath.findroot(above, ends, solver="anderson", tol=1e-44)
    return None


def integrated(weights, delays):
    """Spikes (time, neuron) of neurons 0 and 1 in the loop and 2, the output."""
    held_for, reset = mpmath.mpf(NEURON.t_refractory), mpmath.mpf(NEURON.v_reset)
    first, loop, last = weights
    arrivals = []
    for time, unit in zip(INPUTS.times, INPUTS.units, strict=True):
        arrivals += [(mpmath.mpf(float(time)), j, first[unit][j]) for j in range(2)]
    state = [[mpmath.mpf(0), mpmath.mpf(0)] for _ in range(3)]  # membrane, current
    free = [mpmath.mpf(0)] * 3  # until when each is held
    now, spikes = mpmath.mpf(0), []
    while now < WINDOW:
        stops = [time for time, _, _ in arrivals] + [time for time in free if time > now]
        until = min([*stops, now + STEP, mpmath.mpf(WINDOW)])
        ways = [series(v, current, free[j] > now) for j, (v, current) in enumerate(state)]
        reached = [
            (at, j)
            for j, (membrane, _) in enumerate(ways)
            if free[j] <= now and (at := crossing(membrane, until - now)) is not None
        ]
        crossed = min(reached, default=None)
        length = until - now if crossed is None else crossed[0]
        until = until if crossed is None else now + length
        state = [[mpmath.polyval(each, length) for each in way] for way in ways]
        now = until
        due = [each for each in arrivals if each[0] == now]
        arrivals = [each for each in arrivals if each[0] != now]
        for _, j, weight in due:
            state[j][1] += weight
        if crossed is not None:
            j = crossed[1]
            spikes.append((now, j))
            state[j][0], free[j] = reset, now + held_for
            if j < 2:
                arrivals += [(now + delays[j], i, loop[j][i]) for i in range(2)]
                state[2][1] += last[j][0]
    return spikes


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(25):
        yield


@pytest.mark.parametrize("seed", [0, 3])
def test_spikes_are_those_of_the_equations(seed):
    held = parameters(seed)
    loop, output = spike_trains(NETWORK, held, INPUTS)
    expected = integrated(*exact(held))
    for found, neurons in ((loop, (0, 1)), (output, (2,))):
        times = sorted((float(t), j - neurons[0]) for t, j in expected if j in neurons)
        assert [unit for _, unit in times] == found.units.tolist()
        assert np.abs(found.times - [time for time, _ in times]).max() < 1e-12
    assert loop.n_spikes >= 4 and output.n_spikes >= 2


def test_gradients_are_differences_in_high_precision():
    """Of the last spike of the output, to which everything before it leads."""
    held = parameters(0)
    recorded = spike_trains(NETWORK, held, INPUTS)
    of_spikes = [np.zeros(spikes.n_spikes) for spikes in recorded]
    of_spikes[1][-1] = 1.0
    found = spike_gradients(NETWORK, held, INPUTS, recorded, of_spikes)
    step = mpmath.mpf(10) ** -7

    def moved(change):
        weights, delays = exact(held)
        change(weights, delays)
        return [time for time, j in integrated(weights, delays) if j == 2][-1]

    def difference(change):
        return float((moved(lambda w, d: change(w, d, step))
                      - moved(lambda w, d: change(w, d, -step))) / (2 * step))  # fmt: skip

    def of_weight(weights, delays, by):
        weights[1][0][1] += by

    def of_delay(weights, delays, by):
        delays[0] += by

    assert found.weights[1][0, 1] == pytest.approx(difference(of_weight), rel=1e-9, abs=1e-11)
    assert found.delays[1][0] == pytest.approx(difference(of_delay), rel=1e-9, abs=1e-11)
    assert abs(found.weights[1][0, 1]) > 1e-3 and abs(found.delays[1][0]) > 1e-3
