"""Sessions of the emulated chip: its clock, its weight grid, and the options it takes."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.backends.emulated.brian2 import chip as brian2_chip
from hxloop.errors import (
    CalibrationError,
    ConfigError,
    RunInputError,
    SessionClosedError,
    UnknownNameError,
)
from hxloop.network import NetworkSpec
from hxloop.substrate import Backend, Session, get_backend
from tests.backends.emulated_chip_examples import NETWORK, NOISY, assert_same, chip, run, workload

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
