"""Intervals, tests and effect sizes against closed forms and scipy; null models."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.null_models import (
    jittered,
    label_shuffled,
    neuron_shuffled,
    uniform_times,
    weight_shuffled,
)
from hxloop.analysis.measures.statistics import (
    across_seeds,
    bootstrap_interval,
    cliffs_delta,
    cohens_d,
    dominance,
    estimate_from_resamples,
    holm,
    p_value_against,
    paired_permutation_test,
    resampling_weights,
    slope_against_depth,
    two_sample_permutation_test,
)
from hxloop.analysis.measures.synchrony import shorth
from hxloop.errors import RunInputError

INF, NAN = np.inf, math.nan
numbers = st.lists(st.integers(-5, 5), min_size=1, max_size=15)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_bootstrap_interval_has_the_width_of_the_normal_one() -> None:
    values = rng().standard_normal(2000)
    got = bootstrap_interval(values, rng(1))
    half = 1.96 * values.std() / math.sqrt(2000)
    assert got.value == values.mean() and got.n == 2000
    # 2000 resamples give a 97.5 % quantile to about 2.7 % of the standard error (Maritz-Jarrett).
    assert got.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert got.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_a_bootstrap_interval_covers_as_often_as_it_says() -> None:
    draws = rng(2)
    hits = 0
    for _ in range(200):
        got = bootstrap_interval(draws.exponential(size=100), draws, n_resamples=400)
        hits += got.low <= 1.0 <= got.high
    # 95 % of 200, four binomial standard deviations; percentile intervals of skew data fall short.
    assert 0.95 * 200 - 4 * math.sqrt(200 * 0.95 * 0.05) - 4 <= hits


def test_few_values() -> None:
    empty = bootstrap_interval([NAN, NAN], rng())
    assert math.isnan(empty.value) and math.isnan(empty.low) and empty.n == 0
    one = bootstrap_interval([NAN, 3.0], rng())
    assert (one.value, one.low, one.high, one.n) == (3.0, 3.0, 3.0, 1)
    with pytest.raises(RunInputError, match="between 0 and 1"):
        bootstrap_interval([1.0], rng(), level=1.0)
    with pytest.raises(RunInputError, match="between 0 and 1"):
        estimate_from_resamples(1.0, [1.0], 1, level=95)


def test_resamples_are_centred_on_the_estimate() -> None:
    got = estimate_from_resamples(1.0, [4.0, 5.0, 6.0], 3, level=0.5)
    assert (got.value, got.low, got.high) == (1.0, 0.5, 1.5)
    assert math.isnan(estimate_from_resamples(1.0, [NAN], 3).low)


def test_resampling_keeps_the_size_of_each_group() -> None:
    groups = np.array([2, 0, 0, 1, 0, 1])
    counts = resampling_weights(groups, 300, rng())
    for group, size in ((0, 3), (1, 2), (2, 1)):
        assert (counts[:, groups == group].sum(axis=1) == size).all()
    assert counts[:, groups == 0].std() > 0


def test_seeds_have_students_interval() -> None:
    from scipy.stats import t

    got = across_seeds([1.0, 2.0, 3.0, NAN])
    half = t.ppf(0.975, 2) * 1 / math.sqrt(3)
    assert (got.value, got.low, got.high, got.n) == pytest.approx((2, 2 - half, 2 + half, 3))
    assert math.isnan(across_seeds([1.0]).low) and across_seeds([]).n == 0


def test_the_paired_test_is_the_one_over_all_signs() -> None:
    """9 pairs: 512 arrangements of signs, counted out."""
    values = rng(3).normal(0.5, 1, 9)
    signs = np.array(list(product([1, -1], repeat=9)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    got = paired_permutation_test(values, rng(4), n_resamples=20_000)
    assert got.p_value == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000) + 1e-4)


def test_the_two_sample_test_is_that_of_scipy() -> None:
    from scipy.stats import permutation_test

    a, b = rng(5).normal(0, 1, 12), rng(6).normal(0.8, 1, 15)
    exact = permutation_test(
        (a, b), lambda x, y: x.mean() - y.mean(), n_resamples=20_000, rng=rng(7)
    ).pvalue
    got = two_sample_permutation_test(a, b, rng(8), n_resamples=20_000)
    assert got.value == pytest.approx(a.mean() - b.mean())
    assert got.p_value == pytest.approx(exact, abs=6 * math.sqrt(exact / 20_000))


def test_p_values_are_uniform_where_there_is_nothing() -> None:
    draws = rng(9)
    p = [
        paired_permutation_test(draws.standard_normal(20), draws, n_resamples=199).p_value
        for _ in range(200)
    ]
    assert abs(np.mean(np.array(p) < 0.5) - 0.5) < 4 * math.sqrt(0.25 / 200)
    assert min(p) >= 1 / 200


def test_tests_without_data() -> None:
    assert math.isnan(paired_permutation_test([], rng()).p_value)
    assert paired_permutation_test([0.0, 0.0, 0.0], rng()).p_value == 1.0
    assert math.isnan(two_sample_permutation_test([], [1.0], rng()).value)
    assert math.isnan(p_value_against(1.0, [NAN]))
    assert p_value_against(3.0, [1.0, 2.0, 3.0, 4.0]) == pytest.approx(3 / 5)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers)
def test_cliffs_delta_counts_pairs(a: list[int], b: list[int]) -> None:
    expected = np.mean([np.sign(x - y) for x in a for y in b])
    assert cliffs_delta(a, b) == pytest.approx(expected)
    assert cliffs_delta(b, a) == pytest.approx(-expected)
    assert dominance(a) == pytest.approx(np.mean(np.sign(a)))


def test_effect_sizes_of_little() -> None:
    assert math.isnan(cliffs_delta([], [1.0])) and math.isnan(dominance([NAN]))
    assert math.isnan(cohens_d([1.0]))
    assert cohens_d([0.0, 0.0]) == 0 and cohens_d([-2.0, -2.0]) == -INF
    assert cohens_d([1.0, 3.0]) == pytest.approx(2 / math.sqrt(2))


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, NAN, 0.04, 0.03]), [0.03, NAN, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]


def test_slope_of_a_line() -> None:
    got = slope_against_depth([[1.0, 3.0, 5.0, 7.0], [2.0, 2.0, 2.0, NAN]])
    assert got[0] == pytest.approx(2.0) and math.isnan(got[1])
    assert np.isnan(slope_against_depth([[1.0]])).all()


# --- null models --------------------------------------------------------------------------


def volley(seed: int = 0) -> np.ndarray:
    times = 1 + 0.01 * rng(seed).standard_normal((20, 60))
    times[:, ::4] = INF
    times.setflags(write=False)
    return times


def test_jitter_destroys_synchrony_and_keeps_who_spikes() -> None:
    times = volley()
    got = jittered(times, 0.3, rng(1))
    assert np.array_equal(np.isinf(got), np.isinf(times)) and got.min() >= 0
    assert shorth(got).mean() > 10 * shorth(times).mean()
    moved = got[np.isfinite(times)] - times[np.isfinite(times)]
    # Standard deviation of 900 normal numbers, four standard errors.
    assert moved.std() == pytest.approx(0.3, abs=4 * 0.3 / math.sqrt(2 * 900))
    assert np.array_equal(jittered(times, 0.0, rng(1)), times)
    with pytest.raises(RunInputError, match="sigma"):
        jittered(times, -1.0, rng())


def test_even_spread_lies_in_its_interval() -> None:
    times = volley()
    stop = np.where(np.arange(20) == 3, INF, 2.5)
    got = uniform_times(times, 0.5, stop, rng(2))
    assert np.array_equal(np.isinf(got), np.isinf(times))
    assert np.array_equal(got[3], times[3])
    inside = got[4:][np.isfinite(got[4:])]
    assert 0.5 <= inside.min() < 0.6 and 2.4 < inside.max() <= 2.5


def test_shuffled_neurons_keep_the_volley() -> None:
    times = volley()
    got = neuron_shuffled(times, rng(3))
    assert np.array_equal(np.sort(got, axis=1), np.sort(times, axis=1))
    assert not np.array_equal(got, times)


def test_shuffled_weights_keep_dales_law_and_shuffled_labels_their_number() -> None:
    matrix = rng(4).random((6, 9)) * np.where(np.arange(6) < 4, 1, -1)[:, None]
    matrix.setflags(write=False)
    (got,) = weight_shuffled([matrix], rng(5))
    assert np.array_equal(np.sort(got, axis=None), np.sort(matrix, axis=None))
    assert np.array_equal(np.sign(got), np.sign(matrix))
    assert not np.array_equal(got, matrix)
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    assert np.bincount(label_shuffled(labels, rng(6))).tolist() == [5, 3, 2]


def test_of_many_values_the_interval_is_the_normal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the bootstrap's, though the values are skewed; and without random numbers."""
    values = np.random.default_rng(1).lognormal(0.0, 1.0, statistics.NORMAL_FROM)
    normal = statistics.bootstrap_interval(values, np.random.default_rng(2))
    monkeypatch.setattr(statistics, "NORMAL_FROM", len(values) + 1)
    drawn = statistics.bootstrap_interval(values, np.random.default_rng(2))
    width = drawn.high - drawn.low
    assert (normal.value, normal.n) == (drawn.value, drawn.n)
    assert normal.low == pytest.approx(drawn.low, abs=0.05 * width)
    assert normal.high == pytest.approx(drawn.high, abs=0.05 * width)
