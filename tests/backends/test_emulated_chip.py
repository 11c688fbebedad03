"""Sessions of the emulated chip: against closed forms, oracles and each other."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw

from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.backends.emulated.brian2 import chip as brian2_chip
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import N_CIRCUITS, TrialNoise
from hxloop.errors import (
    CalibrationError,
    CapacityError,
    ConfigError,
    HxloopError,
    RunInputError,
    SessionClosedError,
    UnknownNameError,
)
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import Backend, Session, get_backend
from tests.engine.brute_force import first_spike

# Neither weights nor times are touched, so that a closed form holds to rounding.
EXACT = {"quantise_weights": False, "quantise_times": False}
NOISY = {"preset": "calibrated", "spike_jitter": 0.01, "spike_loss": 0.1}
NETWORK = NetworkSpec.feed_forward(6, 10, 3, t_window=4.0)


def chip(**options):
    return EmulatedChipBackend(**({"solver": "event", "weight_lsb": 0.05} | options))


def workload(network=NETWORK, batch=12, seed=0):
    """Weights and times that let most but not all neurons fire, with a few silent inputs."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(4.5 / pre, 3.5 / pre**0.7, (pre, n)) for pre, n in network.shapes]
    times = rng.uniform(0.0, 2.0, (batch, network.n_inputs))
    times[rng.random(times.shape) < 0.05] = np.inf
    return weights, times


def run(backend, network=NETWORK, *, seed=1, trial=0, load=None):
    with backend.open(network, seed=seed) as session:
        return session.run(*(load or workload(network)), trial=trial)


def assert_same(a, b, part=slice(None)):
    assert len(a.first_spike_times) == len(b.first_spike_times)
    for x, y in zip(a.first_spike_times, b.first_spike_times, strict=True):
        np.testing.assert_array_equal(x[part], y)


def differ(a, b):
    pairs = zip(a.first_spike_times, b.first_spike_times, strict=True)
    return any((x != y).any() for x, y in pairs)


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


# --- seeds and trials ---------------------------------------------------------------------


def test_same_seed_and_trial_give_the_same_activity():
    backend = chip(imperfections=NOISY)
    first = run(backend, seed=3, trial=2)
    assert_same(first, run(backend, seed=3, trial=2))
    assert_same(first, run(pickle.loads(pickle.dumps(backend)), seed=3, trial=2))
    for seed, trial in ((3, 1), (2, 2), (2, 3)):
        assert differ(first, run(backend, seed=seed, trial=trial))
    assert differ(first, run(chip(imperfections=NOISY, chip=1), seed=3, trial=2))


def test_runs_without_a_trial_take_one_after_the_other():
    weights, times = workload()
    with chip(imperfections=NOISY).open(NETWORK, seed=9) as session:
        with pytest.raises(RunInputError):
            session.run(weights, times[:0])  # a refused run takes no trial
        taken = [session.run(weights, times) for _ in range(2)]
        chosen = session.run(weights, times, trial=7)
        taken.append(session.run(weights, times))
    assert [activity.info.trial for activity in (*taken, chosen)] == [0, 1, 2, 7]
    assert {activity.info.seed for activity in taken} == {9}
    assert differ(taken[0], taken[1]) and differ(taken[1], taken[2])
    for trial, activity in enumerate(taken):
        assert_same(activity, run(chip(imperfections=NOISY), seed=9, trial=trial))


def test_a_drawn_seed_is_reported_and_repeats_the_run():
    backend = chip(imperfections=NOISY)
    first, second = run(backend, seed=None, trial=None), run(backend, seed=None, trial=None)
    assert first.info.seed != second.info.seed
    assert differ(first, second)
    for activity in (first, second):
        assert_same(activity, run(backend, seed=activity.info.seed, trial=activity.info.trial))


def test_without_trial_noise_seed_and_trial_change_nothing():
    quiet = {"preset": "uncalibrated", "threshold_trial": 0.0}
    backend = chip(imperfections=quiet)
    assert backend.capabilities.deterministic
    assert_same(run(backend, seed=1, trial=0), run(backend, seed=2, trial=5))


@pytest.mark.parametrize("solver", ["event", "brian2"])
def test_a_sample_has_the_same_noise_in_every_batch(solver):
    backend = chip(solver=solver, codegen="numpy", dt=0.05, imperfections=NOISY)
    weights, times = workload()
    together = run(backend, load=(weights, times))
    for first in (1, 5):
        assert_same(together, run(backend, load=(weights, times[:first])), slice(first))


@pytest.mark.parametrize("number", [-1, 1.5, "one"])
@pytest.mark.parametrize("which", ["seed", "trial"])
def test_a_seed_or_trial_that_is_none_is_refused_by_name(which, number):
    """NumPy refuses these too, but names neither, and only where there is noise to draw."""
    given_numbers = {"seed": 0, "trial": 0} | {which: number}
    with pytest.raises(HxloopError, match=which):
        run(chip(), **given_numbers)


# --- jitter and loss ----------------------------------------------------------------------


@pytest.mark.parametrize("jitter", [0.01, 0.5])
def test_jitter_and_loss_act_on_every_spike_and_are_passed_on(jitter):
    """Each layer is the ideal one for what it was given, then shifted and thinned."""
    values = {"preset": "none", "spike_jitter": jitter, "spike_loss": 0.2}
    imperfections = Imperfections.resolve(values)
    weights, times = workload(batch=40)
    times[20:] += 1.8  # so that some spikes are shifted beyond the end of the window
    activity = run(chip(imperfections=values, **EXACT), seed=6, trial=2, load=(weights, times))
    noise = TrialNoise(imperfections, 6, 2)
    early = late = 0
    for layer, (matrix, spikes) in enumerate(zip(weights, activity.first_spike_times, strict=True)):
        alone = NetworkSpec.feed_forward(*matrix.shape, t_window=NETWORK.t_window)
        free = run(get_backend("ideal"), alone, load=([matrix], times)).output_times
        shifted = np.maximum(free + noise.jitter(layer, *free.shape), 0.0)
        early += (shifted == 0).sum()
        late += (np.isfinite(shifted) & (shifted > 4.0)).sum()
        shifted[(shifted > 4.0) | noise.lost(layer, *free.shape)] = np.inf
        np.testing.assert_allclose(spikes, shifted, rtol=0, atol=1e-9)
        assert np.isfinite(spikes).sum() > 20
        times = spikes
    assert jitter < 0.1 or (early > 0 and late > 0)


def test_lost_spikes_are_counted_and_concern_no_other_spike():
    network = NetworkSpec.feed_forward(6, 40)
    load = workload(network, batch=50)
    free = run(chip(), network, load=load)
    lossy = run(chip(imperfections={"spike_loss": 0.25}), network, load=load)
    lost = np.isinf(lossy.output_times) & np.isfinite(free.output_times)
    np.testing.assert_array_equal(lossy.output_times[~lost], free.output_times[~lost])
    n = np.isfinite(free.output_times).sum()
    assert lost.sum() / n == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / n))
    # Counted are all pairs hit, also those without a spike to lose.
    pairs = free.output_times.size
    assert lossy.info.lost_spikes / pairs == pytest.approx(
        0.25, abs=5 * np.sqrt(0.25 * 0.75 / pairs)
    )
    assert lossy.info.lost_spikes >= lost.sum()
    assert free.info.lost_spikes == 0


def test_lost_spikes_of_all_layers_are_counted():
    noise = TrialNoise(Imperfections.resolve({"preset": "calibrated", "spike_loss": 0.3}), 1, 0)
    expected = sum(int(noise.lost(layer, 12, n).sum()) for layer, n in enumerate((10, 3)))
    assert run(chip(imperfections={"spike_loss": 0.3})).info.lost_spikes == expected > 10


def test_jitter_has_the_width_asked_for():
    network = NetworkSpec.feed_forward(6, 40)
    load = workload(network, batch=50)
    free = run(chip(**EXACT), network, load=load).output_times
    moved = run(chip(imperfections={"spike_jitter": 0.01}, **EXACT), network, load=load)
    both = np.isfinite(free) & np.isfinite(moved.output_times) & (free > 0.1) & (free < 3.9)
    shift = moved.output_times[both] - free[both]
    assert shift.size > 500
    assert shift.std() == pytest.approx(0.01, rel=5 / np.sqrt(2 * shift.size))
    assert abs(shift.mean()) < 5 * 0.01 / np.sqrt(shift.size)


# --- the clock and the weight grid --------------------------------------------------------


def test_one_clock_cycle_is_8_ns():
    assert chip().tick == pytest.approx(8e-9 / 6e-6, rel=1e-14)
    assert chip(tau_syn_us=10.0).tick == pytest.approx(8e-4, rel=1e-14)


@pytest.mark.parametrize("tau_syn_us", [6.0, 10.0, 3.7])
def test_times_on_the_clock_are_not_moved(tau_syn_us):
    backend = chip(tau_syn_us=tau_syn_us)
    network = NetworkSpec.feed_forward(500, 1, t_window=20.0)
    weights = [np.zeros((500, 1))]
    times = (np.arange(5000) * backend.tick).reshape(10, 500)
    # The same instants reached by another way of computing them: a rounding below or above.
    microseconds = np.arange(5000).reshape(10, 500) * 0.008 / tau_syn_us
    assert (times != microseconds).any()
    with backend.open(network) as session:
        for given_times in (times, microseconds):
            activity = session.run(weights, given_times)
            np.testing.assert_array_equal(activity.input_times, times)
            assert activity.info.rounded_inputs == 0


@given(times=st.lists(st.floats(0, 6), min_size=4, max_size=4))
@settings(max_examples=100, deadline=None)
def test_inputs_are_cut_down_to_the_clock_before_them(times):
    backend = chip()
    network = NetworkSpec.feed_forward(4, 1)
    given_times = np.array([times])
    activity = run(backend, network, load=([np.zeros((4, 1))], given_times))
    cycles = activity.input_times / backend.tick
    np.testing.assert_allclose(cycles, np.rint(cycles), rtol=0, atol=1e-9)
    moved = (given_times - activity.input_times) / backend.tick
    assert (moved > -2e-6).all() and (moved < 1).all()
    assert activity.info.rounded_inputs == (np.abs(moved) > 1e-6).sum()


def test_only_input_spikes_that_are_seen_count_as_rounded():
    network = NetworkSpec.feed_forward(6, 2, t_window=2.0)
    tick = chip().tick
    times = np.array([[np.inf, 0.0, 0.25 * tick, 100.5 * tick, 300 * tick, 2.3 + tick / 3]])
    load = [np.zeros((6, 2))], times
    activity = run(chip(), network, load=load)
    assert activity.info.rounded_inputs == 2
    np.testing.assert_array_equal(activity.input_times[0, :3], [np.inf, 0.0, 0.0])
    untouched = run(chip(quantise_times=False), network, load=load)
    assert untouched.info.rounded_inputs == 0
    np.testing.assert_array_equal(untouched.input_times, times)


@pytest.mark.parametrize("solver", ["event", "brian2"])
def test_recorded_spikes_are_cut_down_but_passed_on_as_they_are(solver):
    options = {"solver": solver, "codegen": "numpy", "dt": 0.05, "imperfections": NOISY}
    clocked = chip(**options)
    stamped = run(clocked)
    # Given the same inputs on the clock, the neurons do the same whether or not it stamps them.
    raw = run(chip(**options, quantise_times=False), load=(workload()[0], stamped.input_times))
    for recorded, exact in zip(stamped.first_spike_times, raw.first_spike_times, strict=True):
        fired = np.isfinite(exact)
        np.testing.assert_array_equal(fired, np.isfinite(recorded))
        cycles = recorded[fired] / clocked.tick
        np.testing.assert_allclose(cycles, np.rint(cycles), rtol=0, atol=1e-9)
        late = (exact[fired] - recorded[fired]) / clocked.tick
        assert (late > -2e-6).all() and (late < 1).all()
        assert late.size > 5 and np.ptp(late) > 0.3


def test_weights_are_held_on_the_grid_and_clipping_is_counted():
    weights, times = workload()
    weights[0][0, :4] = [4.0, -4.0, 3.15, 3.2]  # the range ends at 63 * 0.05 = 3.15
    weights[1][2, 1] = 1e6
    for array in (*weights, times):
        array.flags.writeable = False
    activity = run(chip(), load=(weights, times))
    held = activity.weights_used
    assert activity.info.clipped_weights == tuple(
        int((np.abs(matrix) > 63.5 * 0.05).sum()) for matrix in weights
    )
    assert activity.info.clipped_weights[0] >= 3 and activity.info.clipped_weights[1] >= 1
    for matrix, given_matrix in zip(held, weights, strict=True):
        np.testing.assert_allclose(matrix / 0.05, np.rint(matrix / 0.05), rtol=0, atol=1e-9)
        expected = np.clip(given_matrix, -3.15, 3.15)
        assert np.abs(matrix - expected).max() < 0.025 * (1 + 1e-9)
    # The chip runs what it holds: giving it just that changes nothing.
    assert_same(activity, run(chip(), load=(held, times)))
    continuous = run(chip(quantise_weights=False), load=(weights, times))
    assert continuous.info.clipped_weights == (0, 0)
    for matrix, given_matrix in zip(continuous.weights_used, weights, strict=True):
        np.testing.assert_array_equal(matrix, given_matrix)
        assert not np.shares_memory(matrix, given_matrix)


# --- sessions and options -----------------------------------------------------------------


def test_the_chip_fulfils_the_protocols_and_can_be_sent_to_a_process():
    backend = get_backend("emulated-chip", solver="event", chip=3, imperfections=NOISY)
    assert isinstance(backend, Backend) and backend.name == "emulated-chip"
    assert pickle.loads(pickle.dumps(backend)) == backend
    with backend.open(NETWORK, seed=1) as session:
        assert isinstance(session, Session)
        assert session.network is NETWORK and session.capabilities == backend.capabilities
        info = session.run(*workload()).info
    assert info.backend == "emulated-chip" and info.chip_id.startswith("emulated-3-")
    assert {"hxloop", "numpy"} <= set(info.versions) and info.duration_seconds > 0


@pytest.mark.parametrize("solver", ["event", "brian2"])
def test_a_closed_session_says_so(solver):
    session = chip(solver=solver, codegen="numpy").open(NETWORK, seed=0)
    session.close()
    session.close()
    with pytest.raises(SessionClosedError, match="'emulated-chip': this session is closed"):
        session.run(*workload())


def test_what_is_no_calibration_is_refused():
    with pytest.raises(CalibrationError, match=r"expected a result of .*calibrate.*got dict"):
        chip().open(NETWORK, calibration={"v_leak": 3})


def test_a_session_checks_what_it_is_given():
    weights, times = workload()
    with chip().open(NETWORK, seed=0) as session:
        for bad_weights, bad_times, message in (
            (weights[:1], times, "sequence of 2 matrices"),
            ([weights[0].T, weights[1]], times, "transposed"),
            ([weights[0] * np.nan, weights[1]], times, r"weights\[0\]: expected finite"),
            (weights, times[:, :5], r"expected shape \(batch, 6\)"),
            (weights, times[:0], "an empty batch"),
            (weights, np.full_like(times, np.nan), "NaN at sample 0, channel 0"),
            (weights, np.full_like(times, -1.0), "expected times >= 0"),
        ):
            with pytest.raises(RunInputError, match=message):
                session.run(bad_weights, bad_times)
        with pytest.raises(RunInputError, match="nothing beyond the first spikes; got voltages"):
            session.run(weights, times, record=["voltages"])
        assert session.run(weights, times).info.trial == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"solver": "evnt"}, UnknownNameError, "unknown solver 'evnt'; known: brian2, event.*mean"),
        ({"solver": None}, UnknownNameError, "unknown solver"),
        ({"codegen": "cython"}, UnknownNameError, "codegen target 'cython'; known: cpp_stand.*num"),
        ({"imperfections": "calib"}, UnknownNameError, "preset of imperfections 'calib'"),
        ({"imperfections": {"death": 1}}, UnknownNameError, "'death'; known.*mean 'dead'"),
        ({"imperfections": {"dead": 2}}, ConfigError, r"Imperfections\.dead: .* got 2"),
        ({"imperfections": None}, ConfigError, "imperfections: expected a preset .*got None"),
        ({"chip": -1}, ConfigError, "chip: expected a whole number >= 0; got -1"),
        ({"chip": 1.0}, ConfigError, "chip: expected a whole number >= 0; got 1.0"),
        ({"chip": True}, ConfigError, "chip: expected a whole number >= 0; got True"),
        ({"chip": "3"}, ConfigError, "chip: expected a whole number >= 0; got '3'"),
        (
            {"dt": 0.101},
            ConfigError,
            "dt: expected a number of tau_syn from 1e-05 to 0.1; got 0.101",
        ),
        *(
            ({name: value}, ConfigError, f"{name}: expected a .*; got")
            for name in ("dt", "weight_lsb", "tau_syn_us")
            for value in (0, -0.1, math.nan, math.inf, True, "0.01", None)
        ),
        *(
            ({name: value}, ConfigError, name)
            for name in ("quantise_weights", "quantise_times", "enforce_limits")
            for value in ("false", None)
        ),
        ({"cache_dir": 3}, ConfigError, "cache_dir"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        get_backend("emulated-chip", **options)


def test_options_reach_the_brian2_solver(monkeypatch, tmp_path):
    made = []

    class Recorder:
        def __init__(self, *args, **kwargs):
            made.append((args, kwargs))

        def close(self):
            made.append("closed")

    monkeypatch.setattr(brian2_chip, "Brian2Solver", Recorder)
    for jitter in (0.0, 0.01):
        options = {"dt": 0.02, "codegen": "cpp_standalone", "cache_dir": str(tmp_path)}
        backend = chip(solver="brian2", imperfections={"spike_jitter": jitter}, **options)
        backend.open(NETWORK, seed=0).close()
        (sizes, window, solver_options), kwargs = made.pop(0)
        assert (sizes, window) == ((6, 10, 3), 4.0)
        assert (solver_options.dt, solver_options.target) == (0.02, "cpp_standalone")
        assert solver_options.cache_dir == Path(tmp_path)
        assert kwargs == {"earliest": 8 * jitter or None} and made.pop(0) == "closed"
    chip(solver="brian2").open(NETWORK, seed=0).close()
    assert made[0][0][2].cache_dir is None


# --- the solvers against the ideal substrate and against each other -----------------------

# Enough spikes for a statement about a hundredth of them; numpy needs the same time for one.
LARGER = NetworkSpec.feed_forward(12, 24, 4, t_window=4.0)
LARGER_LOAD = workload(LARGER, batch=60, seed=0)
IMPERFECT = {
    "calibrated": "calibrated",
    "uncalibrated": "uncalibrated",
    "with jitter and loss": {"preset": "calibrated", "spike_jitter": 0.01, "spike_loss": 0.02},
    "with strong jitter": {"preset": "calibrated", "spike_jitter": 0.1},
}


def spike_errors(got, expected):
    """Of all layers: errors where either spiked, ``inf`` where only one did."""
    errors = []
    for a, b in zip(got.first_spike_times, expected.first_spike_times, strict=True):
        fired = np.isfinite(a) | np.isfinite(b)
        errors.append(np.abs(a[fired] - b[fired]))
        assert errors[-1].size > 5
    return np.concatenate(errors)


@pytest.mark.parametrize(
    "neuron", [NeuronSpec(), NeuronSpec(tau_mem=2.0), NeuronSpec(0.7, 1.3, 1.3, 0.6)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_perfect_chip_solved_by_events_is_the_ideal_substrate(neuron, seed):
    network = NetworkSpec.feed_forward(8, 15, 10, 4, neuron=neuron, t_window=5.0)
    load = workload(network, batch=30, seed=seed)
    load[1][0] = np.inf
    load[1][1, :3] = 5.5  # later than the window
    got = run(chip(imperfections="none", chip=seed, **EXACT), network, load=load)
    ideal = run(get_backend("ideal"), network, load=load)
    assert spike_errors(got, ideal).max() < 1e-9
    np.testing.assert_array_equal(got.input_times, ideal.input_times)
    assert np.isinf(got.output_times[0]).all()


def test_a_perfect_chip_on_brian2_is_the_ideal_substrate_within_its_resolution():
    backend = chip(imperfections="none", solver="brian2", codegen="numpy", dt=1 / 100, **EXACT)
    load = workload(batch=60, seed=3)
    errors = spike_errors(run(backend, load=load), run(get_backend("ideal"), load=load))
    assert errors.size > 400
    assert errors.max() < backend.capabilities.time_resolution == 0.02
    assert np.median(errors) < 1e-9


@pytest.mark.parametrize("kind", IMPERFECT)
def test_both_solvers_see_the_same_chip(kind):
    options = {"chip": 3, "imperfections": IMPERFECT[kind]}
    brian2 = chip(solver="brian2", codegen="numpy", **options)
    got, exact = (run(one, LARGER, load=LARGER_LOAD) for one in (brian2, chip(**options)))
    errors = spike_errors(got, exact)
    assert errors.size > 1000
    # Exempt are crossings that inhibition undoes within a step, and what follows from them.
    within = errors <= brian2.capabilities.time_resolution
    assert within.mean() > 0.99
    assert got.info.chip_id == exact.info.chip_id
    assert got.info.lost_spikes == exact.info.lost_spikes
    np.testing.assert_array_equal(got.input_times, exact.input_times)
    # The agreement is about this chip and this trial: others are far off.
    for other in (chip(**options | {"chip": 4}), chip(imperfections="none")):
        far = spike_errors(got, run(other, LARGER, load=LARGER_LOAD))
        assert (far > brian2.capabilities.time_resolution).mean() > 0.5


@pytest.mark.parametrize("kind", ["calibrated", "uncalibrated"])
def test_the_solvers_come_closer_with_the_step(kind):
    options = {"chip": 3, "imperfections": IMPERFECT[kind], "quantise_times": False}
    exact = run(chip(**options), LARGER, load=LARGER_LOAD)
    coarse, fine = (
        spike_errors(
            run(chip(solver="brian2", codegen="numpy", dt=dt, **options), LARGER, load=LARGER_LOAD),
            exact,
        )
        for dt in (1 / 10, 1 / 100)
    )
    # Spikes that met further input in the step of their crossing: a tenth as many of them.
    assert (fine > 1e-6).mean() < (coarse > 1e-6).mean() / 4
    assert np.quantile(fine, 0.98) < np.quantile(coarse, 0.98) / 4
    assert np.median(fine) < 1e-9
