"""Search algorithms, on instances whose observable is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.calibration.search import (
    Bisection,
    LinearSearch,
    Prediction,
    inverse,
    linear,
    noisy_bisection,
    proportional,
)
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import KnobRange

KNOB = KnobRange()
N = 60


def found(search, observable, wanted, *, rising=True, start=500, seed=0):
    """Run a search; also the number of measurements."""
    calls = []

    def measure(codes):
        assert codes.dtype.kind == "i" and (codes >= 0).all() and (codes <= 1022).all()
        calls.append(codes.copy())
        return observable(codes)

    result = search(
        measure, np.asarray(wanted, float), np.full(N, start), KNOB, rising,
        np.random.default_rng(seed),
    )  # fmt: skip
    return result, len(calls)


@given(
    wanted=st.lists(st.floats(1, 1021), min_size=N, max_size=N),
    rising=st.booleans(),
    slope=st.floats(0.01, 30),
)
@settings(max_examples=60, deadline=None)
def test_bisection_finds_the_nearest_code(wanted, rising, slope):
    sign = 1 if rising else -1
    goal = sign * slope * np.array(wanted)
    result, calls = found(Bisection(), lambda c: sign * slope * c, goal, rising=rising)
    assert (np.abs(result.errors) <= slope * 0.5 + 1e-9).all()
    np.testing.assert_allclose(result.errors, sign * slope * result.codes - goal)
    assert calls == len(result.convergence) == 12  # 10 bits and two neighbours


@given(wanted=st.lists(st.floats(10, 1012), min_size=N, max_size=N), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_noisy_bisection_does_so_too_and_writes_different_codes(wanted, seed):
    first = []

    def observable(codes):
        first.append(codes)
        return codes.astype(float)

    result, calls = found(noisy_bisection(), observable, wanted, seed=seed)
    # The dither is made up for by the last steps, but for the last code of it.
    assert (np.abs(result.errors) <= 3).all() and np.median(np.abs(result.errors)) <= 1
    assert calls == 13
    assert len(np.unique(first[0])) > 5 and np.abs(first[0] - 511).max() <= 5


def test_noise_of_a_measurement_is_left_of_the_size_of_the_noise():
    rng = np.random.default_rng(1)
    wanted = rng.uniform(200, 800, N)
    result, _ = found(noisy_bisection(), lambda c: c + rng.normal(0, 4, N), wanted)
    off = result.codes - wanted
    # Of single measurements no search can know better than to about their noise.
    assert np.abs(off).max() < 5 * 4 and off.std() < 2 * 4


def test_a_falling_curve_and_an_unmeasurable_start():
    # 6 us at code 150; at codes below 40 nothing can be seen: too slow.
    def tau(codes):
        return np.where(codes < 40, np.nan, 900 / np.maximum(codes, 1))

    wanted = np.linspace(2, 20, N)
    for search in (Bisection(), noisy_bisection(), Prediction(inverse, 8)):
        result, _ = found(search, tau, wanted, rising=False)
        step = wanted**2 / 900  # change of tau by one code
        assert (np.abs(result.errors) <= 2 * step).all(), search
        assert not result.at_end.any()


def test_out_of_reach_is_reported_not_passed_off():
    wanted = np.where(np.arange(N) % 2, 2000.0, -500.0)
    for search in (Bisection(), noisy_bisection(), LinearSearch(20), Prediction(linear(1.0), 8)):
        result, _ = found(search, lambda c: c.astype(float), wanted)
        assert (np.abs(result.errors) > 400).all()
        assert result.at_end.all() or isinstance(search, Bisection)
        near = np.where(np.arange(N) % 2, 1022, 0)
        assert (np.abs(result.codes - near) <= 12).all()


def test_nothing_measurable_has_no_error_but_nan():
    result, _ = found(noisy_bisection(), lambda c: np.full(N, np.nan), np.full(N, 5.0))
    assert np.isnan(result.errors).all() and np.isnan(result.convergence).all()


def test_linear_search_walks_until_all_have_passed():
    wanted = np.linspace(100, 900, N)
    result, calls = found(LinearSearch(step=8), lambda c: c.astype(float), wanted)
    assert (np.abs(result.errors) <= 4).all()
    assert calls == 1 + np.ceil(400 / 8) or calls == 2 + np.ceil(400 / 8)


@pytest.mark.parametrize(
    ("search", "observable", "goal"),
    [
        (Prediction(linear(0.4), 4), lambda c: 0.41 * c + 30, np.linspace(70, 180, N)),
        (Prediction(proportional, 8), lambda c: 0.3 * c**0.8, np.linspace(20, 70, N)),
        (Prediction(inverse, 6), lambda c: 900 / (c + 4.0), np.linspace(2, 20, N)),
        # Of which nothing is known beforehand but that it rises.
        (Prediction(None, 7), lambda c: 0.03 * c - 9, np.linspace(-8, 8, N)),
        (Prediction(None, 7), lambda c: 7.0 * c - 900, np.linspace(0, 900, N)),
    ],
)
def test_prediction_jumps_there_in_few_measurements(search, observable, goal):
    result, calls = found(search, observable, goal, start=200)
    at = result.codes
    step = np.abs(observable(at + 1) - observable(at))
    assert (np.abs(result.errors) <= 1.1 * step).all()  # a code
    assert calls <= 8


def test_the_best_of_the_last_measurements_counts_and_the_wanted_values_are_left_alone():
    wanted = np.linspace(100, 900, N)
    wanted.flags.writeable = False
    values = iter(np.linspace(1, 2, 13))
    result, _ = found(noisy_bisection(), lambda c: c + 0 * next(values), wanted)
    assert result.codes.shape == (N,) and result.convergence.shape == (13, 3)
    assert (np.diff(result.convergence, axis=1) >= 0).all()  # percentiles in their order


def test_a_measured_slope_is_that_of_the_chip_and_not_one_known_beforehand():
    """Offsets were searched with the slope that the emulated chip has inside."""
    rng = np.random.default_rng(0)
    own = np.exp(0.05 * rng.standard_normal(N))
    for slope in (0.004, 0.03, 0.3):
        for sign in (1, -1):
            zero = rng.uniform(300, 600, N)

            def offset(codes, slope=slope * sign, zero=zero):
                noise = 5 * abs(slope) * rng.standard_normal(N)
                return slope * own * (codes - zero) + noise

            result, _ = found(Prediction(None, 7), offset, np.zeros(N), start=280, rising=sign > 0)
            assert np.median(np.abs(result.codes - zero)) < 10
            assert np.abs(result.codes - zero).max() < 60


def test_the_calibration_knows_no_constant_of_the_emulated_chip():
    from hxloop.backends.emulated.knob_curves import SHIFT_SLOPE
    from hxloop.calibration import sequence

    source = Path(sequence.__file__).read_text()
    assert str(SHIFT_SLOPE) not in source
    models = {step.name: step.model for step in sequence.sequence(OperatingPoint())}
    assert models["offset_exc"] is models["offset_inh"] is None
