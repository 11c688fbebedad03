"""The neurons of a node of a NIR graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError
from hxloop.network.neuron import NeuronSpec
from hxloop.network.nir.convention import Convention
from hxloop.network.nir.exact import restored
from hxloop.network.own_neurons import OWN

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """The neurons of a population, in model units.

    Attributes:
        nominal: what most of them are.
        own: what they have each for itself, see ``Parameters.neurons``.
        size: how many.
        n_inhibitory: see ``LayerSpec``.
        tau_mem, tau_syn: ``(size,)``.
        r, w_in: ``(size,)``, as the graph has them.
    """

    nominal: NeuronSpec
    own: Mapping[str, Array]
    size: int
    n_inhibitory: int
    tau_mem: Array
    tau_syn: Array
    r: Array
    w_in: Array


def neurons_of(
    name: str, node: Any, made: Convention, told: Mapping[str, Any], notes: list[str]
) -> Neurons:
    """The neurons of a node ``CubaLIF`` or ``CubaLI``.

    Neurons that differ in their leak are moved along the voltage until they do not.

    Args:
        name: of the node.
        node: of the graph.
        made: what its numbers mean.
        told: what the metadata know of the population; {}: nothing.
        notes: what is assumed is added.

    Raises:
        FileFormatError: time constants that are not positive, or potentials that make no neuron.
    """
    silent = type(node).__name__ == "CubaLI"

    def times(field: str) -> Array:
        written = np.asarray(getattr(node, field), np.float64).reshape(-1)
        found = restored(node.metadata, field, written, made.times, made.model_times)
        if not (np.isfinite(found) & (found > 0)).all():
            raise FileFormatError(f"node {name!r}: {field}: expected positive times; got {written}")
        return found

    tau_mem, tau_syn = times("tau_mem"), times("tau_syn")
    size = len(tau_mem)
    leak = _flat(node.v_leak, size)
    threshold = np.full(size, math.inf) if silent else _flat(node.v_threshold, size)
    nominal = {key: float(value) for key, value in told.get("neuron", {}).items()}
    refractory = nominal.get("t_refractory", math.inf if silent else 0.0)
    if silent:
        reset = np.full(size, nominal.get("v_reset", 0.0))
    else:
        reset = _flat(node.v_reset, size)
        deep = node.metadata.get("hxloop_deep_reset")
        if deep is not None and (reset == float(deep)).all():
            reset = _flat(node.metadata["hxloop_v_reset"], size)
        elif deep is not None:
            refractory = 0.0
            notes.append(f"{name}: v_reset was changed; its neurons spike again and again")
    if np.ptp(leak):
        notes.append(
            f"{name}: neurons with leaks from {leak.min():g} to {leak.max():g} are moved along the "
            "voltage to a leak of 0, which changes no spike"
        )
        threshold, reset, leak = threshold - leak, reset - leak, np.zeros(size)
    if not nominal and not silent:
        notes.append(f"{name}: neurons spike again and again, without a refractory time")
    arrays = {"tau_mem": tau_mem, "tau_syn": tau_syn, "v_threshold": threshold, "v_reset": reset}
    usual = {key: _usual(array) for key, array in arrays.items()}
    if _still(nominal, arrays, told):
        usual = {key: nominal[key] for key in arrays}
    try:
        spec = NeuronSpec(**usual, v_leak=float(leak[0]), t_refractory=refractory)
    except ValueError as error:
        raise FileFormatError(f"node {name!r}: {error}") from error
    named = told.get("own", ())
    own = {
        key: arrays[key]
        for key in OWN
        if (key in named or (arrays[key] != getattr(spec, key)).any())
        and not (silent and key.startswith("v_"))
    }
    return Neurons(
        nominal=spec, own=own, size=size, n_inhibitory=int(told.get("n_inhibitory", 0)),
        tau_mem=tau_mem, tau_syn=tau_syn, r=_flat(node.r, size), w_in=_flat(node.w_in, size),
    )  # fmt: skip


def _still(
    nominal: Mapping[str, float], arrays: Mapping[str, Array], told: Mapping[str, Any]
) -> bool:
    """Whether the nominal neuron that was noted is still that of the graph."""
    own = told.get("own", ())
    return bool(nominal) and all(
        key in own or (array == nominal[key]).all() for key, array in arrays.items()
    )


def _usual(array: Array) -> float:
    """The value that most have; of equally many the smallest."""
    values, counts = np.unique(array, return_counts=True)
    return float(values[np.argmax(counts)])


def _flat(value: Any, size: int) -> Array:
    return np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (size,)).copy()
