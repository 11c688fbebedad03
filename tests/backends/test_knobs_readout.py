"""Converters, counters and spike stamps of the emulated chip, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.backends.emulated.readout import (
    CADC_EVERY,
    LEAKLESS_US,
    MADC_PER_LSB,
    REFRACTORY_US,
    SAMPLE_US,
    SETTLING_US,
    ChipReadout,
    ReadoutNoise,
)
from hxloop.chip.readout import Readout, Stimulus, as_readout
from hxloop.errors import CapacityError, RunInputError, SessionClosedError
from hxloop.network import NetworkSpec

QUIET = {"cadc_noise": 0.0, "cadc_offset": 0.0, "madc_noise": 0.0}
NETWORK = NetworkSpec.feed_forward(2, 3)
PAIRS = np.arange(64).reshape(-1, 2)
WEIGHT_LSB = 70 / 78 / 6  # current of one bit, LSB per us


def chip(knob_options=QUIET, **imperfections):
    chosen = {"preset": "uncalibrated", "threshold_trial": 0.0, **imperfections}
    return EmulatedChipBackend(
        chip=2, imperfections=chosen, solver="event", knob_options=knob_options
    )


def truth(session):
    """The hidden parameters, for the expected values of these tests only."""
    return session.backend.curves(NETWORK).physical(session.codes)


def current_gain(session):
    """The same of the stimulus current."""
    curves = session.backend.curves(NETWORK)
    return ChipReadout(curves, 1.0, None, ReadoutNoise(0, 0.0)).current_gain


@pytest.fixture
def session():
    with chip().open(NETWORK, seed=3) as opened:
        yield opened


def test_the_session_is_a_readout_and_says_so(session):
    assert isinstance(session, Readout) and as_readout(session) is session
    assert session.capabilities.observables == {"cadc", "spikes", "counters", "madc"}
    with (
        get_backend("ideal").open(NETWORK) as ideal,
        pytest.raises(CapacityError, match=r"IdealSession has no knobs to turn.*emulated-chip"),
    ):
        as_readout(ideal)


def test_a_resting_membrane_is_read_to_a_lsb(session):
    p = truth(session)
    for exc, inh in ((True, True), (True, False), (False, False)):
        offset = exc * p["offset_exc"] + inh * p["offset_inh"]
        rest = p["v_leak_lsb"] + p["tau_mem_us"] * offset
        cadc = session.measure(Stimulus(20.0, exc_input=exc, inh_input=inh), ["cadc"]).cadc
        np.testing.assert_array_equal(cadc, np.rint(np.clip(rest, 0, 255))[:, None] + 0 * cadc)


def test_a_membrane_released_from_reset_returns_exponentially(session):
    p = {name: values[PAIRS.ravel()] for name, values in truth(session).items()}
    begin = 12.0
    traces = session.trace(
        Stimulus(50.0, reset_until_us=begin, exc_input=False, inh_input=False), PAIRS
    )
    got = traces.samples.reshape(len(PAIRS) * 2, -1)
    # The hold ends with the last step that began before its time.
    release = np.ceil(begin / SAMPLE_US) * SAMPLE_US
    late = traces.times_us >= release
    rest, reset, tau = (p[name][:, None] for name in ("v_leak_lsb", "v_reset_lsb", "tau_mem_us"))
    expected = rest + (reset - rest) * np.exp(-(traces.times_us[late] - release) / tau)
    assert np.abs(got[:, late] - np.clip(MADC_PER_LSB * expected, 0, 1023)).max() <= 0.5 + 1e-6
    assert (got[:, traces.times_us < SETTLING_US] == 0).all()


@pytest.mark.parametrize("code", [30, -30])
def test_an_event_makes_the_potential_that_the_model_says(session, code):
    p = {name: values[PAIRS.ravel()][:, None] for name, values in truth(session).items()}
    sign, onset = ("exc", 20.013) if code > 0 else ("inh", 20.0)
    stimulus = Stimulus(60.0, events=((onset, code),), exc_input=code > 0, inh_input=code < 0)
    traces = session.trace(stimulus, PAIRS)
    got = traces.samples.reshape(len(PAIRS) * 2, -1)
    s = np.maximum(traces.times_us - onset, 0.0)
    mem, syn = p["tau_mem_us"], p[f"tau_syn_{sign}_us"]
    kernel = mem * syn / (mem - syn) * (np.exp(-s / mem) - np.exp(-s / syn))
    rest = p["v_leak_lsb"] + mem * p[f"offset_{sign}"]
    expected = rest + code * WEIGHT_LSB * p[f"strength_{sign}"] * kernel
    valid = traces.times_us >= SETTLING_US
    off = got[:, valid] - np.clip(MADC_PER_LSB * expected[:, valid], 0, 1023)
    assert np.abs(off).max() <= 0.5 + 1e-6


def test_the_synaptic_line_decays_with_its_time_constant(session):
    p = {name: values[PAIRS.ravel()] for name, values in truth(session).items()}
    traces = session.trace(Stimulus(40.0, events=((12.0, 63), (30.0, -63))), PAIRS, "syn_exc")
    y = traces.samples.reshape(len(PAIRS) * 2, -1).astype(float)
    at = [int(np.ceil(t / SAMPLE_US)) for t in (11.0, 13.0, 17.0)]
    rest, early, late = (y[:, index] for index in at)
    between = (at[2] - at[1]) * SAMPLE_US
    ratio = (rest - late) / (rest - early)
    # Each reading is off by up to half a LSB.
    error = 2 / (rest - early)
    assert (np.abs(ratio - np.exp(-between / p["tau_syn_exc_us"])) < error).all()


def test_a_driven_circuit_fires_at_the_rate_of_the_closed_form(session):
    session.set_knobs({"v_reset": session.codes["v_reset"] - 120})
    p, current = truth(session), 4.0
    stimulus = Stimulus(
        200.0, reset_until_us=5.0, current=current, leak=False,
        exc_input=False, inh_input=False, spiking=True,
    )  # fmt: skip
    readings = session.measure(stimulus, ["spikes", "counters"])
    drive = current * current_gain(session)
    final = p["v_leak_lsb"] + LEAKLESS_US * drive
    up = LEAKLESS_US * np.log((final - p["v_reset_lsb"]) / (final - p["v_threshold_lsb"]))
    intervals = readings.spike_times_us[:, 1] - readings.spike_times_us[:, 0]
    # Stamps are floored to 8 ns, and a hold ends with a step of 34 ns that began before its end.
    expected = up + REFRACTORY_US
    assert (intervals - expected < SAMPLE_US + 0.009).all()
    assert (intervals - expected > -0.009).all()
    assert (readings.counts == np.isfinite(readings.spike_times_us).sum(axis=1)).all()
    ticks = readings.spike_times_us[np.isfinite(readings.spike_times_us)] / 0.008
    np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-6)


def test_counters_and_converters_saturate(session):
    fast = Stimulus(3000.0, current=500.0, leak=False, spiking=True)
    readings = session.measure(fast, ["counters", "spikes", "cadc"])
    assert readings.counts.max() == 255 and readings.spike_times_us.shape[1] == 255
    assert readings.cadc.min() >= 0 and readings.cadc.max() <= 255
    high = session.trace(Stimulus(60.0, current=500.0), PAIRS).samples
    assert high.max() == 1023
    assert session.measure(Stimulus(60.0, current=500.0), ["cadc"]).cadc.max() == 255
    assert session.measure(Stimulus(60.0, current=-500.0), ["cadc"]).cadc.min() == 0


def test_rates_of_the_converters():
    with chip().open(NETWORK, seed=3) as session:
        times = session.trace(Stimulus(20.0), [[0, 1]]).times_us
        assert 1 / (times[1] - times[0]) == pytest.approx(29.41, abs=0.01)
        slow = session.measure(Stimulus(20.0), ["cadc"]).times_us
        assert slow[1] - slow[0] == pytest.approx(CADC_EVERY * SAMPLE_US)
        assert 1 / (slow[1] - slow[0]) < 1.85


def test_dead_circuits_never_fire():
    with chip(dead=0.2).open(NETWORK, seed=3) as session:
        dead = session.backend.curves(NETWORK).model.dead
        counts = session.measure(
            Stimulus(200.0, current=20.0, leak=False, spiking=True), ["counters"]
        ).counts
        assert dead.any() and (counts[dead] == 0).all() and (counts[~dead] > 0).all()


def test_noise_is_of_the_declared_size_and_a_function_of_the_seed():
    noisy = {"cadc_noise": 3.0, "madc_noise": 5.0, "cadc_offset": 0.0}
    backend = chip(noisy)
    with backend.open(NETWORK, seed=1) as a, backend.open(NETWORK, seed=1) as b:
        first, second = a.measure(Stimulus(100.0), ["cadc"]), a.measure(Stimulus(100.0), ["cadc"])
        np.testing.assert_array_equal(b.measure(Stimulus(100.0), ["cadc"]).cadc, first.cadc)
        assert (first.cadc != second.cadc).any()
        inner = (first.cadc.min(axis=1) > 5) & (first.cadc.max(axis=1) < 250)
        n = first.cadc[inner].size
        spread = np.sqrt(9.0 + 1 / 12)  # of the noise and of the rounding
        assert abs(first.cadc[inner].std(axis=1).mean() - spread) < 5 * spread / np.sqrt(2 * n) + (
            spread / (2 * first.cadc.shape[1])  # a standard deviation of 184 samples is low by so
        )
        trace = a.trace(Stimulus(100.0), PAIRS).samples[..., 400:]
        assert abs(trace.std(axis=-1).mean() - np.sqrt(25 + 1 / 12)) < 0.05
    with backend.open(NETWORK, seed=2) as c:
        assert (c.measure(Stimulus(100.0), ["cadc"]).cadc != first.cadc).any()


def test_thresholds_vary_from_run_to_run():
    with chip(threshold_trial=0.015).open(NETWORK, seed=1) as session:
        session.set_knobs({"v_reset": session.codes["v_reset"] - 120})
        stimulus = Stimulus(
            120.0, current=3.0, leak=False, spiking=True, reset_until_us=1.0,
            exc_input=False, inh_input=False,
        )  # fmt: skip
        runs = [session.measure(stimulus, ["spikes"]).spike_times_us[:, 0] for _ in range(12)]
        fired = np.isfinite(runs).all(axis=0)
        assert fired.mean() > 0.9
        drive = 3.0 * current_gain(session)[fired]
        spread = np.stack(runs)[:, fired].std(axis=0, ddof=1) * drive  # us to LSB
        assert abs(np.median(spread) - 0.015 * 70) < 0.15


@pytest.mark.parametrize(
    ("circuits", "message"),
    [
        ([[0, 2]], r"one channel for even and one for odd.*got \[0, 2\] in run 0"),
        ([[0, 1], [3, 5]], r"got \[3, 5\] in run 1"),
        ([[0, 512]], "circuits from 0 to 511; got 512"),
        ([[-1, 2]], "circuits from 0 to 511; got -1"),
        ([[0, 1, 2]], r"\(runs, 1 or 2\)"),
        ([0, 1], r"\(runs, 1 or 2\)"),
        ([[0.0, 1.0]], "whole numbers"),
    ],
)
def test_traces_of_impossible_circuits_are_refused(session, circuits, message):
    with pytest.raises(RunInputError, match=message):
        session.trace(Stimulus(20.0), circuits)


def test_other_bad_requests_are_refused(session):
    with pytest.raises(RunInputError, match="some of cadc, counters, spikes; got madc"):
        session.measure(Stimulus(10.0), ["madc"])
    with pytest.raises(RunInputError, match="got nothing"):
        session.measure(Stimulus(10.0), [])
    with pytest.raises(RunInputError, match=r"a line of membrane.*got 'adaptation'"):
        session.trace(Stimulus(10.0), [[0, 1]], "adaptation")
    with pytest.raises(RunInputError, match="codes from -63 to 63; got 64"):
        session.measure(Stimulus(10.0, events=((1.0, 64),)), ["cadc"])
    for bad in (
        {"duration_us": 0.0}, {"duration_us": float("nan")}, {"duration_us": 1e6},
        {"duration_us": 10.0, "events": ((11.0, 3),)},
        {"duration_us": 10.0, "events": ((-1.0, 3),)},
        {"duration_us": 10.0, "events": ((1.0, 3.5),)},
        {"duration_us": 10.0, "current": float("inf")},
        {"duration_us": 10.0, "reset_until_us": 11.0},
    ):  # fmt: skip
        with pytest.raises(RunInputError, match="Stimulus"):
            Stimulus(**bad)
    session.close()
    for call in (
        lambda: session.measure(Stimulus(10.0), ["cadc"]),
        lambda: session.trace(Stimulus(10.0), [[0, 1]]),
    ):
        with pytest.raises(SessionClosedError):
            call()
