"""Pseudo-values of means in which samples are compared with each other: by leaving each out."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.analysis.measures import jackknife, separability

SIZES = [(5, 7, 9), (3, 3), (3, 3, 4, 20), (1, 5, 6)]


def contrast(distances, labels):
    return jackknife.contrast(*separability.class_distances(distances, labels))


def by_leaving_out(measure, distances, labels):
    """The definition, one sample after the other."""
    values = measure(distances, labels)
    kept, mean = ~np.isnan(values), np.nanmean(values)
    without = [
        np.nanmean(measure(np.delete(np.delete(distances, k, 0), k, 1), np.delete(labels, k)))
        for k in range(len(labels))
    ]
    found = kept.sum() * mean - (kept.sum() - 1) * np.array(without)
    found[~kept] = np.nan
    return found + mean - np.nanmean(found)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    ("measure", "quickly"),
    [
        (separability.silhouette, jackknife.silhouette_pseudo_values),
        (contrast, jackknife.contrast_pseudo_values),
    ],
)
def test_as_if_every_sample_was_left_out(measure, quickly, sizes) -> None:
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    features = rng.normal(size=(len(labels), 6)) + 0.5 * labels[:, None]
    distances = separability.euclidean_distances(features)
    found = quickly(distances, labels)
    np.testing.assert_allclose(found, by_leaving_out(measure, distances, labels), atol=1e-13)
    assert np.nanmean(found) == pytest.approx(np.nanmean(measure(distances, labels)), abs=1e-13)


def test_coinciding_samples_and_classes_that_cannot_spare_one() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    together = np.zeros((5, 5))
    np.testing.assert_array_equal(jackknife.silhouette_pseudo_values(together, labels), 0)
    np.testing.assert_array_equal(jackknife.contrast_pseudo_values(together, labels), 0)
    # Without one of two there is no class to compare with: the values themselves.
    distances = separability.euclidean_distances(np.arange(4.0)[:, None] ** 2)
    pairs = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(
        jackknife.silhouette_pseudo_values(distances, pairs),
        separability.silhouette(distances, pairs),
    )


def test_the_mean_silhouette_moves_as_far_as_they_say() -> None:
    """Regression: by the values themselves the interval of a mean silhouette was too narrow."""
    means, by_pseudo, by_values = [], [], []
    for seed in range(200):
        rng = np.random.default_rng((3, seed))
        labels = np.arange(60) % 3
        features = rng.normal(size=(60, 3)) + 1.5 * np.eye(3)[labels]
        distances = separability.euclidean_distances(features)
        values = separability.silhouette(distances, labels)
        pseudo = jackknife.silhouette_pseudo_values(distances, labels)
        means.append(values.mean())
        by_pseudo.append(pseudo.std(ddof=1) / np.sqrt(60))
        by_values.append(values.std(ddof=1) / np.sqrt(60))
    spread = np.std(means, ddof=1)
    assert 0.85 < np.mean(by_pseudo) / spread < 1.2  # 200 draws: a tenth on either side
    assert np.mean(by_values) / spread < 0.8
