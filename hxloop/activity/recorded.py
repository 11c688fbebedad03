"""What a network did with a set of samples, in one state of its training: the type to analyse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.types import RunInfo
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec
from hxloop.text import Brief

Times = NDArray[np.float64] | NDArray[np.float32]
UNTRAINED, TRAINED = "untrained", "trained"


@dataclass(frozen=True)
class FurtherSpikes:
    """Spikes of one layer after the first of each neuron, ``(spike,)`` each.

    Attributes:
        samples: index of the sample, ascending.
        neurons: index of the neuron.
        times: model time.
    """

    samples: NDArray[np.int64]
    neurons: NDArray[np.int64]
    times: NDArray[np.float64]

    def select(self, samples: NDArray[np.int64]) -> FurtherSpikes:
        """The spikes of some samples, which are numbered anew in the order given."""
        order = np.argsort(self.samples, kind="stable")
        first = np.searchsorted(self.samples[order], samples, side="left")
        last = np.searchsorted(self.samples[order], samples, side="right")
        parts = [order[start:stop] for start, stop in zip(first, last, strict=True)]
        chosen = np.concatenate([np.empty(0, np.int64), *parts])
        numbers = np.repeat(np.arange(len(samples)), last - first)
        return FurtherSpikes(numbers, self.neurons[chosen], self.times[chosen])

    def check(self, where: str, n_samples: int, n_neurons: int) -> None:
        """Check that the spikes are of these samples and neurons.

        Raises:
            RunInputError: lengths differ, indices out of range, times not finite or negative.
        """
        n = len(self.times)
        check_indices(f"{where}, samples", self.samples, n, 0, n_samples)
        check_indices(f"{where}, neurons", self.neurons, n, 0, n_neurons)
        if not (np.isfinite(self.times) & (self.times >= 0)).all():
            raise RunInputError(f"{where}: expected finite times from 0 on")


@dataclass(frozen=True, repr=False)
class RecordedActivity(Brief):
    """First spikes of all layers for ``n`` samples, in one state of a network's training.

    The reader of activity logs and the import of plain arrays both give it, and all of the
    analysis takes it. Times are model time, ``inf`` = silent.

    Attributes:
        name: of the state: "untrained", "epoch-005", "trained", ...
        input_times: ``(n, n_inputs)``, as delivered to the first layer.
        layer_times: one array ``(n, post)`` for each layer, the output last.
        labels: ``(n,)``, int64, index of the right output neuron.
        decisions: ``(n,)``, int64, index of the output neuron decided for; -1 = no decision.
        weights: one signed matrix ``(pre, post)`` for each layer, as the substrate held them;
            None where they are not known.
        network: the network; None where only its spikes are known.
        epoch: after how many epochs of training; 0 = before; None = not known.
        split: which samples: "test", "validation", "train"; None = not known.
        runs: how each run went, in the order of the samples; () = not known.
        further_spikes: for each layer; None = not recorded.
        decision_rule: how ``decisions`` were made, in words; None = not known.
        class_names: one for each output neuron; () = classes have none.

    Raises:
        RunInputError: arrays that do not fit each other or the network, times that are NaN or
            negative, labels or decisions that name no output neuron.
    """

    name: str
    input_times: Times
    layer_times: tuple[Times, ...]
    labels: NDArray[np.int64]
    decisions: NDArray[np.int64]
    weights: tuple[Times, ...] | None = None
    network: NetworkSpec | None = None
    epoch: int | None = None
    split: str | None = None
    runs: tuple[RunInfo, ...] = field(default=(), repr=False)
    further_spikes: tuple[FurtherSpikes, ...] | None = field(default=None, repr=False)
    decision_rule: str | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"state {self.name!r}"
        self._convert(where)
        if not self.layer_times:
            raise RunInputError(f"{where}: expected at least one layer; got none")
        n = len(self.input_times)
        if n == 0:
            raise RunInputError(f"{where}: expected at least one sample; got none")
        for name, times in zip(
            self.layer_names, (self.input_times, *self.layer_times), strict=True
        ):
            check_times(f"{where}, {name}", times, n)
        if self.network is not None and self.sizes != self.network.sizes:
            raise RunInputError(
                f"{where}: expected layers of the sizes {self.network.sizes}; got {self.sizes}"
            )
        lowest = {"labels": 0, "decisions": -1}
        for name, low in lowest.items():
            check_indices(f"{where}, {name}", getattr(self, name), n, low, self.n_outputs)
        if len(self.class_names) not in (0, self.n_outputs):
            raise RunInputError(
                f"{where}: expected {self.n_outputs} class names, one for each output neuron, or "
                f"none; got {len(self.class_names)}"
            )
        if self.weights is not None:
            expected, got = tuple(pairwise(self.sizes)), tuple(w.shape for w in self.weights)
            if expected != got:
                raise RunInputError(f"{where}: expected weights of shapes {expected}; got {got}")
            for index, matrix in enumerate(self.weights):
                if not np.isfinite(matrix).all():
                    raise RunInputError(f"{where}: weights of layer {index} are not all finite")
        if self.further_spikes is not None:
            if len(self.further_spikes) != len(self.layer_times):
                raise RunInputError(
                    f"{where}: expected further spikes of {len(self.layer_times)} layers; got "
                    f"{len(self.further_spikes)}"
                )
            for name, spikes, size in zip(
                self.layer_names[1:], self.further_spikes, self.sizes[1:], strict=True
            ):
                spikes.check(f"{where}, further spikes of {name}", n, size)

    def _convert(self, where: str) -> None:
        """Arrays from whatever holds them; what they have to be is checked afterwards."""

        def real(name: str, array: Any) -> NDArray[Any]:
            return checks.real_array(f"{where}, {name}", array, keep_single=True)

        layers = tuple(self.layer_times)
        checks.settle(
            self,
            input_times=real("input", self.input_times),
            layer_times=tuple(real(f"layer {i + 1}", times) for i, times in enumerate(layers)),
            labels=checks.labels(f"{where}, labels", self.labels, low=-(2**63)),
            decisions=checks.labels(f"{where}, decisions", self.decisions, low=-(2**63)),
        )
        if self.weights is not None:
            weights = tuple(self.weights)
            checks.settle(
                self, weights=tuple(real(f"weights[{i}]", m) for i, m in enumerate(weights))
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of input channels, then the number of neurons of every layer."""
        return tuple(int(times.shape[1]) for times in (self.input_times, *self.layer_times))

    @property
    def n_outputs(self) -> int:
        """Number of output neurons, which is the number of classes."""
        return self.sizes[-1]

    @property
    def output_times(self) -> Times:
        """First spike times of the last layer, ``(n, n_outputs)``."""
        return self.layer_times[-1]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """ "input", "layer 1", ..., "output": of ``(input_times, *layer_times)``."""
        hidden = (f"layer {index + 1}" for index in range(len(self.layer_times) - 1))
        return ("input", *hidden, "output")

    @property
    def accuracy(self) -> float:
        """Fraction of samples decided rightly; no decision is a wrong one."""
        return float((self.decisions == self.labels).mean())

    def select(self, samples: slice | Sequence[int] | NDArray[Any]) -> RecordedActivity:
        """Some of the samples, by a slice or indices; ``runs`` is left out."""
        further = self.further_spikes
        if further is not None:
            indices = np.arange(len(self))[samples]
            further = tuple(spikes.select(indices) for spikes in further)
        return replace(
            self,
            input_times=self.input_times[samples],
            layer_times=tuple(times[samples] for times in self.layer_times),
            labels=self.labels[samples],
            decisions=self.decisions[samples],
            runs=(),
            further_spikes=further,
        )


def first_output(output_times: Times) -> NDArray[np.int64]:
    """The decision of time-to-first-spike coding: the earliest output neuron.

    Other losses decide otherwise: take ``RecordedActivity.decisions``, or ``Loss.decide``.

    Args:
        output_times: ``(n, n_outputs)``.

    Returns:
        ``(n,)``; of equal times the lowest index, -1 where all are silent.
    """
    silent = np.isinf(output_times).all(axis=1)
    return np.where(silent, -1, output_times.argmin(axis=1)).astype(np.int64)


def check_times(where: str, times: NDArray[Any], n: int | None = None) -> None:
    """Check spike times ``(n, neurons)``.

    Raises:
        RunInputError: another shape, no floating-point numbers, NaN, or negative.
    """
    if times.ndim != 2 or times.dtype.kind != "f" or (n is not None and len(times) != n):
        rows = "n" if n is None else n
        raise RunInputError(
            f"{where}: expected floating-point times ({rows}, neurons); got {times.dtype} "
            f"{times.shape}"
        )
    if times.size and not times.min() >= 0:  # the minimum is NaN where any is
        sample, neuron = (int(i) for i in np.argwhere(~(times >= 0))[0])
        raise RunInputError(
            f"{where}: the time of sample {sample}, neuron {neuron} is {times[sample, neuron]}; "
            "expected 0 or later, inf for a silent neuron"
        )


def check_indices(where: str, indices: NDArray[Any], n: int, low: int, high: int) -> None:
    """Check indices of output neurons ``(n,)``.

    Raises:
        RunInputError: another shape or type, or beyond ``low <= index < high``.
    """
    if indices.shape != (n,) or indices.dtype != np.int64:
        raise RunInputError(f"{where}: expected int64 ({n},); got {indices.dtype} {indices.shape}")
    wrong = (indices < low) | (indices >= high)
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise RunInputError(
            f"{where}: number {sample} is {indices[sample]}; expected {low} to {high - 1}"
        )
