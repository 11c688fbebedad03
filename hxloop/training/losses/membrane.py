"""A loss of the membranes of a leaky read-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hxloop.training.losses.all_spikes import cross_entropy, largest_of
from hxloop.training.losses.protocol import (
    Times,
    check_options,
    checked,
    checked_times,
)
from hxloop.training.readout import MEMBRANE


@dataclass(frozen=True)
class MaxMembraneLoss:
    """Cross-entropy of the softmax of ``scale`` times the highest membranes of a read-out.

    The output population never spikes (``v_threshold = inf``). Its highest membrane up to the end
    of the window is exact, between spikes as well, and so is its gradient; a membrane that never
    rises above leak counts 0 and has no gradient.

    A highest membrane is a memory: of what came early nothing is lost. With ``begin`` only what the
    membranes do from then on counts, so that a network has to keep by itself what it was told
    before; and as they need not be at leak then, the highest can be below it, with a gradient.

    Args:
        scale: of the membranes, above leak, in units of the weights.
        begin: from when on they are read, model time, before the end of the window.

    Raises:
        ConfigError: ``scale`` is not between 1e-9 and 1e9, or ``begin`` negative or beyond 1e9.
    """

    scale: float = 4.0
    begin: float = 0.0

    name: ClassVar[str] = "max-membrane"
    reads: ClassVar[str] = MEMBRANE

    def __post_init__(self) -> None:
        check_options(self, positive=("scale",))

    @property
    def decision_rule(self) -> str:
        """How it decides."""
        since = f" from {self.begin:g} on" if self.begin else ""
        return f"the output neuron whose membrane rises highest{since}"

    def __call__(self, output: Tensor, labels: Tensor) -> Tensor:
        """Mean loss; see ``Loss``."""
        membranes, labels = checked(output, labels)
        return cross_entropy(self.scale * membranes, labels)

    def decide(self, output: Times) -> NDArray[np.int64]:
        """The highest membrane; of two equal ones the lower index; -1 where none rises."""
        return largest_of(checked_times(output), silent=0.0)
