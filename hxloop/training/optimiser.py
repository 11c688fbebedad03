"""Adam on the parameters of a network, and its part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hxloop.errors import ConfigError
from hxloop.network.values import NEURONS
from hxloop.training.loop import LoopNetwork
from hxloop.training.options import TrainingOptions
from hxloop.training.own_neurons import name_of


class Optimiser:
    """Steps on weights, delays and neurons of a network.

    Args:
        network: whose parameters are changed.
        options: rate, moments, and whether the rate is relative to the initial weights.

    Attributes:
        scales: factor on the rate of the weights of each projection.
        rate: of the last step, before that factor.
        neurons: what neurons have each for itself, see ``LoopNetwork``.

    Raises:
        ConfigError: nothing is to be trained, or a relative rate has no scale.
    """

    def __init__(self, network: LoopNetwork, options: TrainingOptions) -> None:
        self._weights, self._delays = list(network.weights), list(network.delays)
        self.neurons = dict(network.neurons)
        self.scales = [1.0] * len(self._weights)
        delays, neurons = (
            (rate or options.learning_rate) / options.learning_rate
            for rate in (options.delay_rate, options.neuron_rate)
        )
        self._other_scales = [delays] * len(self._delays) + [neurons] * len(self.neurons)
        self.rate = options.learning_rate
        if options.relative_rate:
            self.scales = relative_scales(network)
        every = (*self._weights, *self._delays, *self.neurons.values())
        if not any(each.requires_grad for each in every):
            raise ConfigError(
                "Trainer: no layer's weights are to be trained; expected at least one with "
                "requires_grad = True"
            )
        self._adam = torch.optim.Adam(
            [{"params": [each]} for each in every]
            if options.relative_rate or options.delay_rate or options.neuron_rate
            else network.parameters(),
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            fused=True,
        )

    def set_rate(self, rate: float) -> None:
        """The learning rate of what follows."""
        self.rate = rate
        scales = [*self.scales, *self._other_scales]
        for group, scale in zip(self._adam.param_groups, scales, strict=False):
            group["lr"] = rate * scale

    def step(self, loss: Tensor) -> None:
        """Gradients of a loss, and one step."""
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and moments, by name, for a checkpoint."""
        found: dict[str, Tensor] = {}
        for place, (name, each) in enumerate(self._named()):
            found[name] = each
            for key, value in self._adam.state.get(each, {}).items():
                found[f"adam.{place}.{key}"] = value
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to what ``tensors`` gave.

        Raises:
            ConfigError: it was of a network of which other neurons have parameters of their own.
        """
        names, given = {name for name, _ in self._named()}, {*tensors}
        if other := sorted((names - given) | {n for n in given - names if n.startswith(NEURONS)}):
            raise ConfigError(
                f"resume: the checkpoint is of a network with other parameters of neurons: "
                f"{', '.join(other)}; expected those of this one, see LoopNetwork"
            )
        moments = {}
        with torch.no_grad():
            for place, (name, each) in enumerate(self._named()):
                each.copy_(tensors[name])
                if f"adam.{place}.exp_avg" in tensors:
                    moments[place] = {
                        key: tensors[f"adam.{place}.{key}"]
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }
        values = self._adam.state_dict()
        values["state"] = moments
        self._adam.load_state_dict(values)

    def _named(self) -> list[tuple[str, Tensor]]:
        weights = [(f"weights.{i}", each) for i, each in enumerate(self._weights)]
        delays = [(f"delays.{i}", each) for i, each in enumerate(self._delays)]
        own = [(name_of(key), each) for key, each in self.neurons.items()]
        return weights + delays + own


def relative_scales(network: LoopNetwork) -> list[float]:
    """Standard deviation of the initial weights of every layer.

    Raises:
        ConfigError: there is none: they are all equal, but for rounding.
    """
    scales = []
    for index, weights in enumerate(network.weights):
        values = weights.detach()
        lowest, highest = (float(end) for end in values.aminmax())
        # A mean of equal numbers is off by rounding, and their standard deviation not quite 0.
        rounding = torch.finfo(values.dtype).eps * max(abs(lowest), abs(highest))
        if weights.requires_grad and not highest - lowest > 16 * rounding:
            raise ConfigError(
                "training.relative_rate: the initial weights of a layer are all equal, so their "
                f"standard deviation is no scale for the learning rate; got {lowest:g} throughout "
                f"layer {index}; expected weights that differ, or relative_rate = false"
            )
        scales.append(float(values.std(correction=0)))
    return scales
