"""Gradients of time constants at recorded spike trains.

The equations stand in ``hxloop.engine.compiled.time_constants``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxloop.engine.blocks import Arrivals, Rows
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.engine.compiled.time_constants import membrane_by_time_constants

Array = NDArray[np.float64]


def of_time_constants(
    rows: Rows,
    coming: Arrivals,
    table: Array,
    cells: NDArray[np.int64],
    times: Array,
    units: NDArray[np.int64],
    factors: Array,
    work: int,
) -> Array:
    """The gradient of the time constants of the neurons of a block.

    Args:
        rows: connections into the block.
        coming: arrivals in it.
        table: parameters of its neurons.
        cells: where the spikes of each sample and neuron begin.
        times: ``(spikes,)``, sorted by sample, neuron and time.
        units: ``(spikes,)``, which neuron.
        factors: ``(spikes,)``, dL/dT of each spike over the slope of the membrane before it; 0
            where it passes no gradient on.
        work: of a sample, see ``samples_of_parts``.

    Returns:
        ``(post, 3)``, by the time constants of membrane, excitation and inhibition; of neurons
        with one current all of it stands with excitation.
    """
    found = np.zeros((len(times), 3))

    def part(chosen: slice) -> None:
        membrane_by_time_constants(
            chosen.start, chosen.stop, coming.offsets, coming.base, coming.rows, rows.weights,
            rows.extra, table, cells, times, found,
        )  # fmt: skip

    run_parts(samples_of_parts(len(coming.offsets) - 1, work), part)
    post = len(table)
    columns = [np.bincount(units, -factors * found[:, k], minlength=post) for k in range(3)]
    return np.stack(columns, axis=1)
