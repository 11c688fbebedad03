"""What a network did with a set of samples, in one state of its training: the type to analyse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.further import FurtherSpikes
from hxloop.activity.recorded_checks import (
    check_delays,
    check_indices,
    check_neurons,
    check_times,
    check_trains,
)
from hxloop.activity.spikes import Spikes
from hxloop.activity.types import RunInfo
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, Parameters
from hxloop.network.own_neurons import OwnNeurons
from hxloop.text import Brief

Times = NDArray[np.float64] | NDArray[np.float32]
DECISION_READS = ("first", "spikes", "membrane")
UNTRAINED, TRAINED = "untrained", "trained"


@dataclass(frozen=True, repr=False)
class RecordedActivity(Brief):
    """Spikes of all layers for ``n`` samples, in one state of a network's training.

    The reader of activity logs and the import of plain arrays both give it, and all of the
    analysis takes it. Times are model time, ``inf`` = silent. Layers are the populations of the
    network, in its order. First spikes are dense arrays; all spikes are ``inputs`` and ``spikes``,
    made of the first ones where there are no others.

    Attributes:
        name: of the state: "untrained", "epoch-005", "trained", ...
        input_times: ``(n, n_inputs)``, as delivered to the first layer.
        layer_times: one array ``(n, post)`` for each layer; the output is the last one, unless
            the network names another.
        labels: ``(n,)``, int64, index of the right output neuron.
        decisions: ``(n,)``, int64, index of the output neuron decided for; -1 = no decision.
        weights: one signed matrix ``(pre, post)`` for each projection (of a chain: layer), as
            the substrate held them; None where they are not known.
        network: the network; None where only its spikes are known.
        epoch: after how many epochs of training; 0 = before; None = not known.
        split: which samples: "test", "validation", "train"; None = not known.
        runs: how each run went, in the order of the samples; () = not known.
        further_spikes: for each layer, spikes after the first ones, as files of earlier versions
            have them; None = not recorded.
        decision_rule: how ``decisions`` were made, in words; None = not known.
        class_names: one for each output neuron; () = classes have none.
        input_trains: all input spikes; None: there are no others than those of ``input_times``.
        spike_trains: all spikes of each layer; None: those of ``layer_times`` and
            ``further_spikes``.
        delays: of each projection, as the substrate held them; () = there are none, or they are
            not known.
        neurons: what neurons had each for itself, see ``Parameters``; {}: they were nominal, or the
            substrate's own, or it is not known.
        decision_reads: what ``decisions`` were made of: "first" spikes of the output, all of its
            "spikes", or its "membrane".

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
    input_trains: Spikes | None = field(default=None, repr=False)
    spike_trains: tuple[Spikes, ...] | None = field(default=None, repr=False)
    delays: tuple[Times | None, ...] = ()
    decision_reads: str = DECISION_READS[0]
    neurons: OwnNeurons = field(default_factory=dict)

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
        checks.choice(
            f"{where}, decision_reads", self.decision_reads, DECISION_READS, error=RunInputError
        )
        self._check_parameters(where)
        self._check_all_spikes(where, n)

    def _check_parameters(self, where: str) -> None:
        check_delays(where, self.delays, self.network)
        checks.settle(self, neurons=check_neurons(where, self.neurons, self.network))
        if self.weights is None:
            return
        shapes = tuple(pairwise(self.sizes)) if self.network is None else self.network.shapes
        got = tuple(matrix.shape for matrix in self.weights)
        if shapes != got:
            raise RunInputError(f"{where}: expected weights of shapes {shapes}; got {got}")
        for index, matrix in enumerate(self.weights):
            if not np.isfinite(matrix).all():
                raise RunInputError(f"{where}: weights of layer {index} are not all finite")

    def _check_all_spikes(self, where: str, n: int) -> None:
        if self.input_trains is not None:
            check_trains(f"{where}, input_trains", self.input_trains, self.input_times)
        for what, given in (
            ("further spikes", self.further_spikes),
            ("spike_trains", self.spike_trains),
        ):
            if given is not None and len(given) != len(self.layer_times):
                raise RunInputError(
                    f"{where}: expected {what} of {len(self.layer_times)} layers; got {len(given)}"
                )
        if self.further_spikes is not None and self.spike_trains is not None:
            raise RunInputError(
                f"{where}: got spike_trains, which are all spikes, and further_spikes; expected "
                "one of them"
            )
        names = self.layer_names[1:]
        for name, further, size in zip(
            names, self.further_spikes or (), self.sizes[1:], strict=False
        ):
            further.check(f"{where}, further spikes of {name}", n, size)
        for name, trains, first in zip(
            names, self.spike_trains or (), self.layer_times, strict=False
        ):
            check_trains(f"{where}, spike_trains of {name}", trains, first)

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
        checks.settle(
            self,
            delays=tuple(
                None if array is None else real(f"delays[{i}]", array)
                for i, array in enumerate(self.delays)
            ),
        )
        if self.spike_trains is not None:
            checks.settle(self, spike_trains=tuple(self.spike_trains))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of input channels, then the number of neurons of every layer."""
        return tuple(int(times.shape[1]) for times in (self.input_times, *self.layer_times))

    @property
    def output_index(self) -> int:
        """Which of the layers is the output."""
        return len(self.layer_times) - 1 if self.network is None else self.network.output_index

    @property
    def n_outputs(self) -> int:
        """Number of output neurons, which is the number of classes."""
        return self.sizes[1 + self.output_index]

    @property
    def output_times(self) -> Times:
        """First spike times of the output, ``(n, n_outputs)``."""
        return self.layer_times[self.output_index]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of ``(input_times, *layer_times)``.

        "input", "layer 1", ..., "output" of a chain; else the names of the populations.
        """
        if self.network is not None and not self.network.is_chain:
            return ("input", *(population.name for population in self.network.populations))
        hidden = (f"layer {index + 1}" for index in range(len(self.layer_times) - 1))
        return ("input", *hidden, "output")

    @property
    def inputs(self) -> Spikes:
        """All input spikes, as delivered."""
        if self.input_trains is not None:
            return self.input_trains
        return Spikes.from_first(self.input_times)

    @cached_property
    def spikes(self) -> tuple[Spikes, ...]:
        """All spikes of each layer.

        Raises:
            RunInputError: further spikes, in which a neuron spikes twice at the same time.
        """
        if self.spike_trains is not None:
            return self.spike_trains
        if self.further_spikes is None:
            return tuple(Spikes.from_first(times) for times in self.layer_times)
        layers = zip(self.layer_names[1:], self.further_spikes, self.layer_times, strict=True)
        return tuple(
            further.merged(first, f"state {self.name!r}, {name}") for name, further, first in layers
        )

    @property
    def parameters(self) -> Parameters | None:
        """Weights, delays and neurons as the substrate held them; None: they are not known."""
        if self.weights is None:
            return None
        return Parameters(self.weights, self.delays, self.neurons)

    @property
    def accuracy(self) -> float:
        """Fraction of samples decided rightly; no decision is a wrong one."""
        return float((self.decisions == self.labels).mean())

    def select(self, samples: slice | Sequence[int] | NDArray[Any]) -> RecordedActivity:
        """Some of the samples, by a slice or indices; ``runs`` is left out."""
        further, trains = self.further_spikes, self.spike_trains
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
            input_trains=None if self.input_trains is None else self.input_trains.select(samples),
            spike_trains=None if trains is None else tuple(each.select(samples) for each in trains),
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
