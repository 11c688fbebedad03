"""How fast the exact engine is: a deep step, an epoch of Yin-Yang, one layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch

from hxloop.bench.measuring import (
    interleaved_seconds,
    machine,
)
from hxloop.engine import NeuronParameters, first_spike_times
from hxloop.engine.compiled.forward import forward_equal
from hxloop.engine.compiled.forward_unequal import forward_unequal
from hxloop.engine.compiled.interface import sorted_inputs
from hxloop.engine.compiled.threads import in_threads
from hxloop.experiments.registry import load_experiment
from hxloop.machine.memory import peak_resident_mb
from hxloop.network import NetworkSpec
from hxloop.runs.run import train
from hxloop.substrate import get_backend
from hxloop.training.initialisation import initial_weights
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import get_loss

DEEP = (784, 400, 400, 400, 400, 10)
BATCH = 80
# The two substrates are compared in so many turns.
ROUNDS = 5
# Relative spread of the time constants of the profile's unequal neurons.
CHIP_SPREAD = 0.03


def bench_engine(
    say: Callable[[str], None] = lambda text: None, *, repetitions: int = 15
) -> dict[str, Any]:
    """Measure the exact engine, with as many threads as torch has.

    Args:
        say: told in words what is measured next.
        repetitions: of every figure, of which the median counts.

    Returns:
        In milliseconds unless the name says otherwise:

        - ``deep_step_ms``: forward, loss, backward and Adam of 784-400-400-400-400-10 with 80
          samples, inputs drawn from [0.15, 2); its parts ``deep_forward_ms``,
          ``deep_backward_ms``, ``deep_adam_ms``;
        - ``deep_chip_step_ms``: the same with the forward pass on an emulated chip, solved by
          events; ``deep_chip_over_ideal``: the ratio of the two, measured in turns;
        - ``deep_single_step_ms``, ``deep_chip_single_step_ms``: both in single precision;
        - ``deep_peak_rss_mb``: of this process after the ideal steps;
        - ``yin_yang_epoch_s``: 5-120-3, batches of 150, optimiser, metrics and validation
          included;
        - ``layer_forward_ms`` (784 to 400) and ``two_matmuls_ms``, two matrix products of that
          size; ``layer_forward_over_two_matmuls``;
        - ``profile``: where the time of that layer goes in one thread, as fractions, for
          neurons that are ``equal`` and ``unequal`` (a chip's): ``sorting`` of the inputs,
          ``propagation`` of the membranes and their bounds, ``crossings``, ``host``: checks,
          conversions, allocation;
        - ``growth``: factor on the time of a step when a size doubles;
        - ``threads``, ``machine``.
    """
    say("A deep step, 784-400-400-400-400-10, 80 samples ...")
    deep = _step_times(DEEP, BATCH, "ideal", repetitions)
    peak = peak_resident_mb()
    say("The same in the loop on an emulated chip ...")
    rounds = [
        (_step_times(DEEP, BATCH, "ideal", few), _step_times(DEEP, BATCH, "emulated-chip", few))
        for few in [1 + repetitions // ROUNDS] * ROUNDS
    ]
    ideal_step, chip_step = (median(r[i]["step"] for r in rounds) for i in range(2))
    say("Both in single precision ...")
    single, chip_single = (
        _step_times(DEEP, BATCH, backend, repetitions, "single")
        for backend in ("ideal", "emulated-chip")
    )
    say("One layer against two matrix products ...")
    layer, products = _layer_times(repetitions)
    profile = {
        "equal": layer_profile(0.0, repetitions),
        "unequal": layer_profile(CHIP_SPREAD, repetitions),
    }
    say("Yin-Yang, epochs in software ...")
    epoch = _yin_yang_epoch_s()
    say("How time grows ...")
    base = (400, 400, 10)
    sizes = {
        "batch": (base, 2 * BATCH),
        "inputs": ((800, 400, 10), BATCH),
        "neurons": ((400, 800, 10), BATCH),
        "depth": ((400, 400, 400, 10), BATCH),
    }
    reference = _step_times(base, BATCH, "ideal", repetitions)["step"]
    growth = {
        name: round(_step_times(*size, "ideal", repetitions)["step"] / reference, 2)
        for name, size in sizes.items()
    }
    return {
        "deep_step_ms": round(1e3 * deep["step"], 2),
        "deep_forward_ms": round(1e3 * deep["forward"], 2),
        "deep_backward_ms": round(1e3 * deep["backward"], 2),
        "deep_adam_ms": round(1e3 * deep["adam"], 2),
        "deep_chip_step_ms": round(1e3 * chip_step, 2),
        "deep_chip_over_ideal": round(chip_step / ideal_step, 2),
        "deep_single_step_ms": round(1e3 * single["step"], 2),
        "deep_chip_single_step_ms": round(1e3 * chip_single["step"], 2),
        "deep_peak_rss_mb": round(peak, 1),
        "yin_yang_epoch_s": round(epoch, 4),
        "layer_forward_ms": round(1e3 * layer, 3),
        "two_matmuls_ms": round(1e3 * products, 3),
        "layer_forward_over_two_matmuls": round(layer / products, 2),
        "profile": profile,
        "growth": growth,
        "threads": torch.get_num_threads(),
        "machine": machine(),
    }


def deep_weights(sizes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    """Weights at which most neurons of every layer spike, about the middle of the inputs."""
    network = NetworkSpec.feed_forward(*sizes, t_window=6.0)
    means = [
        3.5 / pre if index == 0 else 4.5 / pre for index, (pre, _) in enumerate(network.shapes)
    ]
    stdevs = [2.0 / pre**0.5 for pre, _ in network.shapes]
    return list(initial_weights(network, means, stdevs, seed=seed))


def _step_times(
    sizes: tuple[int, ...], batch: int, backend: str, repetitions: int, precision: str = "double"
) -> dict[str, float]:
    network = NetworkSpec.feed_forward(*sizes, t_window=6.0)
    options: dict[str, Any] = {"precision": precision}
    if backend == "emulated-chip":
        options |= {"solver": "event", "enforce_limits": False}
    rng = np.random.default_rng(0)
    times, labels = rng.uniform(0.15, 2.0, (batch, sizes[0])), rng.integers(10, size=batch)
    targets, loss = torch.from_numpy(labels), get_loss("time-to-first-spike")
    collected: dict[str, list[float]] = {name: [] for name in ("forward", "backward", "adam")}
    with get_backend(backend, **options).open(network, seed=0) as session:
        loop = LoopNetwork(session, deep_weights(sizes))
        # The smallest rate: the weights, and so the work, stay what they are.
        adam = torch.optim.Adam(loop.parameters(), lr=1e-9, fused=True)
        for repetition in range(repetitions + 2):
            moments = [time.perf_counter()]
            output, _ = loop(times)
            value = loss(output, targets)
            moments.append(time.perf_counter())
            adam.zero_grad()
            value.backward()
            moments.append(time.perf_counter())
            adam.step()
            moments.append(time.perf_counter())
            if repetition >= 2:
                for values, start, end in zip(
                    collected.values(), moments[:-1], moments[1:], strict=True
                ):
                    values.append(end - start)
    steps = [sum(parts) for parts in zip(*collected.values(), strict=True)]
    return {name: median(values) for name, values in collected.items()} | {"step": median(steps)}


def _layer_times(repetitions: int) -> tuple[float, float]:
    weights = torch.from_numpy(deep_weights(DEEP)[0])
    neuron = NetworkSpec.feed_forward(*DEEP[:2]).layers[0].neuron
    times = torch.from_numpy(np.random.default_rng(1).uniform(0.15, 2.0, (BATCH, DEEP[0])))

    def two_products() -> None:
        times @ weights
        times @ weights

    layer, products = interleaved_seconds(
        [lambda: first_spike_times(times, weights, neuron, 6.0), two_products], repetitions
    )
    return layer, products


def layer_profile(spread: float, repetitions: int) -> dict[str, float]:
    """Fractions of a layer's forward time, in this thread alone."""
    weights, window = deep_weights(DEEP)[0], 6.0
    rng = np.random.default_rng(1)
    times = rng.uniform(0.15, 2.0, (BATCH, DEEP[0]))
    neurons = NeuronParameters.uniform(NetworkSpec.feed_forward(*DEEP[:2]).layers[0].neuron, 400)
    names = ("tau_mem", "tau_syn_exc", "tau_syn_inh")
    if spread:
        drawn = {
            name: getattr(neurons, name) * np.exp(spread * rng.standard_normal(400))
            for name in names
        }
        neurons = replace(neurons, **drawn)
    ordered, order = sorted_inputs(times)
    constants = neurons.equal_time_constants or tuple(getattr(neurons, name) for name in names)
    solve = forward_equal if neurons.equal_time_constants else forward_unequal
    reached, never = neurons.v_threshold, np.full(400, 1e9)

    def kernel(threshold: np.ndarray) -> None:
        result = np.full((BATCH, 400), np.inf)
        solve(ordered, order, weights, *constants, threshold, window, result)

    tensors = torch.from_numpy(times), torch.from_numpy(weights)
    with in_threads(1):
        total, sorting, whole, propagation = interleaved_seconds(
            [
                lambda: first_spike_times(*tensors, neurons, window),
                lambda: sorted_inputs(times),
                lambda: kernel(reached),
                lambda: kernel(never),  # the same work, but nothing is ever found
            ],
            repetitions,
        )
    parts = {
        "sorting": sorting,
        "propagation": propagation,
        "crossings": max(whole - propagation, 0.0),
        "host": max(total - sorting - whole, 0.0),
    }
    return {name: round(seconds / sum(parts.values()), 3) for name, seconds in parts.items()}


def _yin_yang_epoch_s() -> float:
    result = train(load_experiment("yin-yang", ["training.epochs=12"]))
    if result.training is None:
        return float("nan")
    found: float = median(m["seconds"] for m in result.training.metrics[2:])
    return found
