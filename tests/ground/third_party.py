"""What another package registers: a data set and a loss, as its authors would write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from hxloop import Dataset


def blobs(split, size, seed):
    """Two classes of points in a square."""
    rng = np.random.default_rng((ord(split[0]), seed or 0))
    labels = rng.integers(0, 2, size or 200)
    samples = np.clip(0.3 + 0.4 * labels[:, None] + 0.1 * rng.normal(size=(len(labels), 2)), 0, 1)
    return Dataset("blobs", samples, labels, 2, ("low", "high"))


@dataclass(frozen=True)
class Race:
    """The right neuron ahead of the others by a margin."""

    margin: float = 0.2
    soft: bool = True
    name: ClassVar[str] = "race"
    decision_rule: ClassVar[str] = "the earliest output spike"

    def __call__(self, output_times, labels):
        times = torch.clamp(torch.as_tensor(output_times), max=10.0)
        own = times.gather(1, torch.as_tensor(labels)[:, None])
        lead = times + self.margin * (times != own) - own
        return -torch.log_softmax(-lead / 0.2, 1).gather(1, torch.as_tensor(labels)[:, None]).mean()

    def decide(self, output_times):
        times = np.asarray(output_times)
        return np.where(np.isfinite(times).any(axis=1), times.argmin(axis=1), -1)


NO_LOSS = 3


def nothing(split, size, seed):
    """Forgets to return anything."""
