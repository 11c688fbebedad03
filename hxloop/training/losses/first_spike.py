"""Cross-entropy of first spike times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.activity.recorded import first_output
from hxloop.training.losses.protocol import (
    Times,
    check_options,
    checked,
    checked_times,
    largest_logarithm,
)


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
        check_options(self, positive=("xi", "beta"))

    def __call__(self, output_times: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        output_times, labels = checked(output_times, labels)
        result: Tensor = _TimeToFirstSpike.apply(output_times, labels, self)
        return result

    def decide(self, output_times: Times) -> NDArray[np.int64]:
        """The earliest spike; of two equal times the lower index."""
        return first_output(checked_times(output_times))


class _TimeToFirstSpike(torch.autograd.Function):
    """``TimeToFirstSpikeLoss`` and its derivative, which has a short form.

    With the softmax p of ``-t/xi``, dL/dt_n = -p_n/xi, and for the correct neuron
    ``(1 - p*)/xi + alpha/beta exp(t*/beta)``.
    """

    @staticmethod
    def forward(ctx: Any, times: Tensor, labels: Tensor, loss: TimeToFirstSpikeLoss) -> Tensor:
        """Mean loss; the gradient is computed along with it."""
        index = labels[:, None]
        largest = largest_logarithm(times.dtype)
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
