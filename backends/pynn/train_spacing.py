"""How far apart samples have to be on one time axis, where neurons spike more than once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hxloop.backends.pynn.schedule import Array, falls_below
from hxloop.engine.psp import psp_after, time_of_peak
from hxloop.network import NetworkSpec, NeuronSpec


def train_spacing(
    network: NetworkSpec,
    weights: Sequence[Array],
    *,
    last_input: float,
    input_spikes: Array,
    held: Sequence[float],
    residue: float,
) -> float:
    """After how long nothing is left of a sample, in a chain of neurons that spike again.

    **The last spike.** A membrane crosses the threshold only if it rises there, that is if the
    current I is at least ``(v_threshold - v_leak)/tau_mem``. After the last spike of what drives a
    neuron, at T, its current only decays: ``I(t) <= I_max exp(-(t - T)/tau_syn)``. So its own last
    spike is not later than ``T + tau_syn log(I_max tau_mem/(v_threshold - v_leak))``, and not than
    T if that is negative. A neuron of which two spikes are at least r apart has never more current
    left of all its spikes than ``sum_n exp(-n r/tau_syn) = 1/(1 - exp(-r/tau_syn))`` times that of
    one; a channel of the input than the number of its spikes. So ``I_max`` is the largest sum of
    positive weights, each times that of its source; and from the input on, one population after the
    other, this bounds the last spike of all. It does not depend on resets.

    **What is left.** From ``s``, the last spike and the time its neuron is then held, or the last
    one that drives it, membranes are free. There a membrane is not further from leak than H, the
    largest of ``v_threshold - v_leak``, ``|v_reset - v_leak|`` and ``tau_mem I_all`` (to which a
    lasting current ``I_all``, the sum of all ``|w|``, would take it). Later it is not further than
    ``H exp(-(t - s)/tau_mem) + I_all k(t - s)``, with k the response to one spike; which is what
    the next sample finds, and what currents that are left do to it later.

    In a loop T is a spike of the neuron's own: there is no bound, and it may go on for ever.

    Args:
        network: a chain.
        weights: one matrix ``(pre, post)`` for each population, as held.
        last_input: when the last input of any sample arrives, model time.
        input_spikes: ``(n_inputs,)``, the most spikes that a channel has in a sample.
        held: for each population how long a neuron is held after a spike: more than 0, finite.
        residue: what may be left of a membrane potential, in units of the weights.

    Returns:
        The shortest time from one sample to the next, ``t_window`` at least.
    """
    settled = network.t_window
    all_currents = [np.abs(matrix) for matrix in weights]
    strongest = strongest_currents(network, all_currents, input_spikes, held)
    last = last_spikes(network, weights, last_input, input_spikes, held)
    for layer, hold, total, own in zip(network.layers, held, strongest, last, strict=True):
        neuron = layer.neuron
        height = max(
            neuron.v_threshold - neuron.v_leak,
            abs(neuron.v_reset - neuron.v_leak),
            neuron.tau_mem * total,
        )
        settled = max(settled, own + hold + _fades(neuron, height, total, residue))
    return settled


def last_spikes(
    network: NetworkSpec,
    weights: Sequence[Array],
    last_input: float,
    input_spikes: Array,
    held: Sequence[float],
) -> list[float]:
    """No neuron of each population spikes later; arguments and derivation: ``train_spacing``."""
    found, last = [], last_input
    positive = [np.maximum(matrix, 0) for matrix in weights]
    drives = strongest_currents(network, positive, input_spikes, held)
    for layer, drive in zip(network.layers, drives, strict=True):
        neuron = layer.neuron
        least = (neuron.v_threshold - neuron.v_leak) / neuron.tau_mem
        last += neuron.tau_syn * math.log(max(drive / least, 1.0))
        found.append(last)
    return found


def strongest_currents(
    network: NetworkSpec, weights: Sequence[Array], input_spikes: Array, held: Sequence[float]
) -> list[float]:
    """No neuron of each population has more current; ``weights`` not negative, else as there."""
    found, of_source = [], np.asarray(input_spikes, np.float64)
    for layer, matrix, hold in zip(network.layers, weights, held, strict=True):
        found.append(float((matrix * of_source[:, None]).sum(axis=0).max()))
        of_source = np.full(layer.n_neurons, -1 / math.expm1(-hold / layer.neuron.tau_syn))
    return found


def _fades(neuron: NeuronSpec, height: float, current: float, residue: float) -> float:
    """Time from which nothing above ``residue`` is left of a membrane and a current."""
    mem, syn = neuron.tau_mem, neuron.tau_syn

    def left(s: float) -> float:
        return height * math.exp(-s / mem) + current * float(psp_after(s, mem, syn))

    return falls_below(left, time_of_peak(mem, syn), residue)
