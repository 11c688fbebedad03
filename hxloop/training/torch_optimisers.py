"""Optimizers and learning-rate schedules of torch, by the names that a configuration uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import optim
from torch.optim import lr_scheduler

from hxloop.errors import ConfigError, unknown_name
from hxloop.training.options import TrainingOptions

# What makes an optimizer of groups of parameters, and a schedule of an optimizer.
MakesOptimizer = Callable[[list[dict[str, Any]]], optim.Optimizer]
MakesScheduler = Callable[[optim.Optimizer], Any]

OPTIMIZERS: Mapping[str, type[optim.Optimizer]] = {
    "adam": optim.Adam,
    "adadelta": optim.Adadelta,
    "adagrad": optim.Adagrad,
    "adamax": optim.Adamax,
    "adamw": optim.AdamW,
    "asgd": optim.ASGD,
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
    "rmsprop": optim.RMSprop,
    "rprop": optim.Rprop,
    "sgd": optim.SGD,
}
SCHEDULERS: Mapping[str, type[Any]] = {
    "cosine-warm-restarts": lr_scheduler.CosineAnnealingWarmRestarts,
    "exponential": lr_scheduler.ExponentialLR,
    "linear": lr_scheduler.LinearLR,
    "multi-step": lr_scheduler.MultiStepLR,
    "one-cycle": lr_scheduler.OneCycleLR,
    "polynomial": lr_scheduler.PolynomialLR,
    "reduce-on-plateau": lr_scheduler.ReduceLROnPlateau,
}
# Those that take a step after every batch; all others take one after an epoch.
OF_BATCHES = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)
# Options of Adam that have keys of their own.
_ADAM = ("adam", "adamw", "nadam", "radam", "adamax")
_SET_ELSEWHERE = {
    "params": "the network's",
    "optimizer": "that of this training",
    "lr": "training.learning_rate",
    "betas": "training.beta1 and beta2",
    "closure": "none",
}


def made_optimizer(options: TrainingOptions, groups: Sequence[dict[str, Any]]) -> optim.Optimizer:
    """The optimizer that ``options`` names, for groups of parameters.

    Raises:
        ConfigError: its options are not those of torch's class, or out of range.
    """
    name = options.optimizer
    given = {"lr": options.learning_rate, **options.optimizer_options}
    if name in _ADAM:
        given["betas"] = (options.beta1, options.beta2)
    if name == "adam":
        given.setdefault("fused", True)
    where = "training.optimizer_options"
    _check(where, name, OPTIMIZERS[name], options.optimizer_options)
    try:
        return OPTIMIZERS[name](list(groups), **given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{where}: {name} does not take these: {error}") from error


def made_scheduler(options: TrainingOptions, optimizer: optim.Optimizer, batches: int) -> Any:
    """The schedule of torch that ``options`` names; None: it is one of hxloop's own.

    Args:
        options: of the training.
        optimizer: whose rates it sets.
        batches: of an epoch.

    Raises:
        ConfigError: its options are not those of torch's class, or out of range.
    """
    name = options.schedule
    if name not in SCHEDULERS:
        return None
    given = dict(options.schedule_options)
    if name == "one-cycle":
        given.setdefault("total_steps", options.epochs * batches)
        given.setdefault("max_lr", [group["lr"] for group in optimizer.param_groups])
    if name == "reduce-on-plateau":
        given.setdefault("mode", "max")  # of the validation accuracy
    where = "training.schedule_options"
    _check(where, name, SCHEDULERS[name], options.schedule_options)
    try:
        return SCHEDULERS[name](optimizer, **given)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {name} does not take these: {error}") from error


def _check(where: str, name: str, kind: type[Any], given: Mapping[str, Any]) -> None:
    known = [key for key in inspect.signature(kind).parameters if key not in _SET_ELSEWHERE]
    for key in given:
        if key in _SET_ELSEWHERE:
            raise ConfigError(f"{where}: {key!r} is set by {_SET_ELSEWHERE[key]}; leave it out")
        if key not in known:
            raise ConfigError(unknown_name(f"option of {name} in {where}", key, known))
