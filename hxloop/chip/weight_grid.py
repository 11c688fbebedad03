"""The weight grid of an analog chip: a few bits and a sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.machine.jit import njit

# A weight at the limit that was computed in another order is not beyond it.
ROUNDING = 1e-12
# Of a weight on BrainScaleS-2: 6 bits, the sign by synapse row.
LARGEST_CODE = 63


@dataclass(frozen=True)
class WeightGrid:
    """Signed integer codes times a step.

    Args:
        step: weight of one least significant bit, in model units.
        levels: largest code.

    Raises:
        ConfigError: ``step`` is not positive and finite, or ``levels`` is below 1.
    """

    step: float
    levels: int = LARGEST_CODE

    def __post_init__(self) -> None:
        checks.settle(
            self,
            step=checks.number("WeightGrid.step", self.step, above=0),
            levels=checks.whole("WeightGrid.levels", self.levels, low=1),
        )

    @property
    def limit(self) -> float:
        """Largest magnitude of a weight."""
        return self.step * self.levels

    def quantise(self, weights: NDArray[np.float64]) -> QuantisedWeights:
        """Round half to even onto the grid, then clip to its range.

        Args:
            weights: any shape, finite.
        """
        flat = np.ascontiguousarray(weights, dtype=np.float64).reshape(-1)
        values, clipped = np.empty(flat.shape), np.empty(flat.shape, np.bool_)
        n_zeroed = _quantise(flat, float(self.step), float(self.levels), values, clipped)
        shape = np.shape(weights)
        return QuantisedWeights(
            values.reshape(shape), clipped.reshape(shape), self.step, int(n_zeroed)
        )


@dataclass(frozen=True)
class QuantisedWeights:
    """Weights on a grid.

    Attributes:
        values: in model units, same shape as the weights.
        clipped: where the weight lay beyond the range, by however little.
        step: weight of one least significant bit.
        n_zeroed: how many weights other than 0 were rounded to 0.
    """

    values: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    step: float
    n_zeroed: int

    @property
    def codes(self) -> NDArray[np.int64]:
        """Signed integers."""
        return np.rint(self.values / self.step).astype(np.int64)

    @property
    def n_clipped(self) -> int:
        """How many weights lay beyond the range."""
        return int(np.count_nonzero(self.clipped))


# In one pass: a run in the loop does this to every weight, and what it reads and writes takes
# longer than what it computes.
@njit(cache=True, nogil=True)
def _quantise(weights, step, largest, values, clipped):  # type: ignore[no-untyped-def]
    limit, zeroed = largest * step * (1 + ROUNDING), 0
    for i in range(weights.shape[0]):
        code = np.rint(weights[i] / step)
        # Before rounding: from 63.0 to 63.5 steps a weight is moved to the limit as well.
        clipped[i] = abs(weights[i]) > limit
        zeroed += code == 0 and weights[i] != 0
        values[i] = min(max(code, -largest), largest) * step
    return zeroed
