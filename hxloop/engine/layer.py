"""Which implementation computes a layer: compiled on the CPU, else the reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hxloop import checks
from hxloop.checks.tensors import real_tensor
from hxloop.engine import reference
from hxloop.engine.compiled.interface import first_spike_times_cpu, use_kernels
from hxloop.errors import RunInputError
from hxloop.network import NeuronParameters, NeuronSpec


@torch.no_grad()
def first_spike_times(
    input_times: Tensor,
    weights: Tensor,
    neuron: NeuronSpec | NeuronParameters,
    t_window: float = math.inf,
) -> Tensor:
    """When each neuron of a layer first reaches its threshold, exactly.

    Tensors on the CPU go to the compiled kernels, others (CUDA) to ``hxloop.engine.reference``;
    both give the same answer.

    Args:
        input_times: ``(batch, pre)``, model time, >= 0; ``inf`` = no spike.
        weights: ``(pre, post)``, signed, finite, float32 or float64.
        neuron: nominal neuron, or one set of parameters for each neuron of the layer.
        t_window: later spikes do not count.

    Returns:
        ``(batch, post)``, of the dtype and on the device of ``weights``; ``inf`` = silent.

    Raises:
        RunInputError: wrong shapes or dtypes, NaN, negative times or infinite weights.
        NetworkError: ``neuron`` does not describe ``post`` neurons.
    """
    input_times = real_tensor("input_times", input_times)
    weights = real_tensor("weights", weights)
    t_window = checks.number("t_window", t_window, above=0, finite=False, error=RunInputError)
    reference.check_layer_input(input_times, weights, t_window)
    if not use_kernels(weights):
        return reference.first_spike_times(input_times, weights, neuron, t_window)
    layer = reference.as_parameters(neuron, weights.shape[1])
    times = first_spike_times_cpu(
        input_times.to(torch.float64).numpy(force=True), weights.numpy(force=True), layer, t_window
    )
    return torch.from_numpy(times).to(weights.dtype)
