"""What of the state of an optimizer and of a schedule of torch is no tensor, to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hxloop.errors import ConfigError


def plain_state(
    optimizer: torch.optim.Optimizer, scheduler: Any, parameters: Sequence[Tensor]
) -> dict[str, Any]:
    """Settings of groups, plain values of single parameters, and the state of the schedule.

    Args:
        optimizer: of torch.
        scheduler: of that optimizer; None: there is none.
        parameters: in the order by which their values are numbered.

    Raises:
        ConfigError: something that no checkpoint can hold.
    """
    groups = [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.state_dict()["param_groups"]
    ]
    scalars = {}
    for place, each in enumerate(parameters):
        own = optimizer.state.get(each, {})
        if plain := {key: value for key, value in own.items() if not isinstance(value, Tensor)}:
            scalars[str(place)] = plain
    found = {"groups": groups, "scalars": scalars}
    if scheduler is not None:
        found["scheduler"] = scheduler.state_dict()
    try:
        read: dict[str, Any] = json.loads(json.dumps(found))
    except TypeError as error:
        kinds = " or ".join(type(each).__name__ for each in (optimizer, scheduler) if each)
        raise ConfigError(
            f"Trainer: {kinds} has a state that no checkpoint holds ({error}); train without a run "
            "folder, or with another one"
        ) from error
    return read


def like(now: Any, kept: Any) -> Any:
    """What was read from JSON, with the types of what it takes the place of.

    All keys of JSON are texts, and its lists are lists: the milestones of ``MultiStepLR`` are whole
    numbers, which no text is equal to.
    """
    if isinstance(now, Mapping) and isinstance(kept, Mapping):
        keys: dict[Any, Any] = {str(key): key for key in now}
        made: Any = type(now)
        return made({keys.get(k, k): like(now.get(keys.get(k, k)), v) for k, v in kept.items()})
    if isinstance(now, list | tuple) and isinstance(kept, list) and len(now) == len(kept):
        return type(now)(like(*both) for both in zip(now, kept, strict=True))
    return kept
