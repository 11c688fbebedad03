"""The exact engine, compiled for the CPU: same answers as ``reference`` and ``gradient``.

float32 and float64, threads over the samples of a batch (``hxloop.engine.compiled.threads``). Spike
times do not depend on their number; the threads' shares of a weight gradient are added up in a
fixed order, so that two runs give the same bits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.engine.compiled.backward import backward_equal, backward_unequal, separable
from hxloop.engine.compiled.forward import forward_equal
from hxloop.engine.compiled.forward_unequal import forward_unequal
from hxloop.engine.compiled.threads import run_parts, samples_of_parts
from hxloop.network import NeuronParameters

Array = NDArray[np.float64]
# Real numbers of either precision, that of the weights.
Matrix = NDArray[np.float64] | NDArray[np.float32]

# Finding the spike of a neuron takes as long as so many pairs of inputs and neurons.
PAIRS_PER_SPIKE = 60


def use_kernels(weights: torch.Tensor) -> bool:
    """Whether a layer with these weights is computed here: on the CPU."""
    return weights.device.type == "cpu"


def first_spike_times_cpu(
    input_times: Array, weights: Matrix, layer: NeuronParameters, t_window: float
) -> Array:
    """First spike times of a layer; see ``hxloop.engine.first_spike_times``.

    Args:
        input_times: ``(batch, pre)`` float64, >= 0, no NaN; not checked here.
        weights: ``(pre, post)``, float32 or float64, finite: the precision of the membranes.
        layer: parameters of the ``post`` neurons.
        t_window: later spikes do not count.

    Returns:
        ``(batch, post)`` float64.
    """
    result = np.full((input_times.shape[0], weights.shape[1]), np.inf)
    threshold = layer.v_threshold - layer.v_leak
    tau = layer.equal_time_constants
    matrix = np.ascontiguousarray(weights)

    def part(chosen: slice) -> None:
        inputs = *sorted_inputs(input_times[chosen]), matrix
        if tau is not None:
            forward_equal(*inputs, *tau, threshold, t_window, result[chosen])
        else:
            constants = layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh
            forward_unequal(*inputs, *constants, threshold, t_window, result[chosen])

    if result.size:
        pre, post = weights.shape
        run_parts(samples_of_parts(result.shape[0], (pre + PAIRS_PER_SPIKE) * post), part)
    return result


def gradients_cpu(
    input_times: Array,
    weights: Matrix,
    recorded: Array,
    grad: Array,
    layer: NeuronParameters,
    min_slope: float,
    max_dw_norm: float,
    need_times: bool = True,
) -> tuple[Matrix, Array, tuple[int, int, int]]:
    """Gradients at recorded times; see ``hxloop.engine.gradient``.

    Where not ``need_times``, the gradient of the input times is left at zero.

    Returns:
        Gradient of the weights ``(pre, post)`` in their precision, of the input times
        ``(batch, pre)``, and the numbers of spikes, of spikes that do not rise, and of capped
        spikes.
    """
    matrix = np.ascontiguousarray(weights)
    times = np.ascontiguousarray(input_times)
    recorded, grad = np.ascontiguousarray(recorded), np.ascontiguousarray(grad)
    batch = times.shape[0]
    grad_times = np.zeros(times.shape)
    parts = samples_of_parts(batch, matrix.size + PAIRS_PER_SPIKE * matrix.shape[1])
    shares = [np.zeros(matrix.shape, matrix.dtype) for _ in parts]
    counts = np.zeros((len(parts), 3), dtype=np.int64)
    tau = layer.equal_time_constants
    if tau is not None and not separable(*tau, matrix.itemsize) and separable(*tau, 8):
        double = matrix.astype(np.float64), recorded, grad, layer, min_slope, max_dw_norm
        of_weights, of_times, counted = gradients_cpu(times, *double, need_times)
        return of_weights.astype(matrix.dtype), of_times, counted

    def part(chosen: slice) -> None:
        index = parts.index(chosen)
        data = times[chosen], matrix, recorded[chosen], grad[chosen]
        rules = min_slope, max_dw_norm, batch, need_times
        out = shares[index], grad_times[chosen], counts[index]
        if tau is not None and separable(*tau, matrix.itemsize):
            backward_equal(*data, *tau, *rules, *out)
        else:
            constants = layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh
            backward_unequal(*data, *constants, *rules, *out)

    if recorded.size and matrix.size:
        run_parts(parts, part)
    for share in shares[1:]:
        shares[0] += share
    total = counts.sum(axis=0)
    return shares[0], grad_times, (int(total[0]), int(total[1]), int(total[2]))


def sorted_inputs(input_times: Array) -> tuple[Array, NDArray[np.int64]]:
    """The input times of every sample in their order, and which input each of them is."""
    order = np.argsort(input_times, axis=1)
    return input_times[np.arange(len(order))[:, None], order], order
