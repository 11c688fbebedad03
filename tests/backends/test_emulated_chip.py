"""Sessions of the emulated chip: against closed forms, oracles and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import lambertw

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import TrialNoise
from hxloop.chip.placement import N_CIRCUITS
from hxloop.errors import (
    CapacityError,
)
from hxloop.network import NetworkSpec, NeuronSpec
from tests.backends.emulated_chip_examples import EXACT, NETWORK, chip, run, workload
from tests.engine.brute_force import first_spike

# --- the fixed pattern and the trial noise in spike times ---------------------------------


def one_input_spike(time, weight, distance):
    """First crossing of ``weight s exp(-s) = distance`` after ``time``, all tau = 1."""
    if distance <= 0:
        return 0.0
    if distance > weight / math.e:
        return math.inf
    return time - lambertw(-distance / weight).real


def test_threshold_leak_and_strength_move_a_spike_as_the_closed_form_says():
    n = 200
    neuron = NeuronSpec(v_threshold=2.6, v_leak=0.6)
    network = NetworkSpec.feed_forward(1, n, neuron=neuron)
    backend = chip(
        chip=5,
        imperfections={
            "preset": "none",
            "v_threshold": 0.35,
            "v_leak": 0.3,
            "strength": 0.4,
            "dead": 0.1,
        },
        **EXACT,
    )
    weights, times = [np.full((1, n), 9.0)], np.array([[0.3]])
    got = run(backend, network, load=(weights, times)).output_times[0]
    truth = backend.substrate_parameters(network)
    expected = [
        np.inf
        if truth["dead"][j]
        else one_input_spike(
            0.3,
            9.0 * truth["strength_exc"][j],
            2.0 * (1 + truth["v_threshold"][j] - truth["v_leak"][j]),
        )
        for j in range(n)
    ]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    # Each of the three cases occurs: resting above threshold, firing, not reaching it.
    assert (got == 0.0).any() and np.isinf(got[truth["dead"] == 0]).any()
    assert (np.isfinite(got) & (got > 0.3)).sum() > n / 2


@pytest.mark.parametrize("trial", [0, 3])
def test_thresholds_of_a_trial_move_spikes_as_the_closed_form_says(trial):
    n = 100
    network = NetworkSpec.feed_forward(1, n, neuron=NeuronSpec(v_threshold=1.5, v_leak=-0.5))
    imperfections = Imperfections.resolve({"preset": "none", "threshold_trial": 0.05})
    load = [np.full((1, n), 9.0)], np.array([[0.3], [1.1]])
    backend = chip(imperfections=imperfections, **EXACT)
    got = run(backend, network, seed=4, trial=trial, load=load).output_times
    shift = TrialNoise(imperfections, 4, trial).threshold(0, n)
    # The threshold of a neuron is the same in all samples of a run.
    expected = [[one_input_spike(t, 9.0, 2.0 * (1 + s)) for s in shift] for t in (0.3, 1.1)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    assert np.ptp(got[0]) > 0.02


def test_the_hidden_truth_explains_every_spike():
    backend = chip(chip=2, imperfections={"preset": "uncalibrated", "threshold_trial": 0}, **EXACT)
    weights, times = workload(batch=5)
    activity = run(backend, load=(weights, times))
    truth, start = backend.substrate_parameters(NETWORK), 0
    for matrix, spikes in zip(weights, activity.first_spike_times, strict=True):
        for j in range(matrix.shape[1]):
            of = {name: values[start + j] for name, values in truth.items()}
            felt = matrix[:, j] * np.where(matrix[:, j] > 0, of["strength_exc"], of["strength_inh"])
            taus = of["tau_mem"], of["tau_syn_exc"], of["tau_syn_inh"]
            distance = 1 + of["v_threshold"] - of["v_leak"]
            expected = [first_spike(row, felt, *taus, distance, 4.0, 4001)[0] for row in times]
            np.testing.assert_allclose(spikes[:, j], expected, rtol=0, atol=1e-9)
        assert np.isfinite(spikes).sum() > 5
        # On a chip the next layer sees what this one did, not what it should have done.
        times, start = spikes, start + matrix.shape[1]


@pytest.mark.parametrize("solver", ["event", "brian2"])
def test_dead_circuits_never_spike(solver):
    network = NetworkSpec.feed_forward(2, 20, 3, t_window=1.5)
    backend = chip(
        solver=solver,
        codegen="numpy",
        dt=0.05,
        chip=3,
        imperfections={"preset": "calibrated", "dead": 0.5},
    )
    load = [np.full((2, 20), 3.0), np.full((20, 3), 1.0)], np.full((4, 2), 0.2)
    activity = run(backend, network, load=load)
    dead = backend.substrate_parameters(network)["dead"].astype(bool)
    assert 5 < dead[:20].sum() < 15 and dead[20:].any() and not dead[20:].all()
    for spikes, silent in zip(activity.first_spike_times, (dead[:20], dead[20:]), strict=True):
        np.testing.assert_array_equal(np.isinf(spikes), np.tile(silent, (4, 1)))


@pytest.mark.parametrize("part", [None, 5])
def test_shape_of_the_hidden_truth(part):
    # 130 inputs: two circuits for each of 4 neurons, then one for each of 3.
    network = NetworkSpec.feed_forward(part or 130, 4, 3)
    truth = chip(imperfections="uncalibrated").substrate_parameters(network)
    assert set(truth) == {
        "tau_mem",
        "tau_syn_exc",
        "tau_syn_inh",
        "strength_exc",
        "strength_inh",
        "v_threshold",
        "v_leak",
        "v_reset",
        "dead",
        "t_refractory",
    }
    needed = 7 if part else 11
    for name, values in truth.items():
        assert values.shape == (needed,) and values.dtype == np.float64, name
        assert name == "dead" or len(np.unique(values)) == needed, name


# --- limits -------------------------------------------------------------------------------


def test_a_network_that_does_not_fit_is_refused_with_its_layers():
    large = NetworkSpec.feed_forward(129, 240, 20)
    with pytest.raises(CapacityError) as caught:
        chip().open(large)
    for words in (
        "129-240-20 needs 520 neuron circuits",
        "layer 0: 240 neurons x 2",
        "layer 1: 20 neurons x 2",
        "128 signed inputs",
        "has 512",
        "enforce_limits=False",
    ):
        assert words in str(caught.value)
    for fits in (NetworkSpec.feed_forward(128, 512), NetworkSpec.feed_forward(256, 200, 56)):
        chip().open(fits).close()
    with pytest.raises(CapacityError, match="needs 513 neuron circuits"):
        chip().open(NetworkSpec.feed_forward(128, 513))


def test_lifting_the_limit_continues_the_same_chip():
    bound, free = chip(chip=4), chip(chip=4, enforce_limits=False)
    assert bound.capabilities.max_neurons == N_CIRCUITS
    assert free.capabilities.max_neurons is None and free.capabilities.max_fan_in is None
    small, large = NetworkSpec.feed_forward(6, 512), NetworkSpec.feed_forward(6, 600)
    weights, times = workload(large, batch=2)
    activity = run(free, large, load=(weights, times))
    expected = run(bound, small, load=([weights[0][:, :512]], times))
    np.testing.assert_array_equal(activity.output_times[:, :512], expected.output_times)
    assert np.isfinite(activity.output_times[:, 512:]).any()
    assert activity.info.chip_id == expected.info.chip_id
    for name, values in free.substrate_parameters(large).items():
        np.testing.assert_array_equal(values[:512], bound.substrate_parameters(small)[name])


def test_capabilities_say_what_the_options_ask_for():
    exact, coarse = chip(imperfections="none", **EXACT), chip(solver="brian2", dt=0.01)
    assert exact.capabilities.deterministic and not coarse.capabilities.deterministic
    assert exact.capabilities.weight_levels is None and exact.capabilities.weight_limit is None
    assert coarse.capabilities.weight_levels == 63
    assert coarse.capabilities.weight_limit == pytest.approx(63 * 0.05)
    assert exact.capabilities.time_resolution == 1e-9
    assert coarse.capabilities.time_resolution == pytest.approx(2 * 0.01 + 1 / 750)
