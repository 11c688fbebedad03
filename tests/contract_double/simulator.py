"""The singleton of the double: one network, one chip, one run between two resets."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.errors import ConnectionError

from tests.contract_double import control
from tests.contract_double.chip import STANDARD, Chip
from tests.contract_double.router import (
    LARGEST_WEIGHT,
    NeuronPlacement,
    check_routing,
    parallel_synapses,
)
from tests.contract_double.substrate import Neurons, draw_chip, spikes_of

Array = NDArray[np.float64]
CYCLES_PER_US = 125
# Of the program that plays a run; an input event takes up to two.
PROGRAM_MEMORY, INSTRUCTIONS = 4_194_304, 2
LONGEST_RUN_MS = 2**32 / CYCLES_PER_US / 1000

# The one State while a network is set up.
state: Any = None


@dataclass
class State:
    """A network on the chip, in the course of an experiment."""

    placement: NeuronPlacement
    initial_config: Chip | None
    calibration_cache: Any = None
    bypass: bool = False
    populations: list[Any] = field(default_factory=list)
    projections: list[Any] = field(default_factory=list)
    mapped: bool = False
    maps: int = 0
    ran: bool = False
    runtime_ms: float = 0.0
    t: float = 0.0
    runs: int = 0
    dropped: int | None = None

    def map(self) -> None:
        """Place and route, and calibrate, where something changed."""
        counts = [parallel_synapses(p.weights) for p in self.projections]
        same = self.mapped and all(
            np.array_equal(a, b) for a, b in zip(counts, self._counts, strict=True)
        )
        if same:
            return
        place = {id(p): p.hardware for p in self.populations if p.hardware is not None}
        if self.projections:
            check_routing(self.projections, place)
        calibrated = [p.celltype for p in self.populations if p.celltype.calibrates]
        if calibrated and isinstance(self.calibration_cache, str):
            # EBRAINS 12 takes every letter for a folder.
            raise RuntimeError(f"No usable cache path found in {list(self.calibration_cache)}.")
        for name in ("i_synin_gm_E", "i_synin_gm_I", "synapse_dac_bias"):
            if len({cell.parameters[name] for cell in calibrated}) > 1:
                raise RuntimeError(f"{name} must be the same for all populations")
        self._counts = counts
        self.mapped = True
        self.maps += 1

    def require_mapped(self, what: str) -> None:
        """What is set or read before the network is mapped would be overwritten by mapping."""
        if not self.mapped:
            raise RuntimeError(f"{what}: not available before run(None, RunCommand.PREPARE)")

    def run(self, runtime_ms: float) -> None:
        """Run the network once."""
        if self.ran:
            raise RuntimeError("Stacking several run commands is not supported: reset() first.")
        self.map()
        laboratory = control.current
        if laboratory.flavour == control.EBRAINS and runtime_ms > LONGEST_RUN_MS:
            raise ValueError(f"Total runtime of {runtime_ms} to long.")
        laboratory.log.append("run")
        if laboratory.stalls:
            laboratory.stalls -= 1
            raise RuntimeError(laboratory.fault)
        self.ran, self.runtime_ms, self.t = True, runtime_ms, runtime_ms
        generator = np.random.default_rng([laboratory.seed, self.runs])
        self.runs += 1
        self.dropped = 0
        end_us = runtime_ms * 1000 + laboratory.late_us
        events: dict[int, tuple[NDArray[np.int64], Array]] = {}
        for population in self.populations:
            if population.hardware is None:
                events[id(population)] = self._input_events(population, laboratory, generator)
        # Populations are created from the input to the output, so that this order is causal.
        for population in self.populations:
            if population.hardware is not None:
                events[id(population)] = self._layer(population, events, end_us, generator)
            population.spikes = _recorded(events[id(population)], laboratory, generator)

    def _layer(
        self, population: Any, events: dict[int, Any], end_us: float, generator: Any
    ) -> tuple[NDArray[np.int64], Array]:
        incoming = [p for p in self.projections if p.post is population]
        if self.bypass:
            return _forwarded(incoming, events)
        chip = population.celltype.chip(self.initial_config)
        if chip is None or not incoming:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        times, sources, weights, first = [], [], [], 0
        for projection in incoming:
            who, when = events[id(projection.pre)]
            sources.append(who + first)
            times.append(when)
            weights.append(projection.weights)
            first += len(projection.weights)
        order = np.argsort(np.concatenate(times), kind="stable")
        held = population.celltype.held_us(chip)
        neurons = _neurons(chip, population.hardware, held, generator)
        who, when = spikes_of(
            neurons,
            np.concatenate(times)[order],
            np.concatenate(sources)[order],
            np.concatenate(weights).astype(np.float64),
            end_us,
        )
        return _with_spontaneous(who, when, len(population), end_us, generator)

    def _input_events(
        self, population: Any, laboratory: Any, generator: Any
    ) -> tuple[NDArray[np.int64], Array]:
        """Input as it reaches the chip: truncated to clock cycles, one event in a cycle.

        An event for each half of the chip with targets. A program that does not fit its memory is
        played with a wrong timing, and nothing is said.
        """
        trains = population.trains
        who = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
        cycles = np.array(
            [int(t * 1000 * CYCLES_PER_US) for train in trains for t in train], dtype=np.int64
        )
        order = np.argsort(cycles, kind="stable")
        who, cycles = who[order], cycles[order]
        targets = [p.post.hardware // 256 for p in self.projections if p.pre is population]
        labels = len(np.unique(np.concatenate(targets))) if targets else 1
        number = labels * np.arange(len(cycles))
        cycles = np.maximum.accumulate(cycles - number) + number
        if INSTRUCTIONS * labels * len(cycles) > PROGRAM_MEMORY:
            cycles = cycles + np.cumsum(generator.integers(0, 3, len(cycles)))
        dropped = generator.random(len(cycles)) < laboratory.drops
        self.dropped = (self.dropped or 0) + int(dropped.sum())
        kept = ~dropped & (generator.random(len(cycles)) >= laboratory.spike_loss)
        return who[kept], cycles[kept] / CYCLES_PER_US

    def reset(self) -> None:
        """Time 0, a new segment; network and weights stay."""
        control.current.log.append("reset")
        self.ran, self.t = False, 0.0
        for population in self.populations:
            population.store()


def _forwarded(incoming: list[Any], events: dict[int, Any]) -> tuple[NDArray[np.int64], Array]:
    """Neurons in bypass mode: every event at a synapse is a spike, at once."""
    who, when = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for projection in incoming:
        sources, times = events[id(projection.pre)]
        index, targets = np.nonzero(projection.weights[sources] > 0)
        who.append(targets)
        when.append(times[index])
    order = np.argsort(np.concatenate(when), kind="stable")
    return np.concatenate(who)[order], np.concatenate(when)[order]


def _with_spontaneous(
    who: NDArray[np.int64], when: Array, size: int, end_us: float, generator: Any
) -> tuple[NDArray[np.int64], Array]:
    if not control.current.spontaneous_hz:
        return who, when
    many = generator.poisson(control.current.spontaneous_hz * size * end_us * 1e-6)
    who = np.append(who, generator.integers(0, size, many))
    when = np.append(when, generator.uniform(0, end_us, many))
    order = np.argsort(when, kind="stable")
    return who[order], when[order]


def _neurons(chip: Chip, hardware: NDArray[np.int64], held_us: float, generator: Any) -> Neurons:
    laboratory = control.current
    drawn = draw_chip(laboratory.chip, laboratory.imperfections)
    trial = drawn.imperfections.threshold_trial * generator.standard_normal(len(hardware))
    distance = (chip.v_thresh - chip.v_rest) / (STANDARD.v_thresh - STANDARD.v_rest)
    threshold = 1.0 + drawn.v_threshold[hardware] + trial
    leak = drawn.v_leak[hardware]
    reset = (chip.v_reset - chip.v_rest) / (chip.v_thresh - chip.v_rest)

    def per_event(gm: float, strength: Array, tau: float) -> Array:
        bias = gm / STANDARD.i_synin_gm_E * chip.synapse_dac_bias / STANDARD.synapse_dac_bias
        lsb = laboratory.weight_lsb * bias * STANDARD.cm / chip.cm / distance
        return lsb * strength[hardware] / tau

    return Neurons(
        tau_mem=chip.tau_m * drawn.tau_mem[hardware],
        tau_exc=chip.tau_syn_E * drawn.tau_syn_exc[hardware],
        tau_inh=chip.tau_syn_I * drawn.tau_syn_inh[hardware],
        threshold=np.where(drawn.dead[hardware], np.inf, threshold - leak),
        reset=reset + drawn.v_reset[hardware] - leak,
        exc=per_event(chip.i_synin_gm_E, drawn.strength_exc, chip.tau_syn_E),
        inh=per_event(chip.i_synin_gm_I, drawn.strength_inh, chip.tau_syn_I),
        refractory=held_us,
    )


def _recorded(
    events: tuple[NDArray[np.int64], Array], laboratory: Any, generator: Any
) -> tuple[NDArray[np.int64], Array]:
    """Spikes as they arrive: stamped late, on the clock, some of them lost; times in ms."""
    who, when_us = events
    cycles = np.floor((when_us + laboratory.offset_ns / 1000) * CYCLES_PER_US + 1e-6)
    kept = generator.random(len(who)) >= laboratory.spike_loss
    return who[kept], cycles[kept] / CYCLES_PER_US / 1000


def rounded_weights(values: Any, shape: tuple[int, int], receptor_type: str) -> Array:
    """Weights as the chip takes them.

    Raises:
        ConnectionError: of the wrong sign for the receptor.
    """
    weights = np.rint(np.broadcast_to(np.asarray(values, dtype=np.float64), shape)).astype(np.int64)
    if receptor_type == "excitatory" and (weights < 0).any():
        raise ConnectionError("Excitatory weights must be positive.")
    if receptor_type == "inhibitory" and (weights > 0).any():
        raise ConnectionError("Inhibitory weights must be negative.")
    return copy.copy(weights)


__all__ = ["LARGEST_WEIGHT", "State", "rounded_weights"]
