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
# What a trainer takes from Python.
GivenOptimizer = optim.Optimizer | MakesOptimizer
GivenScheduler = lr_scheduler.LRScheduler | MakesScheduler

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


def given_scheduler(
    scheduler: GivenScheduler, optimizer: optim.Optimizer
) -> lr_scheduler.LRScheduler:
    """A schedule that was handed over, or that a function makes.

    Raises:
        ConfigError: it is none of torch's, or one of another optimizer.
    """
    made: Any = scheduler
    if not isinstance(scheduler, lr_scheduler.LRScheduler):
        made = scheduler(optimizer) if callable(scheduler) else scheduler
    if not isinstance(made, lr_scheduler.LRScheduler):
        raise ConfigError(
            "Trainer: scheduler: expected a schedule of torch, or a function that makes one of an "
            f"optimizer; got {type(made).__name__}"
        )
    if made.optimizer is not optimizer:
        raise ConfigError(
            "Trainer: scheduler: is of another optimizer than the one that trains; hand that over, "
            "too, as optimizer="
        )
    return made


def check_length(scheduler: Any, steps: int) -> None:
    """Refuse a schedule that ends before the training does; torch would break it off there.

    Raises:
        ConfigError: see above.
    """
    if isinstance(scheduler, lr_scheduler.OneCycleLR) and scheduler.total_steps < steps:
        raise ConfigError(
            f"training.schedule: one-cycle ends after total_steps = {scheduler.total_steps}; this "
            f"training has {steps} batches. Leave total_steps out for a new training; one that was "
            "begun with fewer epochs cannot be made longer with this schedule"
        )


def _check(where: str, name: str, kind: type[Any], given: Mapping[str, Any]) -> None:
    known = [key for key in inspect.signature(kind).parameters if key not in _SET_ELSEWHERE]
    for key in given:
        if key in _SET_ELSEWHERE:
            raise ConfigError(f"{where}: {key!r} is set by {_SET_ELSEWHERE[key]}; leave it out")
        if key not in known:
            raise ConfigError(unknown_name(f"option of {name} in {where}", key, known))
