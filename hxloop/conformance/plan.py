"""The networks that the checks run: as large as needed, within what the backend can do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.engine import first_spike_times
from hxloop.engine.psp import peak_of_psp
from hxloop.errors import CapacityError
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import Capabilities

Array = NDArray[np.float64]

HIDDEN, OUTPUTS, LAYERS, BATCH, WINDOW = 10, 3, 3, 8, 4.0
# Shift of the threshold, in leak-threshold distances, at which neurons of the task decide alike:
# of substrates with nominal neurons, and of those with a fixed pattern.
MARGIN, WIDE_MARGIN = 0.03, 0.2


@dataclass(frozen=True)
class Task:
    """Weights and inputs of a network.

    Attributes:
        network: its description.
        weights: one matrix ``(pre, post)`` for each layer.
        input_times: ``(batch, n_inputs)``.
        drives_output: whether any neuron of the last layer spikes.
    """

    network: NetworkSpec
    weights: tuple[Array, ...]
    input_times: Array
    drives_output: bool = True


@dataclass(frozen=True)
class Plan:
    """Sizes and strengths for one backend. One network does for most checks, since
    some substrates take long to open another one.

    Attributes:
        neuron: nominal parameters; leak 0 and threshold 1.
        sizes: number of neurons of every layer.
        n_inputs: so many that together they drive a neuron to twice its threshold.
        batch: samples of a run.
        strong: a large weight that the substrate can hold.
        margin: no neuron of the task is closer to another decision.
    """

    neuron: NeuronSpec
    sizes: tuple[int, ...]
    n_inputs: int
    batch: int
    strong: float
    margin: float

    @classmethod
    def within(cls, capabilities: Capabilities, statistical: bool) -> Plan:
        """The plan for a backend, judged exactly or by statistics.

        Raises:
            CapacityError: too few neurons or inputs for any network worth checking.
        """
        ratios = capabilities.tau_ratios
        neuron = NeuronSpec(tau_mem=1.0 if ratios is None or 1.0 in ratios else ratios[0])
        # Peak of a unit input: 1/e at equal time constants, where 0.6 is a usual weight.
        peak = peak_psp(neuron)
        strong = 0.6 * math.exp(-1) / peak
        if capabilities.weight_limit is not None:
            strong = min(strong, 0.75 * capabilities.weight_limit)
        n_inputs = math.ceil(2 / (strong * peak))
        layers = min(LAYERS, capabilities.max_layers or LAYERS)
        sizes = (*(HIDDEN for _ in range(layers - 1)), OUTPUTS) if layers > 1 else (HIDDEN,)
        available, fan_in = capabilities.max_neurons, capabilities.max_fan_in
        if available is not None and sum(sizes) > available:
            sizes = (*(max(1, available // layers) for _ in range(layers)),)
        if (available is not None and sum(sizes) > available) or (
            fan_in is not None and max(n_inputs, *sizes) > fan_in
        ):
            raise CapacityError(
                f"too small to be checked: {available} neurons with {fan_in} inputs each; "
                f"expected at least {layers} neurons with {n_inputs} inputs"
            )
        batch = min(BATCH, capabilities.max_batch or BATCH)
        return cls(neuron, sizes, n_inputs, batch, strong, WIDE_MARGIN if statistical else MARGIN)

    def network(self, neuron: NeuronSpec | None = None) -> NetworkSpec:
        """The network of the plan, of other neurons if given."""
        neuron = neuron or self.neuron
        return NetworkSpec.feed_forward(self.n_inputs, *self.sizes, neuron=neuron, t_window=WINDOW)

    @cached_property
    def task(self) -> Task:
        """Random weights and inputs at which no decision is close."""
        return self.task_of(self.neuron)

    def task_of(self, neuron: NeuronSpec) -> Task:
        """The same kind of task for other neurons.

        The columns of random matrices are chosen so that every neuron decides the same at a
        threshold higher and lower by the margin, and not much later: substrates that are
        nearly right then agree on who spikes.
        """
        rng = np.random.default_rng(20)
        network = self.network(neuron)
        times = rng.uniform(0, 1.5, (self.batch, self.n_inputs))
        times[rng.random(times.shape) < 0.1] = np.inf
        scale = (neuron.v_threshold - neuron.v_leak) * self._relative_peak(neuron)
        weights, previous = [], times
        for index, (pre, post) in enumerate(network.shapes):
            # Fewer and later inputs arrive in later layers.
            mean = (0.75 if index == 0 else 1.0) * self.strong * scale
            drawn = rng.normal(mean * self.n_inputs / pre, 0.6 * self.strong * scale, (pre, 600))
            limit = 1.25 * self.strong * scale
            matrix = choose_columns(
                previous, np.clip(drawn, -limit, limit), neuron, post, self.margin
            )
            weights.append(matrix)
            previous = engine(previous, matrix, neuron)
        return Task(network, tuple(weights), times, bool(np.isfinite(previous).any()))

    def crowd_of(self, neuron: NeuronSpec, seed: int) -> Task:
        """The same without a choice: whatever neurons come, grazing the threshold or not."""
        rng = np.random.default_rng([21, seed])
        network = self.network(neuron)
        times = rng.uniform(0, 1.5, (self.batch, self.n_inputs))
        scale = (neuron.v_threshold - neuron.v_leak) * self._relative_peak(neuron)
        limit = 1.25 * self.strong * scale
        weights = [
            np.clip(
                rng.normal(
                    0.8 * self.strong * scale * self.n_inputs / pre, 0.8 * limit, (pre, post)
                ),
                -limit,
                limit,
            )
            for pre, post in network.shapes
        ]
        return Task(network, tuple(weights), times)

    def _relative_peak(self, neuron: NeuronSpec) -> float:
        return peak_psp(self.neuron) / peak_psp(neuron)

    def uniform(self, value: float) -> tuple[Array, ...]:
        """Every input has this weight on every neuron; every later weight is strong."""
        matrices = [np.full(shape, self.strong) for shape in self.network().shapes]
        matrices[0][:] = value
        return tuple(matrices)

    def silence(self, batch: int | None = None) -> Array:
        """Input times of a batch without any input."""
        return np.full((self.batch if batch is None else batch, self.n_inputs), np.inf)


def peak_psp(neuron: NeuronSpec) -> float:
    """Largest deflection of the membrane after one input of weight 1."""
    tau_mem, tau_syn = (torch.tensor(t, dtype=torch.float64) for t in (neuron.tau_mem, 1.0))
    return float(peak_of_psp(tau_mem, tau_syn * neuron.tau_syn))


def engine(times: Array, weights: Array, neuron: NeuronSpec, window: float = WINDOW) -> Array:
    """First spike times of a layer of nominal neurons, exactly."""
    result = first_spike_times(torch.from_numpy(times), torch.from_numpy(weights), neuron, window)
    return result.numpy()


def choose_columns(
    times: Array, drawn: Array, neuron: NeuronSpec, count: int, margin: float
) -> Array:
    """Of the drawn neurons, those farthest from a close decision; they spike for most samples."""
    distance = neuron.v_threshold - neuron.v_leak
    early, late = (
        engine(times, drawn, replace(neuron, v_threshold=neuron.v_threshold + shift * distance))
        for shift in (-margin, margin)
    )
    with np.errstate(invalid="ignore"):
        close = ~((late - early < 10 * margin) | (np.isinf(early) & np.isinf(late)))
    silent = np.isinf(late).mean(axis=0)
    # Few close decisions first, and some silence but not too much of it.
    order = np.lexsort((np.arange(drawn.shape[1]), (silent > 0.4) | (silent == 0), close.sum(0)))
    return np.ascontiguousarray(drawn[:, order[:count]])
