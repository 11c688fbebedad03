"""Exact gradients of recorded spike trains: weights, delays, input times, thresholds and resets.

The equations stand in ``hxloop.engine.compiled.loop_backward``. As in ``hxloop.engine.gradient``
the substrate says when its neurons spiked, and the model how these times would move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.block_gradients import Own, block_gradients, work
from hxloop.engine.blocks import (
    arrivals,
    feeds_itself,
    neuron_table,
    rows_into,
    starts_of,
)
from hxloop.engine.gradient import GradientCounts
from hxloop.engine.time_constants import of_time_constants
from hxloop.network import NetworkSpec, NeuronParameters, Parameters

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SpikeGradients:
    """Gradients of a loss.

    Attributes:
        weights: of each projection ``(pre, post)``.
        delays: of each projection, of the shape of its delays; None where it has none.
        inputs: ``(spikes,)``, of the times of all input spikes, in their order in ``Spikes``.
        thresholds: of each population ``(post,)``.
        resets: of each population ``(post,)``.
        time_constants: if asked for, of each population ``(post, 3)``: those of the membrane, of
            excitation and of inhibition. Of neurons whose two currents decay alike the second is
            that of both together, the third 0.
    """

    weights: tuple[Array, ...]
    delays: tuple[Array | None, ...]
    inputs: Array
    thresholds: tuple[Array, ...]
    resets: tuple[Array, ...]
    time_constants: tuple[Array, ...] = ()


def spike_gradients(
    network: NetworkSpec,
    parameters: Parameters,
    inputs: Spikes,
    recorded: Sequence[Spikes],
    of_spikes: Sequence[Array | None],
    neurons: Sequence[NeuronParameters] | None = None,
    *,
    min_slope: float = 1e-6,
    max_dw_norm: float | None = None,
    counts: GradientCounts | None = None,
    time_constants: bool = False,
) -> SpikeGradients:
    """The gradient of a loss of recorded spike times, by one sweep back over them.

    Args:
        network: any network.
        parameters: weights and delays as the substrate held them.
        inputs: as delivered.
        recorded: spikes of each population, as measured.
        of_spikes: for each population dL/dT of each spike, ``(spikes,)``, in the order of
            ``Spikes.events``; None: the loss does not see them.
        neurons: of each population; None: as ``parameters`` have them.
        min_slope: spikes at which the model's membrane rises more slowly than this, or is held,
            pass no gradient on, and are counted.
        max_dw_norm: cap on ``|dL/dT| max_i |dT/dw_i|`` of a spike for the loss of a single
            sample, beyond which it passes no gradient on and is counted, see
            ``recorded_spike_times``; None: no cap.
        counts: where to count spikes and gradients that were not passed on.
        time_constants: whether their gradients are wanted, too.
    """
    layers = parameters.layers(network) if neurons is None else tuple(neurons)
    sources = (inputs, *recorded)
    sizes = [spikes.n_spikes for spikes in sources]
    first = [0, *np.cumsum(sizes).tolist()]
    of_all = np.zeros(first[-1])
    for start, grads in zip(first[1:], of_spikes, strict=False):
        if grads is not None:
            of_all[start : start + len(grads)] = grads
    total = GradientCounts() if counts is None else counts
    weights: list[Array] = [np.zeros(shape) for shape in network.shapes]
    delays = [None if shape is None else np.zeros(shape) for shape in network.delay_shapes]
    of_neurons: list[Array] = [np.zeros((layer.n_neurons, 2)) for layer in network.layers]
    cap = math.inf if max_dw_norm is None else max_dw_norm / inputs.batch
    for block in reversed(network.blocks):
        rows = rows_into(network, parameters, block)
        coming = arrivals(network, rows, sources, first)
        table = neuron_table([layers[population] for population in block])
        starts = starts_of(network, block)
        own = Own.of(
            [recorded[p] for p in block], [starts[p] for p in block],
            [first[1 + p] for p in block], len(table),
        )  # fmt: skip
        back = block_gradients(
            own, rows, coming, table, of_all, total, loop=feeds_itself(network, block),
            min_slope=min_slope, cap=cap,
        )  # fmt: skip
        for i, of_own, late in rows.parted(network, back.weights, back.delays, back.extra):
            weights[i], delays[i] = of_own, late
        found = back.neurons
        if time_constants:
            more = of_time_constants(
                rows, coming, table, own.cells, own.times, own.cell % len(table), back.factors,
                work(coming.offsets, len(table)),
            )  # fmt: skip
            found = np.concatenate([found, more], axis=1)
        for population in block:
            low = starts[population]
            of_neurons[population] = found[low : low + network.sizes[1 + population]]
    return SpikeGradients(
        weights=tuple(weights),
        delays=tuple(delays),
        inputs=of_all[: sizes[0]],
        thresholds=tuple(each[:, 0] for each in of_neurons),
        resets=tuple(each[:, 1] for each in of_neurons),
        time_constants=tuple(each[:, 2:] for each in of_neurons) if time_constants else (),
    )
