"""Simulators on a time grid: what they share beyond their dialects."""

from __future__ import annotations

import math

import numpy as np

from hxloop.activity import Spikes
from hxloop.backends.pynn.dialect import Dialect
from hxloop.backends.pynn.given import Delivered
from hxloop.backends.pynn.schedule import Array
from hxloop.chip.clock import one_a_cycle
from hxloop.errors import RunInputError
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

    def deliver_trains(self, inputs: Spikes, t_window: float) -> tuple[Spikes, int]:
        """Input times on the grid, no two spikes of a channel in one step.

        The nearest point; of spikes that share one, the later ones go to the next points, before
        the window's end as close to it as there is room.

        Raises:
            RunInputError: a channel with more spikes in the window than there are points.
        """
        played = np.flatnonzero(inputs.times <= t_window)
        order = played[np.lexsort((inputs.times[played], inputs.cells[played]))]
        times, cells = inputs.times[order], inputs.cells[order]
        last = math.floor(t_window / self.dt + 1e-9)
        steps = one_a_cycle(cells, np.rint(times / self.dt).astype(np.int64), last)
        if (steps < 0).any():
            k = int(np.argmin(steps))
            sample, channel = divmod(int(cells[k]), inputs.n_units)
            raise RunInputError(
                f"backend {self.name!r}: channel {channel} of sample {sample} spikes "
                f"{int((cells == cells[k]).sum())} times in the window of {t_window:g}; expected "
                f"at most one spike in each time step, {last + 1} of {self.dt:g}. Choose a finer "
                "dt, or spread the spikes over several channels"
            )
        delivered = inputs.times.copy()
        delivered[order] = steps * self.dt
        moved = np.abs(delivered[order] - times) > 1e-6 * self.dt
        return inputs.at(delivered), int(moved.sum())


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
