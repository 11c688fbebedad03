"""Losses by name, those of other packages among them."""

from __future__ import annotations

from typing import Any

from hxloop.registry import Registry
from hxloop.training.losses.all_spikes import SpikeCountLoss, TimeWeightedSpikesLoss
from hxloop.training.losses.first_spike import TimeToFirstSpikeLoss
from hxloop.training.losses.membrane import MaxMembraneLoss
from hxloop.training.losses.protocol import Loss
from hxloop.training.losses.target_time import ShiftInvariantTargetLoss, TargetTimeLoss

LOSSES: dict[str, type[Any]] = {
    loss.name: loss
    for loss in (
        TimeToFirstSpikeLoss,
        TargetTimeLoss,
        ShiftInvariantTargetLoss,
        SpikeCountLoss,
        TimeWeightedSpikesLoss,
        MaxMembraneLoss,
    )
}

# Settings that earlier versions did not have: a loss that has them at this is what it was then.
LATER_SETTINGS: dict[str, dict[str, Any]] = {MaxMembraneLoss.name: {"begin": 0.0}}

REGISTRY = Registry("loss", "hxloop.losses", LOSSES)


def loss_names() -> tuple[str, ...]:
    """Names that ``get_loss`` knows, those of other packages among them."""
    return REGISTRY.names()


def get_loss(name: str, **options: Any) -> Loss:
    """A loss by name.

    Another package's is a dataclass, see ``Loss``, whose fields are its options, in the entry
    points ``hxloop.losses``.

    Raises:
        UnknownNameError: no such loss or option; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: an option out of range, or what is registered is no loss.
    """
    asked = "hxloop.Loss asks for (name, decision_rule, decide, a call)"
    loss: Loss = REGISTRY.make(name, options, Loss, asked)
    return loss
