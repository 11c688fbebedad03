"""All spikes of a network in NEST: neurons that spike again, loops, delays.

Every sample has a copy of the network of its own, at rest when it begins and thrown away when it
ends; see ``hxloop.backends.pynn.trains``.

NEST delivers no spike sooner than a step after it happened. So what has no delay takes one step
here, and each population runs so many steps behind the input as the longest way to it has
connections, which is subtracted from what is recorded; a connection that passes populations over
waits for as long. Within a loop nothing can run behind itself: there a delay of one step is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hxloop.activity import Spikes
from hxloop.backends.pynn.dialect import CAPACITANCE_NF, MV_PER_UNIT, Dialect
from hxloop.backends.pynn.given import HeldNetwork
from hxloop.backends.pynn.trains import silence, simulated_populations, trains_by_cell
from hxloop.errors import RunFailed
from hxloop.network import NetworkSpec, NeuronSpec

PA_PER_NA = 1000.0  # NEST counts currents in pA, PyNN in nA
# Synapses of all copies together; with more, part of the batch runs after the other.
MOST_SYNAPSES = 2_000_000
MODEL = "iaf_psc_exp_ps"
# Steps before a sample begins: a generator cannot spike at 0.
_LEAD = 4


def depths_of(network: NetworkSpec) -> list[int]:
    """For each population, connections on the longest way to it; those of a loop count as one."""
    depths = [0] * len(network.populations)
    for block in network.blocks:
        before = [
            0 if pre < 0 else depths[pre]
            for pre, post in network.ends
            if post in block and pre not in block
        ]
        for population in block:
            depths[population] = 1 + max(before)
    return depths


def run_in_nest(
    dialect: Dialect, sim: Any, network: NetworkSpec, held: HeldNetwork, inputs: Spikes
) -> tuple[list[Spikes], int]:
    """Run some samples, each in a copy of its own.

    Args:
        dialect: of NEST.
        sim: the simulator.
        network: what runs.
        held: its weights, delays and neurons.
        inputs: as delivered, none after the window.

    Returns:
        Spikes of each population, and how many came after the window.

    Raises:
        RunFailed: NEST returned spikes that cannot be.
    """
    import nest

    dialect.setup(sim)
    step, unit, batch = dialect.step_ms, dialect.ms_per_tau, inputs.batch
    depths = [0, *depths_of(network)]
    steps = _LEAD + int(np.ceil(network.t_window / dialect.dt)) + max(depths) + 2
    # What arrives after the end need not be kept for longer.
    latest = max((float(array.max()) for array in held.delays if array is not None), default=0.0)
    longest = min(round(latest / dialect.dt) + max(depths), steps) * step
    nest.set(min_delay=step, max_delay=longest)
    sources = nest.Create("spike_generator", batch * network.n_inputs)
    trains = [train * unit + _LEAD * step for train in trains_by_cell(inputs)]
    sources.set([{"precise_times": True, "spike_times": train} for train in trains])
    nodes, recorders = {-1: sources}, {}
    for population in simulated_populations(network):
        size = batch * network.sizes[1 + population]
        cells = _cells(dialect, held.neurons[population], steps, batch)
        nodes[population] = nest.Create(MODEL, size, params=cells)
        recorders[population] = nest.Create("spike_recorder")
        nest.Connect(nodes[population], recorders[population])
    for index, (pre, post) in enumerate(network.ends):
        if post not in nodes:
            continue
        native = held.layers[index].native
        behind = (depths[1 + post] - depths[1 + pre]) * step
        synapse = {"weight": native.T * PA_PER_NA, "delay": behind}
        if held.delays[index] is not None:
            each = held.each_delay(index, network.all_projections[index].delays)
            synapse["delay"] = np.minimum(behind + each.T * unit, longest)
        rows, columns = native.shape
        for b in range(batch):
            copies = (nodes[pre][b * rows : (b + 1) * rows],
                      nodes[post][b * columns : (b + 1) * columns])  # fmt: skip
            nest.Connect(*copies, "all_to_all", synapse)
    dialect.run(sim, steps * step)
    firsts = {index: int(each[0].global_id) for index, each in nodes.items()}
    return _read(network, recorders, firsts, step, unit, batch)


def _read(
    network: NetworkSpec,
    recorders: dict[int, Any],
    firsts: dict[int, int],
    step: float,
    unit: float,
    batch: int,
) -> tuple[list[Spikes], int]:
    """The spikes of each population in its window, and how many came after it.

    Args:
        network: that ran.
        recorders: one for each population that was simulated.
        firsts: number of the first node of each.
        step: time step (ms).
        unit: of model time (ms).
        batch: number of copies.
    """
    depths = depths_of(network)
    found, discarded = silence(network, batch), 0
    for population, recorder in recorders.items():
        size = network.sizes[1 + population]
        units = np.asarray(recorder.events["senders"], np.int64) - firsts[population]
        behind = _LEAD + depths[population]
        times = (np.asarray(recorder.events["times"]) - behind * step) / unit
        good = times <= network.t_window
        discarded += int((~good).sum())
        samples, neurons = np.divmod(units[good], size)
        found[population] = Spikes.from_events(
            samples, neurons, np.maximum(times[good], 0.0), batch=batch, n_units=size,
            where=f"NEST returned spikes of {network.populations[population].name}",
            error=RunFailed,
        )  # fmt: skip
    return found, discarded


def _cells(
    dialect: Dialect, neurons: Sequence[NeuronSpec], steps: int, batch: int
) -> dict[str, float] | dict[str, list[float]]:
    """Parameters of the neurons of a population, in NEST's words; of all copies if they differ."""
    each = {neuron: _cell(dialect, neuron, steps) for neuron in set(neurons)}
    if len(each) == 1:
        return each[neurons[0]]
    return {name: [each[neuron][name] for neuron in neurons] * batch for name in each[neurons[0]]}


def _cell(dialect: Dialect, neuron: NeuronSpec, steps: int) -> dict[str, float]:
    unit = dialect.ms_per_tau
    tau_mem, tau_syn = dialect.time_constants(neuron)
    whole = 2 * steps if neuron.spikes_once else round(neuron.t_refractory / dialect.dt)
    return {
        "C_m": CAPACITANCE_NF * 1000.0,
        "tau_m": tau_mem * unit,
        "tau_syn_ex": tau_syn * unit,
        "tau_syn_in": tau_syn * unit,
        "t_ref": whole * dialect.step_ms,
        "E_L": neuron.v_leak * MV_PER_UNIT,
        "V_m": neuron.v_leak * MV_PER_UNIT,
        "V_reset": neuron.v_reset * MV_PER_UNIT,
        "V_th": neuron.v_threshold * MV_PER_UNIT,
        "I_e": 0.0,
    }
