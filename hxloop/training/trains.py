"""Recorded spike trains as tensors: times that carry the exact gradient of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hxloop.activity import Activity, Spikes
from hxloop.engine import GradientCounts
from hxloop.engine.spike_gradient import spike_gradients
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, Parameters
from hxloop.network.own_neurons import OwnNeurons
from hxloop.training.own_neurons import gradients_of, has_time_constants
from hxloop.training.twin import TwinOfRun


@dataclass(frozen=True)
class SpikeTrain:
    """The spikes of one population, as recorded, with the gradient of the model.

    Attributes:
        times: ``(spikes,)``, float64, sorted by sample and time, like ``spikes.times``.
        spikes: the same without a gradient, and which neuron and sample each is of.
        t_window: until when spikes were observed.
    """

    times: Tensor
    spikes: Spikes
    t_window: float

    @cached_property
    def first(self) -> Tensor:
        """``(batch, neurons)``, first spike times with gradient; ``inf`` = silent."""
        return self.dense(0)

    def dense(self, k: int) -> Tensor:
        """``(batch, neurons)``, times of spike number k, from 0; ``inf`` = no such spike."""
        spikes = self.spikes
        chosen = np.flatnonzero(spikes.ranks == k)
        cells = torch.from_numpy(spikes.cells[chosen])
        empty = torch.full((spikes.batch * spikes.n_units,), torch.inf, dtype=self.times.dtype)
        dense = empty.scatter(0, cells, self.times[torch.from_numpy(chosen)])
        return dense.reshape(spikes.batch, spikes.n_units)

    def summed(self, values: Tensor) -> Tensor:
        """``(batch, neurons)``, of each neuron the sum over its spikes.

        Args:
            values: ``(spikes,)``, one for each spike.
        """
        spikes = self.spikes
        cells = torch.from_numpy(spikes.cells)
        zero = torch.zeros(spikes.batch * spikes.n_units, dtype=values.dtype)
        return zero.index_add(0, cells, values).reshape(spikes.batch, spikes.n_units)


class _Recorded(torch.autograd.Function):
    """Recorded times forward; backward one sweep over all of them."""

    @staticmethod
    def forward(
        ctx: Any,
        network: NetworkSpec,
        activity: Activity,
        options: dict[str, Any],
        twin: TwinOfRun | None,
        own: tuple[str, ...],
        input_times: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        """The times of each population, ``(spikes,)``."""
        ctx.network, ctx.activity, ctx.options, ctx.own = network, activity, options, own
        ctx.twin = twin
        ctx.input_shape = input_times.shape
        ctx.set_materialize_grads(False)
        return tuple(torch.tensor(spikes.times) for spikes in activity.spikes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of input times, weights, delays and neurons."""
        activity: Activity = ctx.activity
        of_spikes: list[NDArray[np.float64] | None] = []
        for index, grad in enumerate(grad_outputs):
            if grad is None:
                of_spikes.append(None)
                continue
            values = grad.to(torch.float64).numpy(force=True)
            if not np.isfinite(values).all():
                spikes = activity.spikes[index]
                k = int(np.argmax(~np.isfinite(values)))
                name = ctx.network.populations[index].name
                raise RunInputError(
                    "gradient of the loss with respect to the spike times: expected finite "
                    f"numbers; got {values[k]} at the spike of neuron {spikes.units[k]} of {name} "
                    f"at {spikes.times[k]:.4g} in sample {spikes.samples[k]}"
                )
            of_spikes.append(values)
        twin: TwinOfRun | None = ctx.twin
        held = activity.parameters if twin is None else twin.parameters
        found = spike_gradients(
            ctx.network, held, activity.inputs, activity.spikes, of_spikes,
            None if twin is None else twin.neurons, **ctx.options,
            time_constants=has_time_constants(ctx.own),
        )  # fmt: skip
        inputs = None
        if ctx.needs_input_grad[5]:
            inputs = torch.zeros(ctx.input_shape, dtype=torch.float64)
            spikes = activity.inputs
            inputs[spikes.samples, spikes.units] = torch.from_numpy(found.inputs)
        delays = [torch.from_numpy(each) for each in found.delays if each is not None]
        own = gradients_of(ctx.network, found, ctx.own)
        of_weights = found.weights if twin is None else twin.of_held(found.weights)
        weights = map(torch.from_numpy, of_weights)
        return None, None, None, None, None, inputs, *weights, *delays, *own


def recorded_spike_trains(
    network: NetworkSpec,
    activity: Activity,
    weights: Sequence[Tensor],
    delays: Sequence[Tensor] = (),
    neurons: Mapping[str, Tensor] | None = None,
    *,
    input_times: Tensor | None = None,
    max_dw_norm: float | None = None,
    counts: GradientCounts | None = None,
    twin: TwinOfRun | None = None,
) -> tuple[SpikeTrain, ...]:
    """The recorded spikes of every population, with the gradient of the model at them.

    Args:
        network: any network.
        activity: of a run; the gradient is taken at the parameters that it was run with, and
            passed straight through to those that are trained.
        weights: that are trained, ``(pre, post)`` for each projection.
        delays: that are trained, for each projection that has delays.
        neurons: that are trained, ``(neurons,)`` by key, see ``hxloop.training.own_neurons``.
        input_times: ``(batch, n_inputs)``, of inputs that spike once; given, they get a gradient.
        max_dw_norm: see ``hxloop.engine.spike_gradient.spike_gradients``.
        counts: where to count spikes and gradients that were not passed on.
        twin: the neurons as they are measured to be; None: nominal ones.
    """
    options = {"max_dw_norm": max_dw_norm, "counts": counts}
    none = torch.empty(0, dtype=torch.float64)
    given = none if input_times is None else input_times
    own = {} if neurons is None else neurons
    parameters = *weights, *delays, *own.values()
    times = _Recorded.apply(network, activity, options, twin, tuple(own), given, *parameters)
    window = network.t_window
    return tuple(
        SpikeTrain(own, spikes, window) for own, spikes in zip(times, activity.spikes, strict=True)
    )


def with_delays(
    network: NetworkSpec, weights: Sequence[Any], delays: Sequence[Any], neurons: OwnNeurons
) -> Parameters:
    """Parameters of the weights of all projections, and the delays of those that have any."""
    left = iter(delays)
    return Parameters(
        tuple(weights),
        tuple(None if shape is None else next(left) for shape in network.delay_shapes),
        neurons,
    )


def follows(asked: object) -> bool:
    """Whether a gradient of input times is asked for."""
    return isinstance(asked, Tensor) and asked.requires_grad and torch.is_grad_enabled()


def following(delivered: NDArray[np.float64], asked: ArrayLike) -> Tensor:
    """Delivered input times, with the gradient of those asked for where there is one."""
    times = torch.tensor(delivered)
    if not (isinstance(asked, Tensor) and follows(asked)):
        return times
    source = asked.to(torch.float64).cpu()
    both = torch.isfinite(times) & torch.isfinite(source.detach())
    moved = torch.where(both, times - source.detach(), 0.0)
    return torch.where(both, source + moved, times)
