"""Data sets that ask for a memory."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.data import load_dataset
from hxloop.data.memory_tasks import (
    CHANNELS_OF_A_CUE,
    CUE_LENGTH,
    CUES,
    DELAYED_MANIFOLDS_SPLITS,
    MANIFOLDS,
    PATTERN_LENGTH,
    delayed_manifolds,
    delayed_xor,
)
from hxloop.errors import ConfigError


def test_delayed_xor_is_the_exclusive_or_of_two_cues_far_apart():
    samples, labels = delayed_xor(2000, 3)
    cues = samples.reshape(-1, 2, 2, CHANNELS_OF_A_CUE)
    shown = (cues > 0).all(axis=3)
    # Of each cue one group, all of it, and nothing of the other.
    assert (shown.sum(axis=2) == 1).all() and ((cues > 0).any(axis=3) == shown).all()
    first, second = shown.argmax(axis=2).T
    assert np.array_equal(labels, first ^ second)
    for which, begin in enumerate(CUES):
        times = cues[:, which][cues[:, which] > 0]
        assert begin <= times.min() and times.max() <= begin + CUE_LENGTH <= 1
    # Neither cue alone tells the class: half of each, within four standard deviations.
    for cue in (first, second):
        assert abs(labels[cue == 1].mean() - 0.5) < 4 * 0.5 / np.sqrt((cue == 1).sum())
    # A threshold on any sum of the two is right in three cases of four at most; that bound is met.
    cases = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    planes = np.random.default_rng(1).normal(size=(2000, 3))
    said = planes[:, :2] @ cases.T + planes[:, 2:] > 0
    assert (said == (cases[:, 0] != cases[:, 1])).mean(axis=1).max() == 0.75


def test_splits_differ_and_are_the_same_every_time():
    splits = {name: load_dataset("delayed-xor", name) for name in ("train", "validation", "test")}
    assert [len(split.labels) for split in splits.values()] == [2000, 500, 1000]
    assert splits["train"].class_names == ("the same", "different")
    again = load_dataset("delayed-xor", "test", size=1000)
    assert np.array_equal(again.samples, splits["test"].samples)
    other = load_dataset("delayed-xor", "test", seed=9)
    assert not np.array_equal(other.samples, splits["test"].samples)
    assert not np.array_equal(splits["validation"].samples, splits["test"].samples[:500])


def test_delayed_manifolds_are_a_pattern_and_long_after_it_a_question_that_says_nothing():
    samples, labels = delayed_manifolds(400, 3)
    pattern, question = np.split(samples, [MANIFOLDS.n_units], axis=1)
    points, of_points = MANIFOLDS.draw(400, 3)
    assert np.array_equal(labels, of_points)
    np.testing.assert_allclose(pattern, CUES[0] + PATTERN_LENGTH * points, rtol=1e-14)
    assert pattern.max() < CUES[1] <= question.min() and question.max() <= CUES[1] + CUE_LENGTH
    assert question.shape == (400, CHANNELS_OF_A_CUE) and len(np.unique(question)) == question.size
    # Means of the question's times are those of all classes, within four standard errors.
    error = CUE_LENGTH / np.sqrt(12 * 100 * CHANNELS_OF_A_CUE)
    for which in range(4):
        assert (labels == which).sum() == 100
        mean = question[labels == which].mean()
        assert abs(mean - CUES[1] - CUE_LENGTH / 2) < 4 * error
    splits = [load_dataset("delayed-manifolds", split) for split in DELAYED_MANIFOLDS_SPLITS]
    assert [len(split.labels) for split in splits] == [2000, 500, 1000]
    assert splits[0].class_names[3] == "manifold 4"
    assert not np.array_equal(splits[1].samples, splits[2].samples[:500])


@pytest.mark.parametrize(("size", "seed"), [(0, 1), (2.5, 1), (3, -1)])
def test_odd_sizes_and_seeds_are_refused(size, seed):
    with pytest.raises(ConfigError, match="delayed_xor: "):
        delayed_xor(size, seed)
    with pytest.raises(ConfigError, match="delayed_manifolds: "):
        delayed_manifolds(size, seed)
