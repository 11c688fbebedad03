"""Physical parameters of every neuron of a layer, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import NetworkError
from hxloop.network.spec import NeuronSpec
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

    Raises:
        NetworkError: a field is not one-dimensional, lengths differ, a time constant is
            not positive and finite, or any value is NaN.
    """

    tau_mem: NDArray[np.float64]
    tau_syn_exc: NDArray[np.float64]
    tau_syn_inh: NDArray[np.float64]
    v_threshold: NDArray[np.float64]
    v_leak: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = np.shape(self.tau_mem)
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
            value.flags.writeable = False
            object.__setattr__(self, field.name, value)

    @property
    def n_neurons(self) -> int:
        """Number of neurons in the layer."""
        return int(self.tau_mem.shape[0])

    @classmethod
    def uniform(cls, neuron: NeuronSpec, n_neurons: int) -> NeuronParameters:
        """``n_neurons`` copies of the nominal neuron."""
        return _uniform(neuron, n_neurons)

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
    )
