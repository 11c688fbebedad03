"""One nominal neuron between its spikes: where its membrane is, and how high it gets.

Written for the checks alone, in plain numbers and closed forms, so that it shares no line with the
engine that the ideal backend runs. The equations are those of ``hxloop.network.spec``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hxloop.network import NeuronSpec


@dataclass(frozen=True)
class Membrane:
    """A neuron with what arrived at it, and when it was released last.

    Attributes:
        neuron: its parameters.
        arrivals: (time, weight, whether the time was recorded, and may be off), sorted by time.
        released: from when on the membrane is free; ``-inf`` before the first spike.
    """

    neuron: NeuronSpec
    arrivals: Sequence[tuple[float, float, bool]]
    released: float = -math.inf

    def at(self, t: float) -> float:
        """The membrane from leak, at a time when it is free."""
        value = 0.0
        for start, voltage, current, _ in self._pieces(t):
            value = self._after(voltage, current, t - start)[0]
        return value

    def heights(self, until: float) -> Iterator[tuple[float, float]]:
        """(time, membrane from leak) wherever it can be highest, up to a time.

        At each arrival, at each extremum between two of them, and at the end.
        """
        for start, voltage, current, end in self._pieces(until):
            peak = self._extremum(voltage, current)
            if 0 < peak < end - start:
                yield start + peak, self._after(voltage, current, peak)[0]
            yield end, self._after(voltage, current, end - start)[0]

    def sensitivity(self, t: float) -> float:
        """How far the membrane is off at a time if the recorded times before are off by 1.

        The arrivals that were recorded and the neuron's own last spike each by so much, and
        independently of each other.
        """
        neuron, released = self.neuron, self.released
        terms, current = [], 0.0
        for arrival, weight, recorded in self.arrivals:
            if arrival >= t:
                break
            before = max(arrival, released)
            left = weight * math.exp(-(before - arrival) / neuron.tau_syn)
            current += left if arrival < released else 0.0
            if recorded:
                # What the kernel gains in a unit of time; of its current that outlives a reset.
                span = t - before
                gained = self._after(0.0, 1.0, span)[0]
                slope = math.exp(-span / neuron.tau_mem) - gained / neuron.tau_syn
                terms.append(left * (slope if arrival >= released else gained / neuron.tau_syn))
        if released > -math.inf:
            rise = current - (neuron.v_reset - neuron.v_leak) / neuron.tau_mem
            terms.append(rise * math.exp(-(t - released) / neuron.tau_mem))
        return math.hypot(*terms)

    def _pieces(self, until: float) -> Iterator[tuple[float, float, float, float]]:
        """(start, membrane, current, end) of each piece without arrivals."""
        neuron, free = self.neuron, math.isinf(self.released)
        now = 0.0 if free else self.released
        voltage = 0.0 if free else neuron.v_reset - neuron.v_leak
        early = [(a, w) for a, w, _ in self.arrivals if a <= now]
        current = sum(w * math.exp(-(now - a) / neuron.tau_syn) for a, w in early)
        for arrival, weight, _ in [*self.arrivals[len(early) :], (math.inf, 0.0, False)]:
            end = min(arrival, until)
            if end > now:
                yield now, voltage, current, end
                voltage, current = self._after(voltage, current, end - now)
            if arrival >= until:
                return
            now, current = arrival, current + weight

    def _after(self, voltage: float, current: float, span: float) -> tuple[float, float]:
        mem, syn = self.neuron.tau_mem, self.neuron.tau_syn
        x = span * (1 / syn - 1 / mem)
        shape = -math.expm1(-x) / x if abs(x) > 1e-12 else 1.0
        decay = math.exp(-span / mem)
        return voltage * decay + current * span * decay * shape, current * math.exp(-span / syn)

    def _extremum(self, voltage: float, current: float) -> float:
        """How long after a piece began its slope is 0; negative or NaN: never."""
        mem, syn = self.neuron.tau_mem, self.neuron.tau_syn
        if current == 0:
            return -1.0
        # The slope is exp(-t/tau_mem) (current - voltage/tau_mem - current g(t)/tau_syn), with
        # g(t) = (1 - exp(-rate t))/rate.
        rate, level = 1 / syn - 1 / mem, syn * (1 - voltage / (mem * current))
        if abs(rate * level) < 1e-12:
            return level
        return -math.log1p(-rate * level) / rate if rate * level < 1 else -1.0
