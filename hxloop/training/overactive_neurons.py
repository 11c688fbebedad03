"""What to do about neurons that spike too often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hxloop import checks
from hxloop.activity import Activity
from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec
from hxloop.training.losses import fading_counts
from hxloop.training.silent_neurons import Step, paths_into
from hxloop.training.trains import SpikeTrain


@dataclass(frozen=True)
class OveractiveNeuronPolicy:
    """Lower the incoming weights of neurons that spike too often.

    After every batch all weights into a neuron whose mean number of spikes per sample, ``n``, is
    above ``limit`` become smaller by ``step (1 - limit/n)``: the mirror image of
    ``SilentNeuronPolicy``, for networks whose neurons may spike more than once. The gradient step
    is made as well.

    Args:
        limit: mean number of spikes per sample that is allowed; ``inf`` = off.
        step: of the weights into a neuron that spikes much more often, in units of the threshold.
        per_input: whether ``step`` is the sum over all incoming weights of a neuron.

    Raises:
        ConfigError: a limit that is not above 0, or a negative step.
    """

    limit: float = math.inf
    step: float = 0.05
    per_input: bool = False

    def __post_init__(self) -> None:
        where = "OveractiveNeuronPolicy"
        checks.settle(
            self,
            limit=checks.number(f"{where}.limit", self.limit, above=0, finite=False),
            step=checks.number(f"{where}.step", self.step, low=0, what="step"),
            per_input=checks.flag(f"{where}.per_input", self.per_input),
        )

    @torch.no_grad()
    def apply(
        self,
        weights: Sequence[Tensor],
        activity: Activity,
        scales: Sequence[float] | None = None,
        trained: Sequence[bool] | None = None,
        network: NetworkSpec | None = None,
    ) -> int:
        """Lower weights in place.

        Args:
            weights, activity, scales, trained, network: as for ``SilentNeuronPolicy.apply``.

        Returns:
            Number of neurons whose weights were lowered.
        """
        if math.isinf(self.limit) or self.step == 0:
            return 0
        lowered = 0
        step = Step(-self.step, self.per_input, scales, trained)
        for index, projections in paths_into(activity, network):
            mean = activity.spikes[index].count.mean(axis=0)
            over = mean > self.limit
            if over.any() and (trained is None or any(trained[i] for i in projections)):
                excess = 1 - self.limit / mean.clip(min=self.limit)
                step.add(weights, projections, excess)
                lowered += int(over.sum())
        return lowered


@dataclass(frozen=True)
class SpikeCountPenalty:
    """A term of the objective: neurons that spike more or less often than they should.

    ``weight`` times the mean, over the neurons of all populations that spike, of
    ``(n - high)^2`` where the mean number ``n`` of spikes per sample is above ``high``, and
    ``(low - n)^2`` where it is below ``low``. ``n`` is that of ``fading_counts``, whose gradient
    moves the spikes that exist; a neuron that never spikes has none.

    Args:
        weight: of the term; 0 = off.
        low, high: spikes per sample that are wanted.
        fade: see ``fading_counts``, model time.

    Raises:
        ConfigError: a negative weight or bound, ``low`` above ``high``, or ``fade`` not positive.
    """

    weight: float = 0.0
    low: float = 0.0
    high: float = math.inf
    fade: float = 6.0

    def __post_init__(self) -> None:
        where = "SpikeCountPenalty"
        checks.settle(
            self,
            weight=checks.number(f"{where}.weight", self.weight, low=0),
            low=checks.number(f"{where}.low", self.low, low=0),
            high=checks.number(f"{where}.high", self.high, low=0, finite=False),
            fade=checks.number(f"{where}.fade", self.fade, above=0, what="time (model time)"),
        )
        if self.low > self.high:
            raise ConfigError(
                f"{where}: expected low up to high = {self.high:g}; got low = {self.low:g}"
            )

    def __call__(self, trains: Sequence[SpikeTrain], network: NetworkSpec) -> Tensor:
        """The term.

        Args:
            trains: all spikes of each population.
            network: whose they are.
        """
        beyond = []
        for train, layer in zip(trains, network.layers, strict=True):
            if not layer.neuron.never_spikes:
                mean = fading_counts(train, self.fade).mean(dim=0)
                over = (mean - self.high).clamp(min=0)
                beyond.append(over**2 + (self.low - mean).clamp(min=0) ** 2)
        return self.weight * torch.cat(beyond).mean()
