"""First spike times of a layer, exactly and readably: the oracle of the project.

Works for any torch device and floating dtype and for every ratio of the time constants.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hxloop.engine.crossing import Membrane, first_crossing, propagate
from hxloop.engine.psp import peak_of_psp
from hxloop.errors import NetworkError, RunInputError
from hxloop.network import NeuronParameters, NeuronSpec


@torch.no_grad()
def first_spike_times(
    input_times: Tensor,
    weights: Tensor,
    neuron: NeuronSpec | NeuronParameters,
    t_window: float = math.inf,
) -> Tensor:
    """When each neuron of a layer first reaches its threshold.

    The state of a neuron (membrane and synaptic currents) is carried from input to input in
    local time, so no window is too long. In each interval a bound on the membrane rules most
    neurons out; for the rest the first crossing is computed (closed forms of Göltz et al. 2021
    for tau_mem/tau_syn = 1 and 2, a safeguarded Newton method for all other ratios and for
    different excitatory and inhibitory time constants).

    Args:
        input_times: ``(batch, pre)``, model time, >= 0; ``inf`` = no spike.
        weights: ``(pre, post)``, signed, finite.
        neuron: nominal neuron, or one set of parameters for each neuron of the layer.
        t_window: later spikes do not count.

    Returns:
        ``(batch, post)``, of the dtype and on the device of ``weights``; ``inf`` = silent.

    Raises:
        RunInputError: wrong shapes or dtypes, NaN, negative times or infinite weights.
        NetworkError: ``neuron`` does not describe ``post`` neurons.
    """
    check_layer_input(input_times, weights, t_window)
    layer = as_parameters(neuron, weights.shape[1])

    def tensor(values: np.ndarray) -> Tensor:
        # Equal parameters stay one number, so that exponentials are computed once a sample.
        uniform = values[:1] if values.size and (values == values[0]).all() else values
        return torch.tensor(uniform, dtype=weights.dtype, device=weights.device)

    tau_mem = tensor(layer.tau_mem)
    threshold = tensor(layer.v_threshold - layer.v_leak)
    if (layer.tau_syn_exc == layer.tau_syn_inh).all():
        tau_syn: tuple[Tensor, ...] = (tensor(layer.tau_syn_exc),)
        matrices: tuple[Tensor, ...] = (weights,)
    else:
        tau_syn = (tensor(layer.tau_syn_exc), tensor(layer.tau_syn_inh))
        matrices = (weights.clamp(min=0), weights.clamp(max=0))
    # Upper bound of the membrane without further input: excitation alone, at its peak. The
    # margin covers the rounding of the bound itself.
    margin = 1 + 64 * torch.finfo(weights.dtype).eps
    peaks = tuple(peak_of_psp(tau_mem, tau) * margin for tau in tau_syn)

    batch, post = input_times.shape[0], weights.shape[1]
    # Times keep their own precision: only the intervals between them are rounded.
    precision = torch.promote_types(input_times.dtype, weights.dtype)
    times, order = torch.sort(input_times.to(precision), dim=1, stable=True)
    n_inputs = (torch.isfinite(times) & (times <= t_window)).sum(dim=1)
    # After so long nothing is left of any state: it underflows.
    number = torch.finfo(weights.dtype)
    slowest = max(float(tau.max()) for tau in (tau_mem, *tau_syn))
    longest = -slowest * (math.log(number.smallest_normal) + math.log(number.eps / 2))

    result = torch.full((batch, post), torch.inf, dtype=precision, device=weights.device)
    result[:, (threshold <= 0).expand(post)] = 0
    alive = ((threshold > 0) & torch.isfinite(threshold)).expand(batch, post).clone()
    u = torch.zeros((batch, post), dtype=weights.dtype, device=weights.device)
    currents = tuple(torch.zeros_like(u) for _ in tau_syn)
    for i in range(int(n_inputs.max()) if batch and input_times.shape[1] else 0):
        valid = n_inputs > i
        now = times[:, i]
        last = n_inputs == i + 1
        following = times[:, i + 1] if i + 1 < times.shape[1] else now
        following = torch.where(last, torch.full_like(now, t_window), following)
        until = torch.where(valid, following - now, 0)[:, None].to(weights.dtype)
        length = until.clamp(max=longest)
        currents = tuple(
            current + torch.where(valid[:, None], matrix[order[:, i]], 0)
            for current, matrix in zip(currents, matrices, strict=True)
        )

        bound = u.clamp(min=0)
        for current, peak in zip(currents, peaks, strict=True):
            bound = bound + current.clamp(min=0) * peak
        sample, index = (alive & (bound >= threshold) & valid[:, None]).nonzero(as_tuple=True)
        if sample.numel():

            def pick(values: Tensor, sample: Tensor = sample, index: Tensor = index) -> Tensor:
                return values.expand(batch, post)[sample, index]

            membrane = Membrane(
                pick(u),
                tuple(pick(current) for current in currents),
                pick(tau_mem),
                tuple(pick(tau) for tau in tau_syn),
                pick(threshold),
            )
            crossing = now[sample] + first_crossing(membrane, pick(until))
            result[sample, index] = crossing
            alive[sample, index] = torch.isinf(crossing)

        u = propagate(u, currents, length, tau_mem, tau_syn)
        currents = tuple(
            current * torch.exp(-length / tau)
            for current, tau in zip(currents, tau_syn, strict=True)
        )
    return torch.where(result <= t_window, result, torch.inf).to(weights.dtype)


def as_parameters(neuron: NeuronSpec | NeuronParameters, post: int) -> NeuronParameters:
    """Per-neuron parameters of a layer of ``post`` neurons.

    Raises:
        NetworkError: parameters of another number of neurons.
    """
    if isinstance(neuron, NeuronSpec):
        return NeuronParameters.uniform(neuron, post)
    if neuron.n_neurons != post:
        raise NetworkError(
            f"neuron: expected parameters of {post} neurons, one for each column of the weights; "
            f"got {neuron.n_neurons}"
        )
    return neuron


def check_layer_input(input_times: Tensor, weights: Tensor, t_window: float) -> None:
    """Refuse input that no layer can be computed from.

    Raises:
        RunInputError: wrong shapes or dtypes, NaN, negative times or infinite weights.
    """
    if input_times.ndim != 2 or weights.ndim != 2 or input_times.shape[1] != weights.shape[0]:
        raise RunInputError(
            "expected input_times (batch, pre) and weights (pre, post) with the same pre; got "
            f"{tuple(input_times.shape)} and {tuple(weights.shape)}"
        )
    if weights.dtype not in (torch.float32, torch.float64):
        raise RunInputError(f"weights: expected float32 or float64; got {weights.dtype}")
    if not input_times.dtype.is_floating_point:
        raise RunInputError(f"input_times: expected a floating dtype; got {input_times.dtype}")
    if not bool(torch.isfinite(weights).all()):
        raise RunInputError("weights: expected finite numbers; got NaN or inf")
    if bool(torch.isnan(input_times).any()) or bool((input_times < 0).any()):
        raise RunInputError(
            "input_times: expected times >= 0 (inf = no spike); got NaN or negative times"
        )
    if not t_window > 0:
        raise RunInputError(f"t_window: expected a positive time; got {t_window}")
