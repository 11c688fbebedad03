"""All spikes of a network in a simulator: what is alike in all of them.

Samples are not laid one after the other on one time axis, as those of first spikes are: a loop
need not come to an end, so that no pause between two samples is long enough. (Where there is none,
a chip has to do with one: ``hxloop.backends.pynn.train_spacing``.) Every sample begins with a
network at rest instead, and nothing that was under way in another one: a copy of its own (NEST,
Brian2), or the simulator's own initialisation before it (NEURON). So no sample depends on its
neighbours at all.

A read-out (``v_threshold = inf``) sends nothing, and what is asked of it is its membrane, which the
host computes from the recorded spikes and the weights as held (``hxloop.training.readout``): it
need not be simulated. Its weights are held, clipped and counted like all others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.pynn.dialect import Dialect
from hxloop.backends.pynn.given import HeldNetwork
from hxloop.errors import CapacityError
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Parameters
from hxloop.network.own_neurons import each_neuron
from hxloop.substrate import Simulated

Array = NDArray[np.float64]

# What can be done with every sample in a network at rest.
FEATURES = frozenset(
    {
        Feature.MULTI_SPIKE,
        Feature.RECURRENT,
        Feature.SKIP,
        Feature.DELAYS,
        Feature.READOUT,
        Feature.NEURON_PARAMETERS,
    }
)
# Delays that are longer are held as this, so that a number holds them in any unit.
_NEVER = 1e300
# Runs some samples: spikes of each population, and how many came after the window.
RunOfSamples = Callable[[HeldNetwork, Spikes], tuple[list[Spikes], int]]


def check_steps(network: NetworkSpec, dialect: Dialect) -> None:
    """Refuse what a simulator would bend to whole steps of time.

    Args:
        network: to be opened.
        dialect: of the simulator, with its time step and its least times.

    Raises:
        CapacityError: a refractory time that is no multiple of the step, or is shorter than the
            least; a projection of a loop that may have a delay shorter than the least.
    """
    dt, least = dialect.dt, dialect.least_refractory_steps
    for population in network.populations:
        if population.neuron.spikes_once or population.neuron.never_spikes:
            continue
        asked = population.neuron.t_refractory
        steps = asked / dt
        vanishes = asked > 0 and round(steps) == 0  # however near it is to no step at all
        if vanishes or steps < least - 1e-9 or abs(steps - round(steps)) > 1e-6:
            step = dialect.dt_option * asked / dt / np.ceil(steps) if asked > 0 else 0.0
            raise CapacityError(
                f"backend {dialect.name!r}: population {population.name!r} has t_refractory = "
                f"{asked:g}; {dialect.simulator} holds a neuron for a whole number of time steps"
                f"{', at least one' if least else ''} (of {dt:g}). Choose another refractory time "
                f"or another dt{f', for example dt = {step:.10g}' if step else ''}"
            )
    least_delay = dialect.least_delay_steps * dt
    for projection, (pre, post) in zip(network.all_projections, network.ends, strict=True):
        in_a_loop = any(pre in block and post in block for block in network.blocks)
        if in_a_loop and projection.min_delay < least_delay * (1 - 1e-9):
            raise CapacityError(
                f"backend {dialect.name!r}: projection {projection.name} is part of a loop and may "
                f"have a delay of {projection.min_delay:g}; {dialect.simulator} delivers no spike "
                f"sooner than {least_delay:g} after it happened, one time step. Give it delays "
                f"with min_delay = {least_delay:g} or more"
            )


def simulate_trains(
    dialect: Dialect,
    network: NetworkSpec,
    parameters: Parameters,
    inputs: Spikes,
    run: RunOfSamples,
    *,
    at_once: int,
) -> Simulated:
    """Run a batch.

    Args:
        dialect: of the simulator.
        network: any that ``check_steps`` lets pass.
        parameters: weights, delays and neurons, as asked. Delays are held in whole steps, the
            nearest that is not below ``min_delay``.
        inputs: any number of spikes of each channel.
        run: runs some samples.
        at_once: how many at most.

    Raises:
        RunFailed: the simulator returned spikes that cannot be.
        CapacityError: a neuron's own time constant that the time step does not resolve.
        RunInputError: a channel spikes more often than there are steps.
    """
    held = HeldNetwork(
        tuple(dialect.hold(matrix) for matrix in parameters.weights),
        tuple(
            None if array is None else _in_steps(array, projection.min_delay, dialect.dt)
            for array, projection in zip(parameters.delays, network.all_projections, strict=True)
        ),
        _neurons(dialect, network, parameters),
    )
    delivered, moved = dialect.deliver_trains(inputs, network.t_window)
    played, _ = delivered.before(network.t_window)
    parts: list[list[Spikes]] = []
    discarded = 0
    for start in range(0, inputs.batch, at_once):
        spikes, late = run(held, played.select(slice(start, start + at_once)))
        parts.append(spikes)
        discarded += late
    return Simulated(
        spikes=[
            joined_spikes([part[i] for part in parts]) for i in range(len(network.populations))
        ],
        inputs=delivered,
        weights_used=[layer.values for layer in held.layers],
        delays_used=held.delays,
        clipped_weights=tuple(layer.n_clipped for layer in held.layers),
        rounded_inputs=moved,
        discarded_spikes=discarded,
    )


def _neurons(
    dialect: Dialect, network: NetworkSpec, parameters: Parameters
) -> tuple[tuple[NeuronSpec, ...], ...]:
    """The neurons of each population; those of their own within what the step resolves."""
    found = []
    for population in network.populations:
        neurons = each_neuron(population, parameters.neurons)
        if population.name in parameters.neurons and not population.neuron.never_spikes:
            for k, neuron in enumerate(neurons):
                dialect.check_neuron(neuron, f"neuron {k} of population {population.name!r}")
        found.append(neurons)
    return tuple(found)


def _in_steps(delays: Array, min_delay: float, dt: float) -> Array:
    """The nearest whole steps that are not below what the network allows."""
    resolved = delays < 2.0**53 * dt  # beyond, every number is one of whole steps
    steps = np.rint(np.where(resolved, delays, 0.0) / dt)
    held: Array = np.maximum(steps, np.ceil(min_delay / dt - 1e-6)) * dt
    return np.where(resolved, held, np.minimum(delays, _NEVER))


def simulated_populations(network: NetworkSpec) -> list[int]:
    """Those that may spike; of the others there is nothing to simulate."""
    return [i for i, each in enumerate(network.populations) if not each.neuron.never_spikes]


def trains_by_cell(inputs: Spikes) -> list[Array]:
    """Sorted times of every channel of every sample, ``batch * n_units`` arrays."""
    order = np.lexsort((inputs.times, inputs.cells))
    counts = np.bincount(inputs.cells, minlength=inputs.batch * inputs.n_units)
    return np.split(inputs.times[order], np.cumsum(counts)[:-1])


def silence(network: NetworkSpec, batch: int) -> list[Spikes]:
    """No spikes, of any population."""
    none = np.zeros(0, np.int64)
    return [
        Spikes.trusted(np.zeros(0), none, np.zeros(batch + 1, np.int64), size)
        for size in network.sizes[1:]
    ]


def joined_spikes(parts: list[Spikes]) -> Spikes:
    """One batch of several, sample after sample."""
    times, units = (np.concatenate([p.events[k] for p in parts]) for k in (0, 1))
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Spikes.trusted(times, units.astype(np.int64), offsets, parts[0].n_units)
