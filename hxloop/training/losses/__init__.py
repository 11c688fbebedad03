"""Objectives on output spikes or membranes, each with the rule by which it decides.

A decision is the index of an output neuron, or -1 where no output neuron spiked. Training
and deciding must agree, so the rule belongs to the loss.
"""

from hxloop.training.losses.all_spikes import (
    SpikeCountLoss,
    TimeWeightedSpikesLoss,
    fading_counts,
)
from hxloop.training.losses.first_spike import TimeToFirstSpikeLoss
from hxloop.training.losses.membrane import MaxMembraneLoss
from hxloop.training.losses.protocol import (
    LARGEST,
    SHORTEST,
    Loss,
    Times,
    begin_of,
    reads_of,
)
from hxloop.training.losses.registry import LATER_SETTINGS, LOSSES, REGISTRY, get_loss, loss_names
from hxloop.training.losses.target_time import ShiftInvariantTargetLoss, TargetTimeLoss
from hxloop.training.readout import FIRST, MEMBRANE, READS, SPIKES

__all__ = [
    "FIRST",
    "LARGEST",
    "LATER_SETTINGS",
    "LOSSES",
    "MEMBRANE",
    "READS",
    "REGISTRY",
    "SHORTEST",
    "SPIKES",
    "Loss",
    "MaxMembraneLoss",
    "ShiftInvariantTargetLoss",
    "SpikeCountLoss",
    "TargetTimeLoss",
    "TimeToFirstSpikeLoss",
    "TimeWeightedSpikesLoss",
    "Times",
    "begin_of",
    "fading_counts",
    "get_loss",
    "loss_names",
    "reads_of",
]
