"""All spikes of a network in Brian2: neurons that spike again, loops, delays.

Groups of neurons, synapses and inputs are made in Brian2 itself: PyNN's neurons spike at the first
point of the grid at which the membrane is above the threshold, and a spike takes a step to arrive.
One may subtract that on average, but not within a loop, nor from a refractory time. Here a neuron
spikes at the point of the grid that is *nearest* to the crossing: where the membrane half a step
later, which follows from membrane V and current I by ``V exp(-h/tau_mem) + I k(h)`` (h half a step,
k as in ``hxloop.engine.psp``), has reached the threshold. What has no delay arrives at once, so
that a loop needs none; delays and refractory times are whole steps, and the membrane is exact on
the grid, given the spikes as recorded. What is left is that these are rounded, half a step at most.

Every sample has a copy of the network of its own, see ``hxloop.backends.pynn.trains``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hxloop.activity import Spikes
from hxloop.backends.pynn.dialect import Dialect
from hxloop.backends.pynn.given import HeldNetwork
from hxloop.backends.pynn.trains import silence, simulated_populations
from hxloop.engine.psp import psp_after
from hxloop.errors import RunFailed
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec

# The membrane is measured from leak. Brian2's second is one unit of model time.
EQUATIONS = """
dv/dt = -v/tau_mem + current/second : 1 (unless refractory)
dcurrent/dt = -current/tau_syn : 1
tau_mem : second (constant)
tau_syn : second (constant)
decay : 1 (constant)
gain : 1 (constant)
distance : 1 (constant)
after : 1 (constant)
"""

_CONSTANTS = ("tau_mem", "tau_syn", "decay", "gain", "distance", "after")


@dataclass
class _Built:
    """A network in Brian2.

    Attributes:
        copies: of the network.
        network: Brian2's.
        inputs: a SpikeGeneratorGroup.
        groups: neurons of each population that may spike, stored as nominal ones.
        synapses: of each projection that leads to a population that may spike.
        monitors: of each population that may spike.
    """

    copies: int
    network: Any
    inputs: Any
    groups: dict[int, Any]
    synapses: dict[int, Any]
    monitors: dict[int, Any]


class Brian2Trains:
    """A network in Brian2, built at the first run and kept.

    Args:
        dialect: of Brian2.
        network: what runs.
        copies_for: how many copies to have for so many samples.
    """

    def __init__(
        self, dialect: Dialect, network: NetworkSpec, copies_for: Callable[[int], int]
    ) -> None:
        self._dialect, self._network, self._copies_for = dialect, network, copies_for
        self._built: _Built | None = None

    @property
    def _slots(self) -> int:
        """Steps of a run: to the end of the window, that at 0 among them."""
        return math.floor(self._network.t_window / self._dialect.dt + 1e-9) + 1

    def drop(self) -> None:
        """Forget the network."""
        self._built = None

    def run(self, held: HeldNetwork, inputs: Spikes) -> tuple[list[Spikes], int]:
        """Run some samples; see ``hxloop.backends.pynn.trains.RunOfSamples``.

        Raises:
            RunFailed: Brian2 returned spikes that cannot be.
        """
        from brian2 import second

        copies = self._copies_for(inputs.batch)
        built, network, dt = self._built, self._network, self._dialect.dt
        self._built = None  # of no use after a run that fails
        if built is None or built.copies != copies:
            built = self._build(copies)
        built.network.restore()
        for index, synapses in built.synapses.items():
            synapses.w = np.tile(held.layers[index].values.ravel(), copies)
            kind = network.all_projections[index].delays
            if kind is not None:
                # What comes after the run comes never; as steps, a longer delay is no whole number.
                each = np.minimum(held.each_delay(index, kind), self._slots * dt)
                synapses.delay = np.tile(each.ravel(), copies) * second
        for population, group in built.groups.items():
            asked = held.neurons[population]
            if set(asked) != {network.layers[population].neuron}:
                self._set_neurons(group, asked, copies)
        built.inputs.set_spikes(inputs.cells, inputs.times * second)
        built.network.run(self._slots * dt * second)
        found = silence(network, inputs.batch)
        for population, monitor in built.monitors.items():
            samples, neurons = np.divmod(np.array(monitor.i), network.sizes[1 + population])
            # At the end of the window what was rounded may lie a rounding error behind it.
            times = np.minimum(np.rint(np.array(monitor.t_) / dt) * dt, network.t_window)
            found[population] = Spikes.from_events(
                samples, neurons, times, batch=inputs.batch, n_units=network.sizes[1 + population],
                where=f"Brian2 returned spikes of {network.populations[population].name}",
                error=RunFailed,
            )  # fmt: skip
        self._built = built
        return found, 0

    def _build(self, copies: int) -> _Built:
        import brian2

        network, clock = self._network, brian2.Clock(self._dialect.dt * brian2.second)
        none = np.zeros(0)
        inputs = brian2.SpikeGeneratorGroup(
            copies * network.n_inputs, none, none * brian2.second, clock=clock
        )
        groups: dict[int, Any] = {-1: inputs}
        monitors, synapses = {}, {}
        for index in simulated_populations(network):
            groups[index] = self._neurons(copies, network.layers[index], clock)
            monitors[index] = brian2.SpikeMonitor(groups[index])
        for index, (pre, post) in enumerate(network.ends):
            if post not in groups:
                continue
            rows, columns = network.shapes[index]
            made = brian2.Synapses(
                groups[pre], groups[post], "w : 1", on_pre="current_post += w", clock=clock,
                **({} if network.all_projections[index].delays else {"delay": 0 * brian2.second}),
            )  # fmt: skip
            first = np.arange(copies)[:, None]
            i, j = np.divmod(np.arange(rows * columns), columns)
            made.connect(i=(first * rows + i).ravel(), j=(first * columns + j).ravel())
            synapses[index] = made
        parts = [*groups.values(), *monitors.values(), *synapses.values()]
        neurons = {index: group for index, group in groups.items() if index >= 0}
        built = _Built(copies, brian2.Network(*parts), inputs, neurons, synapses, monitors)
        built.network.store()
        return built

    def _neurons(self, copies: int, layer: LayerSpec, clock: Any) -> Any:
        """The neurons of a population.

        Brian2 holds a neuron from the step in which it spikes, of which the new membrane counts for
        the next point of the grid: one step more than the neuron's refractory time.
        """
        import brian2

        dt, neuron = self._dialect.dt, layer.neuron
        steps = self._slots + 1 if neuron.spikes_once else round(neuron.t_refractory / dt)
        group = brian2.NeuronGroup(
            copies * layer.n_neurons,
            EQUATIONS,
            threshold="v * decay + current * gain >= distance",
            reset="v = after",
            refractory=(steps + 1) * dt * brian2.second,
            method="exact",
            clock=clock,
            namespace={},
        )
        self._set_neurons(group, (neuron,) * layer.n_neurons, copies)
        return group

    def _set_neurons(self, group: Any, neurons: tuple[NeuronSpec, ...], copies: int) -> None:
        """Parameters of the neurons of a population, in all copies."""
        each = {neuron: self._constants(neuron) for neuron in set(neurons)}
        rows = np.tile(np.array([each[neuron] for neuron in neurons]), (copies, 1))
        for name, column in zip(_CONSTANTS, rows.T, strict=True):
            group.variables[name].set_value(column)

    def _constants(self, neuron: NeuronSpec) -> tuple[float, ...]:
        """What ``_CONSTANTS`` are of a neuron; times in seconds."""
        dt, (tau_mem, tau_syn) = self._dialect.dt, self._dialect.time_constants(neuron)
        return (
            tau_mem,
            tau_syn,
            math.exp(-0.5 * dt / tau_mem),
            float(psp_after(0.5 * dt, tau_mem, tau_syn)),
            neuron.v_threshold - neuron.v_leak,
            neuron.v_reset - neuron.v_leak,
        )
