"""Simulators on a time grid: what they share beyond their dialects."""

from __future__ import annotations

import math

import numpy as np

from hxloop.backends.pynn.dialect import Dialect
from hxloop.backends.pynn.given import Delivered
from hxloop.backends.pynn.schedule import Array
from hxloop.network import NetworkSpec


class GridDialect(Dialect):
    """A simulator with fixed steps: inputs and spikes lie on a time grid.

    A spike that arrives takes one step of delay. One that is found was between two points of the
    grid: on average, it is recorded half a step late, counting what it takes to arrive. Both are
    subtracted.
    """

    stamped = True

    def __init__(self, *, dt: float, weight_limit: float | None, clip_weights: bool) -> None:
        super().__init__(dt=dt, weight_limit=weight_limit, clip_weights=clip_weights)
        self.latency = 1.5 * dt
        self.residue = 0.1 * dt

    def deliver(self, times: Array, t_window: float) -> Delivered:
        """Input times on the nearest point of the grid (within the window)."""
        last = math.floor(t_window / self.dt + 1e-9)
        played = times <= t_window
        delivered = times.copy()
        delivered[played] = np.minimum(np.rint(times[played] / self.dt), last) * self.dt
        moved = np.abs(delivered[played] - times[played]) > 1e-6 * self.dt
        return Delivered(delivered, int(moved.sum()))


def time_step(dt: float, network: NetworkSpec) -> float:
    """The step of a simulator on a time grid: ``dt``, finer where time constants are short.

    What is declared of errors holds for time constants of 1 and more; an integrator's error goes
    with the number of steps in a time constant.

    Args:
        dt: as asked for.
        network: its time constants.
    """
    taus = [tau for layer in network.layers for tau in (layer.neuron.tau_mem, layer.neuron.tau_syn)]
    return dt * min(1.0, *taus)
