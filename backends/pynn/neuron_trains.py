"""All spikes of a network in NEURON: neurons that spike again, loops, delays.

Cells are PyNN's; connections and inputs are made in NEURON itself: by PyNN's a spike takes a step
to arrive, which is lost in a loop. Here what has no delay arrives at once, so that a loop needs
none. NEURON finds a spike at the first point of the grid at which the membrane is above the
threshold, and holds the membrane from there for the refractory time, while currents go on; delays
and refractory times are whole steps, and the membrane is exact on the grid (``NeuronDialect``),
given the spikes as recorded. What is left is that a spike is late by up to a step. Therefore steps
are half as long here as those of first spikes, where the mean of half a step is subtracted: from a
refractory time, or within a loop, it cannot be.

NEURON initialises the network before each sample: membranes at rest, no current, nothing under way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hxloop.activity import Spikes
from hxloop.backends.pynn.given import HeldNetwork
from hxloop.backends.pynn.trains import silence, simulated_populations, trains_by_cell
from hxloop.errors import RunFailed
from hxloop.network import NetworkSpec, NeuronSpec


@dataclass(frozen=True)
class Trains:
    """What a population, or the input, is in NEURON.

    Attributes:
        sources: one object for each neuron, from which connections lead.
        targets: one synapse for each neuron; []: of inputs.
        cells: one for each neuron; []: of inputs.
        recorded: vectors of times (ms) and neurons; of inputs the trains that are played, one each.
        kept: what must not be freed.
    """

    sources: list[Any]
    targets: list[Any]
    cells: list[Any]
    recorded: list[Any]
    kept: list[Any]

    def clear(self) -> None:
        """Let go of all of it, whoever holds this: an object of a cell that is gone is an error."""
        for each in (self.kept, self.recorded, self.cells, self.targets, self.sources):
            each.clear()


class NeuronTrains:
    """A network in NEURON, built at the first run and kept.

    Args:
        dialect: of NEURON, with steps half as long as those of first spikes.
        network: what runs.
    """

    def __init__(self, dialect: Any, network: NetworkSpec) -> None:
        self._dialect, self._network = dialect, network
        self._populations: dict[int, Trains] = {}
        self._connections: dict[int, list[Any]] = {}
        self._neurons: dict[int, tuple[NeuronSpec, ...]] = {}

    def drop(self) -> None:
        """Forget the network: NEURON is about to be emptied."""
        for connections in self._connections.values():
            connections.clear()
        self._connections.clear()
        for population in self._populations.values():
            population.clear()
        self._populations.clear()

    def run(self, sim: Any, held: HeldNetwork, inputs: Spikes) -> tuple[list[Spikes], int]:
        """Run some samples, one after the other; see ``hxloop.backends.pynn.trains.RunOfSamples``.

        Raises:
            RunFailed: NEURON returned spikes that cannot be.
        """
        try:
            return self._run(sim, held, inputs)
        except BaseException:
            self.drop()
            raise

    def _run(self, sim: Any, held: HeldNetwork, inputs: Spikes) -> tuple[list[Spikes], int]:
        dialect, network = self._dialect, self._network
        if not self._populations:
            self._build(sim)
        for index, connections in self._connections.items():
            late = held.each_delay(index, network.all_projections[index].delays)
            each = zip(
                connections,
                held.layers[index].native.ravel().tolist(),
                (late.ravel() * dialect.ms_per_tau).tolist(),
                strict=True,
            )
            for connection, weight, delay in each:
                connection.weight[0] = weight
                connection.delay = delay
        simulated = simulated_populations(network)
        for population in simulated:
            self._set_neurons(population, held.neurons[population])
        # A spike at the end of the window is found when the step after it begins.
        steps = math.floor(network.t_window / dialect.dt + 1e-9) + 1
        trains = [train * dialect.ms_per_tau for train in trains_by_cell(inputs)]
        samples: dict[int, list[tuple[Any, Any]]] = {index: [] for index in simulated}
        for sample in range(inputs.batch):
            played = trains[sample * network.n_inputs : (sample + 1) * network.n_inputs]
            for vector, train in zip(self._populations[-1].recorded, played, strict=True):
                vector.from_python(train)
            sim.reset()
            dialect.run(sim, steps * dialect.step_ms)
            for index in simulated:
                times, neurons = self._populations[index].recorded
                samples[index].append((times.to_python(), neurons.to_python()))
        return self._read(samples, inputs.batch)

    def _read(
        self, samples: dict[int, list[tuple[Any, Any]]], batch: int
    ) -> tuple[list[Spikes], int]:
        network, dialect = self._network, self._dialect
        found, discarded = silence(network, batch), 0
        for index, recorded in samples.items():
            which = np.repeat(np.arange(batch), [len(times) for times, _ in recorded])
            times = np.concatenate([times for times, _ in recorded]) / dialect.ms_per_tau
            units = np.concatenate([neurons for _, neurons in recorded]).astype(np.int64)
            good = times <= network.t_window * (1 + 1e-12)
            discarded += int((~good).sum())
            found[index] = Spikes.from_events(
                which[good], units[good], np.minimum(times[good], network.t_window),
                batch=batch, n_units=network.sizes[1 + index],
                where=f"NEURON returned spikes of {network.populations[index].name}",
                error=RunFailed,
            )  # fmt: skip
        return found, discarded

    def _build(self, sim: Any) -> None:
        from neuron import h

        dialect, network = self._dialect, self._network
        dialect.setup(sim)
        sources = [h.VecStim() for _ in range(network.n_inputs)]
        vectors = [h.Vector() for _ in sources]
        for source, vector in zip(sources, vectors, strict=True):
            source.ping = 0
            source.play(vector)
        populations = {-1: Trains(sources, [], [], vectors, [])}
        for index in simulated_populations(network):
            cells = dialect.create_cells(sim, network.layers[index], self._held_for(index))
            times, neurons = h.Vector(), h.Vector()
            watching = [h.NetCon(cell.source, None) for cell in cells]
            for number, each in enumerate(watching):
                each.record(times, neurons, number)
            layer = network.layers[index]
            self._neurons[index] = (layer.neuron,) * layer.n_neurons
            populations[index] = Trains(
                [cell.source for cell in cells],
                [cell.esyn for cell in cells],
                list(cells),
                [times, neurons],
                watching,
            )
        self._populations = populations
        for index, (pre, post) in enumerate(network.ends):
            if post in populations:
                self._connections[index] = [
                    h.NetCon(source, target)
                    for source in populations[pre].sources
                    for target in populations[post].targets
                ]

    def _set_neurons(self, population: int, neurons: tuple[NeuronSpec, ...]) -> None:
        """Make the cells those neurons, where they are not."""
        before = self._neurons[population]
        cells = self._populations[population].cells
        for k, (neuron, there) in enumerate(zip(neurons, before, strict=True)):
            if neuron != there:
                self._dialect.set_cell(cells[k], neuron)
        self._neurons[population] = neurons

    def _held_for(self, population: int) -> float:
        """Refractory time; longer than a run where a neuron spikes once."""
        neuron = self._network.layers[population].neuron
        return 2 * self._network.t_window + 1 if neuron.spikes_once else neuron.t_refractory
