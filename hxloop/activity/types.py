"""What a substrate did: the spike times of one run, and how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.spikes import Spikes
from hxloop.checks import read_only
from hxloop.network import Parameters
from hxloop.network.own_neurons import OwnNeurons
from hxloop.text import Brief

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RunInfo:
    """How one run went: who ran it, and every change the substrate made to its input.

    Attributes:
        backend: name of the backend.
        versions: package name -> version of what computed the run.
        chip_id: which chip it was; None for a backend without one.
        calibration_digest: digest of the calibration in use; None without one.
        seed: seed of the session's trial noise; None for a deterministic backend.
        trial: index of the trial-noise stream used; None for a deterministic backend.
        clipped_weights: for every layer, how many weights lay beyond the substrate's range, by
            however little.
        rounded_inputs: how many input spikes were moved onto the substrate's time grid.
        discarded_spikes: spikes seen later than the observation window, not reported.
        lost_spikes: (sample, neuron) pairs whose spike, if there was one, got lost; where neurons
            may spike more than once, spikes that got lost. Known to an emulator; a chip counts what
            its event network drops, not what its link loses.
        unprompted_spikes: spikes before any input that could have caused them, as on a chip whose
            neurons rest near their threshold; counted by the loop.
        moved_inputs: how many input spikes were delivered more than 0.1 of model time from when
            they were asked for; counted by the loop.
        retries: how often the run was repeated after a transient fault.
        duration_seconds: wall-clock time of the run.
        zeroed_weights: for every layer, how many weights other than 0 became 0 on the
            substrate's grid; () where weights are continuous.
        repeated_spikes: further spikes, within the observation window, of neurons that are to spike
            once a sample: not reported, but felt by the neurons after them.
        tied_outputs: in how many samples the substrate's time grid made spikes of different
            output neurons equal. Where finer times are not known, as on a chip, samples with
            equal ones.
    """

    backend: str
    versions: dict[str, str] = field(default_factory=dict)
    chip_id: str | None = None
    calibration_digest: str | None = None
    seed: int | None = None
    trial: int | None = None
    clipped_weights: tuple[int, ...] = ()
    rounded_inputs: int = 0
    discarded_spikes: int = 0
    lost_spikes: int = 0
    unprompted_spikes: int = 0
    moved_inputs: int = 0
    retries: int = 0
    duration_seconds: float = 0.0
    zeroed_weights: tuple[int, ...] = ()
    tied_outputs: int = 0
    repeated_spikes: int = 0

    @classmethod
    def of_all(cls, infos: Sequence[RunInfo]) -> RunInfo:
        """One record of several runs of the same weights.

        Counts of spikes, retries and seconds are sums; what is a property of weights and
        substrate is that of the last run; there is no one trial.

        Args:
            infos: of the runs, at least one.
        """
        summed = (
            "rounded_inputs",
            "tied_outputs",
            "discarded_spikes",
            "lost_spikes",
            "unprompted_spikes",
            "moved_inputs",
            "repeated_spikes",
            "retries",
        )
        totals: dict[str, Any] = {n: sum(getattr(info, n) for info in infos) for n in summed}
        seconds = sum(info.duration_seconds for info in infos)
        trial = infos[0].trial if len(infos) == 1 else None
        return replace(infos[-1], **totals, trial=trial, duration_seconds=seconds)


@dataclass(frozen=True, repr=False)
class Activity(Brief):
    """The spikes of every population in one run. Times in model time, ``inf`` = silent.

    A substrate whose neurons spike once gives the first four; ``inputs`` and ``spikes`` are made
    of them then. ``of_spikes`` makes it from all spikes.

    Attributes:
        input_times: ``(batch, n_inputs)``, first spikes as delivered to the network.
        first_spike_times: one array ``(batch, post)`` for each population.
        weights_used: one array ``(pre, post)`` for each projection, as the substrate held them.
        info: how the run went.
        input_trains: all input spikes; None: there are no others than those of ``input_times``.
        spike_trains: all spikes of each population; None: no others than the first ones.
        delays_used: of each projection, as the substrate held them; (): there are none.
        output_index: which population decides; that of the network, by default the last.
        neurons_used: what neurons had each for itself, see ``Parameters``; {}: all were nominal,
            or the substrate's own.
    """

    input_times: Array
    first_spike_times: tuple[Array, ...]
    weights_used: tuple[Array, ...]
    info: RunInfo
    input_trains: Spikes | None = None
    spike_trains: tuple[Spikes, ...] | None = None
    delays_used: tuple[Array | None, ...] = ()
    output_index: int = -1
    neurons_used: OwnNeurons = field(default_factory=dict)

    @classmethod
    def of_spikes(
        cls,
        inputs: Spikes,
        spikes: Sequence[Spikes],
        parameters: Parameters,
        info: RunInfo,
        output_index: int = -1,
    ) -> Activity:
        """An activity of all spikes.

        Args:
            inputs: as delivered to the network.
            spikes: of each population.
            parameters: as the substrate held them.
            info: how the run went.
            output_index: which population decides.
        """
        return cls(
            inputs.first,
            tuple(train.first for train in spikes),
            parameters.weights,
            info,
            inputs,
            tuple(spikes),
            parameters.delays,
            output_index,
            parameters.neurons,
        )

    @property
    def inputs(self) -> Spikes:
        """All input spikes, as delivered."""
        return self.input_trains or Spikes.from_first(self.input_times)

    @cached_property
    def spikes(self) -> tuple[Spikes, ...]:
        """All spikes of each population."""
        if self.spike_trains is not None:
            return self.spike_trains
        return tuple(Spikes.from_first(times) for times in self.first_spike_times)

    @property
    def parameters(self) -> Parameters:
        """Weights, delays and neurons, as the substrate held them."""
        return Parameters(self.weights_used, self.delays_used, self.neurons_used)

    @property
    def batch(self) -> int:
        """Number of samples."""
        return int(self.input_times.shape[0])

    @property
    def output_times(self) -> Array:
        """First spike times of the population that decides, ``(batch, n_outputs)``."""
        return self.first_spike_times[self.output_index]

    @property
    def output_spikes(self) -> Spikes:
        """All spikes of the population that decides."""
        return self.spikes[self.output_index]

    def select(self, samples: slice | Sequence[int] | NDArray[Any]) -> Activity:
        """Some of the samples, by a slice or indices, with all of their spikes."""
        trains = self.spike_trains
        return replace(
            self,
            input_times=self.input_times[samples],
            first_spike_times=tuple(times[samples] for times in self.first_spike_times),
            input_trains=None if self.input_trains is None else self.input_trains.select(samples),
            spike_trains=None if trains is None else tuple(each.select(samples) for each in trains),
        )

    def apart_from(self, others: Sequence[NDArray[Any]]) -> Activity:
        """The same, in memory that it shares with none of some other arrays."""

        def own(array: NDArray[Any]) -> NDArray[Any]:
            shared = any(np.may_share_memory(array, other) for other in others)
            return array.copy() if shared or not array.flags.writeable else array

        return replace(
            self,
            input_times=own(self.input_times),
            first_spike_times=tuple(own(times) for times in self.first_spike_times),
            weights_used=tuple(own(matrix) for matrix in self.weights_used),
        )

    def read_only(self) -> Activity:
        """The same, to look at only: its arrays cannot be written to."""
        trains, held = self.spike_trains, self.parameters.read_only()
        return replace(
            self,
            input_times=read_only(self.input_times),
            first_spike_times=tuple(read_only(times) for times in self.first_spike_times),
            weights_used=tuple(read_only(matrix) for matrix in self.weights_used),
            input_trains=None if self.input_trains is None else self.input_trains.read_only(),
            spike_trains=None if trains is None else tuple(each.read_only() for each in trains),
            delays_used=held.delays if self.delays_used else (),
            neurons_used=held.neurons,
        )

    def silent_fraction(self) -> tuple[float, ...]:
        """For every layer, the fraction of (sample, neuron) pairs without a spike."""
        return tuple(float(np.isinf(times).mean()) for times in self.first_spike_times)
