"""The weight grid of an analog chip: a few bits and a sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import ConfigError


@dataclass(frozen=True)
class WeightGrid:
    """Signed integer codes times a step.

    Args:
        step: weight of one least significant bit, in model units.
        levels: largest code; 63 on BrainScaleS-2 (6 bits, sign by synapse row).

    Raises:
        ConfigError: ``step`` is not positive and finite, or ``levels`` is below 1.
    """

    step: float
    levels: int = 63

    def __post_init__(self) -> None:
        if not (np.isfinite(self.step) and self.step > 0):
            raise ConfigError(f"WeightGrid.step: expected a positive number; got {self.step}")
        if self.levels < 1:
            raise ConfigError(f"WeightGrid.levels: expected at least 1; got {self.levels}")

    @property
    def limit(self) -> float:
        """Largest magnitude of a weight."""
        return self.step * self.levels

    def quantise(self, weights: NDArray[np.float64]) -> QuantisedWeights:
        """Round half to even onto the grid, then clip to its range.

        Args:
            weights: any shape, finite.
        """
        codes = np.rint(weights / self.step)
        clipped = np.abs(codes) > self.levels
        codes = np.clip(codes, -self.levels, self.levels)
        return QuantisedWeights(codes * self.step, codes.astype(np.int64), clipped)


@dataclass(frozen=True)
class QuantisedWeights:
    """Weights on a grid.

    Attributes:
        values: in model units, same shape as the weights.
        codes: signed integers.
        clipped: where the weight lay beyond the range.
    """

    values: NDArray[np.float64]
    codes: NDArray[np.int64]
    clipped: NDArray[np.bool_]

    @property
    def n_clipped(self) -> int:
        """How many weights lay beyond the range."""
        return int(self.clipped.sum())
