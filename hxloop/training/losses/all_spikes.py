"""Losses of all output spikes: their number, or their number weighted with time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.checks.tensors import label_tensor
from hxloop.errors import RunInputError
from hxloop.training.losses.protocol import check_classes, check_options
from hxloop.training.readout import SPIKES
from hxloop.training.trains import SpikeTrain


def fading_counts(train: SpikeTrain, fade: float) -> Tensor:
    """Number of spikes of each neuron, of which the last ones before the window's end count less.

    ``sum_k 1 - exp(-(t_window - T_k)/fade)``: a spike enters and leaves the window with the weight
    0, so that this count is a smooth function of spike times and has an exact gradient, which the
    number itself has not. It is 0, without gradient, for a neuron that is silent.

    Args:
        train: all spikes.
        fade: time constant, model time; towards 0 it is the number of spikes.

    Returns:
        ``(batch, neurons)``.
    """
    return train.summed(1 - torch.exp((train.times - train.t_window) / fade))


@dataclass(frozen=True)
class SpikeCountLoss:
    """Cross-entropy of the softmax of ``scale`` times the spike counts of the output neurons.

    The counts are ``fading_counts``: the gradient moves the spikes that exist, the last ones before
    the end of the window most, earlier ones by as much as ``fade`` says. A neuron without a spike
    counts 0 and gets no gradient; waking it is the silent-neuron policy's job, as it is for losses
    of first spikes.

    Args:
        scale: of the counts; large = a difference of one spike decides.
        fade: see ``fading_counts``, model time.

    Raises:
        ConfigError: an option that is not between 1e-9 and 1e9.
    """

    scale: float = 1.0
    fade: float = 6.0

    name: ClassVar[str] = "spike-count"
    reads: ClassVar[str] = SPIKES
    decision_rule: ClassVar[str] = (
        "the output neuron with the most spikes, of those the one that spikes first"
    )

    def __post_init__(self) -> None:
        check_options(self, positive=("scale", "fade"))

    def __call__(self, output: SpikeTrain, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        train, labels = checked_train(self.name, output, labels)
        return cross_entropy(self.scale * fading_counts(train, self.fade), labels)

    def decide(self, output: Spikes | SpikeTrain) -> NDArray[np.int64]:
        """The most spikes; of equal numbers the earliest first spike, then the lower index."""
        spikes = checked_spikes(self.name, output)
        leading = spikes.count == spikes.count.max(axis=1, keepdims=True)
        return largest_of(-np.where(leading, spikes.first, np.inf), silent=-np.inf)


@dataclass(frozen=True)
class TimeWeightedSpikesLoss:
    """Cross-entropy of the softmax of ``scale sum_k exp(-T_k/tau)`` of the output neurons.

    Every spike speaks for its neuron, early ones louder: between the first spike alone (small
    ``tau``) and the number of spikes (large). A silent neuron has 0 and no gradient.

    Args:
        scale: of the sums.
        tau: time constant, model time.

    Raises:
        ConfigError: an option that is not between 1e-9 and 1e9.
    """

    scale: float = 5.0
    tau: float = 1.0

    name: ClassVar[str] = "time-weighted-spikes"
    reads: ClassVar[str] = SPIKES

    def __post_init__(self) -> None:
        check_options(self, positive=("scale", "tau"))

    @property
    def decision_rule(self) -> str:
        """How it decides."""
        return f"the output neuron with the largest sum of exp(-t/{self.tau:g}) over its spikes"

    def __call__(self, output: SpikeTrain, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        train, labels = checked_train(self.name, output, labels)
        sums = train.summed(torch.exp(-train.times / self.tau))
        return cross_entropy(self.scale * sums, labels)

    def decide(self, output: Spikes | SpikeTrain) -> NDArray[np.int64]:
        """The largest sum; of two equal ones the lower index."""
        spikes = checked_spikes(self.name, output)
        # Relative to the first spike of the sample: none is lost where all are late.
        earliest = spikes.first.min(axis=1)[spikes.samples]
        each = np.exp((earliest - spikes.times) / self.tau)
        sums = np.bincount(spikes.cells, each, minlength=spikes.batch * spikes.n_units)
        return largest_of(sums.reshape(spikes.shape), silent=0.0)


def cross_entropy(values: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch, of values ``(batch, n)``."""
    found: Tensor = torch.nn.functional.cross_entropy(values, labels)
    return found


def largest_of(values: NDArray[Any], silent: float) -> NDArray[np.int64]:
    """Index of the largest value of each sample; -1 where all are ``silent``."""
    decided = np.where((values == silent).all(axis=1), -1, values.argmax(axis=1))
    return decided.astype(np.int64)


def checked_spikes(name: str, output: Any) -> Spikes:
    """The spikes that a loss decides by.

    Raises:
        RunInputError: something else.
    """
    spikes = output.spikes if isinstance(output, SpikeTrain) else output
    if not isinstance(spikes, Spikes) or not spikes.n_units:
        raise RunInputError(
            f"loss {name!r} reads all spikes: expected Spikes (activity.output_spikes); got "
            f"{checks.shown(output)}"
        )
    return spikes


def checked_train(name: str, output: Any, labels: Any) -> tuple[SpikeTrain, Tensor]:
    """Spikes with gradient and labels, checked.

    Raises:
        RunInputError: something else than a ``SpikeTrain``, an empty batch, another number of
            labels, or one without an output neuron.
    """
    if not isinstance(output, SpikeTrain):
        raise RunInputError(
            f"loss {name!r} reads all spikes: expected a SpikeTrain "
            f"(LoopNetwork.output(inputs, reads='spikes')); got {checks.shown(output)}"
        )
    found = label_tensor("labels", labels).to(output.times.device)
    batch = output.spikes.batch
    if batch == 0 or found.shape != (batch,):
        raise RunInputError(
            f"loss {name!r}: expected at least one sample, and labels (batch,); got {batch} "
            f"samples and labels {tuple(found.shape)}"
        )
    check_classes(found, output.spikes.n_units)
    return output, found
