"""Objectives on output spike times, each with the rule by which it decides.

A decision is the index of an output neuron, or -1 where no output neuron spiked. Training
and deciding must agree, so the rule belongs to the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop import checks
from hxloop.activity.recorded import first_output
from hxloop.checks.tensors import label_tensor, real_tensor
from hxloop.errors import ConfigError, RunInputError
from hxloop.registry import Registry

# Time scales and other options beyond are mistakes, and would overflow.
SHORTEST, LARGEST = 1e-9, 1e9

Times = NDArray[np.float64] | Tensor


@runtime_checkable
class Loss(Protocol):
    """An objective on the output spike times of a batch."""

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


@dataclass(frozen=True)
class TimeToFirstSpikeLoss:
    """Cross-entropy of spike times, with a penalty on late decisions.

    For a sample with the correct neuron's time t* (Göltz et al., Nat. Mach. Intell. 3, 823,
    2021, their loss for classification)::

        log sum_n exp(-(t_n - t*)/xi) + alpha (exp(t*/beta) - 1)

    times in units of ``tau_syn``. Silent wrong neurons contribute nothing. Where the correct
    neuron is silent there is no t* to move: the sample adds the constant ``silent_loss`` and
    no gradient. (Standing in a late time for it would push the wrong neurons into silence
    too, until nothing spikes any more; waking the neuron is the silent-neuron policy's job.)

    Value and gradient are finite for all times: where ``exp(t*/beta)`` comes near what a number
    can hold (``t*/beta`` of 266, in single precision 33) the penalty goes on along its tangent.

    Args:
        xi: scale on which times are compared; small = only near rivals matter.
        alpha: weight of the penalty on late decisions.
        beta: its time scale.
        silent_loss: loss of a sample whose correct neuron is silent.

    Raises:
        ConfigError: an option that is negative, not finite or beyond 1e9, or ``xi`` or ``beta``
            below 1e-9.
    """

    xi: float = 0.2
    alpha: float = 0.005
    beta: float = 1.0
    silent_loss: float = 10.0

    name: ClassVar[str] = "time-to-first-spike"
    decision_rule: ClassVar[str] = "the output neuron that spikes first"

    def __post_init__(self) -> None:
        _check_options(self, positive=("xi", "beta"))

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        output_times, labels = _checked(output_times, labels)
        result: Tensor = _TimeToFirstSpike.apply(output_times, labels, self)
        return result

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """The earliest spike; of two equal times the lower index."""
        return first_output(_checked_times(output_times))


@dataclass(frozen=True)
class TargetTimeLoss:
    """Squared distance of every output spike from its target time.

    ``1/2 sum_n (t_n - target_n)^2``, target ``t_correct`` for the labelled neuron and
    ``t_wrong`` for the others. Silent neurons count as spiking at ``t_silent``, without
    gradient. Distances whose square no number can hold (1e115, in single precision 3e14) count
    as that large.

    The decision is the spike nearest to ``t_correct``, not the earliest: with
    ``t_correct > t_wrong`` the labelled neuron is trained to spike last.

    Args:
        t_correct: target of the labelled neuron, model time.
        t_wrong: target of every other neuron.
        t_silent: time at which a silent neuron counts as spiking.

    Raises:
        ConfigError: an option that is negative, not finite or beyond 1e9, or equal targets.
    """

    t_correct: float = 1.0
    t_wrong: float = 2.0
    t_silent: float = 6.0

    name: ClassVar[str] = "target-time"

    def __post_init__(self) -> None:
        _check_options(self)

    @property
    def decision_rule(self) -> str:
        """How it decides."""
        return f"the output neuron that spikes nearest to t_correct = {self.t_correct:g}"

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        output_times, labels = _checked(output_times, labels)
        target = _targets(output_times, labels, self.t_correct, self.t_wrong)
        difference = _limited(_stand_in(output_times, self.t_silent) - target)
        return 0.5 * (difference**2).sum(dim=1).mean()

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """The spike nearest to ``t_correct``; of two equally near the lower index."""
        return first_output(np.abs(_checked_times(output_times) - self.t_correct))


@dataclass(frozen=True)
class ShiftInvariantTargetLoss:
    """Squared distance of the output pattern from its target pattern, whenever it comes.

    As ``TargetTimeLoss``, with the mean over the output neurons taken off both times and
    targets, so that only differences count. Silent neurons count as spiking at ``t_silent``.
    The decision is the class whose pattern is nearest: among the neurons that spiked the
    earliest for ``t_correct < t_wrong``, else the latest. Arguments and errors as there.
    """

    t_correct: float = 1.0
    t_wrong: float = 2.0
    t_silent: float = 6.0

    name: ClassVar[str] = "shift-invariant-target-time"

    def __post_init__(self) -> None:
        _check_options(self)

    @property
    def decision_rule(self) -> str:
        """How it decides."""
        which = "first" if self.t_correct < self.t_wrong else "last"
        return f"the output neuron that spikes {which}"

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        output_times, labels = _checked(output_times, labels)
        target = _targets(output_times, labels, self.t_correct, self.t_wrong)
        difference = _limited(_stand_in(output_times, self.t_silent) - target)
        centred = difference - difference.mean(dim=1, keepdim=True)
        return 0.5 * (centred**2).sum(dim=1).mean()

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """The earliest or the latest spike; of two equal times the lower index."""
        times = _checked_times(output_times)
        if self.t_correct < self.t_wrong:
            return first_output(times)
        return first_output(np.where(np.isinf(times), np.inf, -times))


class _TimeToFirstSpike(torch.autograd.Function):
    """``TimeToFirstSpikeLoss`` and its derivative, which has a short form.

    With the softmax p of ``-t/xi``, dL/dt_n = -p_n/xi, and for the correct neuron
    ``(1 - p*)/xi + alpha/beta exp(t*/beta)``.
    """

    @staticmethod
    def forward(ctx: Any, times: Tensor, labels: Tensor, loss: TimeToFirstSpikeLoss) -> Tensor:
        """Mean loss; the gradient is computed along with it."""
        index = labels[:, None]
        largest = _largest_logarithm(times.dtype)
        correct = times.gather(1, index)
        silent = torch.isinf(correct)
        correct = correct.masked_fill(silent, 0.0)
        # -inf of silent neurons.
        exponent = ((correct - times) / loss.xi).clamp(max=math.exp(largest))
        total = torch.logsumexp(exponent, dim=1, keepdim=True)
        # The exponential as far as it can be squared, and on along its tangent.
        scaled = (correct / loss.beta).clamp(max=math.exp(largest))
        late = torch.exp(scaled.clamp(max=largest))
        grad = torch.exp(exponent - total) / -loss.xi
        grad.scatter_add_(1, index, 1 / loss.xi + loss.alpha / loss.beta * late)
        ctx.save_for_backward(grad.masked_fill_(silent, 0.0).div_(len(labels)))
        beyond = (scaled - largest).clamp(min=0.0)
        value = total + loss.alpha * (late * (1 + beyond) - 1)
        return value.masked_fill_(silent, loss.silent_loss).mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradient."""
        (grad,) = ctx.saved_tensors
        return grad * grad_outputs[0], None, None


def _largest_logarithm(kind: torch.dtype) -> float:
    """Logarithm of what may still be squared, summed and scaled without overflow."""
    return 0.375 * math.log(torch.finfo(kind).max)


class _Limit(torch.autograd.Function):
    """Numbers cut to what can be squared, with the gradient of a number that was not."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Cut."""
        largest = math.exp(_largest_logarithm(values.dtype))
        return values.clamp(-largest, largest)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        """Straight through: the direction stays right."""
        return grad_outputs[0]


def _limited(values: Tensor) -> Tensor:
    result: Tensor = _Limit.apply(values)
    return result


LOSSES: dict[str, type[Any]] = {
    loss.name: loss for loss in (TimeToFirstSpikeLoss, TargetTimeLoss, ShiftInvariantTargetLoss)
}


REGISTRY = Registry("loss", "hxloop.losses", LOSSES)


def loss_names() -> tuple[str, ...]:
    """Names that ``get_loss`` knows, those of other packages among them."""
    return REGISTRY.names()


def get_loss(name: str, **options: Any) -> Loss:
    """A loss by name.

    Another package's is a dataclass, see ``Loss``, whose fields are its options, in the entry
    points ``hxloop.losses``.

    Raises:
        UnknownNameError: no such loss or option; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: an option out of range, or what is registered is no loss.
    """
    asked = "hxloop.Loss asks for (name, decision_rule, decide, a call)"
    loss: Loss = REGISTRY.make(name, options, Loss, asked)
    return loss


def _check_options(loss: Any, positive: tuple[str, ...] = ()) -> None:
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


def _checked_times(output_times: Times) -> NDArray[np.float64]:
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


def _checked(output_times: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors, checked; see ``Loss``."""
    times = real_tensor("output_times", output_times)
    if times.element_size() < 4:
        times = times.float()  # halves do not hold what is computed from them
    return times, _checked_labels(times, label_tensor("labels", labels).to(times.device))


def _checked_labels(output_times: Tensor, labels: Tensor) -> Tensor:
    if output_times.ndim != 2 or labels.shape != output_times.shape[:1]:
        raise RunInputError(
            "expected output_times (batch, n) and labels (batch,); got "
            f"{tuple(output_times.shape)} and {tuple(labels.shape)}"
        )
    if labels.shape[0] == 0:
        raise RunInputError("output_times: expected at least one sample; got an empty batch")
    if output_times.shape[1] == 0 or not bool(output_times.detach().min() >= 0):
        # The comparison is cheap, and false of NaN; now say what is wrong, if anything is.
        _checked_times(output_times)
    lowest, highest = (int(end) for end in torch.aminmax(labels))
    if lowest < 0 or highest >= output_times.shape[1]:
        raise RunInputError(
            f"labels: expected 0 to {output_times.shape[1] - 1}, one for each output neuron; got "
            f"{lowest} to {highest}"
        )
    return labels


def _targets(output_times: Tensor, labels: Tensor, correct: float, wrong: float) -> Tensor:
    target = torch.full_like(output_times, wrong, requires_grad=False)
    return target.scatter(1, labels[:, None], correct)


def _stand_in(output_times: Tensor, t_silent: float) -> Tensor:
    return torch.where(torch.isfinite(output_times), output_times, t_silent)
