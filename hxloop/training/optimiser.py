"""The optimizer of a training: its rates, its steps, and its part of a checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hxloop.errors import ConfigError
from hxloop.network.values import NEURONS
from hxloop.training.average import Average
from hxloop.training.loop import LoopNetwork
from hxloop.training.optimiser_state import like, plain_state
from hxloop.training.options import TrainingOptions
from hxloop.training.own_neurons import name_of
from hxloop.training.torch_optimisers import (
    OF_BATCHES,
    GivenOptimizer,
    GivenScheduler,
    check_length,
    given_scheduler,
    made_optimizer,
    made_scheduler,
)


class Optimiser:
    """Steps on weights, delays and neurons of a network.

    Args:
        network: whose parameters are changed.
        options: rate, moments, and whether the rate is relative to the initial weights.
        batches: of an epoch.
        optimizer: of torch, on the network's parameters, which keeps rates of its own; or what
            makes one of groups of parameters, whose rates are those of ``options``; None: as
            ``options`` say.
        scheduler: of torch, of that optimizer, or what makes one; None: as ``options`` say, and
            none for an optimizer with rates of its own.

    Attributes:
        scales: factor on the rate of the weights of each projection.
        neurons: what neurons have each for itself, see ``LoopNetwork``.
        average: of all parameters over the steps, if ``options`` ask for one.
        described: what the steps hang on beyond ``options``; {}: nothing.

    Raises:
        ConfigError: nothing is to be trained, a relative rate has no scale, or the optimizer is
            none that can train this network.
    """

    def __init__(
        self,
        network: LoopNetwork,
        options: TrainingOptions,
        batches: int = 1,
        optimizer: GivenOptimizer | None = None,
        scheduler: GivenScheduler | None = None,
    ) -> None:
        self._options = options
        self._weights, self._delays = list(network.weights), list(network.delays)
        self.neurons = dict(network.neurons)
        self.scales = [1.0] * len(self._weights)
        delays, neurons = (
            (rate or options.learning_rate) / options.learning_rate
            for rate in (options.delay_rate, options.neuron_rate)
        )
        self._other_scales = [delays] * len(self._delays) + [neurons] * len(self.neurons)
        if options.relative_rate:
            self.scales = relative_scales(network)
        every = (*self._weights, *self._delays, *self.neurons.values())
        if not any(each.requires_grad for each in every):
            raise ConfigError(
                "Trainer: no layer's weights are to be trained; expected at least one with "
                "requires_grad = True"
            )
        self.average = Average(network, options.average)
        self._own_rates = isinstance(optimizer, torch.optim.Optimizer)
        self._torch = self._made(every, optimizer)
        self._base = self._rate = options.learning_rate
        if self._own_rates:
            self._base = self._rate = float(self._torch.param_groups[0]["lr"])
        else:
            self._set_rate(self._rate)
        self._scheduler = (
            made_scheduler(options, self._torch, batches)
            if scheduler is None
            else given_scheduler(scheduler, self._torch)
        )
        self._steps = options.epochs * batches
        check_length(self._scheduler, self._steps)
        self._plain = optimizer is None and self._scheduler is None and options.optimizer == "adam"
        self.described = self._description(optimizer, scheduler)

    @property
    def rate(self) -> float:
        """The learning rate of the last step, before the factors of projections."""
        return self._rate

    @property
    def fraction(self) -> float:
        """The same, of the rate at the start."""
        return self._rate / self._base

    def begin_batch(self, epoch: float) -> None:
        """Set the rates of the batch at a (fractional) epoch."""
        if self._scheduler is None and not self._own_rates:
            self._set_rate(self._options.learning_rate_at(epoch))
        elif self._scheduler is not None:
            scale = 1.0 if self._own_rates else [*self.scales, *self._other_scales][0]
            self._rate = float(self._torch.param_groups[0]["lr"]) / scale

    def step(self, loss: Tensor) -> None:
        """Gradients of a loss, and one step."""
        self._torch.zero_grad()
        loss.backward()
        self._torch.step()
        if isinstance(self._scheduler, OF_BATCHES):
            self._scheduler.step()

    def end_epoch(self, accuracy: float) -> None:
        """Go on to the next epoch of a schedule of torch; ``accuracy``: of the validation."""
        if isinstance(self._scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self._scheduler.step(accuracy)
        elif self._scheduler is not None and not isinstance(self._scheduler, OF_BATCHES):
            self._scheduler.step()

    def state(self) -> dict[str, Any]:
        """What of its state is no tensor, for a checkpoint; {} where ``options`` know all of it.

        Raises:
            ConfigError: something that no checkpoint can hold.
        """
        if self._plain:
            return {}
        every = [each for _, each in self._named()]
        return plain_state(self._torch, self._scheduler, every) | {"rate": self._rate}

    def _made(
        self, every: tuple[Tensor, ...], optimizer: GivenOptimizer | None
    ) -> torch.optim.Optimizer:
        options = self._options
        apart = options.relative_rate or options.delay_rate or options.neuron_rate
        groups: list[dict[str, Any]] = (
            [{"params": [each]} for each in every] if apart else [{"params": list(every)}]
        )
        if optimizer is None:
            return made_optimizer(options, groups)
        made = optimizer if isinstance(optimizer, torch.optim.Optimizer) else optimizer(groups)
        if not isinstance(made, torch.optim.Optimizer):
            raise ConfigError(
                "Trainer: optimizer: expected an optimizer of torch, or a function that makes one "
                f"of groups of parameters; got {type(made).__name__}"
            )
        if isinstance(made, torch.optim.LBFGS):
            raise ConfigError(
                "Trainer: optimizer: LBFGS runs the network several times a step, which a trainer "
                "does not; write the loop yourself around LoopNetwork"
            )
        held = {id(each) for group in made.param_groups for each in group["params"]}
        if missing := [each for each in every if each.requires_grad and id(each) not in held]:
            raise ConfigError(
                f"Trainer: optimizer: {len(missing)} of the network's parameters are not among "
                "those that it changes; make it of network.parameters(), or leave them out with "
                "requires_grad = False"
            )
        if self._own_rates and apart:
            raise ConfigError(
                "Trainer: optimizer: has rates of its own, so that training.relative_rate, "
                "delay_rate and neuron_rate mean nothing; give a function that makes it of groups"
            )
        return made

    def _description(self, optimizer: Any, scheduler: Any) -> dict[str, Any]:
        """What a checkpoint says that the steps hang on, beyond ``options``; {}: nothing."""
        found: dict[str, Any] = {}
        if optimizer is not None:
            kind = type(self._torch)
            found["optimizer"] = f"{kind.__module__}.{kind.__qualname__}"
            found["groups"] = [
                {k: v for k, v in group.items() if k not in ("params", "lr", "initial_lr")}
                for group in self._torch.state_dict()["param_groups"]
            ]
        if scheduler is not None:
            schedule = type(self._scheduler)
            found["scheduler"] = f"{schedule.__module__}.{schedule.__qualname__}"
        described: dict[str, Any] = json.loads(json.dumps(found, default=str))
        return described

    def _set_rate(self, rate: float) -> None:
        self._rate = rate
        scales = [*self.scales, *self._other_scales]
        for group, scale in zip(self._torch.param_groups, scales, strict=False):
            group["lr"] = rate * scale

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and moments, by name, for a checkpoint."""
        found: dict[str, Tensor] = {}
        for place, (name, each) in enumerate(self._named()):
            found[name] = each
            for key, value in self._torch.state.get(each, {}).items():
                if isinstance(value, Tensor):
                    found[f"adam.{place}.{key}"] = value
        return found | self.average.tensors()

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to what ``tensors`` and ``state`` gave.

        Raises:
            ConfigError: it was of a network of which other neurons have parameters of their own.
        """
        names, given = {name for name, _ in self._named()}, {*tensors}
        if other := sorted((names - given) | {n for n in given - names if n.startswith(NEURONS)}):
            raise ConfigError(
                f"resume: the checkpoint is of a network with other parameters of neurons: "
                f"{', '.join(other)}; expected those of this one, see LoopNetwork"
            )
        moments: dict[int, dict[str, Any]] = {}
        scalars = state.get("scalars", {})
        with torch.no_grad():
            for place, (name, each) in enumerate(self._named()):
                each.copy_(tensors[name])
                start = f"adam.{place}."
                own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
                if own or str(place) in scalars:
                    moments[place] = {**own, **scalars.get(str(place), {})}
        values = self._torch.state_dict()
        for group, kept in zip(values["param_groups"], state.get("groups", ()), strict=False):
            group.update(like(group, kept))
        # The state of parameters goes in by hand: torch would make all of it of their type, and
        # what NAdam multiplies up is float32.
        self._torch.load_state_dict(values | {"state": {}})
        for place, kept in moments.items():
            self._torch.state[self._named()[place][1]] = copy.deepcopy(kept)
        self.average.restore(tensors)
        self._rate = float(state.get("rate", self._rate))
        if self._scheduler is not None:
            self._scheduler.load_state_dict(like(self._scheduler.state_dict(), state["scheduler"]))
            check_length(self._scheduler, self._steps)

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
