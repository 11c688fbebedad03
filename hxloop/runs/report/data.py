"""What the report of a training shows, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.text import Brief


@dataclass(frozen=True, repr=False)
class Evaluation(Brief):
    """What a network did with one split; see ``EvaluationResult`` for the arrays.

    Spike times may be those of the first samples only.

    Attributes:
        output: index of the population that decides.
        populations: their names; () = layers of a chain, which are numbered.
        readouts: indices of the populations that never spike.
        first_sample: all spikes of the first sample, of the input and of each population; () =
            each neuron spiked at most once, so they are known from ``first_spike_times``.
    """

    split: str
    labels: NDArray[np.int64]
    decisions: NDArray[np.int64]
    n_classes: int
    input_times: NDArray[np.float64]
    first_spike_times: tuple[NDArray[np.float64], ...]
    t_window: float
    loss: float
    class_names: tuple[str, ...] = ()
    decision_rule: str = ""
    output: int = -1
    populations: tuple[str, ...] = ()
    readouts: tuple[int, ...] = ()
    first_sample: tuple[Spikes, ...] = ()

    def shown_sample(self) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Times and neurons of all spikes of the first sample: of the input, each population."""
        dense = (self.input_times[:1], *(times[:1] for times in self.first_spike_times))
        both = self.first_sample or tuple(Spikes.from_first(times) for times in dense)
        return [(spikes.times, spikes.units) for spikes in both]

    def is_output(self, index: int) -> bool:
        """Whether this is the population that decides."""
        return index == self.output % len(self.first_spike_times)

    def name(self, index: int) -> str:
        """What to call a population."""
        if self.populations:
            return self.populations[index]
        return "outputs" if self.is_output(index) else f"layer {index + 1}"


@dataclass(frozen=True, repr=False)
class DecisionPlane(Brief):
    """Decisions over the Yin-Yang plane; -1 = none, -2 = outside the disk."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    decisions: NDArray[np.int64]
    samples: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class TrainingReport(Brief):
    """Everything the report shows.

    Attributes:
        title: heading.
        description: a line below it.
        summary: rows (label, text) shown first.
        metrics: one mapping for each epoch.
        test: evaluation of the test split.
        plane: decisions over the plane; None for other data.
        substrate: chip parameters by name, one value for each circuit; may be empty.
        config_toml: the complete configuration.
        provenance: versions, machine, command.
        n_weights: of each projection; () = not told.
        weight_names: of each projection; () = those of the layer it leads to.
        batches: of an epoch.
    """

    title: str
    description: str
    summary: Sequence[tuple[str, str]]
    metrics: Sequence[Mapping[str, Any]]
    test: Evaluation
    plane: DecisionPlane | None
    substrate: Mapping[str, NDArray[np.float64]]
    config_toml: str
    provenance: Mapping[str, Any]
    n_weights: tuple[int, ...] = ()
    weight_names: tuple[str, ...] = ()
    batches: int = 1


def decision_plane(
    decide: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    samples: NDArray[np.float64],
    labels: NDArray[np.int64],
    resolution: int = 100,
) -> DecisionPlane:
    """Ask for a decision at every point of the Yin-Yang disk.

    Args:
        decide: ``(n, 4)`` samples (x, y, 1 - x, 1 - y) -> ``(n,)`` decisions.
        samples: ``(n, 2)`` points to draw on top, with their ``labels``.
        resolution: points along each axis.
    """
    axis = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(axis, axis)
    inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    points = np.stack([x[inside], y[inside], 1 - x[inside], 1 - y[inside]], axis=1)
    decisions = np.full(x.shape, -2, dtype=np.int64)
    decisions[inside] = decide(points)
    return DecisionPlane(axis, axis, decisions, samples, labels)
