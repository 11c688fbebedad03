"""All spikes of a network on an emulated chip: what a run of it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.model import ChipModel, TrialNoise
from hxloop.chip.placement import PlacedLayer, input_rows
from hxloop.chip.refractory import RefractoryCode, refractory_codes, trimmed_us
from hxloop.network import NetworkSpec, NeuronParameters, Parameters

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ChipRun:
    """A network in one run, as both solvers are given it.

    Attributes:
        network: what runs.
        parameters: weights as the neurons feel them, and delays, in the chip's time.
        neurons: of each population, with this run's thresholds.
        departures: when spikes leave.
    """

    network: NetworkSpec
    parameters: Parameters
    neurons: tuple[NeuronParameters, ...]
    departures: TrialDepartures


@dataclass
class TrialDepartures:
    """Jitter and loss of all spikes of a run.

    The first spike of a neuron has the noise that it has where neurons spike once.

    Args:
        noise: of the run.
        network: what runs.

    Attributes:
        lost: how many spikes were lost so far.
    """

    noise: TrialNoise
    network: NetworkSpec
    lost: int = field(default=0, init=False)

    def shifts(self, population: int, batch: int, ranks: int) -> Array | None:
        """See ``hxloop.engine.blocks.Departures``."""
        spread = self.noise.imperfections
        if spread.spike_jitter == 0 and spread.spike_loss == 0:
            return None
        size = self.network.sizes[1 + population]
        found = np.zeros((ranks, batch, size))
        for rank in range(ranks):
            jitter = self.noise.jitter(population, batch, size, rank)
            lost = self.noise.lost(population, batch, size, rank)
            if jitter is not None:
                found[rank] = jitter
            if lost is not None:
                found[rank][lost] = np.inf
        return found

    def carried(self, projection: int, batch: int, ranks: int) -> Array:
        """See ``hxloop.engine.blocks.Departures``: a delay neuron takes one spike at a time."""
        pre = self.network.shapes[projection][0]
        noise = [self.noise.of_delay(projection, batch, pre, rank) for rank in range(ranks)]
        return np.stack(noise)

    def lose(self, number: int) -> None:
        """So many spikes were lost."""
        self.lost += number


def run_in_trial(
    network: NetworkSpec,
    placed: Sequence[PlacedLayer],
    held: Sequence[Array],
    delays: Sequence[Array | None],
    noise: TrialNoise,
) -> ChipRun:
    """A network as it is in one run, with its noise.

    Args:
        network: with refractory times as the chip counts them.
        placed: its populations.
        held: weights of each projection, as held.
        delays: of each projection, as held, in the chip's time.
        noise: of the run.
    """
    felt = [
        placed[post].effective_weights(weights, rows)
        for (_, post), rows, weights in zip(network.ends, input_rows(network), held, strict=True)
    ]
    return ChipRun(
        network=network,
        parameters=Parameters(tuple(felt), tuple(delays)),
        neurons=tuple(in_trial(layer, index, noise) for index, layer in enumerate(placed)),
        departures=TrialDepartures(noise, network),
    )


def in_trial(layer: PlacedLayer, index: int, noise: TrialNoise) -> NeuronParameters:
    """The neurons of a population as they are in one run: with thresholds of its own."""
    parameters = layer.parameters
    shift = layer.scale * noise.threshold(index, parameters.n_neurons)
    return replace(parameters, v_threshold=parameters.v_threshold + shift)


def counted(network: NetworkSpec, unit_us: float, where: str) -> NetworkSpec:
    """The network with refractory times as the counters of the chip have them.

    Args:
        network: any; where all neurons spike once, it is returned.
        unit_us: one unit of its time, in microseconds.
        where: begins messages.

    Raises:
        CapacityError: a time that no counter reaches.
    """
    times = {
        index: code.time_us / unit_us for index, code in counters(network, unit_us, where).items()
    }
    layers = tuple(
        replace(layer, neuron=replace(layer.neuron, t_refractory=times[index]))
        if index in times
        else layer
        for index, layer in enumerate(network.layers)
    )
    return replace(network, layers=layers) if times else network


def counters(network: NetworkSpec, unit_us: float, where: str) -> dict[int, RefractoryCode]:
    """What the populations whose neurons spike again are told, see ``counted``."""
    finite = [i for i, layer in enumerate(network.layers) if not layer.neuron.spikes_once]
    asked = [network.layers[i].neuron.t_refractory * unit_us for i in finite]
    return dict(zip(finite, refractory_codes(asked, where=where), strict=True))


def trimmed(
    model: ChipModel,
    network: NetworkSpec,
    circuits: Sequence[NDArray[np.int64]],
    excess_us: Array,
    unit_us: float,
) -> ChipModel:
    """The chip where each circuit's counter makes up for what it is held longer than counted.

    Args:
        model: without that.
        network: as asked for.
        circuits: of each population.
        excess_us: ``(circuits,)``, measured.
        unit_us: one unit of model time, in microseconds.
    """
    shifts = model.t_refractory.copy()
    for index, code in counters(network, unit_us, "refractory counters").items():
        chosen, asked = circuits[index], network.layers[index].neuron.t_refractory * unit_us
        counts = trimmed_us(code, asked, excess_us[chosen])
        shifts[chosen] += (counts - code.time_us) / unit_us
    return replace(model, t_refractory=shifts)


def with_refractory(network: NetworkSpec, factor: float) -> NetworkSpec:
    """The network with refractory times so many times as long."""
    layers = tuple(
        replace(
            layer, neuron=replace(layer.neuron, t_refractory=layer.neuron.t_refractory * factor)
        )
        for layer in network.layers
    )
    return replace(network, layers=layers)
