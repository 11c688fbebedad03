"""Squared distances from target times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.activity.recorded import first_output
from hxloop.training.losses.protocol import (
    Times,
    check_options,
    checked,
    checked_times,
    limited,
)


@dataclass(frozen=True)
class TargetTimeLoss:
    """Squared distance of every output spike from its target time.

    ``1/2 sum_n (t_n - target_n)^2``, target ``t_correct`` for the labelled neuron and
    ``t_wrong`` for the others. Silent neurons count as spiking at ``t_silent``, without
    gradient. Distances whose square no number can hold (1e115, in single precision 3e14) count
    as that large.

    The decision is the spike nearest to ``t_correct``, not the earliest: with
    ``t_correct > t_wrong`` the labelled neuron is trained to spike last.

    Args:
        t_correct: target of the labelled neuron, model time.
        t_wrong: target of every other neuron.
        t_silent: time at which a silent neuron counts as spiking.

    Raises:
        ConfigError: an option that is negative, not finite or beyond 1e9, or equal targets.
    """

    t_correct: float = 1.0
    t_wrong: float = 2.0
    t_silent: float = 6.0

    name: ClassVar[str] = "target-time"

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def decision_rule(self) -> str:
        """How it decides."""
        return f"the output neuron that spikes nearest to t_correct = {self.t_correct:g}"

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        output_times, labels = checked(output_times, labels)
        target = _targets(output_times, labels, self.t_correct, self.t_wrong)
        difference = limited(_stand_in(output_times, self.t_silent) - target)
        return 0.5 * (difference**2).sum(dim=1).mean()

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """The spike nearest to ``t_correct``; of two equally near the lower index."""
        return first_output(np.abs(checked_times(output_times) - self.t_correct))


@dataclass(frozen=True)
class ShiftInvariantTargetLoss:
    """Squared distance of the output pattern from its target pattern, whenever it comes.

    As ``TargetTimeLoss``, with the mean over the output neurons taken off both times and
    targets, so that only differences count. Silent neurons count as spiking at ``t_silent``.
    The decision is the class whose pattern is nearest: among the neurons that spiked the
    earliest for ``t_correct < t_wrong``, else the latest.

    Args:
        t_correct: target of the labelled neuron, model time.
        t_wrong: target of every other neuron.
        t_silent: time at which a silent neuron counts as spiking.

    Raises:
        ConfigError: as there.
    """

    t_correct: float = 1.0
    t_wrong: float = 2.0
    t_silent: float = 6.0

    name: ClassVar[str] = "shift-invariant-target-time"

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def decision_rule(self) -> str:
        """How it decides."""
        which = "first" if self.t_correct < self.t_wrong else "last"
        return f"the output neuron that spikes {which}"

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        output_times, labels = checked(output_times, labels)
        target = _targets(output_times, labels, self.t_correct, self.t_wrong)
        difference = limited(_stand_in(output_times, self.t_silent) - target)
        centred = difference - difference.mean(dim=1, keepdim=True)
        return 0.5 * (centred**2).sum(dim=1).mean()

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """The earliest or the latest spike; of two equal times the lower index."""
        times = checked_times(output_times)
        if self.t_correct < self.t_wrong:
            return first_output(times)
        return first_output(np.where(np.isinf(times), np.inf, -times))


def _targets(output_times: Tensor, labels: Tensor, correct: float, wrong: float) -> Tensor:
    target = torch.full_like(output_times, wrong, requires_grad=False)
    return target.scatter(1, labels[:, None], correct)


def _stand_in(output_times: Tensor, t_silent: float) -> Tensor:
    return torch.where(torch.isfinite(output_times), output_times, t_silent)
