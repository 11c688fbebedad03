"""Separability against closed forms, scikit-learn and elephant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.analysis.measures.separability import (
    activity_features,
    activity_rates,
    balanced_subsample,
    class_distances,
    euclidean_distances,
    latency_features,
    linear_readout,
    nearest_class_mean,
    population_overlap,
    silhouette,
    van_rossum_distances,
)
from hxloop.errors import RunInputError

INF = np.inf


def clusters(rng: np.random.Generator, gap: float, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 3
    centres = gap * np.eye(3)
    return centres[labels] + 0.1 * rng.standard_normal((n, 3)), labels


def test_features_of_silent_neurons() -> None:
    times = np.array([[0.5, INF, 7.0]])
    assert latency_features(times, 5.0).tolist() == [[0.5, 5.0, 5.0]]
    assert activity_features(times).tolist() == [[1.0, 0.0, 1.0]]


def test_far_clusters_are_read_out_and_shuffled_labels_are_not() -> None:
    rng = np.random.default_rng(0)
    features, labels = clusters(rng, gap=3.0)
    for measure in (linear_readout, nearest_class_mean):
        assert measure(features, labels).mean() == 1.0
        chance = np.mean([measure(features, rng.permutation(labels)).mean() for _ in range(10)])
        # 600 guesses among three classes: four binomial standard deviations above 1/3. Below, it
        # may be worse: a sample left out draws the mean of its class away from itself.
        assert chance < 1 / 3 + 4 * np.sqrt(2 / 9 / 600)
    distances = euclidean_distances(features)
    assert silhouette(distances, labels).min() > 0.8


def test_a_class_mean_without_the_sample_itself() -> None:
    rng = np.random.default_rng(1)
    features, labels = clusters(rng, gap=0.15)
    got = nearest_class_mean(features, labels)
    for sample in range(len(labels)):
        others = np.arange(len(labels)) != sample
        means = [features[others & (labels == label)].mean(axis=0) for label in range(3)]
        nearest = np.argmin([np.linalg.norm(features[sample] - mean) for mean in means])
        assert got[sample] == (nearest == labels[sample])
    assert 0 < got.mean() < 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_silhouette_is_that_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import silhouette_samples

    rng = np.random.default_rng(seed)
    features, labels = rng.standard_normal((20, 4)), np.arange(20) % 4
    expected = silhouette_samples(features, labels)
    np.testing.assert_allclose(
        silhouette(euclidean_distances(features), labels), expected, atol=1e-9
    )


def test_silhouette_of_four_points_on_a_line() -> None:
    """0, 1 | 10, 11: a = 1; b = 10.5, 9.5."""
    got = silhouette(euclidean_distances([[0.0], [1.0], [10.0], [11.0]]), [0, 0, 1, 1])
    np.testing.assert_allclose(got, [9.5 / 10.5, 8.5 / 9.5, 8.5 / 9.5, 9.5 / 10.5])


def test_van_rossum_is_that_of_elephant() -> None:
    import quantities as pq
    from elephant.spike_train_dissimilarity import van_rossum_distance
    from neo import SpikeTrain

    rng = np.random.default_rng(2)
    times = rng.uniform(0, 3, (7, 5))
    times[rng.random(times.shape) < 0.4] = INF
    for tau in (0.1, 1.0):
        squared = np.zeros((7, 7))
        for neuron in range(5):
            trains = [
                SpikeTrain(row[neuron : neuron + 1][np.isfinite(row[neuron : neuron + 1])],
                           units=pq.s, t_stop=4.0)
                for row in times
            ]  # fmt: skip
            squared += van_rossum_distance(trains, tau * pq.s) ** 2
        np.testing.assert_allclose(van_rossum_distances(times, tau), np.sqrt(squared), atol=1e-7)


def test_van_rossum_of_none_one_and_two_spikes() -> None:
    got = van_rossum_distances(np.array([[INF], [1.0], [1.5]]), 0.5)
    between = np.sqrt(2 - 2 * np.exp(-1))
    np.testing.assert_allclose(got, [[0, 1, 1], [1, 0, between], [1, between, 0]], atol=1e-12)


def test_distances_within_and_between() -> None:
    distances = np.array([[0, 1, 4, 6], [1, 0, 5, 7], [4, 5, 0, 2], [6, 7, 2, 0]], dtype=float)
    within, between = class_distances(distances, [0, 0, 1, 1])
    assert within.tolist() == [1, 1, 2, 2]
    assert between.tolist() == [5, 6, 4.5, 6.5]
    within, between = class_distances(distances, [0, 0, 0, 1])
    assert np.isnan(within[3]) and between[3] == 5.0


def test_overlap_of_active_populations() -> None:
    times = np.array([[0.1, 0.1, INF, INF], [0.2, 0.1, INF, INF], [INF, 0.1, 0.2, INF]])
    rates = activity_rates(times, [0, 0, 1])
    assert rates.tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert population_overlap(rates).tolist() == [1 / 3]
    assert np.isnan(population_overlap(np.zeros((2, 4)))).all()
    assert population_overlap(np.stack([rates, rates[[0, 0]]])).tolist() == [[1 / 3], [1.0]]


def test_one_class_or_single_members_are_undefined() -> None:
    features = np.random.default_rng(3).random((6, 2))
    distances = euclidean_distances(features)
    for labels in (np.zeros(6, int), np.arange(6), np.array([0, 0, 0, 0, 0, 1])):
        assert np.isnan(linear_readout(features, labels)).all()
        assert np.isnan(nearest_class_mean(features, labels)).all()
        assert np.isnan(silhouette(distances, labels)).all()
    labels = np.array([0, 0, 1, 1, 1, 2])
    for got in (
        linear_readout(features, labels),
        nearest_class_mean(features, labels),
        silhouette(distances, labels),
    ):
        assert np.isnan(got).tolist() == [False] * 5 + [True]


def test_identical_samples_have_no_structure() -> None:
    features, labels = np.ones((6, 3)), np.array([0, 0, 0, 1, 1, 1])
    assert silhouette(euclidean_distances(features), labels).tolist() == [0.0] * 6
    assert nearest_class_mean(features, labels).tolist() == [0.0] * 6


def test_a_subsample_keeps_the_proportions() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    chosen = balanced_subsample(labels, 100, np.random.default_rng(4))
    assert len(set(chosen.tolist())) == 100 and (np.diff(chosen) > 0).all()
    assert np.abs(np.bincount(labels[chosen]) - [60, 30, 10]).max() <= 1
    assert balanced_subsample(labels[:50], 100, np.random.default_rng(4)).tolist() == list(
        range(50)
    )


def test_bad_input_is_refused() -> None:
    with pytest.raises(RunInputError, match="sample 0, feature 1: expected a finite number"):
        linear_readout(np.array([[0.0, INF], [1.0, 2.0]]), [0, 1])
    with pytest.raises(RunInputError, match=r"got \(2, 1\) and \(3,\)"):
        nearest_class_mean(np.zeros((2, 1)), [0, 1, 0])
    with pytest.raises(RunInputError, match="positive time constant"):
        van_rossum_distances(np.zeros((2, 1)), 0.0)
    with pytest.raises(RunInputError, match="each two of 3 samples"):
        class_distances(np.zeros((2, 2)), [0, 1, 0])
    with pytest.raises(RunInputError, match="expected 2, one a sample; got 1"):
        activity_rates(np.zeros((2, 2)), [0])
