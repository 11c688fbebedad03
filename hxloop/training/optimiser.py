"""Adam on the weights and delays of a network, and its part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hxloop.errors import ConfigError
from hxloop.training.loop import LoopNetwork
from hxloop.training.options import TrainingOptions


class Optimiser:
    """Steps on the weights and delays of a network.

    Args:
        network: whose parameters are changed.
        options: rate, moments, and whether the rate is relative to the initial weights.

    Attributes:
        scales: factor on the rate of the weights of each projection.
        rate: of the last step, before that factor.

    Raises:
        ConfigError: nothing is to be trained, or a relative rate has no scale.
    """

    def __init__(self, network: LoopNetwork, options: TrainingOptions) -> None:
        self._weights, self._delays = list(network.weights), list(network.delays)
        self.scales = [1.0] * len(self._weights)
        self._delay_scale = (options.delay_rate or options.learning_rate) / options.learning_rate
        self.rate = options.learning_rate
        if options.relative_rate:
            self.scales = relative_scales(network)
        if not any(each.requires_grad for each in (*self._weights, *self._delays)):
            raise ConfigError(
                "Trainer: no layer's weights are to be trained; expected at least one with "
                "requires_grad = True"
            )
        self._adam = torch.optim.Adam(
            [{"params": [each]} for each in (*self._weights, *self._delays)]
            if options.relative_rate or options.delay_rate
            else network.parameters(),
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            fused=True,
        )

    def set_rate(self, rate: float) -> None:
        """The learning rate of what follows."""
        self.rate = rate
        of_delays = [self._delay_scale] * len(self._delays)
        for group, scale in zip(self._adam.param_groups, [*self.scales, *of_delays], strict=False):
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
        """Go back to what ``tensors`` gave."""
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
        return weights + [(f"delays.{i}", each) for i, each in enumerate(self._delays)]


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
