"""Membranes of leaky read-outs as tensors, with the exact gradient of their highest points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.activity import Activity, Spikes
from hxloop.engine.membrane_peaks import membrane_peak_gradients, membrane_peaks
from hxloop.errors import NetworkError
from hxloop.network import NetworkSpec, Parameters
from hxloop.training.own_neurons import of_time_constant, parts_of
from hxloop.training.trains import SpikeTrain

# What can be read of the population that decides, see ``LoopNetwork.output``.
FIRST, SPIKES, MEMBRANE = READS = ("first", "spikes", "membrane")


@dataclass(frozen=True)
class _Run:
    network: NetworkSpec
    activity: Activity
    n_weights: int = 0
    delayed: tuple[int, ...] = ()
    own: tuple[str, ...] = ()
    begin: float = 0.0

    @property
    def of_session(self) -> tuple[NetworkSpec, Parameters, tuple[Spikes, ...], int]:
        """What the engine takes first."""
        activity = self.activity
        sources = (activity.inputs, *activity.spikes)
        return self.network, activity.parameters, sources, self.network.output_index


class _Peaks(torch.autograd.Function):
    """Highest membranes forward; backward by the envelope theorem."""

    @staticmethod
    def forward(ctx: Any, run: _Run, inputs: Tensor, *tensors: Tensor) -> Tensor:
        """``(batch, n_outputs)``; ``tensors``: times of each population, weights, delays, own."""
        found = membrane_peaks(*run.of_session, begin=run.begin)
        ctx.run, ctx.peak_times, ctx.shape = run, found.times, inputs.shape
        return torch.from_numpy(found.values)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input times, spike times, weights, delays and neurons."""
        run: _Run = ctx.run
        of_values = grad_outputs[0].to(torch.float64).numpy(force=True)
        output = run.network.populations[run.network.output_index].name
        names = [name if each == output else None for each, name in map(parts_of, run.own)]
        found = membrane_peak_gradients(
            *run.of_session,
            times=ctx.peak_times,
            of_values=of_values,
            begin=run.begin,
            time_constants=any(names),
        )
        inputs = None
        if ctx.needs_input_grad[1]:
            inputs = torch.zeros(ctx.shape, dtype=torch.float64)
            spikes = run.activity.inputs
            inputs[spikes.samples, spikes.units] = torch.from_numpy(found.spikes[0])
        weights: list[Tensor | None] = [None] * run.n_weights
        delays: list[Tensor | None] = [None] * len(run.delayed)
        for i, of_weights, of_delays in zip(
            found.projections, found.weights, found.delays, strict=True
        ):
            weights[i] = torch.from_numpy(np.ascontiguousarray(of_weights))
            if of_delays is not None:
                delays[run.delayed.index(i)] = torch.from_numpy(np.ascontiguousarray(of_delays))
        taus = found.time_constants
        own = [
            None if taus is None or name is None
            else torch.from_numpy(of_time_constant(taus, name).copy())
            for name in names
        ]  # fmt: skip
        return None, inputs, *map(torch.from_numpy, found.spikes[1:]), *weights, *delays, *own


def peaks_of_membranes(
    network: NetworkSpec,
    activity: Activity,
    trains: Sequence[SpikeTrain],
    weights: Sequence[Tensor],
    delays: Sequence[Tensor] = (),
    input_times: Tensor | None = None,
    neurons: Mapping[str, Tensor] | None = None,
    *,
    begin: float = 0.0,
) -> Tensor:
    """The highest membranes of the population that decides, a leaky read-out.

    Args:
        network: with a read-out (``v_threshold = inf``) as output.
        activity: of a run.
        trains: its spikes with gradient, see ``recorded_spike_trains``.
        weights, delays, input_times, neurons: as there.
        begin: from when on the membranes are read, model time.

    Returns:
        ``(batch, n_outputs)``, above leak, 0 or more.

    Raises:
        NetworkError: the population that decides spikes, or the window ends before ``begin``.
    """
    check_readout(network, begin)
    delayed = tuple(i for i, shape in enumerate(network.delay_shapes) if shape is not None)
    own = {} if neurons is None else neurons
    run = _Run(network, activity, len(weights), delayed, tuple(own), begin)
    none = torch.empty(0, dtype=torch.float64)
    given = none if input_times is None else input_times
    tensors = *(each.times for each in trains), *weights, *delays, *own.values()
    found: Tensor = _Peaks.apply(run, given, *tensors)
    return found


def membranes_of(
    network: NetworkSpec, activity: Activity, *, begin: float = 0.0
) -> NDArray[np.float64]:
    """The same as numbers, without gradient.

    Raises:
        NetworkError: the population that decides spikes, or the window ends before ``begin``.
    """
    check_readout(network, begin)
    return membrane_peaks(*_Run(network, activity).of_session, begin=begin).values


def check_readout(network: NetworkSpec, begin: float = 0.0) -> None:
    """Check that the population that decides is a leaky read-out that can be read from then on.

    Raises:
        NetworkError: it spikes, or the window ends before ``begin``.
    """
    output = network.populations[network.output_index]
    if not output.neuron.never_spikes:
        raise NetworkError(
            f"population {output.name!r} of network {network}: expected a leaky read-out "
            f"(v_threshold = inf), whose membrane decides; got v_threshold = "
            f"{output.neuron.v_threshold:g}"
        )
    if begin >= network.t_window:
        raise NetworkError(
            f"read-out {output.name!r} of network {network}: expected to be read from a time "
            f"before the window ends (t_window = {network.t_window:g}); got begin = {begin:g}"
        )
