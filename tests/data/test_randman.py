"""Random manifolds of spike times: the formula, its range, who is on which."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.data import load_dataset
from hxloop.data.randman import RANDMAN, RANDMAN_SPLITS, Randman
from hxloop.errors import ConfigError

NAMES = tuple(RANDMAN)


def test_times_are_the_products_of_sums_of_sines_that_the_docstring_says():
    manifolds = Randman(n_classes=3, n_units=4, dimension=2, alpha=2.5, seed=7)
    x = np.random.default_rng(1).random((50, 2))
    drawn = np.random.default_rng((7, 2)).random((4, 2, 3, manifolds.n_terms))

    def raw(unit, points):
        factors = []
        for d in range(2):
            amplitudes, rates, phases = drawn[unit, d]
            factors.append(
                sum(
                    k**-2.5 * amplitudes[k - 1]
                    * np.sin(2 * np.pi * ((k - 1) * rates[k - 1] * points[:, d] + phases[k - 1]))
                    for k in range(2, manifolds.n_terms + 1)
                )
            )  # fmt: skip
        return factors[0] * factors[1]

    found = manifolds.times(2, x)
    # The range of the product, by a scan of the square instead of its edges.
    axis = np.linspace(0, 1, 401)
    square = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for unit in range(4):
        every = raw(unit, square)
        expected = (raw(unit, x) - every.min()) / (every.max() - every.min())
        np.testing.assert_allclose(found[:, unit], expected, rtol=0, atol=1e-3)


def test_the_smaller_alpha_the_rougher_and_the_longer_the_sum():
    assert [Randman(alpha=alpha).n_terms for alpha in (3.0, 2.0, 1.0, 0.0)] == [10, 32, 1000, 1000]
    line = np.linspace(0, 1, 201)[:, None]

    def length(alpha):
        return np.abs(np.diff(Randman(alpha=alpha, n_units=10).times(0, line), axis=0)).sum()

    assert length(3.0) < length(2.0) < length(1.5)


def test_every_unit_fills_the_range_in_every_class_so_that_no_single_time_tells_it():
    manifolds = Randman(n_classes=3, n_units=5)
    for which in range(3):
        times = manifolds.times(which, np.linspace(0, 1, 2001)[:, None])
        np.testing.assert_allclose(times.min(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(times.max(axis=0), 1, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_samples_lie_on_the_manifold_of_their_label(name):
    data = load_dataset(name, "train", size=20)
    n = RANDMAN[name].n_classes
    assert data.samples.shape == (20, 20) and data.n_classes == n
    counts = np.bincount(data.labels, minlength=n)
    assert counts.max() - counts.min() <= 1 and counts.sum() == 20
    again = load_dataset(name, "train", size=20)
    assert np.array_equal(again.samples, data.samples)
    if RANDMAN[name].dimension > 1:
        return
    # Of a line all points are near some of many: those of its own class nearest.
    line = np.linspace(0, 1, 2001)[:, None]
    lines = [RANDMAN[name].times(which, line) for which in range(n)]
    for sample, label in zip(data.samples, data.labels, strict=True):
        distances = [np.abs(each - sample).max(axis=1).min() for each in lines]
        assert np.argmin(distances) == label and distances[label] < 0.02


def test_splits_are_of_the_same_manifolds_and_of_other_points():
    parts = [load_dataset("randman-four", split) for split in RANDMAN_SPLITS]
    assert [len(part.labels) for part in parts] == [2000, 500, 1000]
    assert not np.array_equal(parts[0].samples[:500], parts[1].samples)
    assert parts[0].class_names[0] == "manifold 1"
    # The nearest training sample is of the right class.
    train, _, test = parts
    for sample, label in zip(test.samples[:50], test.labels[:50], strict=True):
        nearest = np.abs(train.samples - sample).sum(axis=1).argmin()
        assert train.labels[nearest] == label
    other = load_dataset("randman-four", "test", seed=5)
    assert not np.array_equal(other.samples, test.samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_classes": 1}, "Randman.n_classes"),
        ({"n_units": 0}, "Randman.n_units"),
        ({"dimension": 1.5}, "Randman.dimension"),
        ({"alpha": -1.0}, "Randman.alpha"),
        ({"seed": -1}, "Randman.seed"),
    ],
)
def test_manifolds_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Randman(**options)


def test_odd_sizes_seeds_and_classes_are_refused():
    with pytest.raises(ConfigError, match=r"Randman\.draw: size"):
        Randman().draw(0, 1)
    with pytest.raises(ConfigError, match=r"Randman\.draw: seed"):
        Randman().draw(3, -1)
    with pytest.raises(ConfigError, match=r"Randman\.times: which"):
        Randman(n_classes=2).times(2, np.zeros((1, 1)))
