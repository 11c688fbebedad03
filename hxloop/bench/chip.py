"""How fast the emulated chip runs: Brian2 compiled, Brian2 in numpy, and event by event."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hxloop.bench.measuring import interleaved_seconds, machine, median_seconds
from hxloop.experiments.registry import load_experiment
from hxloop.machine.memory import resident_mb
from hxloop.network import NetworkSpec
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import train
from hxloop.substrate import get_backend
from hxloop.training.initialisation import initial_weights

BATCH = 150


def bench_chip(
    say: Callable[[str], None] = lambda text: None,
    *,
    repetitions: int = 21,
    long_runs: int = 300,
    epochs: int = 3,
) -> dict[str, Any]:
    """Measure a batch of 150 on 5-120-3, and an epoch of Yin-Yang in the loop.

    Args:
        say: told in words what is measured next.
        repetitions: timed runs of the compiled model; the numpy one, fifty times slower, takes
            a fifth of them, in turns with it.
        long_runs: runs in one process, to see whether memory or files pile up.
        epochs: of Yin-Yang in the loop, with Brian2 as shipped.

    Returns:
        ``brian2_batch_s``, ``brian2_numpy_batch_s``, ``event_batch_s``, ``compile_s``,
        ``numpy_over_compiled``, ``memory_growth_mb``, ``disk_growth_bytes``, ``long_runs``,
        ``epoch_s``, and the machine.

    Raises:
        CompilerError: there is no C++ compiler.
    """
    network = NetworkSpec.feed_forward(5, 120, 3, t_window=4.0)
    weights = initial_weights(network, (1.5, 0.5), (0.8, 0.8), seed=0)
    times = np.random.default_rng(0).uniform(0.15, 2.0, (BATCH, 5))

    def opened(folder: str, **options: Any) -> Any:
        backend = get_backend("emulated-chip", weight_lsb=0.05, cache_dir=folder, **options)
        return backend.open(network, seed=0)

    with (
        tempfile.TemporaryDirectory(prefix="hxloop-bench-") as folder,
        opened(folder) as compiled,
        opened(folder, codegen="numpy") as in_numpy,
        opened(folder, solver="event") as event,
    ):

        def run_of(session: Any) -> Callable[[], object]:
            return lambda: session.run(weights, times, trial=0)

        say("Compiling the Brian2 model (once for every shape) ...")
        start = time.perf_counter()
        run_of(compiled)()
        first = time.perf_counter() - start
        say("Batches of 150 on 5-120-3, dt = tau/200 ...")
        fast = median_seconds(run_of(compiled), repetitions)
        exact = median_seconds(run_of(event), repetitions)
        say("The same with Brian2's numpy runtime, in turns with the compiled model ...")
        beside, slow = interleaved_seconds(
            [run_of(compiled), run_of(in_numpy)], max(3, repetitions // 5)
        )
        say(f"{long_runs} runs in one process ...")
        before = resident_mb(), _bytes_below(Path(folder))
        for _ in range(long_runs):
            run_of(compiled)()
        after = resident_mb(), _bytes_below(Path(folder))
    say(f"{epochs} epochs of yin-yang-in-the-loop ...")
    return {
        "brian2_batch_s": round(fast, 4),
        "brian2_numpy_batch_s": round(slow, 4),
        "event_batch_s": round(exact, 4),
        "numpy_over_compiled": round(slow / beside, 1),
        "compile_s": round(first - fast, 1),
        "long_runs": long_runs,
        "memory_growth_mb": round(after[0] - before[0], 2),
        "disk_growth_bytes": after[1] - before[1],
        "epoch_s": round(_epoch_seconds(load_experiment("yin-yang-in-the-loop"), epochs), 3),
        "machine": machine(),
    }


def _epoch_seconds(config: ExperimentConfig, epochs: int) -> float:
    # One epoch more: the first compiles the model, if it is not there yet.
    training = config.training.model_copy(update={"epochs": epochs + 1})
    result = train(config.model_copy(update={"training": training}))
    if result.training is None:
        return float("nan")
    return float(np.median([m["seconds"] for m in result.training.metrics[1:]]))


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
