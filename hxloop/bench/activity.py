"""How fast activity logs are written and read: 10 000 samples of 784-400x4-10."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hxloop.activity import ActivityLog, ActivityWriter
from hxloop.bench.measuring import machine
from hxloop.network import NetworkSpec
from hxloop.substrate import get_backend
from hxloop.training.evaluation import evaluate
from hxloop.training.initialisation import balanced_weights
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import get_loss
from hxloop.training.options import SpikeData

SIZES = (784, 400, 400, 400, 400, 10)


def bench_activity(
    say: Callable[[str], None] = lambda text: None,
    *,
    samples: int = 10_000,
    batch_size: int = 150,
    repetitions: int = 3,
) -> dict[str, Any]:
    """Measure an evaluation on the ideal backend with and without a log, and reading it.

    Inputs have as many levels as the pixels of an image, and half of them come late together,
    as those of MNIST do.

    Args:
        say: told in words what is measured next.
        samples: how many.
        batch_size: samples of a run.
        repetitions: of each; best times are given, for other programs only ever add time.

    Returns:
        ``run_s``, ``run_cpu_s`` and ``logged_run_s`` (evaluation without and with a log);
        ``write_s`` and ``write_cpu_s`` (all that writing takes, compression with it); ``mb`` and
        ``file_mb`` (10^6 bytes); ``write_mb_per_s``, ``write_cpu_mb_per_s``, ``share_of_run``,
        ``cpu_share_of_run``; ``read_layer_s`` (a hidden layer), ``read_input_s``,
        ``read_100_samples_s``; and the machine.
    """
    network = NetworkSpec.feed_forward(*SIZES, n_inhibitory=100, t_window=4.0)
    rng = np.random.default_rng(0)
    pixels = np.maximum(rng.integers(-256, 256, (samples, SIZES[0])), 0) / 256
    times = 0.15 + (1 - pixels) * 1.85
    data = SpikeData(times, rng.integers(0, SIZES[-1], samples))
    weights = balanced_weights(network, times[:500], 0.5, 0.9, 0)
    loss = get_loss("time-to-first-spike")
    results: list[dict[str, float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="hxloop-bench-") as folder,
        get_backend("ideal").open(network) as session,
    ):
        loop, path = LoopNetwork(session, weights), Path(folder) / "activity.h5"
        evaluate(loop, loss, SpikeData(times[:batch_size], data.labels[:batch_size]), batch_size)
        for repetition in range(repetitions):
            say(f"round {repetition + 1} of {repetitions}: an evaluation without a log ...")
            running = _Clock()
            running.timed(evaluate)(loop, loss, data, batch_size)
            found = {"run_s": running.seconds, "run_cpu_s": running.cpu_seconds}
            say("... and with one")
            path.unlink(missing_ok=True)
            writing = _Clock()
            start = time.perf_counter()
            log = ActivityWriter(path, network)
            state = log.state("trained", split="test", n_samples=samples)
            evaluate(loop, loss, data, batch_size, observer=writing.timed(state.append))
            writing.timed(state.close)()
            log.close()
            found |= {"logged_run_s": time.perf_counter() - start}
            found |= {"write_s": writing.seconds, "write_cpu_s": writing.cpu_seconds}
            found |= _read(path)
            results.append(found)
        file_mb = path.stat().st_size / 1e6
    best = {name: min(found[name] for found in results) for name in results[0]}
    mb = samples * (sum(SIZES) + 2) * 8 / 1e6
    return {
        "samples": samples,
        **{name: round(value, 4) for name, value in best.items()},
        "mb": mb,
        "file_mb": round(file_mb, 1),
        "write_mb_per_s": round(mb / best["write_s"], 1),
        "write_cpu_mb_per_s": round(mb / best["write_cpu_s"], 1),
        "share_of_run": round(best["write_s"] / best["run_s"], 3),
        "cpu_share_of_run": round(best["write_cpu_s"] / best["run_cpu_s"], 3),
        "load": round(os.getloadavg()[0], 1),
        **machine(),
    }


def _read(path: Path) -> dict[str, float]:
    found = {}
    with ActivityLog.open(path) as log:
        layers = range(len(log.network.layers) - 1)
        start = time.perf_counter()
        for layer in layers:
            log.layer_times("trained", layer)
        found["read_layer_s"] = (time.perf_counter() - start) / len(layers)
        start = time.perf_counter()
        log.input_times("trained")
        found["read_input_s"] = time.perf_counter() - start
        start = time.perf_counter()
        log.read("trained", slice(0, 100))
        found["read_100_samples_s"] = time.perf_counter() - start
    return found


class _Clock:
    """Adds up the time that calls take."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0

    def timed(self, function: Callable[..., object]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            start, cpu = time.perf_counter(), time.process_time()
            function(*arguments)
            self.seconds += time.perf_counter() - start
            self.cpu_seconds += time.process_time() - cpu

        return call
