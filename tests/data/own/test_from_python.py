"""Data sets of what Python holds, and of what is like a data set of torch or tonic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from hxloop.activity import Spikes
from hxloop.data import TimeSeries, dataset_from
from hxloop.errors import FileFormatError, HxloopError, RunInputError

RNG = np.random.default_rng(0)
X = RNG.uniform(-3, 7, (20, 4))
Y = np.arange(20) % 3


@pytest.mark.parametrize(
    "samples",
    [
        X, X.tolist(), X[::-1][::-1], X.astype(">f8"), torch.tensor(X), X.astype(np.longdouble),
        pd.DataFrame(X),
    ],
    ids=["array", "lists", "reversed", "big-endian", "tensor", "long", "frame"],
)  # fmt: skip
@pytest.mark.parametrize(
    "labels",
    [Y, Y.tolist(), Y.astype(">u2"), torch.tensor(Y), Y.astype(float), pd.Series(Y), Y[:, None]],
    ids=["array", "list", "big-endian", "tensor", "floats", "series", "column"],
)
def test_every_form_of_the_same_is_the_same(samples, labels) -> None:
    found, expected = dataset_from(samples, labels), dataset_from(X, Y)
    np.testing.assert_array_equal(found.samples, expected.samples)
    np.testing.assert_array_equal(found.labels, Y)
    assert found.n_classes == 3 and found.class_names == ()


def test_a_test_set_is_scaled_and_numbered_as_the_training_set() -> None:
    names = np.array(["c", "a", "b"])[Y]
    train = dataset_from(X, names)
    test = dataset_from(2 * X, names[::-1], like=train)
    assert test.scaling == train.scaling and test.clipped > 0
    assert [test.class_names[i] for i in test.labels] == list(names[::-1])
    with pytest.raises(FileFormatError, match=r"'d' at sample 0 is none of those"):
        dataset_from(X[:2], ["d", "a"], like=train)


def test_a_torch_data_set_with_pixels_is_images() -> None:
    pixels = torch.randint(0, 256, (12, 1, 5, 5), dtype=torch.uint8)
    whole = TensorDataset(pixels, torch.tensor(np.arange(12) % 2))
    found = dataset_from(Subset(whole, range(2, 12)))
    assert found.image_side == 5 and found.samples.shape == (10, 25)
    np.testing.assert_array_equal(found.samples[0] * 256, pixels[2].numpy().ravel())
    scaled = dataset_from(TensorDataset(pixels / 255, torch.tensor(np.arange(12) % 2)))
    assert scaled.image_side == 5 and scaled.scaling is not None and scaled.scaling.method == "all"


class Events:
    """As a data set of tonic."""

    sensor_size = (4, 3, 2)

    def __init__(self, events) -> None:
        kinds = [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")]
        self.events = [np.array(sample, dtype=kinds) for sample in events]

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int):
        return self.events[index], index % 2


def test_events_of_a_camera_are_spikes_of_a_channel_for_each_pixel_and_polarity() -> None:
    found = dataset_from(Events([[(5, 3, 2, 1), (1, 0, 0, 0), (5, 3, 2, 1)], [(2, 1, 1, 0)]]))
    assert found.samples == Spikes.from_events(
        [0, 0, 1], [0, 23, 5], [1.0, 5.0, 2.0], batch=2, n_units=24
    )
    assert found.merged == 1  # at one time on one pixel
    with pytest.raises(RunInputError, match=r"sample 1: expected events of a sensor of 4 x 3"):
        dataset_from(Events([[(5, 3, 2, 1)], [(1, 4, 0, 0)]]))
    with pytest.raises(RunInputError, match=r"channels=\(columns, rows, polarities\)"):
        without = Events([[(1, 0, 0, 0)]])
        dataset_from([without[0], without[0]])


@pytest.mark.parametrize(
    ("samples", "labels", "said"),
    [
        (X, Y[:-1], "as many samples as labels"),
        (X.astype(complex), Y, "real numbers"),
        (X, Y + 0.5, "whole numbers or texts"),
        (np.full((20, 2), np.nan), Y, "finite numbers; got nan at sample 0"),
        (np.zeros((20, 3, 4, 5)), Y, "one channel"),
        (np.zeros(20), Y, r"\(n, features\)"),
        (5, None, "pairs"),
        ([1, 2], None, r"pairs \(sample, label\); got 1 at item 0"),
        ([], None, "pairs"),
        ([(np.zeros(2), 0), (np.zeros(3), 1)], None, "of one shape"),
        (pd.DataFrame({"a": [1, 2]}), None, "which column holds the classes"),
        (np.ma.masked_array(X, X > 5), Y, "masked"),
        (TimeSeries.of(np.zeros((2, 1, 3))), Y, "as many samples as labels"),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(samples, labels, said: str) -> None:
    with pytest.raises(HxloopError, match=said):
        dataset_from(samples, labels)
