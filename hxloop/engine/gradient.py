"""Exact gradients of spike times that were measured, not computed.

The substrate says *when* a neuron spiked; the model says how that time would move. At a
recorded time T the membrane of the nominal neuron has the value of the threshold it had on
the substrate, whatever that was, and the implicit function theorem gives (Göltz et al. 2021,
eqs. 10-13, written for every ratio of the time constants)::

    dT/dw_i = -k(T - t_i) / V'(T)          dT/dt_i = w_i k'(T - t_i) / V'(T)
    V'(T) = sum_i w_i k'(T - t_i)

over the causal inputs, ``t_i < T``. A shift of all inputs shifts the spike, so the dT/dt_i
of one neuron add up to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hxloop.checks.tensors import real_tensor
from hxloop.engine.compiled.interface import gradients_cpu, use_kernels
from hxloop.engine.psp import psp, psp_derivative
from hxloop.engine.reference import as_parameters
from hxloop.errors import RunInputError
from hxloop.network import NeuronParameters, NeuronSpec

# Elements of the largest temporary array (samples x pre x post): 32 MB in float64.
CHUNK_ELEMENTS = 1 << 22


@dataclass
class GradientCounts:
    """What the backward passes met since the counts were last reset.

    Attributes:
        n_spikes: recorded spikes that were differentiated.
        n_not_rising: of these, spikes at which the model's membrane does not rise; their
            gradient is zero, because the model cannot explain them.
        n_capped: of these, spikes whose weight gradient exceeded ``max_dw_norm``; zero too.
    """

    n_spikes: int = 0
    n_not_rising: int = 0
    n_capped: int = 0

    def reset(self) -> None:
        """Start counting from zero."""
        self.n_spikes = self.n_not_rising = self.n_capped = 0


class RecordedSpikeTimes(torch.autograd.Function):
    """Autograd function behind ``recorded_spike_times``; use that."""

    @staticmethod
    def forward(
        ctx: Any,
        input_times: Tensor,
        weights: Tensor,
        recorded: Tensor,
        weights_used: Tensor,
        layer: NeuronParameters,
        max_dw_norm: float | None,
        min_slope: float,
        counts: GradientCounts | None,
    ) -> Tensor:
        """Return the recorded times; remember what the derivative needs."""
        ctx.save_for_backward(input_times, recorded, weights_used)
        ctx.layer, ctx.max_dw_norm, ctx.min_slope = layer, max_dw_norm, min_slope
        ctx.counts, ctx.weights_dtype = counts, weights.dtype
        return recorded.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Implicit derivative at the recorded times, in chunks of samples."""
        (grad,) = grad_outputs
        input_times, recorded, weights = ctx.saved_tensors
        counts = ctx.counts if ctx.counts is not None else GradientCounts()
        _check_gradient(grad, recorded)
        batch, (pre, post) = recorded.shape[0], weights.shape
        if use_kernels(weights):
            gradients = _compiled(ctx, grad, counts)
            for values, what in zip(gradients, ("input times", "weights"), strict=True):
                _check_result(values, what)
            return (*gradients, None, None, None, None, None, None)
        grad_weights = torch.zeros_like(weights)
        grad_times = torch.zeros_like(input_times)
        size = max(1, CHUNK_ELEMENTS // max(1, pre * post))
        for start in range(0, batch, size):
            part = slice(start, start + size)
            d_weights, d_times = chunk_gradient(
                input_times[part], weights, recorded[part], grad[part], batch, ctx, counts
            )
            grad_weights += d_weights
            grad_times[part] = d_times
        _check_result(grad_times, "input times")
        _check_result(grad_weights, "weights")
        return grad_times, grad_weights, None, None, None, None, None, None


def _check_gradient(grad: Tensor, recorded: Tensor) -> None:
    # The sum is cheap, and finite but for NaN, infinities and overflow.
    if math.isfinite(float(grad.sum())):
        return
    wrong = ~torch.isfinite(grad) & torch.isfinite(recorded)
    if bool(wrong.any()):
        sample, neuron = (int(i) for i in wrong.nonzero()[0])
        value = float(grad[sample, neuron])
        got = "NaN" if math.isnan(value) else value
        raise RunInputError(
            "gradient of the loss with respect to the spike times: expected finite numbers; got "
            f"{got} at sample {sample}, neuron {neuron}, which spiked at "
            f"{float(recorded[sample, neuron]):.4g}. Does the loss take the silent neurons (inf) "
            "into account, and late spikes without overflow?"
        )


def _check_result(values: Tensor | None, of_what: str) -> None:
    if values is None or math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all()):
        return
    raise RunInputError(
        f"gradient of the {of_what}: more than a number of {values.dtype} can hold. The gradient "
        "of the loss with respect to the spike times is too large; lower it, set max_dw_norm, or "
        "compute in double precision"
    )


def recorded_spike_times(
    input_times: Tensor,
    weights: Tensor,
    recorded: Tensor,
    neuron: NeuronSpec | NeuronParameters,
    *,
    weights_used: Tensor | None = None,
    max_dw_norm: float | None = None,
    min_slope: float = 1e-6,
    counts: GradientCounts | None = None,
) -> Tensor:
    """The recorded spike times of a layer, with the gradient of the model at those times.

    Args:
        input_times: ``(batch, pre)``, as delivered to the layer; ``inf`` = no spike.
        weights: ``(pre, post)``, the weights that are trained.
        recorded: ``(batch, post)``, first spike times as measured; ``inf`` = silent.
        neuron: the model that is differentiated; its threshold and leak do not matter.
        weights_used: ``(pre, post)``, the weights as the substrate held them (rounded,
            clipped), at which the model is differentiated; the gradient is passed straight
            through to ``weights``. None: the same as ``weights``.
        max_dw_norm: cap on the gradient. A spike for which ``|dL/dT| max_i |dT/dw_i|``, taken
            for the loss of a single sample (a mean over the batch is multiplied back),
            exceeds it passes no gradient on. Such spikes graze the threshold, where the
            derivative diverges. Göltz et al. zero the weight gradient alone; here the spike
            passes no gradient to earlier layers either. None: no cap.
        min_slope: spikes at which the model's membrane rises more slowly than this get no
            gradient.
        counts: where to count spikes and zeroed gradients.

    Returns:
        ``(batch, post)``, equal to ``recorded``. Silent neurons pass no gradient.

    Raises:
        RunInputError: shapes that do not fit, NaN among the recorded times, or, on the backward
            pass, NaN or an infinity in the gradient of a spike that was recorded, or a gradient
            that overflows.
        NetworkError: ``neuron`` does not describe ``post`` neurons.
    """
    input_times, weights = real_tensor("input_times", input_times), real_tensor("weights", weights)
    recorded = real_tensor("recorded", recorded)
    used = weights.detach() if weights_used is None else real_tensor("weights_used", weights_used)
    if (
        input_times.ndim != 2
        or weights.shape != (input_times.shape[1], recorded.shape[-1])
        or recorded.shape[:-1] != input_times.shape[:1]
        or used.shape != weights.shape
    ):
        raise RunInputError(
            "expected input_times (batch, pre), weights and weights_used (pre, post), recorded "
            f"(batch, post); got {tuple(input_times.shape)}, {tuple(weights.shape)}, "
            f"{tuple(used.shape)}, {tuple(recorded.shape)}"
        )
    for name, times in (("recorded", recorded), ("input_times", input_times)):
        # False of NaN, too; an empty batch has nothing to compare.
        if times.numel() and not bool(times.detach().min() >= 0):
            found = "NaN" if bool(torch.isnan(times).any()) else "a negative time"
            raise RunInputError(f"{name}: {found} among the spike times; no spike is inf")
    layer = as_parameters(neuron, weights.shape[1])
    result: Tensor = RecordedSpikeTimes.apply(
        input_times, weights, recorded, used, layer, max_dw_norm, min_slope, counts
    )
    return result


def _compiled(ctx: Any, grad: Tensor, counts: GradientCounts) -> tuple[Tensor | None, Tensor]:
    """Gradients (input_times, weights) by the compiled kernel."""
    input_times, recorded, weights = ctx.saved_tensors
    cap = math.inf if ctx.max_dw_norm is None else ctx.max_dw_norm
    grad_weights, grad_times, (n_spikes, n_not_rising, n_capped) = gradients_cpu(
        input_times.to(torch.float64).numpy(force=True),
        weights.numpy(force=True),
        recorded.to(torch.float64).numpy(force=True),
        grad.to(torch.float64).numpy(force=True),
        ctx.layer,
        ctx.min_slope,
        cap,
        ctx.needs_input_grad[0],
    )
    counts.n_spikes += n_spikes
    counts.n_not_rising += n_not_rising
    counts.n_capped += n_capped
    return (
        torch.from_numpy(grad_times).to(input_times.dtype) if ctx.needs_input_grad[0] else None,
        torch.from_numpy(grad_weights).to(ctx.weights_dtype),
    )


def chunk_gradient(
    input_times: Tensor,
    weights: Tensor,
    recorded: Tensor,
    grad: Tensor,
    batch: int,
    ctx: Any,
    counts: GradientCounts,
) -> tuple[Tensor, Tensor]:
    """Gradients (weights, input_times) of one chunk of samples."""
    layer: NeuronParameters = ctx.layer

    def tensor(values: Any) -> Tensor:
        uniform = values[:1] if (values == values[0]).all() else values
        return torch.tensor(uniform, dtype=weights.dtype, device=weights.device)

    tau_mem, tau_syn = tensor(layer.tau_mem), tensor(layer.tau_syn_exc)
    if (layer.tau_syn_exc != layer.tau_syn_inh).any():
        tau_syn = torch.where(weights > 0, tau_syn, tensor(layer.tau_syn_inh))

    # inf - inf would be NaN: silent neurons and silent inputs are taken out before subtracting.
    spiked = torch.isfinite(recorded)
    post_times = torch.where(spiked, recorded, torch.zeros_like(recorded))
    received = torch.isfinite(input_times)
    pre_times = torch.where(received, input_times, torch.zeros_like(input_times))
    distance = post_times[:, None, :] - pre_times[:, :, None]
    causal = (distance > 0) & spiked[:, None, :] & received[:, :, None]
    distance = torch.where(causal, distance, torch.zeros_like(distance)).to(weights.dtype)
    grad = grad.to(weights.dtype)
    kernel = psp(distance, tau_mem, tau_syn)  # 0 where not causal
    weighted_slope = torch.where(causal, weights * psp_derivative(distance, tau_mem, tau_syn), 0.0)

    slope = weighted_slope.sum(dim=1)
    rising = spiked & (slope > ctx.min_slope)
    factor = torch.where(rising, grad / torch.where(rising, slope, 1.0), 0.0)
    counts.n_spikes += int(spiked.sum())
    counts.n_not_rising += int((spiked & ~rising).sum())
    if ctx.max_dw_norm is not None:
        norm = factor.abs() * kernel.abs().amax(dim=1) * batch
        capped = norm > ctx.max_dw_norm
        counts.n_capped += int(capped.sum())
        factor = torch.where(capped, torch.zeros_like(factor), factor)

    grad_weights = -torch.einsum("bij,bj->ij", kernel, factor)
    grad_times = torch.einsum("bij,bj->bi", weighted_slope, factor)
    return grad_weights, grad_times
