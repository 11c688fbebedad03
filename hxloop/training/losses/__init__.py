"""Objectives on output spike times, each with the rule by which it decides.

A decision is the index of an output neuron, or -1 where no output neuron spiked. Training
and deciding must agree, so the rule belongs to the loss.
"""

from hxloop.training.losses.first_spike import TimeToFirstSpikeLoss
from hxloop.training.losses.protocol import LARGEST, SHORTEST, Loss, Times
from hxloop.training.losses.registry import LOSSES, REGISTRY, get_loss, loss_names
from hxloop.training.losses.target_time import ShiftInvariantTargetLoss, TargetTimeLoss

__all__ = [
    "LARGEST",
    "LOSSES",
    "REGISTRY",
    "SHORTEST",
    "Loss",
    "ShiftInvariantTargetLoss",
    "TargetTimeLoss",
    "TimeToFirstSpikeLoss",
    "Times",
    "get_loss",
    "loss_names",
]
