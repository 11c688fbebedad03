"""What comes in where torch computes: tensors pass as they are, anything else becomes one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop import checks
from hxloop.errors import NetworkError, RunInputError


def real_tensor(where: str, value: Any) -> Tensor:
    """A tensor of real numbers.

    Args:
        where: name of the argument.
        value: a tensor, which keeps device, gradient and, unless it holds whole numbers, its type;
            or whatever ``hxloop.checks.real_array`` takes: float64, or float32 if it is.

    Raises:
        RunInputError: no rectangular array of real numbers.
    """
    if isinstance(value, Tensor):
        if value.is_floating_point():
            return value
        if value.is_complex() or value.dtype == torch.bool:
            raise RunInputError(f"{where}: expected real numbers; got {value.dtype}")
        return value.to(torch.float64)
    return torch.tensor(checks.real_array(where, value, keep_single=True))


def values_of(where: str, parameter: Tensor) -> NDArray[np.floating[Any]]:
    """The values of a parameter of a network, wherever it lies; of the CPU's, a view.

    Args:
        where: its name.
        parameter: of any floating type; numpy has no bfloat16, whose values become float32.

    Raises:
        NetworkError: it lies on torch's device "meta" and has no values.
    """
    if parameter.is_meta:
        raise NetworkError(
            f"{where}: lies on torch's device 'meta', where nothing has values; expected a CPU or "
            "GPU. Move them by .to_empty(device='cpu') and load a state_dict"
        )
    plain = parameter.detach()
    if plain.dtype == torch.bfloat16:
        plain = plain.to(torch.float32)
    found: NDArray[np.floating[Any]] = plain.numpy(force=True)
    return found


def label_tensor(where: str, value: Any) -> Tensor:
    """A tensor of class numbers ``(n,)``; their range is not looked at.

    Args:
        where: name of the argument.
        value: a tensor of whole numbers, or whatever ``hxloop.checks.labels`` takes.

    Raises:
        RunInputError: no whole numbers.
    """
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
            raise RunInputError(f"{where}: expected whole numbers; got dtype {value.dtype}")
        return value.long()
    return torch.tensor(checks.labels(where, value, low=-(2**63)))
