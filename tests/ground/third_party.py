"""What another package registers: a data set, a loss, an encoding, an initialisation, a null model.

As its authors would write them.
"""

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


@dataclass(frozen=True)
class Both:
    """Every value twice, early and late, and one spike for all."""

    span: float = 2.0
    background: ClassVar[float] = float("inf")

    def n_channels(self, n_features):
        return 2 * n_features + 1

    def encode(self, samples):
        samples = np.asarray(samples)
        channels = [self.span * samples, self.span * (1 - samples), np.full((len(samples), 1), 0.5)]
        return np.concatenate(channels, axis=1)


@dataclass(frozen=True)
class Even:
    """All weights of a layer about alike, whatever the input is."""

    drive: float = 3.0

    def __call__(self, network, input_times, seed):
        rng = np.random.default_rng(seed)
        return [self.drive / shape[0] * rng.uniform(0.2, 1.8, shape) for shape in network.shapes]


@dataclass(frozen=True)
class Crooked:
    """Draws for another network."""

    def __call__(self, network, input_times, seed):
        return [np.ones((2, 2))]


NO_LOSS = 3


def nothing(split, size, seed):
    """Forgets to return anything."""


def at_once(volleys, rng):
    """All spikes of a sample at the moment of its first."""
    first = volleys.times.min(axis=1, keepdims=True)
    return np.where(np.isfinite(volleys.times), first, np.inf)


def too_few(volleys, rng):
    """Loses a sample."""
    return volleys.times[1:]
