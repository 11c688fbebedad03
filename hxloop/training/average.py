"""Moving averages of the weights of a training, which are better and calmer than the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from hxloop.errors import FileFormatError
from hxloop.network import Parameters
from hxloop.training.loop import LoopNetwork

PREFIX = "average."


class Average:
    """The exponential moving average of all parameters of a network: weights, delays, neurons.

    After step n it is ``a_n = d_n a_(n-1) + (1 - d_n) w_n`` with ``d_n = min(d, n/(n + 9))``, so
    that the initial weights do not linger (as in TensorFlow's ``ExponentialMovingAverage``). What
    holds of the weights in every step, their signs and their bounds, holds of their average.

    Args:
        network: whose parameters are averaged.
        decay: d above; None: there is no average, and nothing is done.
    """

    def __init__(self, network: LoopNetwork, decay: float | None) -> None:
        self._network, self._decay, self._steps = network, decay, 0
        self._held = [each.detach().clone() for each in self._parameters()] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """A step was done."""
        if self._decay is None:
            return
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 9))
        for own, now in zip(self._held, self._parameters(), strict=True):
            own.lerp_(now.detach().to(own), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While this lasts the network holds the average."""
        if self._decay is None:
            yield
            return
        trained: Parameters = self._network.parameters_held().copy()
        self.hold()
        try:
            yield
        finally:
            self._network.hold(trained)

    @torch.no_grad()
    def hold(self) -> None:
        """Have the network hold the average from now on."""
        for own, held in zip(self._parameters(), self._held, strict=False):
            own.copy_(held)

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint, by name."""
        found = {f"{PREFIX}{place}": each for place, each in enumerate(self._held)}
        if self._decay is not None:
            found[f"{PREFIX}steps"] = torch.tensor(self._steps)
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to what ``tensors`` gave.

        Raises:
            FileFormatError: the checkpoint holds no average.
        """
        if self._decay is None:
            return
        names = [f"{PREFIX}{place}" for place in range(len(self._held))]
        if missing := [n for n in (*names, f"{PREFIX}steps") if n not in tensors]:
            raise FileFormatError(
                f"checkpoint: expected an average of weights; {missing[0]} is missing"
            )
        for own, name in zip(self._held, names, strict=True):
            own.copy_(tensors[name])
        self._steps = int(tensors[f"{PREFIX}steps"])

    def _parameters(self) -> list[Tensor]:
        network = self._network
        return [*network.weights, *network.delays, *network.neurons.values()]
