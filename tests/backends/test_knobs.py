"""Knobs of the emulated chip: hidden curves, faults, crosstalk, drift, and refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.backends.emulated.backend import EmulatedChipBackend
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.knob_curves import (
    CODES_PER_LSB,
    KNOB_RANGES,
    KNOBS,
    POTENTIALS,
    KnobCurves,
)
from hxloop.backends.emulated.knob_options import KnobOptions
from hxloop.backends.emulated.model import ChipModel
from hxloop.chip.operating_point import OperatingPoint
from hxloop.errors import ConfigError, RunInputError, SessionClosedError, UnknownNameError
from hxloop.network import NetworkSpec

N = 512
POINT = OperatingPoint()


def curves(seed=1, n=N, hours=0.0, preset="uncalibrated", **options):
    model = ChipModel.draw(Imperfections.resolve(preset), seed, n)
    return KnobCurves(model, seed, KnobOptions(**options), hours)


def with_code(chip, knob, code):
    return {**chip.default_codes(), knob: np.full(chip.n_circuits, code)}


@pytest.mark.parametrize("preset", ["none", "calibrated", "uncalibrated"])
@pytest.mark.parametrize("seed", [0, 7])
def test_at_the_median_codes_a_chip_is_what_its_preset_says(preset, seed):
    chip = curves(seed, preset=preset)
    pattern = chip.pattern(chip.default_codes(), POINT).as_dict()
    for name, drawn in chip.model.as_dict().items():
        np.testing.assert_allclose(pattern[name], drawn, rtol=0, atol=1e-12, err_msg=name)


def test_median_codes_differ_from_chip_to_chip_within_what_was_seen_on_real_ones():
    medians = [curves(seed, n=4).median_codes for seed in range(40)]
    for name in KNOBS:
        values = [chip[name] for chip in medians]
        assert 0 < min(values) < max(values) < 1022
    leak, reset = (np.array([m[name] for m in medians]) for name in ("v_leak", "v_reset"))
    assert np.abs(leak - reset).max() <= 8 + 2 * 12 + 1  # three real chips: 25, 7 and 7
    assert leak.std() > 30


@given(st.sampled_from(KNOBS), st.lists(st.integers(0, 1022), min_size=2, max_size=6, unique=True))
@settings(max_examples=40, deadline=None)
def test_every_curve_is_monotone(knob, codes):
    chip = _CHIP
    name = {
        "v_threshold": "v_threshold_lsb", "v_leak": "v_leak_lsb", "v_reset": "v_reset_lsb",
        "i_bias_leak": "tau_mem_us", "i_bias_syn_tau_exc": "tau_syn_exc_us",
        "i_bias_syn_tau_inh": "tau_syn_inh_us", "i_bias_gm_exc": "strength_exc",
        "i_bias_gm_inh": "strength_inh", "i_shift_exc": "offset_exc", "i_shift_inh": "offset_inh",
    }[knob]  # fmt: skip
    values = np.stack([chip.physical(with_code(chip, knob, c))[name] for c in sorted(codes)])
    steps = np.diff(values, axis=0)
    if knob.startswith(("i_bias_leak", "i_bias_syn")) or knob == "i_shift_inh":
        steps = -steps
    free = chip.reaction[knob] == 1
    assert (steps[:, ~free] >= 0).all()
    if knob in POTENTIALS:  # they end at the rails
        assert (steps >= 0).all()
    else:
        assert (steps[:, free] > 0).all()


_CHIP = curves(3, stuck=0.05, weak=0.05)


def test_a_potential_rises_by_one_lsb_in_2p4_codes_give_or_take_the_spread_of_the_gain():
    chip = curves(gain=0.0, stuck=0.0, weak=0.0)
    for name in POTENTIALS:
        here = chip.median_codes[name]
        low, high = (
            chip.physical(with_code(chip, name, here + step))[f"{name}_lsb"] for step in (-12, 12)
        )
        # The bend is odd: below 20 (12/512)^2 LSB at either end.
        np.testing.assert_allclose((high - low) / 24 * CODES_PER_LSB, 1, atol=0.003)


def test_stuck_knobs_do_not_react_and_weak_ones_hardly():
    chip = curves(5, stuck=0.1, weak=0.1, n=4000)
    kinds = np.stack(list(chip.reaction.values()))
    assert ((kinds != 1).sum(axis=0) <= 1).all()  # one faulty knob a circuit
    for value, expected in ((0.0, 0.1), (0.05, 0.1)):
        share = (kinds == value).any(axis=0).mean()
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000)
    before = chip.physical(chip.default_codes())["v_threshold_lsb"]
    after = chip.physical(with_code(chip, "v_threshold", chip.median_codes["v_threshold"] + 240))
    moved, reaction = after["v_threshold_lsb"] - before, chip.reaction["v_threshold"]
    assert (moved[reaction == 0] == 0).all() and (reaction == 0).any()
    assert (moved[reaction == 0.05] < 10).all() and (moved[reaction == 1] > 50).all()


def test_leak_and_reset_deviate_together():
    chip = curves(2, n=4000)
    values = chip.at_rest(chip.physical(chip.default_codes()))
    rho = np.corrcoef(values["v_leak_lsb"], values["v_reset_lsb"])[0, 1]
    assert abs(rho - 0.75) < 5 * (1 - 0.75**2) / np.sqrt(4000)


def test_offsets_of_the_inputs_take_125_codes_to_undo():
    chip = curves(2, n=4000, stuck=0.0, weak=0.0)
    offset = chip.physical(chip.default_codes())["offset_exc"]
    codes = offset / 0.005  # LSB per us for each code
    assert abs(codes.std() - 125) < 5 * 125 / np.sqrt(2 * 4000)


def test_equal_codes_disturb_each_other_and_different_ones_do_not():
    quiet, loud = (curves(stuck=0.0, weak=0.0, crosstalk=value) for value in (0.0, 10.0))
    equal = with_code(loud, "v_leak", 500)
    shifted = with_code(quiet, "v_leak", 510)
    np.testing.assert_allclose(
        loud.physical(equal)["v_leak_lsb"], quiet.physical(shifted)["v_leak_lsb"], atol=1e-9
    )
    apart = {**equal, "v_leak": 300 + np.arange(N)}  # no code twice in a block
    np.testing.assert_array_equal(
        loud.physical(apart)["v_leak_lsb"], quiet.physical(apart)["v_leak_lsb"]
    )


def test_parameters_drift_as_random_walks_that_go_on():
    n = 4000
    fresh, day, later = (curves(4, n=n, hours=h, drift=0.5) for h in (0.0, 24.0, 30.0))
    codes = fresh.default_codes()
    log = [np.log(chip.physical(codes)["tau_mem_us"]) for chip in (fresh, day, later)]
    spread = Imperfections().tau_mem
    for change, hours in ((log[1] - log[0], 24), (log[2] - log[1], 6)):
        expected = 0.5 * spread * np.sqrt(hours / 24)
        assert abs(change.std() - expected) < 5 * expected / np.sqrt(2 * n)
    again = curves(4, n=n, hours=30.0, drift=0.5).physical(codes)["tau_mem_us"]
    np.testing.assert_array_equal(np.log(again), log[2])
    still = curves(4, n=n, hours=30.0, drift=0.0).physical(codes)["tau_mem_us"]
    np.testing.assert_array_equal(np.log(still), log[0])


def test_a_larger_chip_continues_the_same_one_and_another_number_is_another_chip():
    small, large, other = curves(1, 100, stuck=0.1), curves(1, 600, stuck=0.1), curves(2, 100)
    codes = {name: 200 + 3 * np.arange(600) % 700 for name in KNOBS}
    first = {name: values[:100] for name, values in codes.items()}
    a, b = small.physical(first), large.physical(codes)
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name][:100])
        assert (values != other.physical(first)[name]).any()


def test_weights_count_in_units_of_the_target():
    # The same charge is a smaller part of a larger distance to the threshold.
    chip = curves()
    codes = chip.default_codes()
    near, far = (
        chip.pattern(codes, OperatingPoint(v_threshold_lsb=value)).strength_exc
        for value in (150.0, 220.0)
    )
    np.testing.assert_allclose(far, near * 70 / 140, rtol=1e-12)


def test_drift_moves_an_open_chip_and_leaves_its_name():
    network = NetworkSpec.feed_forward(4, 8)
    fresh = EmulatedChipBackend(chip=1, imperfections="uncalibrated", solver="event")
    old = EmulatedChipBackend(chip=1, imperfections="uncalibrated", solver="event", hours=100.0)
    assert fresh.chip_model(network).chip_id == old.chip_model(network).chip_id
    a, b = (x.substrate_parameters(network) for x in (fresh, old))
    assert (a["v_leak"] != b["v_leak"]).all()
    assert pickle.loads(pickle.dumps(old)) == old
    noisier = EmulatedChipBackend(chip=1, knob_options={"cadc_noise": 3.0})
    assert noisier.chip_model(network).chip_id != fresh.chip_model(network).chip_id


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"knob_options": {"drft": 1.0}}, UnknownNameError, "unknown knob option 'drft'.*'drift'"),
        ({"knob_options": {"stuck": 1.5}}, ConfigError, "stuck: expected a number from 0 to 1"),
        ({"knob_options": {"drift": float("nan")}}, ConfigError, "drift: expected"),
        ({"knob_options": {"gain": "much"}}, ConfigError, "gain: expected"),
        ({"knob_options": 3}, ConfigError, "expected a table"),
        ({"hours": -1.0}, ConfigError, "hours: expected a number from 0"),
        ({"hours": "3"}, ConfigError, "hours: expected a number from 0"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        EmulatedChipBackend(**options)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ({"v_lek": np.zeros(N, dtype=int)}, "knob 'v_lek': unknown; known: .*v_leak"),
        ({"v_leak": np.zeros(3, dtype=int)}, r"one for each of 512 circuits; got shape \(3,\)"),
        ({"v_leak": np.zeros(N)}, "expected whole numbers"),
        ({"v_leak": np.full(N, 1023)}, "codes from 0 to 1022; got 1023 at circuit 0"),
        ({"v_leak": np.full(N, -1)}, "got -1"),
    ],
)
def test_bad_codes_are_refused_and_change_nothing(codes, message):
    backend = EmulatedChipBackend(imperfections="uncalibrated", solver="event")
    with backend.open(NetworkSpec.feed_forward(2, 3), seed=0) as session:
        before = session.codes
        with pytest.raises(RunInputError, match=message):
            session.set_knobs(codes)
        for name, values in session.codes.items():
            np.testing.assert_array_equal(values, before[name])
        assert set(session.capabilities.knobs) == set(KNOB_RANGES)
    with pytest.raises(SessionClosedError):
        session.set_knobs({})


def test_turning_a_knob_moves_spikes_and_arguments_are_left_alone():
    backend = EmulatedChipBackend(
        imperfections={"preset": "uncalibrated", "threshold_trial": 0.0}, solver="event"
    )
    network = NetworkSpec.feed_forward(20, 6)
    weights, times = [np.full((20, 6), 0.3)], np.full((1, 20), 0.2)
    with backend.open(network, seed=0) as session:
        before = session.run(weights, times).output_times
        codes = session.codes["v_threshold"]
        codes.flags.writeable = False
        session.set_knobs({"v_threshold": codes})
        np.testing.assert_array_equal(session.run(weights, times).output_times, before)
        session.set_knobs({"v_threshold": codes + 60})
        assert (session.run(weights, times).output_times > before).all()
