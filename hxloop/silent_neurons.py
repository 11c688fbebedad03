"""What to do about neurons that never spike: they have no gradient, so nothing wakes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.activity import Activity
from hxloop.errors import ConfigError


@dataclass(frozen=True)
class SilentNeuronPolicy:
    """Raise the incoming weights of neurons that are silent too often ("weight bumping").

    After Göltz et al. 2021 (Methods). After every batch, for the first layer counted from the
    input that has such neurons (waking an early layer may be all that later ones need), every
    weight into them grows by ``bump``. On consecutive batches with a bump it grows by the
    factor ``growth``, up to ``largest``. A neuron is too often silent if the fraction
    of samples without its spike exceeds ``hidden`` or ``output``. The default lets no output
    neuron be silent: a late wrong answer has a gradient, a silent one has none, and an output
    neuron close to silence has gradients that diverge. Unlike in the published code the
    gradient step is made as well.

    Args:
        hidden: allowed silent fraction of a hidden neuron.
        output: allowed silent fraction of an output neuron.
        bump: first step, in units of the threshold; 0 switches the policy off.
        growth: factor from one consecutive bump to the next.
        largest: largest step.
    """

    hidden: float = 0.7
    output: float = 0.0
    bump: float = 2e-3
    growth: float = 1.0
    largest: float = 0.05

    def __post_init__(self) -> None:
        for name in ("hidden", "output"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"SilentNeuronPolicy.{name}: expected a fraction from 0 to 1; got "
                    f"{getattr(self, name)}"
                )
        if not (self.bump >= 0 and self.growth >= 1 and self.largest >= self.bump):
            raise ConfigError(
                "SilentNeuronPolicy: expected 0 <= bump <= largest and growth >= 1; got "
                f"bump={self.bump}, largest={self.largest}, growth={self.growth}"
            )

    def too_silent(self, activity: Activity) -> tuple[int, NDArray[np.bool_]] | None:
        """The first layer with neurons that are too often silent, and which; None if none."""
        last = len(activity.first_spike_times) - 1
        for index, times in enumerate(activity.first_spike_times):
            allowed = self.hidden if index < last else self.output
            neurons = np.isinf(times).mean(axis=0) > allowed
            if neurons.any():
                return index, neurons
        return None

    @torch.no_grad()
    def apply(
        self,
        weights: list[Tensor],
        activity: Activity,
        consecutive: int,
        scale: float = 1.0,
    ) -> int:
        """Bump weights in place.

        Args:
            weights: one ``(pre, post)`` tensor for each layer; changed.
            activity: of the batch.
            consecutive: how many batches in a row have needed a bump before this one.
            scale: factor on the step; the trainer passes the learning rate relative to its
                start, else bumps would undo what small gradient steps learn at the end.

        Returns:
            Number of neurons bumped.
        """
        if self.bump == 0 or (found := self.too_silent(activity)) is None:
            return 0
        layer, neurons = found
        step = scale * min(self.bump * self.growth ** min(consecutive, 1000), self.largest)
        weights[layer][:, torch.from_numpy(neurons)] += step
        return int(neurons.sum())
