"""Statistics of a drawn chip, the presets, the weight grid, and the placement on circuits."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from hxloop.backends.emulated.imperfections import FIRST_SPIKES_ONLY, PRESETS, Imperfections
from hxloop.backends.emulated.model import ChipModel, TrialNoise
from hxloop.chip.placement import N_CIRCUITS
from hxloop.errors import ConfigError, UnknownNameError

# Eight chips' worth of circuits: the sample spread is known to 1.1 % (one sigma).
MANY = 8 * N_CIRCUITS
FACTORS = ("tau_mem", "tau_syn_exc", "tau_syn_inh", "strength_exc", "strength_inh")
POTENTIALS = ("v_threshold", "v_leak", "v_reset")
SHIFTS = (*POTENTIALS, "t_refractory")
PATTERN = (*FACTORS, *SHIFTS, "dead")
# Which field of Imperfections rules which quantity.
SPREADS = {
    "tau_mem": ("tau_mem",),
    "tau_syn": ("tau_syn_exc", "tau_syn_inh"),
    "strength": ("strength_exc", "strength_inh"),
    "v_threshold": ("v_threshold",),
    "v_leak": ("v_leak",),
    "v_reset": ("v_reset",),
    "leak_reset_correlation": ("v_reset",),
    "dead": ("dead",),
    "t_refractory": ("t_refractory",),
}


# Off in every preset of BrainScaleS-2; see test_chip_imperfections.
OFF = (*FIRST_SPIKES_ONLY, "threshold_offset", "row_strength", "weight_curve", "weight_trial")


def deviations(chip):
    """By name: logarithm of every factor, and the shifts."""
    logs = {name: np.log(getattr(chip, name)) for name in FACTORS}
    return logs | {name: getattr(chip, name) for name in SHIFTS}


def assert_same_pattern(a, b, n=None):
    for name in PATTERN:
        np.testing.assert_array_equal(getattr(a, name)[:n], getattr(b, name)[:n], name)


# --- the drawn chip -----------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_one_seed_is_one_chip_for_life(preset):
    spread = Imperfections.resolve(preset)
    first, again = ChipModel.draw(spread, 7), ChipModel.draw(spread, 7)
    assert_same_pattern(first, again)
    assert first.chip_id == again.chip_id
    assert all(len(getattr(first, name)) == N_CIRCUITS for name in PATTERN)


def test_chips_are_still_those_of_earlier_versions():
    """Recorded once: published results name a chip and a trial by their numbers alone."""
    drawn = ChipModel.draw(Imperfections.uncalibrated(), 0).as_dict(2)
    recorded = {
        "tau_mem": [0.8917603475060835, 0.9966976009134267],
        "tau_syn_exc": [0.7213589731909621, 1.5203910466800512],
        "tau_syn_inh": [0.8261352077153976, 1.0174678554729266],
        "strength_exc": [1.0033046728259971, 0.9785588590979994],
        "strength_inh": [1.0897688524179208, 1.0690241841224715],
        "v_threshold": [0.03098666479799707, -0.04299330283640395],
        "v_leak": [0.16595880587286688, 0.029987065199553586],
        "v_reset": [0.2812504105293477, 0.1054997725950183],
        "dead": [0.0, 0.0],
    }
    assert drawn.keys() == recorded.keys() | {"t_refractory"}
    for name, values in recorded.items():
        np.testing.assert_allclose(drawn[name], values, rtol=1e-12, err_msg=name)
    dead = np.flatnonzero(ChipModel.draw(Imperfections(dead=0.01), 0).dead)
    np.testing.assert_array_equal(dead, [72, 197, 213, 220, 306, 397, 412, 454])
    noise = TrialNoise(Imperfections(threshold_trial=1, spike_jitter=1, spike_loss=0.5), 1, 2)
    shifts = [*noise.threshold(0, 2), *noise.jitter(1, 1, 2)[0]]
    expected = [-0.8418213036186335, 0.7708954770156666, 1.953761601396407, -0.3636406511843584]
    np.testing.assert_allclose(shifts, expected, rtol=1e-12)
    np.testing.assert_array_equal(noise.lost(0, 1, 8), [[True] * 3 + [False] * 5])


def test_another_seed_is_another_chip():
    spread = Imperfections(dead=0.2)
    first, second = ChipModel.draw(spread, 7), ChipModel.draw(spread, 8)
    assert first.chip_id != second.chip_id
    for name, values in deviations(first).items():
        other = deviations(second)[name]
        assert (values != other).all(), name
        assert abs(np.corrcoef(values, other)[0, 1]) < 5 / np.sqrt(N_CIRCUITS), name
    assert (first.dead != second.dead).any()


def test_the_name_of_a_chip_tells_imperfections_apart():
    drawn = [ChipModel.draw(Imperfections.resolve(name), 7).chip_id for name in PRESETS]
    assert len(set(drawn)) == len(PRESETS)
    assert all(name.startswith("emulated-7-") for name in drawn)


def test_more_circuits_continue_the_same_chip():
    spread = Imperfections(dead=0.2)
    one, larger = ChipModel.draw(spread, 3), ChipModel.draw(spread, 3, 3 * N_CIRCUITS)
    assert len(larger.dead) == 3 * N_CIRCUITS
    assert_same_pattern(one, larger, N_CIRCUITS)
    # The continuation is no repetition.
    assert (larger.tau_mem[:N_CIRCUITS] != larger.tau_mem[N_CIRCUITS : 2 * N_CIRCUITS]).all()


def test_calibration_scales_the_deviations_of_the_same_chip():
    before = deviations(ChipModel.draw(Imperfections.uncalibrated(), 11))
    after = deviations(ChipModel.draw(Imperfections.calibrated(), 11))
    ratios = dict(tau_mem=0.45, v_threshold=0.35, v_leak=0.30, v_reset=0.20)
    ratios |= dict.fromkeys(("tau_syn_exc", "tau_syn_inh"), 0.20)
    ratios |= dict.fromkeys(("strength_exc", "strength_inh"), 0.05 / 0.15)
    ratios["t_refractory"] = 1.0  # nothing is calibrated
    assert ratios.keys() == before.keys()
    for name, ratio in ratios.items():
        np.testing.assert_allclose(after[name], ratio * before[name], rtol=0, atol=1e-14)
        assert np.abs(before[name]).max() > (0.02 if name == "t_refractory" else 0.2), name


@pytest.mark.parametrize("field", SPREADS)
def test_changing_one_spread_leaves_every_other_quantity_as_it_was(field):
    first = ChipModel.draw(Imperfections(dead=0.1), 5)
    second = ChipModel.draw(Imperfections(**({"dead": 0.1} | {field: 0.3})), 5)
    for name in PATTERN:
        same = np.array_equal(getattr(first, name), getattr(second, name))
        assert same != (name in SPREADS[field]), name


@pytest.mark.parametrize("preset", ["calibrated", "uncalibrated"])
def test_sample_spreads_match_the_statistics(preset):
    spread = Imperfections.resolve(preset)
    drawn = deviations(ChipModel.draw(spread, 1, MANY))
    expected = {name: value for field, value in spread.as_dict().items() for name in _ruled(field)}
    assert expected.keys() == drawn.keys()
    for name, values in drawn.items():
        assert values.std() == pytest.approx(expected[name], rel=5 / np.sqrt(2 * MANY)), name
        assert abs(values.mean()) < 5 * expected[name] / np.sqrt(MANY), name


def _ruled(field):
    return () if field in ("leak_reset_correlation", "dead") else SPREADS.get(field, ())


def test_only_leak_and_reset_are_correlated():
    spread = Imperfections.uncalibrated()
    drawn = deviations(ChipModel.draw(spread, 2, MANY))
    names = list(drawn)
    correlation = np.corrcoef(np.stack(list(drawn.values())))
    expected = np.eye(len(names))
    leak, reset = names.index("v_leak"), names.index("v_reset")
    expected[leak, reset] = expected[reset, leak] = spread.leak_reset_correlation
    np.testing.assert_allclose(correlation, expected, atol=5 / np.sqrt(MANY))


def test_leak_and_reset_at_the_ends_of_the_correlation():
    bound = ChipModel.draw(Imperfections(leak_reset_correlation=1.0, v_reset=0.1, v_leak=0.2), 4)
    np.testing.assert_allclose(bound.v_reset, bound.v_leak / 2, rtol=1e-14)
    free = ChipModel.draw(Imperfections(leak_reset_correlation=0.0), 4, MANY)
    assert abs(np.corrcoef(free.v_leak, free.v_reset)[0, 1]) < 5 / np.sqrt(MANY)


def test_rate_of_dead_circuits():
    rate = ChipModel.draw(Imperfections(dead=0.1), 6, MANY).dead.mean()
    assert rate == pytest.approx(0.1, abs=5 * np.sqrt(0.1 * 0.9 / MANY))
    assert not ChipModel.draw(Imperfections(dead=0.0), 6, MANY).dead.any()
    assert ChipModel.draw(Imperfections(dead=1.0), 6, MANY).dead.all()


def test_a_chip_without_imperfections_is_nominal():
    chip = ChipModel.draw(Imperfections.none(), 9)
    for name in FACTORS:
        np.testing.assert_array_equal(getattr(chip, name), 1.0, name)
    for name in (*SHIFTS, "dead"):
        np.testing.assert_array_equal(getattr(chip, name), 0.0, name)


def test_fixed_pattern_by_name():
    chip = ChipModel.draw(Imperfections(dead=0.3), 9)
    full, some = chip.as_dict(), chip.as_dict(20)
    assert set(full) == set(some) == set(PATTERN)
    for name in PATTERN:
        assert full[name].dtype == np.float64 and full[name].shape == (N_CIRCUITS,)
        np.testing.assert_array_equal(full[name], getattr(chip, name))
        np.testing.assert_array_equal(some[name], full[name][:20])
    assert set(full["dead"]) == {0.0, 1.0}


# --- presets ------------------------------------------------------------------------------


def test_presets_hold_the_documented_values():
    raw = Imperfections.uncalibrated()
    assert raw == Imperfections()
    assert raw.as_dict() == pytest.approx(
        {
            "tau_mem": 0.14,
            "tau_syn": 0.20,
            "strength": 0.15,
            "v_threshold": 20 / 168,
            "v_leak": 37 / 168,
            "v_reset": 37 / 168,
            "leak_reset_correlation": 0.75,
            "dead": 1 / 1536,
            "threshold_trial": 0.015,
            "spike_jitter": 0.0,
            "spike_loss": 0.0,
            "t_refractory": 0.05 / 6,
            "delay_jitter": 0.01,
            **dict.fromkeys(OFF, 0.0),
        },
        rel=1e-15,
    )
    calibrated = raw.as_dict() | {
        "tau_mem": 0.45 * 0.14,
        "tau_syn": 0.20 * 0.20,
        "strength": 0.05,
        "v_threshold": 0.35 * 20 / 168,
        "v_leak": 0.30 * 37 / 168,
        "v_reset": 0.20 * 37 / 168,
        "dead": 0.0,
    }
    assert Imperfections.calibrated().as_dict() == pytest.approx(calibrated, rel=1e-14)
    assert set(Imperfections.none().as_dict().values()) == {0.0}


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ({}, False),
        ({"threshold_trial": 1e-3}, True),
        ({"spike_jitter": 1e-3}, True),
        ({"spike_loss": 1e-3}, True),
        ({"tau_mem": 0.5, "dead": 0.5, "v_threshold": 0.1}, False),
    ],
)
def test_trial_noise_is_told_from_fixed_pattern(noise, expected):
    assert Imperfections.resolve({"preset": "none"} | noise).has_trial_noise is expected


def test_resolving_names_mappings_and_instances():
    for name in ("none", "calibrated", "uncalibrated"):
        assert Imperfections.resolve(name) == getattr(Imperfections, name)()
    mine = Imperfections(tau_mem=0.3)
    assert Imperfections.resolve(mine) is mine
    assert Imperfections.resolve({"preset": mine, "dead": 0.5}) == Imperfections(
        tau_mem=0.3, dead=0.5
    )
    # Without a preset the mapping changes a calibrated chip.
    assert Imperfections.resolve({}) == Imperfections.calibrated()
    given_values = {"preset": "none", "spike_loss": 0.02}
    assert Imperfections.resolve(given_values).as_dict() == (
        Imperfections.none().as_dict() | {"spike_loss": 0.02}
    )
    assert given_values == {"preset": "none", "spike_loss": 0.02}
    assert Imperfections.resolve(mine.as_dict()) == mine


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            "calibratd",
            UnknownNameError,
            "preset of imperfections 'calibratd'; known: calibrated, .*none, .*uncalibrated.*"
            "mean 'calibrated'",
        ),
        ({"preset": "perfect"}, UnknownNameError, "preset of imperfections 'perfect'"),
        (
            {"tau_men": 0.1},
            UnknownNameError,
            r"unknown imperfection 'tau_men'; known: .*spike_loss.*mean 'tau_mem'\?",
        ),
        (0.1, ConfigError, r"a preset \(none, calibrated, uncalibrated, .*\) or a table.*got 0.1"),
        (None, ConfigError, "got None"),
        ({"preset": 3}, ConfigError, "got 3"),
    ],
)
def test_unknown_presets_and_fields_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        Imperfections.resolve(value)


@pytest.mark.parametrize("field", [field.name for field in fields(Imperfections)])
@pytest.mark.parametrize("value", [float("nan"), -0.01, float("inf"), True, "0.1", None, [0.1]])
def test_a_value_that_is_no_spread_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=rf"Imperfections\.{field}: expected a (finite )?number"):
        Imperfections.resolve({field: value})


@pytest.mark.parametrize("field", ["leak_reset_correlation", "dead", "spike_loss"])
def test_probabilities_end_at_one(field):
    assert getattr(Imperfections(**{field: 1}), field) == 1
    with pytest.raises(ConfigError, match=rf"{field}: expected a number from 0 to 1; got 1.01"):
        Imperfections(**{field: 1.01})


# --- trial noise --------------------------------------------------------------------------

NOISY = Imperfections(threshold_trial=0.05, spike_jitter=0.01, spike_loss=0.2)


def test_trial_noise_is_a_function_of_seed_trial_and_layer():
    noise = TrialNoise(NOISY, 3, 5)
    others = [TrialNoise(NOISY, 4, 5), TrialNoise(NOISY, 3, 6), TrialNoise(NOISY, 5, 3)]
    for draw in (lambda n, k: n.threshold(k, 40), lambda n, k: n.jitter(k, 20, 40)):
        np.testing.assert_array_equal(draw(noise, 0), draw(TrialNoise(NOISY, 3, 5), 0))
        assert all((draw(noise, 0) != draw(other, 0)).all() for other in others)
        assert (draw(noise, 0) != draw(noise, 1)).all()
    lost = noise.lost(0, 20, 40)
    np.testing.assert_array_equal(lost, TrialNoise(NOISY, 3, 5).lost(0, 20, 40))
    assert all((lost != other.lost(0, 20, 40)).any() for other in others)
    assert (lost != noise.lost(1, 20, 40)).any()


@pytest.mark.parametrize("batch", [1, 7])
def test_trial_noise_of_a_sample_is_the_same_in_every_batch(batch):
    noise = TrialNoise(NOISY, 1, 2)
    np.testing.assert_array_equal(noise.jitter(0, batch, 9), noise.jitter(0, 50, 9)[:batch])
    np.testing.assert_array_equal(noise.lost(0, batch, 9), noise.lost(0, 50, 9)[:batch])
    assert noise.threshold(0, 9).shape == (9,)


def test_trial_noise_has_the_strength_asked_for():
    noise = TrialNoise(NOISY, 8, 0)
    n = 20_000
    for values, sigma in (
        (noise.threshold(0, n), NOISY.threshold_trial),
        (noise.jitter(0, 20, n // 20).ravel(), NOISY.spike_jitter),
    ):
        assert values.std() == pytest.approx(sigma, rel=5 / np.sqrt(2 * n))
        assert abs(values.mean()) < 5 * sigma / np.sqrt(n)
    lost = noise.lost(0, 20, n // 20)
    assert lost.mean() == pytest.approx(0.2, abs=5 * np.sqrt(0.2 * 0.8 / n))
    # Three streams of their own: no one tells anything about another.
    streams = [noise.threshold(0, n), noise.jitter(0, n, 1)[:, 0], noise.lost(0, n, 1)[:, 0]]
    np.testing.assert_allclose(np.corrcoef(np.stack(streams)), np.eye(3), atol=5 / np.sqrt(n))


def test_no_trial_noise_without_strength():
    noise = TrialNoise(Imperfections.none(), 0, 0)
    np.testing.assert_array_equal(noise.threshold(0, 4), np.zeros(4))
    assert noise.jitter(0, 3, 4) is None and noise.lost(0, 3, 4) is None
