"""Layers on the circuits of a chip: what neurons are that several circuits make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.machine.jit import njit
from hxloop.network import LayerSpec, NetworkSpec, NeuronParameters
from hxloop.network.own_neurons import OwnNeurons, neurons_with
from hxloop.text import Brief

Array = NDArray[np.float64]

# BrainScaleS-2: 512 circuits; 256 synapses a circuit, and a signed weight takes two of them.
N_CIRCUITS = 512
SIGNED_INPUTS = 128


@dataclass(frozen=True, repr=False)
class PlacedLayer(Brief):
    """A layer on the chip.

    Attributes:
        circuits: ``(post, merged)``, which circuits make up each neuron.
        parameters: what the neurons really are, or are measured to be.
        strength_exc, strength_inh: ``(pre, post)``, factor on every weight of that sign; of a
            population with several projections, one after the other (``input_rows``).
        scale: distance between nominal leak and threshold, the unit of the trial noise; of
            read-outs 1.
    """

    circuits: NDArray[np.int64]
    parameters: NeuronParameters
    strength_exc: Array
    strength_inh: Array
    scale: float

    def strengths(self, weights: Array, rows: slice = slice(None)) -> Array:
        """``(pre, post)`` factors on these weights, in their precision.

        Args:
            weights: of a projection.
            rows: which of the inputs they are of.
        """
        exc, inh = (
            s[rows].astype(weights.dtype, copy=False)
            for s in (self.strength_exc, self.strength_inh)
        )
        return np.where(weights > 0, exc, inh)

    def effective_weights(self, weights: Array, rows: slice = slice(None)) -> Array:
        """``(pre, post)`` weights as the neurons feel them, in the precision of ``weights``.

        Args:
            weights: of a projection.
            rows: which of the inputs they are of.
        """
        felt = np.empty(weights.shape, weights.dtype)
        exc, inh = self.strength_exc[rows], self.strength_inh[rows]
        _felt(np.ascontiguousarray(weights), exc, inh, felt)
        return felt


# In one pass, see ``hxloop.chip.weight_grid``.
@njit(cache=True, nogil=True)
def _felt(weights: Array, strength_exc: Array, strength_inh: Array, felt: Array) -> None:
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            w = weights[i, j]
            felt[i, j] = w * (strength_exc[i, j] if w > 0 else strength_inh[i, j])


def fan_in(network: NetworkSpec) -> tuple[int, ...]:
    """For every population, how many inputs a neuron has, from all projections."""
    found = [0] * len(network.layers)
    for (_, post), shape in zip(network.ends, network.shapes, strict=True):
        found[post] += shape[0]
    return tuple(found)


def input_rows(network: NetworkSpec) -> tuple[slice, ...]:
    """For every projection, which inputs of its postsynaptic neurons are its own."""
    found, taken = [], [0] * len(network.layers)
    for (_, post), (pre, _) in zip(network.ends, network.shapes, strict=True):
        found.append(slice(taken[post], taken[post] + pre))
        taken[post] += pre
    return tuple(found)


def merged_circuits(network: NetworkSpec) -> tuple[int, ...]:
    """For every population, how many circuits one neuron takes: one for each 128 inputs."""
    return tuple(-(-inputs // SIGNED_INPUTS) for inputs in fan_in(network))


def place_layer(
    layer: LayerSpec,
    pre: int,
    circuits: NDArray[np.int64],
    pattern: Mapping[str, Array],
    wanted: NeuronParameters | None = None,
) -> PlacedLayer:
    """A layer on given circuits.

    A neuron with more than 128 inputs takes several circuits with a common membrane: each
    brings its own slice of the inputs and its own synaptic strength; conductances add, so
    1/tau_mem is averaged and the leak potentials are averaged by conductance; synaptic
    time constants are averaged (a simplification: on a chip every slice keeps its own);
    the first circuit's threshold, reset and refractory time count.

    Args:
        layer: the layer.
        pre: number of its inputs.
        circuits: ``(post, merged)``.
        pattern: by name, one value for each circuit of the chip: ``tau_mem, tau_syn_exc,
            tau_syn_inh, strength_exc, strength_inh`` as factors, ``v_threshold, v_leak`` and
            perhaps ``v_reset`` as shifts in units of the leak-threshold distance, and perhaps
            ``t_refractory`` as a shift in model time, and ``dead``.
        wanted: what each neuron is to be; None: all of them nominal. Shifts of potentials are as
            large as those of nominal neurons.
    """
    neuron, merged = layer.neuron, circuits.shape[1]
    if wanted is None:
        wanted = NeuronParameters.uniform(neuron, len(circuits))
    # A read-out has no threshold that its potentials could be measured by: by that of the others.
    scale = 1.0 if neuron.never_spikes else neuron.v_threshold - neuron.v_leak
    conductance = 1 / pattern["tau_mem"][circuits]
    leak = np.average(pattern["v_leak"][circuits], axis=1, weights=conductance)
    first = circuits[:, 0]
    threshold = wanted.v_threshold + scale * pattern["v_threshold"][first]
    if "dead" in pattern:
        threshold = np.where(pattern["dead"][first], np.inf, threshold)
    reset, held = wanted.v_reset, wanted.t_refractory
    if "v_reset" in pattern:
        reset = reset + scale * pattern["v_reset"][first]
    if "t_refractory" in pattern:
        # However early a circuit lets go, it has held.
        held = np.maximum(held + pattern["t_refractory"][first], 0.1 * held)
    slices = np.minimum(np.arange(pre) // SIGNED_INPUTS, merged - 1)
    return PlacedLayer(
        circuits=circuits,
        parameters=NeuronParameters(
            tau_mem=wanted.tau_mem / conductance.mean(axis=1),
            tau_syn_exc=wanted.tau_syn_exc * pattern["tau_syn_exc"][circuits].mean(axis=1),
            tau_syn_inh=wanted.tau_syn_inh * pattern["tau_syn_inh"][circuits].mean(axis=1),
            v_threshold=threshold,
            v_leak=wanted.v_leak + scale * leak,
            v_reset=reset,
            t_refractory=held,
        ),
        strength_exc=pattern["strength_exc"][circuits].T[slices],
        strength_inh=pattern["strength_inh"][circuits].T[slices],
        scale=scale,
    )


def place_layers(
    network: NetworkSpec,
    circuits: Sequence[NDArray[np.int64]],
    pattern: Mapping[str, Array],
    own: OwnNeurons | None = None,
) -> tuple[PlacedLayer, ...]:
    """All populations of a network, each on its circuits; see ``place_layer``.

    Args:
        network, circuits, pattern: see there.
        own: what neurons are to have each for itself, checked; None: all are nominal.
    """
    each = zip(
        network.layers, fan_in(network), circuits, neurons_with(network, own or {}), strict=True
    )
    return tuple(
        place_layer(layer, inputs, chosen, pattern, wanted)
        for layer, inputs, chosen, wanted in each
    )
