"""No measure of the analysis loses its digits where all values share an offset, or are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import truncnorm

from hxloop.analysis.measures import separability, statistics, synchrony
from hxloop.analysis.measures.null_models import as_many_spikes
from hxloop.analysis.report.looks import class_colour

OFFSETS = st.sampled_from([0.0, 1.0, 1e3, 2.0**20, 2.0**30])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), offset=OFFSETS)
def test_an_offset_changes_no_measure(seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(24) % 3
    # Sixteenths: sums with the offset are exact, so that what differs is lost by the measure.
    times = rng.integers(0, 64, (24, 5)) / 16 + labels[:, None] / 4
    moved = times + offset
    nearest = separability.nearest_class_mean
    assert np.array_equal(nearest(moved, labels), nearest(times, labels))
    distances = separability.euclidean_distances
    np.testing.assert_allclose(distances(moved), distances(times), rtol=1e-12)
    rossum = separability.van_rossum_distances
    np.testing.assert_allclose(rossum(moved), rossum(times), atol=1e-12)
    before, after = (synchrony.spike_statistics(t) for t in (times, moved))
    for name in ("std", "iqr", "shorth", "packet_a", "packet_sigma"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6)
    one, other = times[:12, 0], times[12:, 0] + 0.5

    def p_value(shift: float) -> float:
        draws = np.random.default_rng(1)
        return statistics.two_sample_permutation_test(
            one + shift, other + shift, draws, n_resamples=199
        ).p_value

    assert p_value(offset) == p_value(0.0)


def test_nearest_class_mean_at_an_offset_of_a_million() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(0, 1e-3, (60, 20)) + 4e-3 * labels[:, None]
    assert separability.nearest_class_mean(features + 1e6, labels).tolist() == [1.0] * 60


def test_volleys_that_are_nearly_alike_have_a_small_distance_and_not_none() -> None:
    gap = 1e-12
    distance = separability.van_rossum_distances(np.array([[1.0, 2.0], [1.0, 2.0 + gap]]))[0, 1]
    exact = math.sqrt(-2 * math.expm1(-((2.0 + gap) - 2.0)))
    assert distance == pytest.approx(exact, rel=1e-6)


def test_ties_of_a_permutation_test_are_counted_whatever_their_rounding() -> None:
    """Of all 2^6 signs of six equal differences two give the observed mean: p is about 2/64."""
    for value in (0.1, 1 / 3, 1e9 / 7):
        test = statistics.paired_permutation_test(
            np.full(6, value), np.random.default_rng(0), n_resamples=4000
        )
        assert test.p_value == pytest.approx(2 / 64, abs=0.012)


def test_the_spread_of_a_cut_normal_distribution() -> None:
    reach = synchrony.PACKET_REACH
    assert pytest.approx(truncnorm(-reach, reach).std(), rel=1e-12) == synchrony.TRUNCATED_STD


def test_as_many_spikes_are_kept_of_every_layer() -> None:
    rng = np.random.default_rng(0)
    many, few = rng.random((200, 50)), rng.random((200, 9))
    few[:, 5:] = np.inf
    few[3, 2:] = np.inf
    kept = as_many_spikes([many, few], rng)
    counts = [np.isfinite(times).sum(axis=1) for times in kept]
    assert counts[0].tolist() == counts[1].tolist() == [0 if i == 3 else 5 for i in range(200)]
    assert all(np.isin(row[:5], own).all() for row, own in zip(kept[0][:3], many, strict=False))
    # Unmatched, half of 50 even spikes is far wider than half of 5.
    widths = [synchrony.shorth(times)[np.arange(200) != 3].mean() for times in (many, *kept)]
    assert widths[0] > 1.3 * widths[1] and widths[1] == pytest.approx(widths[2], rel=0.15)


def test_no_two_classes_share_a_colour() -> None:
    assert len({class_colour(index) for index in range(60)}) == 60
