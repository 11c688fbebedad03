"""How fast the exact engine is: a deep step, an epoch of Yin-Yang, one layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from hxloop.backend import get_backend
from hxloop.bench.measuring import (
    interleaved_seconds,
    machine,
    peak_resident_mb,
)
from hxloop.experiment import train
from hxloop.experiments.registry import load_experiment
from hxloop.initialisation import initial_weights
from hxloop.loop import LoopNetwork
from hxloop.losses import get_loss
from hxloop.network import NetworkSpec
from hxloop.ttfs import first_spike_times

DEEP = (784, 400, 400, 400, 400, 10)
BATCH = 80


def bench_engine(
    say: Callable[[str], None] = lambda text: None, *, repetitions: int = 15
) -> dict[str, Any]:
    """Measure the exact engine, with as many threads as torch has.

    Args:
        say: told in words what is measured next.
        repetitions: of every figure, of which the median counts.

    Returns:
        ``deep_step_ms`` (forward, loss, backward and Adam of 784-400-400-400-400-10 with 80
        samples, inputs drawn from [0.15, 2)), ``deep_forward_ms``, ``deep_backward_ms``,
        ``deep_adam_ms``, ``deep_chip_step_ms`` (the forward pass on an emulated chip, solved by
        events), ``deep_single_step_ms`` and ``deep_chip_single_step_ms`` (both in single
        precision), ``deep_peak_rss_mb`` (of this process after the ideal steps),
        ``yin_yang_epoch_s``, ``layer_forward_over_two_matmuls`` (784 to 400), ``growth`` (the
        time of a step when a size doubles), ``threads``.
    """
    say("A deep step, 784-400-400-400-400-10, 80 samples ...")
    deep = _step_times(DEEP, BATCH, "ideal", repetitions)
    peak = peak_resident_mb()
    say("The same in the loop on an emulated chip ...")
    chip = _step_times(DEEP, BATCH, "emulated-chip", repetitions)
    say("Both in single precision ...")
    single, chip_single = (
        _step_times(DEEP, BATCH, backend, repetitions, "single")
        for backend in ("ideal", "emulated-chip")
    )
    say("One layer against two matrix products ...")
    layer, products = _layer_times(repetitions)
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
        "deep_chip_step_ms": round(1e3 * chip["step"], 2),
        "deep_single_step_ms": round(1e3 * single["step"], 2),
        "deep_chip_single_step_ms": round(1e3 * chip_single["step"], 2),
        "deep_peak_rss_mb": round(peak, 1),
        "yin_yang_epoch_s": round(epoch, 4),
        "layer_forward_ms": round(1e3 * layer, 3),
        "two_matmuls_ms": round(1e3 * products, 3),
        "layer_forward_over_two_matmuls": round(layer / products, 2),
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


def _yin_yang_epoch_s() -> float:
    result = train(load_experiment("yin-yang", ["training.epochs=12"]))
    if result.training is None:
        return float("nan")
    return median(m["seconds"] for m in result.training.metrics[2:])
