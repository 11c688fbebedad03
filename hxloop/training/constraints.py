"""What parameters may be, seen to after every step: signs, shortest delays, ranges, thresholds."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hxloop.network import NetworkSpec
from hxloop.substrate import Session
from hxloop.training.own_neurons import enforce_neurons


@torch.no_grad()
def enforce_dale(network: NetworkSpec, weights: Iterable[Tensor]) -> int:
    """Set weights to 0 whose sign their neuron may not have; see ``LoopNetwork.enforce_dale``."""
    changed = 0
    for (pre, _), own in zip(network.ends, weights, strict=True):
        if pre < 0:
            continue
        layer = network.layers[pre]
        if layer.n_inhibitory and own.requires_grad:
            excitatory = own[: layer.n_excitatory]
            inhibitory = own[layer.n_excitatory :]
            changed += int((excitatory < 0).sum()) + int((inhibitory > 0).sum())
            excitatory.clamp_(min=0)
            inhibitory.clamp_(max=0)
    return changed


@torch.no_grad()
def enforce_delays(network: NetworkSpec, delays: Iterable[Tensor]) -> int:
    """Set delays that are too short to the shortest; see ``LoopNetwork.enforce_delays``."""
    delayed = [each for each in network.all_projections if each.delays]
    changed = 0
    for projection, own in zip(delayed, delays, strict=True):
        changed += int((own < projection.min_delay).sum())
        own.clamp_(min=projection.min_delay)
    return changed


@torch.no_grad()
def clip_weights(weights: Iterable[Tensor], limit: float | None) -> tuple[int, ...]:
    """Clip to a range; see ``LoopNetwork.clip_weights``."""
    each = list(weights)
    if limit is None:
        return (0,) * len(each)
    beyond = tuple(int((own.abs() > limit).sum()) for own in each)
    for own in each:
        if own.requires_grad:
            own.clamp_(-limit, limit)
    return beyond


class KeepsBounds:
    """What has the parameters of a network, and sees to it that they are what they may be."""

    session: Session
    weights: nn.ParameterList
    delays: nn.ParameterList
    neurons: nn.ParameterDict

    def enforce_dale(self) -> int:
        """Set weights whose sign their neuron may not have to 0, see ``LayerSpec``.

        Weights that are not trained (``requires_grad_(False)``) are left as they are.

        Returns:
            How many weights were changed.
        """
        return enforce_dale(self.session.network, self.weights)

    def enforce_delays(self) -> int:
        """Set delays below the ``min_delay`` of their projection to it; how many were changed."""
        return enforce_delays(self.session.network, self.delays)

    def enforce_neurons(self) -> int:
        """Set trained parameters of neurons that no neuron may have to the nearest that it may.

        Time constants are 0.05 or more (or nominal, where that is less), thresholds above leak
        and reset by a twentieth of the nominal distance from leak to threshold.

        Returns:
            How many were changed.
        """
        return enforce_neurons(self.session.network, dict(self.neurons))

    def clip_weights(self, limit: float | None) -> tuple[int, ...]:
        """Clip to the substrate's range; for each layer, how many weights lay beyond it.

        Weights that are not trained (``requires_grad_(False)``) are left as they are, and
        counted: the substrate clips them in every run.
        """
        return clip_weights(self.weights, limit)
