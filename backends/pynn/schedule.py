"""A batch on one time axis: samples one after another in slots, or side by side in copies.

Simulators and chips know one network and one clock. A batch gets there either by running
the samples one after another, far enough apart that none feels the one before, or by
simulating copies of the network side by side; or both. All times here are model times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.engine.psp import psp_after, time_of_peak
from hxloop.errors import ConfigError, RunFailed
from hxloop.network import NetworkSpec, NeuronSpec

Array = NDArray[np.float64]
Units = NDArray[np.int64]


@dataclass(frozen=True)
class FirstSpikes:
    """What one layer did, sample by sample.

    Attributes:
        times: ``(batch, n_neurons)``, relative to the start of the sample, ``inf`` = silent.
        n_discarded: spikes outside every observation window: not reported.
        n_repeated: further spikes of a neuron within one window: not reported either.
    """

    times: Array
    n_discarded: int
    n_repeated: int = 0


@dataclass(frozen=True)
class SampleSchedule:
    """Where on the time axis, and in which copy of the network, each sample runs.

    Sample ``b`` runs in copy ``b % copies``, in slot ``b // copies``. In copy ``c``, neuron
    ``i`` of a layer of ``n`` is unit ``c * n + i``.

    Args:
        n_samples: size of the batch.
        t_window: how long a sample is observed.
        slot: from the start of one sample to the start of the next, at least ``t_window``.
        lead_in: time before the first sample.
        copies: how many samples run side by side.
        refractory: how long a neuron must be silent after a spike, to spike once a sample.
        guard: how much earlier than the start of its sample a spike may be stamped, by rounding;
            it counts as at the start.

    Raises:
        ConfigError: counts below 1, a slot shorter than the window, or a negative time.
    """

    n_samples: int
    t_window: float
    slot: float
    lead_in: float = 0.0
    copies: int = 1
    refractory: float = 0.0
    guard: float = 0.0

    def __post_init__(self) -> None:
        if self.n_samples < 1 or self.copies < 1:
            raise ConfigError(
                f"SampleSchedule: expected at least one sample and one copy; got "
                f"{self.n_samples} and {self.copies}"
            )
        if not (0 < self.t_window <= self.slot < math.inf):
            raise ConfigError(
                f"SampleSchedule.slot: expected at least the window of {self.t_window}; "
                f"got {self.slot}"
            )
        if not (0 <= self.lead_in < math.inf and 0 <= self.guard <= self.slot - self.t_window):
            raise ConfigError(
                f"SampleSchedule: expected lead_in >= 0 and guard from 0 to the gap; got "
                f"{self.lead_in} and {self.guard}"
            )

    @property
    def n_slots(self) -> int:
        """Samples that run one after another."""
        return -(-self.n_samples // self.copies)

    @property
    def duration(self) -> float:
        """Length of the time axis; the last slot is as long as the others."""
        return self.lead_in + self.n_slots * self.slot

    @property
    def starts(self) -> Array:
        """Start of every sample on the axis, ``(n_samples,)``."""
        slots = (np.arange(self.n_samples) // self.copies).astype(np.float64)
        return self.lead_in + slots * self.slot

    def trains(self, times: Array) -> list[Array]:
        """Spike trains that bring the samples in.

        Args:
            times: ``(n_samples, n)``; ``inf``, and times after the window, make no spike.

        Returns:
            ``copies * n`` sorted arrays of times on the axis.
        """
        n_inputs = times.shape[1]
        padded = np.full((self.n_slots * self.copies, n_inputs), np.inf)
        padded[: self.n_samples] = np.where(times <= self.t_window, times, np.inf)
        on_axis = padded.reshape(self.n_slots, self.copies * n_inputs)
        on_axis = on_axis + (self.lead_in + np.arange(self.n_slots) * self.slot)[:, None]
        return [train[np.isfinite(train)] for train in on_axis.T]

    def trains_of(self, inputs: Spikes) -> list[Array]:
        """The same of any number of spikes of each channel, none after the window."""
        slots, copies = np.divmod(inputs.samples, self.copies)
        units = copies * inputs.n_units + inputs.units
        times = inputs.times + self.lead_in + slots * self.slot
        counts = np.bincount(units, minlength=self.copies * inputs.n_units)
        return np.split(times[np.lexsort((times, units))], np.cumsum(counts)[:-1])

    def first_spikes(
        self, units: NDArray[np.integer], times: Array, n_neurons: int, latency: float = 0.0
    ) -> FirstSpikes:
        """First spike of every neuron in every sample.

        Args:
            units: which unit spiked, any order.
            times: when, on the axis; same length.
            n_neurons: neurons of the layer in one copy.
            latency: delay between the input and this layer, subtracted.

        Raises:
            RunFailed: times that are not finite or off the axis, units that do not exist:
                the substrate returned something that cannot have happened.
        """
        samples, neurons, local = self._placed(units, times, n_neurons, latency)
        first = np.full((self.n_samples, n_neurons), np.inf)
        np.minimum.at(first, (samples, neurons), np.maximum(local, 0.0))
        repeated = samples.size - int(np.isfinite(first).sum())
        return FirstSpikes(first, int(np.size(units) - samples.size), repeated)

    def all_spikes(
        self, units: NDArray[np.integer], times: Array, n_neurons: int, where: str
    ) -> tuple[Spikes, int]:
        """All spikes in the windows of the samples, and how many are in none.

        Those in the guard before a sample are at its start; of several of a neuron one counts, the
        others are in no window.

        Args:
            units, times, n_neurons: see ``first_spikes``.
            where: begins messages.

        Raises:
            RunFailed: as there, or two spikes of a neuron at one moment.
        """
        samples, neurons, local = self._placed(units, times, n_neurons, 0.0)
        early = np.flatnonzero(local <= 0)
        early = early[np.argsort(-local[early], kind="stable")]
        _, counted = np.unique(samples[early] * n_neurons + neurons[early], return_index=True)
        again = np.delete(early, counted)
        kept = np.delete(np.arange(len(local)), again[local[again] < 0])
        found = Spikes.from_events(
            samples[kept], neurons[kept], np.maximum(local[kept], 0.0),
            batch=self.n_samples, n_units=n_neurons, where=where, error=RunFailed,
        )  # fmt: skip
        return found, int(np.size(units) - kept.size)

    def _placed(
        self, units: NDArray[np.integer], times: Array, n_neurons: int, latency: float
    ) -> tuple[Units, Units, Array]:
        """Sample, neuron and time of each spike in a window; negative: in the guard before it."""
        units, times = np.asarray(units), np.asarray(times, dtype=np.float64)
        self._check_spikes(units, times, n_neurons)
        times = times - latency
        slots = np.floor((times - self.lead_in + self.guard) / self.slot).astype(np.int64)
        samples = slots * self.copies + units // n_neurons
        local = times - self.lead_in - slots * self.slot
        inside = (slots >= 0) & (samples < self.n_samples) & (local <= self.t_window)
        neurons = (units[inside] % n_neurons).astype(np.int64)
        return samples[inside].astype(np.int64), neurons, local[inside]

    def _check_spikes(self, units: NDArray[np.integer], times: Array, n_neurons: int) -> None:
        if units.shape != times.shape or units.ndim != 1:
            raise RunFailed(
                f"the substrate returned {units.shape} neurons and {times.shape} times of spikes; "
                "expected one of each for every spike"
            )
        n_units = self.copies * n_neurons
        wrong = (units < 0) | (units >= n_units)
        if wrong.any():
            raise RunFailed(
                f"the substrate returned a spike of neuron {units[wrong][0]}; the layer has "
                f"neurons 0 to {n_units - 1}"
            )
        wrong = ~((times >= 0) & (times <= self.duration * (1 + 1e-9) + self.guard))
        if wrong.any():
            raise RunFailed(
                f"the substrate returned a spike of neuron {units[wrong][0]} at {times[wrong][0]}; "
                f"the run was from 0 to {self.duration} (model time)"
            )


@dataclass(frozen=True)
class Spacing:
    """How far apart samples have to be.

    Attributes:
        refractory: a neuron that is silent for so long after a spike spikes once a sample.
        slot: from one sample to the next.
    """

    refractory: float
    slot: float


def spacing(
    network: NetworkSpec,
    weights: Sequence[Array],
    *,
    last_input: float,
    residue: float,
    latency: float = 0.0,
    step: float = 1.0,
) -> Spacing:
    """The shortest spacing at which no sample feels the one before.

    No input arrives after ``last_input``. From then on a membrane is below
    ``sum(w+) * k(time since)``, with k the response to one spike: it can fire only until that
    falls below the threshold, which bounds the last input of the next layer, and so on. Every
    neuron stays refractory until then, so it spikes once; after that it returns to rest, and the
    slot ends when ``sum(|w|) * k`` has fallen below ``residue`` everywhere.

    Args:
        network: its time constants, thresholds and window.
        weights: one matrix ``(pre, post)`` for each layer.
        last_input: when the last input of any sample arrives, at most ``t_window``.
        residue: what may be left of a membrane potential, in units of the weights.
        latency: delay of every layer.
        step: both results are rounded up to multiples of it.
    """
    settled = network.t_window + len(network.layers) * latency
    last_spike = last_input
    for layer, matrix in zip(network.layers, weights, strict=True):
        neuron = layer.neuron
        last_spike += latency
        total = float(np.abs(matrix).sum(axis=0).max())
        settled = max(settled, last_spike + _falls_below(neuron, total, residue))
        drive = float(np.maximum(matrix, 0).sum(axis=0).max())
        last_spike += _falls_below(neuron, drive, neuron.v_threshold - neuron.v_leak)
    refractory = _round_up(last_spike, step)
    return Spacing(refractory, _round_up(max(settled, 2 * refractory + step), step))


def _round_up(value: float, step: float) -> float:
    return math.ceil(value / step - 1e-9) * step


def _falls_below(neuron: NeuronSpec, drive: float, level: float) -> float:
    """Time from which ``drive * k`` stays below ``level``; 0 if it always is."""
    mem, syn = neuron.tau_mem, neuron.tau_syn

    def response(s: float) -> float:
        return drive * float(psp_after(s, mem, syn))

    peak = time_of_peak(mem, syn)
    return 0.0 if response(peak) < level else falls_below(response, peak, level)


def falls_below(response: Callable[[float], float], peak: float, level: float) -> float:
    """Time from which a response that falls from ``peak`` on is below ``level``.

    To a thousandth of it, and not sooner; ``peak`` itself if it is below ``level`` there.
    """
    if response(peak) < level:
        return peak
    low, high = peak, 2 * peak
    while response(high) >= level:
        low, high = high, 2 * high
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if response(middle) >= level else (low, middle)
    return high
