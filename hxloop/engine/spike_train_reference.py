"""All spikes of a network, to read: one sample, event by event, from sums over what arrived.

Slow, and written without anything of the compiled kernels but the crossing between two events.
``hxloop.engine.spike_trains`` has to agree with it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from scipy.optimize import brentq

from hxloop.engine.psp import psp_after
from hxloop.network import NetworkSpec, NeuronParameters, Parameters


@dataclass
class Neuron:
    """One neuron with all that has happened to it in a sample.

    Attributes:
        tau_mem, tau_exc, tau_inh: time constants.
        threshold, reset: from leak.
        t_refractory: how long it is held.
        arrivals: (time, weight), in their order.
        spikes: its own, in their order.
    """

    tau_mem: float
    tau_exc: float
    tau_inh: float
    threshold: float
    reset: float
    t_refractory: float
    arrivals: list[tuple[float, float]] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)

    @property
    def released(self) -> float:
        """From when on the membrane is free; ``-inf`` before the first spike."""
        return self.spikes[-1] + self.t_refractory if self.spikes else -math.inf

    def current(self, t: float) -> tuple[float, float]:
        """Excitatory and inhibitory current, with all arrivals up to t."""
        exc = sum(w * math.exp(-(t - a) / self.tau_exc) for a, w in self.arrivals if w > 0)
        inh = sum(w * math.exp(-(t - a) / self.tau_inh) for a, w in self.arrivals if w < 0)
        return exc, inh

    def membrane(self, t: float) -> float:
        """From leak, at a time not before the last arrival."""
        released = self.released
        if t < released:
            return self.reset
        value = self.reset * math.exp(-(t - released) / self.tau_mem) if self.spikes else 0.0
        for a, w in self.arrivals:
            tau = self.tau_exc if w > 0 else self.tau_inh
            left = math.exp(-(released - a) / tau) if a < released else 1.0
            value += w * left * float(psp_after(t - max(a, released), self.tau_mem, tau))
        return value

    def slope(self, t: float) -> float:
        """Of the free membrane."""
        return sum(self.current(t)) - self.membrane(t) / self.tau_mem

    def next_spike(self, now: float, end: float) -> float:
        """When it next spikes if nothing arrives until ``end``; ``inf`` if it does not."""
        start = max(now, self.released)
        if start >= end:
            return math.inf
        if self.membrane(start) >= self.threshold:
            return start
        exc, inh = self.current(start)
        cuts = [start, end]
        rate = 1 / self.tau_inh - 1 / self.tau_exc
        if exc > 0 > inh and rate != 0:
            # exp(t/tau_mem) times the slope is monotone on both sides of its one extremum.
            extreme = start + math.log((-inh / self.tau_inh) / (exc / self.tau_exc)) / rate
            cuts = [start, *([extreme] if start < extreme < end else []), end]
        points = [start]
        for low, high in pairwise(cuts):
            if self.slope(low) * self.slope(high) < 0:
                points.append(brentq(self.slope, low, high, xtol=1e-15, rtol=1e-15))
            points.append(high)
        for low, high in pairwise(points):
            if self.membrane(high) >= self.threshold:
                return float(
                    brentq(
                        lambda t: self.membrane(t) - self.threshold, low, high, xtol=1e-15,
                        rtol=1e-15,
                    )
                )  # fmt: skip
        return math.inf


def spike_trains_of_sample(
    network: NetworkSpec,
    parameters: Parameters,
    inputs: Sequence[tuple[float, int]],
    neurons: Sequence[NeuronParameters],
    max_spikes: int = 10_000,
) -> list[list[tuple[float, int]]]:
    """All spikes of one sample.

    Args:
        network: any network.
        parameters: its weights and delays.
        inputs: (time, channel).
        neurons: of each population.
        max_spikes: stop with an error beyond.

    Returns:
        For each population (time, neuron), sorted by time.

    Raises:
        RuntimeError: more than ``max_spikes``.
    """
    populations = [
        [
            Neuron(
                float(p.tau_mem[j]), float(p.tau_syn_exc[j]), float(p.tau_syn_inh[j]),
                float(p.v_threshold[j] - p.v_leak[j]), float(p.v_reset[j] - p.v_leak[j]),
                float(p.t_refractory[j]),
            )
            for j in range(p.n_neurons)
        ]
        for p in neurons
    ]  # fmt: skip
    queue: list[tuple[float, int, int, float]] = []  # when, population, neuron, weight

    def send(source: int, unit: int, when: float) -> None:
        for i, (pre, post) in enumerate(network.ends):
            if pre != source:
                continue
            delays, kind = parameters.delays[i], network.all_projections[i].delays
            for j, weight in enumerate(parameters.weights[i][unit]):
                place = {"axonal": (unit,), "dendritic": (j,), "synaptic": (unit, j)}.get(
                    kind or ""
                )
                delay = 0.0 if delays is None or place is None else float(delays[place])
                heapq.heappush(queue, (when + delay, post, j, float(weight)))

    for when, channel in inputs:
        send(-1, channel, when)
    now, found = 0.0, 0
    while True:
        until = min(queue[0][0] if queue else math.inf, network.t_window)
        earliest, who = min(
            ((neuron.next_spike(now, until), (p, j))
             for p, population in enumerate(populations) for j, neuron in enumerate(population)),
            default=(math.inf, (0, 0)),
        )  # fmt: skip
        if earliest < math.inf:
            now = earliest
            populations[who[0]][who[1]].spikes.append(now)
            send(*who, now)
            found += 1
            if found > max_spikes:
                raise RuntimeError(f"more than {max_spikes} spikes")
            continue
        if until >= network.t_window:
            break
        now, p, j, weight = heapq.heappop(queue)
        if weight:
            populations[p][j].arrivals.append((now, weight))
    return [
        sorted((t, j) for j, neuron in enumerate(population) for t in neuron.spikes)
        for population in populations
    ]
