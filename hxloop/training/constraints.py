"""What weights and delays may be, seen to after every step: signs, shortest delays, the range."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from hxloop.network import NetworkSpec


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
