"""Samples and labels as somebody's files have them, before they are split, numbered and scaled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.data.series import TimeSeries
from hxloop.errors import FileFormatError
from hxloop.text import Brief


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table are.

    Attributes:
        label: name of the one that holds the classes; None: "label", "class" or "target".
        split: of the one that says which split a sample is of; None: there is none.
        ignore: of those that are neither.
    """

    label: str | None = None
    split: str | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Raw(Brief):
    """Samples and labels as they are in a file.

    Attributes:
        samples: ``(n, features)``, of any type of real numbers; ``TimeSeries`` or ``Spikes``.
        labels: ``(n,)``, numbers or texts.
        splits: ``(n,)``, which split each is of, where a column says so.
        features: names of the features; empty: they have none.
        image_side: rows and columns of the image that the features are; None: no image.
        merged: of spikes, see ``hxloop.data.Dataset``.
        class_names: where the file has them apart from the labels.
    """

    samples: NDArray[Any] | TimeSeries | Spikes
    labels: NDArray[Any]
    splits: NDArray[Any] | None = None
    features: tuple[str, ...] = ()
    image_side: int | None = None
    merged: int = 0
    class_names: tuple[str, ...] = ()

    def select(self, chosen: NDArray[Any]) -> Raw:
        """Some of the samples, in the order given."""
        samples = self.samples
        picked = (
            samples.select(chosen) if isinstance(samples, TimeSeries | Spikes) else samples[chosen]
        )
        splits = None if self.splits is None else self.splits[chosen]
        return replace(self, samples=picked, labels=self.labels[chosen], splits=splits)


def raw_arrays(samples: NDArray[Any], labels: NDArray[Any], where: str) -> Raw:
    """What arrays are, by their shape and type.

    ``(n, features)`` are values; ``(n, rows, rows)`` of uint8, and with an axis of one channel of
    any numbers, images; ``(n, channels, time)`` of others time series.

    Args:
        samples: an array.
        labels: ``(n,)``, or a column.
        where: they are from, for messages.

    Raises:
        FileFormatError: other shapes, other types, or another number of labels.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    # A column for each class, of which one is 1: of several, which one would be a guess.
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    if labels.ndim != 1:
        raise FileFormatError(
            f"{where}: labels: expected one for each sample, shape (n,); got {labels.shape}"
        )
    if samples.dtype.kind not in "fiub":
        raise FileFormatError(f"{where}: samples: expected numbers; got {samples.dtype}")
    if samples.ndim == 0 or len(samples) != len(labels):
        raise FileFormatError(
            f"{where}: expected as many samples as labels; got samples {samples.shape} and labels "
            f"{labels.shape}"
        )
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        sample, *place = (int(i) for i in np.argwhere(~np.isfinite(samples))[0])
        raise FileFormatError(
            f"{where}: samples: expected finite numbers; got {samples[(sample, *place)]} at sample "
            f"{sample}, {tuple(place)}. Fill what is missing, or leave the sample out"
        )
    pixels = samples.dtype == np.uint8
    n, image = len(samples), samples.ndim == 4
    if image:
        samples = _one_channel(samples, where)
    if samples.ndim == 3 and (pixels or image) and samples.shape[1] == samples.shape[2]:
        return Raw(samples=samples.reshape(n, -1), labels=labels, image_side=samples.shape[1])
    if samples.ndim == 3:
        return Raw(samples=TimeSeries.of(samples), labels=labels)
    if samples.ndim != 2:
        raise FileFormatError(
            f"{where}: samples: expected (n, features), images (n, rows, rows) of uint8, or time "
            f"series (n, channels, time); got {samples.dtype} {samples.shape}"
        )
    side = isqrt(samples.shape[1])
    square = pixels and side > 1 and side * side == samples.shape[1]
    return Raw(samples=samples, labels=labels, image_side=side if square else None)


def _one_channel(images: NDArray[Any], where: str) -> NDArray[Any]:
    for axis in (1, 3):
        if images.shape[axis] == 1:
            return images.squeeze(axis)
    raise FileFormatError(
        f"{where}: samples: expected images of one channel; got {images.shape}. Make grey values "
        "of colours, or features: samples.reshape(len(samples), -1)"
    )
