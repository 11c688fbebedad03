"""All spikes of a network in NEST: neurons that spike again, loops, delays.

Every sample has a copy of the network of its own, at rest when it begins and thrown away when it
ends. On one time axis, sample after sample, there would be no bound: a neuron that is released
again may spike as long as currents last, ``t_window`` and the number of its spikes times the
response to one of them; and a loop need not end at all, so that no pause is long enough.

NEST delivers no spike sooner than a step after it happened. So what has no delay takes one step
here, and each population runs so many steps behind the input as the longest way to it has
connections, which is subtracted from what is recorded; a connection that passes populations over
waits for as long. Within a loop nothing can run behind itself: there a delay of one step is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.backends.pynn.dialect import CAPACITANCE_NF, MV_PER_UNIT, Dialect
from hxloop.backends.pynn.given import HeldLayer
from hxloop.errors import CapacityError, RunFailed
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate import Simulated

Array = NDArray[np.float64]

PA_PER_NA = 1000.0  # NEST counts currents in pA, PyNN in nA
# Synapses of all copies together; with more, part of the batch runs after the other.
MOST_SYNAPSES = 2_000_000
MODEL = "iaf_psc_exp_ps"
# Steps before a sample begins: a generator cannot spike at 0.
_LEAD = 4


def check_steps(network: NetworkSpec, dt: float, backend: str) -> None:
    """Refuse what NEST would bend to whole steps of time.

    Args:
        network: to be opened.
        dt: time step, model time.
        backend: named in messages.

    Raises:
        CapacityError: a refractory time that is no multiple of ``dt``, or 0; a projection of a loop
            that may have a delay shorter than ``dt``.
    """
    for population in network.populations:
        if population.neuron.spikes_once:
            continue
        held = population.neuron.t_refractory
        steps = held / dt
        if steps < 1 - 1e-9 or abs(steps - round(steps)) > 1e-6:
            finer = f", for example dt = {held / np.ceil(steps):.6g}" if held > 0 else ""
            raise CapacityError(
                f"backend {backend!r}: population {population.name!r} has t_refractory = {held:g}; "
                f"NEST holds a neuron for a whole number of time steps, at least one (dt = "
                f"{dt:g}). Choose another refractory time or another dt{finer}"
            )
    depths = depths_of(network)
    for projection, (pre, post) in zip(network.all_projections, network.ends, strict=True):
        if pre < 0 or depths[pre] != depths[post] or not _in_one_block(network, pre, post):
            continue
        if projection.min_delay < dt * (1 - 1e-9):
            raise CapacityError(
                f"backend {backend!r}: projection {projection.name} is part of a loop and may have "
                f"a delay of {projection.min_delay:g}; NEST delivers no spike sooner than one time "
                f"step after it happened. Give it delays with min_delay = {dt:g} or more"
            )


def _in_one_block(network: NetworkSpec, pre: int, post: int) -> bool:
    return any(pre in block and post in block for block in network.blocks)


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


def simulate_trains(
    dialect: Dialect, sim: Any, network: NetworkSpec, parameters: Parameters, inputs: Spikes
) -> Simulated:
    """Run a batch, every sample in a copy of its own.

    Args:
        dialect: of NEST.
        sim: the simulator.
        network: any that ``check_steps`` lets pass.
        parameters: weights and delays, as asked.
        inputs: any number of spikes of each channel.

    Raises:
        RunFailed: NEST returned spikes that cannot be.
    """
    held = [dialect.hold(matrix) for matrix in parameters.weights]
    delays = tuple(
        None if array is None else np.rint(array / dialect.dt) * dialect.dt
        for array in parameters.delays
    )
    played, _ = inputs.before(network.t_window)
    synapses = sum(pre * post for pre, post in network.shapes)
    at_once = max(1, MOST_SYNAPSES // synapses)
    parts: list[list[Spikes]] = []
    discarded = 0
    for start in range(0, inputs.batch, at_once):
        part = played.select(slice(start, start + at_once))
        spikes, late = _run(dialect, sim, network, held, delays, part)
        parts.append(spikes)
        discarded += late
    return Simulated(
        spikes=[_joined([part[i] for part in parts]) for i in range(len(network.populations))],
        weights_used=[layer.values for layer in held],
        delays_used=delays,
        clipped_weights=tuple(layer.n_clipped for layer in held),
        discarded_spikes=discarded,
    )


def _run(
    dialect: Dialect,
    sim: Any,
    network: NetworkSpec,
    held: list[HeldLayer],
    delays: tuple[Array | None, ...],
    inputs: Spikes,
) -> tuple[list[Spikes], int]:
    import nest

    dialect.setup(sim)
    step, unit, batch = dialect.step_ms, dialect.ms_per_tau, inputs.batch
    depths = [0, *depths_of(network)]
    steps = _LEAD + int(np.ceil(network.t_window / dialect.dt)) + max(depths) + 2
    # What arrives after the end need not be kept for longer.
    latest = max((float(array.max()) for array in delays if array is not None), default=0.0)
    longest = min(round(latest / dialect.dt) + max(depths), steps) * step
    nest.set(min_delay=step, max_delay=longest)
    sources = nest.Create("spike_generator", batch * network.n_inputs)
    cell = inputs.samples * network.n_inputs + inputs.units
    trains = np.split(
        inputs.times[np.lexsort((inputs.times, cell))] * unit + _LEAD * step,
        np.cumsum(np.bincount(cell, minlength=batch * network.n_inputs))[:-1],
    )
    sources.set([{"precise_times": True, "spike_times": train} for train in trains])
    nodes, recorders = [sources], []
    for population in range(len(network.populations)):
        size = batch * network.sizes[1 + population]
        nodes.append(nest.Create(MODEL, size, params=_cells(dialect, network, population, steps)))
        recorders.append(nest.Create("spike_recorder"))
        nest.Connect(nodes[-1], recorders[-1])
    for index, (pre, post) in enumerate(network.ends):
        layer, late = held[index], delays[index]
        behind = (depths[1 + post] - depths[1 + pre]) * step
        synapse = {"weight": layer.native.T * PA_PER_NA, "delay": behind}
        if late is not None:
            axonal = network.all_projections[index].delays == "axonal"
            each = np.broadcast_to(late[:, None] if axonal else late, layer.native.shape)
            synapse["delay"] = np.minimum(behind + each.T * unit, longest)
        rows, columns = layer.native.shape
        for b in range(batch):
            copies = (nodes[1 + pre][b * rows : (b + 1) * rows],
                      nodes[1 + post][b * columns : (b + 1) * columns])  # fmt: skip
            nest.Connect(*copies, "all_to_all", synapse)
    dialect.run(sim, steps * step)
    firsts = [int(each[0].global_id) for each in nodes[1:]]
    return _read(network, recorders, firsts, step, unit, batch)


def _read(
    network: NetworkSpec,
    recorders: list[Any],
    firsts: list[int],
    step: float,
    unit: float,
    batch: int,
) -> tuple[list[Spikes], int]:
    """The spikes of each population in its window, and how many came after it.

    Args:
        network: that ran.
        recorders: one for each population.
        firsts: number of the first node of each.
        step: time step (ms).
        unit: of model time (ms).
        batch: number of copies.
    """
    depths = depths_of(network)
    found, discarded = [], 0
    for population, recorder in enumerate(recorders):
        size = network.sizes[1 + population]
        units = np.asarray(recorder.events["senders"], np.int64) - firsts[population]
        behind = _LEAD + depths[population]
        times = (np.asarray(recorder.events["times"]) - behind * step) / unit
        good = times <= network.t_window
        discarded += int((~good).sum())
        samples, neurons = np.divmod(units[good], size)
        found.append(
            Spikes.from_events(
                samples, neurons, np.maximum(times[good], 0.0), batch=batch, n_units=size,
                where=f"NEST returned spikes of {network.populations[population].name}",
                error=RunFailed,
            )
        )  # fmt: skip
    return found, discarded


def _cells(dialect: Dialect, network: NetworkSpec, population: int, steps: int) -> dict[str, float]:
    """Parameters of the neurons of a population, in NEST's words."""
    layer = network.layers[population]
    neuron, unit = layer.neuron, dialect.ms_per_tau
    tau_mem, tau_syn = dialect.time_constants(layer)
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


def _joined(parts: list[Spikes]) -> Spikes:
    """One batch of several."""
    times, units = (np.concatenate([p.events[k] for p in parts]) for k in (0, 1))
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Spikes(times, units.astype(np.int64), offsets, parts[0].n_units)
