"""What to do about neurons that never spike: they have no gradient, so nothing wakes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop import checks
from hxloop.activity import Activity


@dataclass(frozen=True)
class SilentNeuronPolicy:
    """Raise the incoming weights of neurons that are silent too often ("weight bumping").

    The idea is that of Göltz et al. 2021 (Methods); the dose is different. After every batch,
    in the first layer counted from the input that has such neurons (waking an early layer may
    be all that later ones need), every weight into neuron j grows by::

        bump (silent_j - allowed) / (1 - allowed)

    where ``silent_j`` is the fraction of samples without a spike of a hidden neuron; of an
    output neuron, the fraction of the samples *of its own class* without its spike (on
    others, silence is a right answer). So a few silent samples move little, and a neuron that
    sleeps through everything wakes fast. The published step is the same for one silent sample
    and for a thousand; it goes on disturbing what has been learned. Unlike there, the gradient
    step is made as well.

    Args:
        hidden: allowed silent fraction of a hidden neuron, below 1.
        output: allowed silent fraction of an output neuron on its own class, below 1.
        bump: step of a neuron that is always silent, in units of the threshold; 0 = off.
        per_input: whether ``bump`` is the sum over all incoming weights of a neuron instead of
            the step of each of them: the same dose for layers of every width.
        layers: "first", as above, or "all": every layer that has such neurons, at once. With
            many neurons there are always some in an early layer, and "first" never comes to the
            output neurons; then classes whose neuron is silent stay unlearned.

    Raises:
        ConfigError: a fraction outside [0, 1), a negative bump, or unknown layers.
    """

    hidden: float = 0.7
    output: float = 0.0
    bump: float = 0.05
    per_input: bool = False
    layers: str = "first"

    def __post_init__(self) -> None:
        where = "SilentNeuronPolicy"
        checks.settle(
            self,
            hidden=checks.number(f"{where}.hidden", self.hidden, low=0, below=1, what="fraction"),
            output=checks.number(f"{where}.output", self.output, low=0, below=1, what="fraction"),
            bump=checks.number(f"{where}.bump", self.bump, low=0, what="step"),
            per_input=checks.flag(f"{where}.per_input", self.per_input),
            layers=checks.choice(f"{where}.layers", self.layers, ("first", "all")),
        )

    def excess(
        self,
        activity: Activity,
        labels: NDArray[np.int64],
        trained: Sequence[bool] | None = None,
    ) -> dict[int, NDArray[np.float64]]:
        """The layers to be woken.

        Args:
            activity: of the batch.
            labels: of the batch, ``(batch,)``.
            trained: whether the weights into each layer may be changed; None: all.

        Returns:
            For every layer with neurons that are too often silent (of ``layers = "first"`` the
            first such layer alone) for each neuron ``(silent - allowed)/(1 - allowed)``, at
            least 0.
        """
        found = {}
        last = len(activity.first_spike_times) - 1
        for index, times in enumerate(activity.first_spike_times):
            if trained is not None and not trained[index]:
                continue
            silent = np.isinf(times)
            if index < last:
                fraction, allowed = silent.mean(axis=0), self.hidden
            else:
                own = labels[:, None] == np.arange(times.shape[1])
                fraction = (silent & own).sum(axis=0) / np.maximum(own.sum(axis=0), 1)
                allowed = self.output
            excess = np.maximum(fraction - allowed, 0.0) / (1 - allowed)
            if excess.any():
                found[index] = excess
                if self.layers == "first":
                    break
        return found

    @torch.no_grad()
    def apply(
        self,
        weights: list[Tensor],
        activity: Activity,
        labels: NDArray[np.int64],
        scales: Sequence[float] | None = None,
        trained: Sequence[bool] | None = None,
    ) -> int:
        """Bump weights in place.

        Args:
            weights: one ``(pre, post)`` tensor for each layer; changed.
            activity: of the batch.
            labels: of the batch, ``(batch,)``.
            scales: factor on the step of each layer; the trainer passes the learning rate
                relative to its start, else bumps would undo what small gradient steps learn at
                the end. None: 1.
            trained: whether the weights into each layer may be changed; the trainer passes their
                ``requires_grad``. With ``layers = "first"`` the first of these counts. None: all.

        Returns:
            Number of neurons bumped.
        """
        if self.bump == 0:
            return 0
        bumped = 0
        for layer, excess in self.excess(activity, labels, trained).items():
            step = self.bump / len(weights[layer]) if self.per_input else self.bump
            scale = 1.0 if scales is None else scales[layer]
            weights[layer] += torch.from_numpy(scale * step * excess)
            bumped += int((excess > 0).sum())
        return bumped
