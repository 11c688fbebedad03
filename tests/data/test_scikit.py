"""Data sets of scikit-learn: every sample once, scaled by the training samples."""

import numpy as np
import pytest
from sklearn import datasets

from hxloop.data import load_dataset
from hxloop.data.datasets import DATASETS
from hxloop.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("breast-cancer", datasets.load_breast_cancer),
        ("digits", datasets.load_digits),
        ("wine", datasets.load_wine),
    ],
)
def test_splits_hold_every_sample_once(name, load) -> None:
    content = load()
    parts = [load_dataset(name, split) for split in ("train", "validation", "test")]
    assert "/".join(str(len(part.labels)) for part in parts) in DATASETS[name]
    scaling = parts[0].scaling
    low, high = np.array(scaling.low), np.array(scaling.high)
    # What was not cut can be brought back; its sum over all samples is that of the source.
    rows = np.concatenate([part.samples * (high - low) + low for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    cut = sum(part.clipped for part in parts)
    assert cut < 0.01 * rows.size and len(rows) == len(content.data)
    for label in range(parts[0].n_classes):
        mean = rows[labels == label].mean(axis=0)
        np.testing.assert_allclose(mean, content.data[content.target == label].mean(0), rtol=0.02)
    again = load_dataset(name, "test", seed=1)
    assert not np.array_equal(again.samples, parts[2].samples)
    with pytest.raises(ConfigError, match="size: expected"):
        load_dataset(name, "test", size=10**6)
