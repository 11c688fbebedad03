"""What a loss is, and what all of them check."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop import checks
from hxloop.checks.tensors import label_tensor, real_tensor
from hxloop.errors import ConfigError, RunInputError
from hxloop.training.readout import FIRST, READS

# Time scales and other options beyond are mistakes, and would overflow.
SHORTEST, LARGEST = 1e-9, 1e9

Times = NDArray[np.float64] | Tensor


@runtime_checkable
class Loss(Protocol):
    """An objective on the output spike times of a batch.

    One that reads something else says so in an attribute ``reads``, and its ``output_times`` are
    that: "spikes": a ``SpikeTrain`` with all spikes, for ``decide`` the ``Spikes`` themselves;
    "membrane": the highest membranes of a leaky read-out, ``(batch, n)``, from the time ``begin``
    on, if the loss has one. Without it a loss reads "first" spikes.
    """

    @property
    def name(self) -> str:
        """Name under which ``get_loss`` finds it."""
        ...

    @property
    def decision_rule(self) -> str:
        """How it decides, in words."""
        ...

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """The objective to minimise.

        Args:
            output_times: ``(batch, n)`` in model time, ``inf`` = silent.
            labels: ``(batch,)``, whole numbers from 0 to n - 1.

        Returns:
            Scalar, the mean over the batch; it and its gradient finite with silent neurons too.

        Raises:
            RunInputError: wrong shapes or types, an empty batch, NaN or ``-inf`` among the
                times, or a label without an output neuron.
        """
        ...

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """Decision for each sample, ``(batch,)``; -1 where no output neuron spiked.

        Args:
            output_times: ``(batch, n)`` in model time, ``inf`` = silent.

        Raises:
            RunInputError: wrong shape, or NaN or ``-inf`` among the times.
        """
        ...


def reads_of(loss: Any) -> str:
    """What a loss reads, see ``Loss``.

    Raises:
        ConfigError: no such thing.
    """
    reads = checks.choice(f"loss {loss!r}: reads", getattr(loss, "reads", FIRST), READS)
    return str(reads)


def begin_of(loss: Any) -> float:
    """From when on a loss reads membranes, model time; 0 of one that does not say.

    Raises:
        ConfigError: no time.
    """
    return checks.number(f"loss {loss!r}: begin", getattr(loss, "begin", 0.0), low=0)


def check_options(loss: Any, positive: tuple[str, ...] = ()) -> None:
    """Check the options of a loss, all numbers.

    Args:
        loss: a dataclass; its fields become floats.
        positive: those that may not be 0.

    Raises:
        ConfigError: one out of range, or equal target times.
    """
    for field in fields(loss):
        bounds: dict[str, Any] = {"above": 0} if field.name in positive else {"low": 0}
        value = checks.number(
            f"loss {loss.name!r}: {field.name}", getattr(loss, field.name), **bounds
        )
        if field.name in positive:
            bounds = {"low": SHORTEST}
        checks.number(f"loss {loss.name!r}: {field.name}", value, **bounds, high=LARGEST)
        checks.settle(loss, **{field.name: value})
    if hasattr(loss, "t_correct") and loss.t_correct == loss.t_wrong:
        raise ConfigError(
            f"loss {loss.name!r}: t_correct and t_wrong must differ, else no class is preferred; "
            f"got {loss.t_correct} twice"
        )


def checked_times(output_times: Times) -> NDArray[np.float64]:
    """Output times as float64, for deciding.

    Raises:
        RunInputError: another shape, NaN or ``-inf``.
    """
    times = checks.real_array("output_times", output_times)
    if times.ndim != 2 or times.shape[1] == 0:
        raise RunInputError(f"output_times: expected shape (batch, n); got {times.shape}")
    wrong = np.isnan(times) | np.isneginf(times)
    if wrong.any():
        sample, neuron = (int(i) for i in np.argwhere(wrong)[0])
        raise RunInputError(
            f"output_times: {times[sample, neuron]} at sample {sample}, neuron {neuron}; "
            "expected a time, or inf for a silent neuron"
        )
    return times


def checked(output_times: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors, checked; see ``Loss``."""
    times = real_tensor("output_times", output_times)
    if times.element_size() < 4:
        times = times.float()  # halves do not hold what is computed from them
    return times, checked_labels(times, label_tensor("labels", labels).to(times.device))


def checked_labels(output_times: Tensor, labels: Tensor) -> Tensor:
    """Labels as a tensor of whole numbers.

    Raises:
        RunInputError: another number of them, or one without an output neuron.
    """
    if output_times.ndim != 2 or labels.shape != output_times.shape[:1]:
        raise RunInputError(
            "expected output_times (batch, n) and labels (batch,); got "
            f"{tuple(output_times.shape)} and {tuple(labels.shape)}"
        )
    if labels.shape[0] == 0:
        raise RunInputError("output_times: expected at least one sample; got an empty batch")
    if output_times.shape[1] == 0 or not bool(output_times.detach().min() >= 0):
        # The comparison is cheap, and false of NaN; now say what is wrong, if anything is.
        checked_times(output_times)
    check_classes(labels, output_times.shape[1])
    return labels


def check_classes(labels: Tensor, n: int) -> None:
    """Check that each of some labels has an output neuron.

    Raises:
        RunInputError: one has none.
    """
    lowest, highest = (int(end) for end in torch.aminmax(labels))
    if lowest < 0 or highest >= n:
        raise RunInputError(
            f"labels: expected 0 to {n - 1}, one for each output neuron; got {lowest} to {highest}"
        )


def largest_logarithm(kind: torch.dtype) -> float:
    """Logarithm of what may still be squared, summed and scaled without overflow."""
    return 0.375 * math.log(torch.finfo(kind).max)


class _Limit(torch.autograd.Function):
    """Numbers cut to what can be squared, with the gradient of a number that was not."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Cut."""
        largest = math.exp(largest_logarithm(values.dtype))
        return values.clamp(-largest, largest)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        """Straight through: the direction stays right."""
        return grad_outputs[0]


def limited(values: Tensor) -> Tensor:
    """Numbers cut to what can be squared, with the gradient of a number that was not."""
    result: Tensor = _Limit.apply(values)
    return result
