"""What the synapses of a chip make of the weights that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import TrialNoise, row_strengths
from hxloop.chip.weight_grid import WeightGrid
from hxloop.network import NetworkSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Held:
    """The weights of a run as the chip holds them, layer by layer."""

    values: list[Array]
    clipped: tuple[int, ...]
    zeroed: tuple[int, ...]


@dataclass(frozen=True)
class Synapses:
    """The synapses of a network on one chip.

    Args:
        network: whose.
        imperfections: of the chip.
        chip: its number.
        largest: the largest weight that a synapse holds; None: the largest of each matrix.
    """

    network: NetworkSpec
    imperfections: Imperfections
    chip: int
    largest: float | None

    def driven(self, held: Sequence[Array], noise: TrialNoise) -> list[Array]:
        """Weights of each projection as synapses and their drivers pass them on, ``(pre, post)``.

        Args:
            held: as the chip holds them. What no imperfection touches is returned as it is.
            noise: of the run.
        """
        spread, passed, first = self.imperfections, list(held), 0
        if spread.of_these(("row_strength", "weight_curve", "weight_trial")) == ():
            return passed
        pres = [pre for pre, _ in self.network.shapes]
        rows = row_strengths(spread, self.chip, sum(pres))
        for index, (matrix, pre) in enumerate(zip(held, pres, strict=True)):
            largest = self.largest or float(np.abs(matrix).max(initial=0.0)) or 1.0
            used = matrix * (1 - spread.weight_curve * (matrix / largest) ** 2)
            shift = noise.of_weights(index, matrix.shape)
            if shift is not None:
                used = used + largest * shift
            factor = rows[first : first + pre]
            used = used * np.where(matrix > 0, factor[:, :1], factor[:, 1:])
            passed[index] = used.astype(matrix.dtype, copy=False)
            first += pre
        return passed


def hold(weights: Sequence[Array], grid: WeightGrid | None, dtype: type[np.floating[Any]]) -> Held:
    """What becomes of the weights of a run.

    Args:
        weights: of each projection, as asked for.
        grid: of the chip; None: weights are continuous.
        dtype: of the number that they are held in.
    """
    if grid is None:
        values = [matrix.astype(dtype, order="C") for matrix in weights]
        return Held(values, (0,) * len(values), ())
    found = [grid.quantise(matrix) for matrix in weights]
    return Held(
        [held.values.astype(dtype, copy=False) for held in found],
        tuple(held.n_clipped for held in found),
        tuple(held.n_zeroed for held in found),
    )
