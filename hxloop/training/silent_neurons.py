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
from hxloop.network import NetworkSpec


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
        network: NetworkSpec | None = None,
    ) -> dict[int, NDArray[np.float64]]:
        """The layers to be woken.

        Args:
            activity: of the batch.
            labels: of the batch, ``(batch,)``.
            trained: whether the weights of each projection may be changed; None: all.
            network: whose activity it is; None: a chain of layers.

        Returns:
            For every layer with neurons that are too often silent (of ``layers = "first"`` the
            first such layer alone) for each neuron ``(silent - allowed)/(1 - allowed)``, at
            least 0. Read-outs, which never spike, are not among them.
        """
        found = {}
        output = activity.output_index % len(activity.first_spike_times)
        for index, projections in paths_into(activity, network):
            if trained is not None and not any(trained[i] for i in projections):
                continue
            times = activity.first_spike_times[index]
            silent = np.isinf(times)
            if index != output:
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
        network: NetworkSpec | None = None,
    ) -> int:
        """Bump weights in place.

        Args:
            weights: one ``(pre, post)`` tensor for each projection; changed.
            activity: of the batch.
            labels: of the batch, ``(batch,)``.
            scales: factor on the step of each projection; the trainer passes the learning rate
                relative to its start, else bumps would undo what small gradient steps learn at
                the end. None: 1.
            trained: whether the weights of each projection may be changed; the trainer passes
                their ``requires_grad``. With ``layers = "first"`` the first layer into which
                some may be counts. None: all.
            network: whose weights; None: a chain of layers.

        Returns:
            Number of neurons bumped.
        """
        if self.bump == 0:
            return 0
        bumped = 0
        into = dict(paths_into(activity, network))
        for layer, excess in self.excess(activity, labels, trained, network).items():
            step = Step(self.bump, self.per_input, scales, trained)
            step.add(weights, into[layer], excess)
            bumped += int((excess > 0).sum())
        return bumped


def paths_into(
    activity: Activity, network: NetworkSpec | None
) -> list[tuple[int, tuple[int, ...]]]:
    """Populations that can spike, from the input on, and the projections into each.

    Args:
        activity: of the network.
        network: None: a chain of layers.
    """
    if network is None:
        return [(index, (index,)) for index in range(len(activity.first_spike_times))]
    return [
        (index, tuple(i for i, (_, post) in enumerate(network.ends) if post == index))
        for block in network.blocks
        for index in block
        if not network.layers[index].neuron.never_spikes
    ]


@dataclass(frozen=True)
class Step:
    """A step on the weights into some neurons.

    Args:
        size: of each weight, or of all weights into a neuron together.
        per_input: whether it is the latter.
        scales: factor for each projection; None: 1.
        trained: of which projections the weights may be changed; None: of all.
    """

    size: float
    per_input: bool = False
    scales: Sequence[float] | None = None
    trained: Sequence[bool] | None = None

    def add(
        self, weights: Sequence[Tensor], projections: Sequence[int], excess: NDArray[np.float64]
    ) -> None:
        """Add to all weights into each neuron of a population, in place.

        Args:
            weights: of all projections.
            projections: indices of those into the population.
            excess: ``(post,)``, factor on the step of each neuron.
        """
        inputs = sum(len(weights[i]) for i in projections)
        step = self.size / inputs if self.per_input else self.size
        for i in projections:
            if self.trained is None or self.trained[i]:
                scale = 1.0 if self.scales is None else self.scales[i]
                weights[i] += torch.from_numpy(scale * step * excess)
