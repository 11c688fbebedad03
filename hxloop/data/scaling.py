"""Values brought to [0, 1]: by the training samples alone, so that a test sample tells nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.data.series import TimeSeries
from hxloop.errors import ConfigError, RunInputError

METHODS = ("auto", "feature", "all", "pixel", "none")


@dataclass(frozen=True)
class Scaling:
    """``(value - low) / (high - low)``, for each feature or channel, cut to [0, 1].

    Attributes:
        method: "feature": by the smallest and largest value of each feature (of time series, each
            channel) in the training samples; "all": of all of them together; "pixel": 0 to 256, as
            MNIST is published with the method; "none": values as they are.
        low, high: one value, or one for each feature.
    """

    method: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, samples: NDArray[Any] | TimeSeries, method: str, image: bool) -> Scaling:
        """The scaling that training samples ask for.

        Args:
            samples: ``(n, features)``, or time series.
            method: see above; "auto": "pixel" for images of uint8, "all" for others, else
                "feature".
            image: whether they are images.

        Raises:
            ConfigError: no such method.
        """
        if method not in METHODS:
            raise ConfigError(
                f"dataset.scaling: expected one of {', '.join(METHODS)}; got {method!r}"
            )
        if method == "auto":
            grey = isinstance(samples, np.ndarray) and samples.dtype == np.uint8
            method = ("pixel" if grey else "all") if image else "feature"
        if method == "none":
            return cls(method, (0.0,), (1.0,))
        if method == "pixel":
            return cls(method, (0.0,), (256.0,))
        values = _by_feature(samples)
        low, high = values.min(axis=0), values.max(axis=0)
        if method == "all":
            low, high = low.min(keepdims=True), high.max(keepdims=True)
        return cls(method, tuple(low.tolist()), tuple(high.tolist()))

    def __call__(
        self, samples: NDArray[Any] | TimeSeries, where: str
    ) -> tuple[NDArray[np.float64] | NDArray[np.float32] | TimeSeries, int]:
        """Scaled samples, and how many of their values lay beyond the range and were cut.

        A feature that is the same in all training samples becomes 0. Pixels are float32.

        Raises:
            RunInputError: with "none" a value beyond [0, 1].
        """
        if self.method == "pixel" and not isinstance(samples, TimeSeries):
            return np.asarray(samples, np.float32) / np.float32(self.high[0]), 0
        low, high = np.array(self.low), np.array(self.high)
        width = np.where(high > low, high - low, 1.0)
        if isinstance(samples, TimeSeries):
            shape = (1, -1, 1)
            values = (samples.values - low.reshape(shape)) / width.reshape(shape)
            inside = np.arange(values.shape[2]) < samples.lengths[:, None, None]
            beyond = int((((values < 0) | (values > 1)) & inside).sum())
            if self.method == "none":  # levels can be anywhere
                return samples, 0
            return TimeSeries(np.clip(values, 0, 1), samples.lengths), beyond
        values = (np.asarray(samples, np.float64) - low) / width
        wrong = (values < 0) | (values > 1)
        if self.method == "none" and wrong.any():
            sample, feature = (int(i) for i in np.argwhere(wrong)[0])
            raise RunInputError(
                f"{where}: expected values in [0, 1] with dataset.scaling = 'none'; got "
                f"{values[sample, feature]} at sample {sample}, feature {feature}. Scale them: "
                "dataset.scaling = 'feature'"
            )
        return np.clip(values, 0, 1), int(wrong.sum())

    @property
    def constant(self) -> int:
        """How many features are the same in all training samples, and tell nothing."""
        return sum(low == high for low, high in zip(self.low, self.high, strict=True))

    def __str__(self) -> str:
        return {
            "feature": "each feature scaled to [0, 1] by the training samples",
            "all": f"values scaled to [0, 1] from {self.low[0]:g} to {self.high[0]:g}",
            "pixel": "pixels divided by 256",
            "none": "values as they are",
        }[self.method]


def _by_feature(samples: NDArray[Any] | TimeSeries) -> NDArray[np.float64]:
    """``(values, features)``."""
    if not isinstance(samples, TimeSeries):
        return np.asarray(samples, np.float64)
    valid = np.arange(samples.shape[2]) < samples.lengths[:, None]
    return samples.values.transpose(0, 2, 1)[valid]
