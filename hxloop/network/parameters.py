"""Physical parameters of every neuron of a layer, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import NetworkError
from hxloop.network.neuron import NeuronSpec
from hxloop.text import Brief


@dataclass(frozen=True, repr=False)
class NeuronParameters(Brief):
    """Parameters of the neurons of one layer, one value for each.

    Every field is a float64 array of shape ``(post,)``, in model units (time in units of
    ``tau_syn``, voltage in units of the weights). Excitatory and inhibitory synaptic
    currents may decay with different time constants, as they do on an analog chip.

    A neuron with ``v_leak >= v_threshold`` is legal here, because a chip may hold one: it
    rests above threshold and fires at time 0. ``v_threshold = inf`` is a neuron that never
    fires (dead).

    ``v_reset`` and ``t_refractory`` matter after a neuron's first spike only; left out, they are
    the leak potential, and ``inf``: every neuron spikes once.

    Raises:
        NetworkError: a field is not one-dimensional, lengths differ, a time constant is
            not positive and finite, a refractory time is negative, a neuron without refractory
            time has a reset that is not below its threshold, or any value is NaN.
    """

    tau_mem: NDArray[np.float64]
    tau_syn_exc: NDArray[np.float64]
    tau_syn_inh: NDArray[np.float64]
    v_threshold: NDArray[np.float64]
    v_leak: NDArray[np.float64]
    v_reset: NDArray[np.float64] = None  # type: ignore[assignment]
    t_refractory: NDArray[np.float64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        shape = np.shape(self.tau_mem)
        if self.v_reset is None:
            object.__setattr__(self, "v_reset", self.v_leak)
        if self.t_refractory is None:
            object.__setattr__(self, "t_refractory", np.full(shape, np.inf))
        for field in fields(self):
            value = np.array(getattr(self, field.name), dtype=np.float64)
            where = f"NeuronParameters.{field.name}"
            if value.ndim != 1 or value.shape != shape:
                raise NetworkError(
                    f"{where}: expected one value for each neuron, shape {shape} like tau_mem; "
                    f"got shape {value.shape}"
                )
            if np.isnan(value).any():
                neuron = int(np.flatnonzero(np.isnan(value))[0])
                raise NetworkError(f"{where}: NaN at neuron {neuron}; expected a number")
            if field.name.startswith("tau") and not (np.isfinite(value) & (value > 0)).all():
                neuron = int(np.flatnonzero(~(np.isfinite(value) & (value > 0)))[0])
                raise NetworkError(
                    f"{where}: expected positive finite time constants; "
                    f"got {value[neuron]} at neuron {neuron}"
                )
            if field.name == "t_refractory" and (value < 0).any():
                neuron = int(np.flatnonzero(value < 0)[0])
                raise NetworkError(
                    f"{where}: expected times of 0 or more (inf: a neuron spikes once); "
                    f"got {value[neuron]} at neuron {neuron}"
                )
            value.flags.writeable = False
            object.__setattr__(self, field.name, value)
        stuck = (self.v_reset >= self.v_threshold) & (self.t_refractory == 0)
        if stuck.any():
            neuron = int(np.flatnonzero(stuck)[0])
            raise NetworkError(
                f"NeuronParameters.v_reset: expected potentials below v_threshold = "
                f"{self.v_threshold[neuron]:g} where t_refractory = 0, else the neuron never stops "
                f"firing; "
                f"got {self.v_reset[neuron]:g} at neuron {neuron}"
            )

    @property
    def n_neurons(self) -> int:
        """Number of neurons in the layer."""
        return int(self.tau_mem.shape[0])

    @classmethod
    def uniform(cls, neuron: NeuronSpec, n_neurons: int) -> NeuronParameters:
        """``n_neurons`` copies of the nominal neuron."""
        return _uniform(neuron, n_neurons)

    @cached_property
    def spikes_once(self) -> bool:
        """Whether every neuron is silent after its first spike."""
        return bool(np.isinf(self.t_refractory).all())

    @cached_property
    def equal_time_constants(self) -> tuple[float, float] | None:
        """``(tau_mem, tau_syn)`` where all neurons and both signs have the same, else None."""
        mem, exc, inh = self.tau_mem, self.tau_syn_exc, self.tau_syn_inh
        if not mem.size or not ((mem == mem[0]).all() and (exc == exc[0]).all()):
            return None
        return (float(mem[0]), float(exc[0])) if (exc == inh).all() else None


# Asked for several times in every step of a training, of a few layers.
@lru_cache(maxsize=64)
def _uniform(neuron: NeuronSpec, n_neurons: int) -> NeuronParameters:
    def full(value: float) -> NDArray[np.float64]:
        return np.full(n_neurons, value, dtype=np.float64)

    return NeuronParameters(
        tau_mem=full(neuron.tau_mem),
        tau_syn_exc=full(neuron.tau_syn),
        tau_syn_inh=full(neuron.tau_syn),
        v_threshold=full(neuron.v_threshold),
        v_leak=full(neuron.v_leak),
        v_reset=full(neuron.v_reset),
        t_refractory=full(neuron.t_refractory),
    )
