"""What a number in a NIR graph means: its unit of time, and what a spike is there.

NIR's equations (``nir.CubaLIF``), with S the weighted input of a neuron::

    tau_syn dI/dt = -I + w_in S          tau_mem dv/dt = (v_leak - v) + r I

and those of ``hxloop.network.spec``, in model time, with V = v::

    dI/dt = -I/tau_syn + sum w delta     dV/dt = -(V - v_leak)/tau_mem + I

With ``u`` for how long a unit of model time is in the graph's unit, and Dirac pulses for S, a spike
moves ``r I`` by ``r w_in W/(u tau_syn)`` there, and ``tau_mem I`` by ``tau_mem w`` here. So NIR's
``W = w`` is hxloop's network with ``r w_in = u tau_mem tau_syn``. Programs that simulate in time
steps take S for 1 during a step instead (its integral is ``dt``, not 1), and some let the current
jump by W and read neither ``w_in`` nor ``r``. None of that is in a file, so it has to be said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.errors import ConfigError
from hxloop.units import DEFAULT_TAU_SYN_MS, TimeBase

Array = NDArray[Any]
SPIKES = ("dirac", "steps", "jumps")
UNITS = ("s", "ms")
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Convention:
    """How the numbers of a graph are to be read.

    Args:
        spikes: "dirac": NIR's equations to the letter. "steps": a spike is 1 for a time step
            ``dt``, as norse and snnTorch read it. "jumps": a spike lets the current jump by its
            weight, whatever ``w_in`` and ``r``, as jaxsnn reads it.
        unit: of all times, "s" or "ms" (jaxsnn).
        dt: the time step, in that unit; with "steps" only.
        tau_syn_ms: how long a unit of model time is, milliseconds.

    Raises:
        ConfigError: unknown words, or a time step that is missing, or that nobody takes.
        NetworkError: ``tau_syn_ms`` is not positive and finite.
    """

    spikes: str = SPIKES[0]
    unit: str = UNITS[0]
    dt: float | None = None
    tau_syn_ms: float = DEFAULT_TAU_SYN_MS

    def __post_init__(self) -> None:
        checks.choice("spikes", self.spikes, SPIKES)
        checks.choice("unit", self.unit, UNITS)
        if (self.dt is None) == (self.spikes == "steps"):
            raise ConfigError(
                "dt: expected the time step of the program that reads the graph with spikes = "
                f"'steps', and none with others; got dt = {self.dt} with {self.spikes!r}"
            )
        if self.dt is not None:
            checks.settle(self, dt=checks.number("dt", self.dt, above=0, what="time step"))
        checks.settle(self, tau_syn_ms=checks.number("tau_syn_ms", self.tau_syn_ms, above=0))

    @property
    def time_base(self) -> TimeBase:
        """How long a unit of model time is."""
        return TimeBase(self.tau_syn_ms * 1e-3)

    @property
    def model_unit(self) -> float:
        """The same in the unit of the graph."""
        return self.tau_syn_ms * (1e-3 if self.unit == "s" else 1.0)

    def times(self, model_time: Array) -> Array:
        """Model time -> the graph's unit."""
        return np.asarray(model_time, np.float64) * self.model_unit

    def model_times(self, times: Array) -> Array:
        """The graph's unit -> model time."""
        return np.asarray(times, np.float64) / self.model_unit

    def drive(self, tau_mem: Array, tau_syn: Array) -> tuple[Array, Array]:
        """``(r, w_in)`` of neurons with these time constants (model time), ``(neurons,)`` each."""
        one = np.ones_like(tau_mem)
        if self.spikes == "dirac":
            return tau_mem * one, self.times(tau_syn)
        if self.spikes == "steps":
            return self.times(tau_mem) / self.dt, tau_syn * one
        return one, one

    def weights(self, weight: Array, tau_mem: Array) -> Array:
        """Weights ``(post, pre)`` as the graph has them; ``tau_mem``: of where they lead."""
        return weight * tau_mem[:, None] if self.spikes == "jumps" else weight

    def model_weights(
        self, weight: Array, tau_mem: Array, tau_syn: Array, r: Array, w_in: Array
    ) -> Array:
        """Weights of a graph in units of the threshold.

        Args:
            weight: ``(post, pre)``, as the graph has them.
            tau_mem, tau_syn: of the neurons they lead to, model time.
            r, w_in: of these neurons, as the graph has them.
        """
        if self.spikes == "jumps":
            return weight / tau_mem[:, None]
        height = 1.0 if self.dt is None else self.dt
        gain = np.asarray(r * w_in * height / (self.model_unit * tau_mem * tau_syn))
        # What ``drive`` gave misses 1 by the rounding of these products, which is no weight.
        gain = np.where(np.abs(gain - 1.0) < _ROUNDING, 1.0, gain)
        return np.asarray(weight * gain[:, None])


# NIR's equations as they are written, in seconds.
AS_WRITTEN = Convention()
