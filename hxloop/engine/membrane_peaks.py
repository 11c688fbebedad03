"""The highest membrane of leaky read-outs, exactly, and its gradient.

A read-out is a population with ``v_threshold = inf``: it integrates, and never spikes. Its membrane
is computed from recorded spikes and the weights as held, not measured. The equations stand in
``hxloop.engine.compiled.membrane_peaks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.blocks import Arrivals, Rows, arrivals, neuron_table, rows_into
from hxloop.engine.compiled.membrane_peaks import peak_gradients, peaks
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.engine.time_constants import of_time_constants
from hxloop.network import NetworkSpec, NeuronParameters, Parameters

Array = NDArray[np.float64]
_PAIRS = 3  # a pair of an arrival and a neuron takes as long as so many of ``PAIRS_PER_THREAD``


@dataclass(frozen=True)
class MembranePeaks:
    """The highest membranes of a population.

    Attributes:
        values: ``(batch, post)``, from leak: 0 where it is never above, negative only where it is
            read from a later time on.
        times: ``(batch, post)``, when; 0 where it is never above leak.
    """

    values: Array
    times: Array


@dataclass(frozen=True, kw_only=True)
class PeakGradients:
    """Gradients of a loss of ``MembranePeaks.values``.

    Attributes:
        projections: indices of the projections into the population.
        weights: of each of these, ``(pre, post)``.
        delays: of each of these, of the shape of its delays; None where it has none.
        spikes: of the input, then of each population, dL/dT ``(spikes,)``, in their order in
            ``Spikes``.
        time_constants: of the neurons of the population, if asked for, see ``SpikeGradients``.
    """

    projections: tuple[int, ...]
    weights: tuple[Array, ...]
    delays: tuple[Array | None, ...]
    spikes: tuple[Array, ...]
    time_constants: Array | None = None


def membrane_peaks(
    network: NetworkSpec,
    parameters: Parameters,
    sources: Sequence[Spikes],
    population: int,
    neurons: NeuronParameters | None = None,
    *,
    begin: float = 0.0,
) -> MembranePeaks:
    """The highest membranes of a population from ``begin`` to ``network.t_window``.

    Args:
        network: any network.
        parameters: weights and delays as the substrate held them.
        sources: spikes of the input, as delivered, then of each population, as recorded.
        population: its index.
        neurons: its parameters; None: as ``parameters`` have them. Threshold, reset and
            refractory time do not matter.
        begin: from when on they are read, model time, before ``network.t_window``; what arrived
            before is in them as far as it has not decayed.
    """
    rows, coming, table = _into(network, parameters, sources, population, neurons)
    batch, post = sources[0].batch, len(table)
    values, times = np.zeros((batch, post)), np.zeros((batch, post))

    def part(chosen: slice) -> None:
        peaks(
            chosen.start, chosen.stop, coming.offsets, coming.base, coming.rows, rows.weights,
            rows.extra, table, begin, network.t_window, values, times,
        )  # fmt: skip

    run_parts(_parts(coming, batch, post), part)
    return MembranePeaks(values, times)


def membrane_peak_gradients(
    network: NetworkSpec,
    parameters: Parameters,
    sources: Sequence[Spikes],
    population: int,
    times: Array,
    of_values: Array,
    neurons: NeuronParameters | None = None,
    *,
    begin: float = 0.0,
    time_constants: bool = False,
) -> PeakGradients:
    """Gradients of a loss of the highest membranes.

    Args:
        network, parameters, sources, population, neurons, begin: as for ``membrane_peaks``.
        times: of the peaks.
        of_values: ``(batch, post)``, dL/d value.
        time_constants: whether their gradients are wanted, too.
    """
    rows, coming, table = _into(network, parameters, sources, population, neurons)
    batch, post = sources[0].batch, len(table)
    sizes = [spikes.n_spikes for spikes in sources]
    of_spikes = np.zeros(sum(sizes))
    parts = _parts(coming, batch, post)
    number = {part.start: i for i, part in enumerate(parts)}
    of_weights = np.zeros((len(parts), *rows.weights.shape))
    of_delays = np.zeros((len(parts), len(rows.delays)))
    of_extra = np.zeros((len(parts), *rows.extra.shape))
    of_values = np.ascontiguousarray(of_values, np.float64)

    def part(chosen: slice) -> None:
        i = number[chosen.start]
        peak_gradients(
            chosen.start, chosen.stop, coming.offsets, coming.base, coming.rows, coming.spikes,
            rows.weights, rows.extra, table, begin, network.t_window, times, of_values,
            of_weights[i], of_delays[i], of_extra[i], of_spikes,
        )  # fmt: skip

    run_parts(parts, part)
    of_taus = None
    if time_constants:
        # By the envelope theorem the time of a peak counts as given, like that of a spike.
        cells, units = np.arange(batch * post + 1), np.tile(np.arange(post), batch)
        given = cells.astype(np.int64), times.ravel(), units, -of_values.ravel()
        of_taus = of_time_constants(rows, coming, table, *given, _work(coming, post))
    found = rows.parted(network, of_weights.sum(0), of_delays.sum(0), of_extra.sum(0))
    projections, weights, delays = zip(*found, strict=True)
    return PeakGradients(
        projections=projections,
        weights=weights,
        delays=delays,
        spikes=tuple(np.split(of_spikes, np.cumsum(sizes)[:-1])),
        time_constants=of_taus,
    )


def _into(
    network: NetworkSpec,
    parameters: Parameters,
    sources: Sequence[Spikes],
    population: int,
    neurons: NeuronParameters | None,
) -> tuple[Rows, Arrivals, Array]:
    own = parameters.layers(network)[population] if neurons is None else neurons
    rows = rows_into(network, parameters, (population,))
    first = np.cumsum([0, *(spikes.n_spikes for spikes in sources)]).tolist()
    return rows, arrivals(network, rows, sources, first), neuron_table([own])


def _parts(coming: Arrivals, batch: int, post: int) -> list[slice]:
    return samples_of_parts(batch, _work(coming, post))


def _work(coming: Arrivals, post: int) -> int:
    per_sample = int(np.diff(coming.offsets).max(initial=0))
    return _PAIRS * post * (1 + per_sample)
