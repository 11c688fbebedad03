"""How long a batch takes on each PyNN simulator, and what of it is the simulator's own run."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from hxloop.bench.measuring import machine
from hxloop.network import NetworkSpec
from hxloop.substrate import get_backend
from hxloop.training.initialisation import initial_weights

BATCH = 150
PARTS = ("build", "set", "run", "read")
SIMULATORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("pynn-nest", {"dt": 1 / 20}),
    ("pynn-brian2", {"dt": 1 / 100}),
    ("pynn-neuron", {"dt": 1 / 100}),
)


def bench_pynn(
    say: Callable[[str], None] = lambda text: None, *, batch: int = BATCH, repetitions: int = 3
) -> dict[str, Any]:
    """Measure a batch of 150 on 5-120-3 on NEST, Brian2 and NEURON.

    Args:
        say: told in words what is measured next.
        batch: samples of a run.
        repetitions: timed runs of each, after a first one that builds the network.

    Returns:
        For each simulator, ``<name>_batch_s``, and of it ``_build_s``, ``_set_s``, ``_run_s``
        (the simulator's own time) and ``_read_s``; ``_first_s``, the first run; ``_cpu_s``,
        processor time of a run; ``_error`` and ``_largest_error``, median and largest difference
        of a hidden spike time from the ideal substrate, in model time; ``_wrong_decisions``,
        spikes that only one of the two has. And the machine.

    Raises:
        MissingDependencyError: one of the simulators is not installed.
        CompilerError: NEURON's mechanisms cannot be compiled.
    """
    network = NetworkSpec.feed_forward(5, 120, 3, t_window=4.0)
    weights = initial_weights(network, (1.5, 0.5), (0.8, 0.8), seed=0)
    # On all time grids, so that the error is that of the simulation.
    times = np.rint(np.random.default_rng(0).uniform(0.15, 2.0, (batch, 5)) * 100) / 100
    with get_backend("ideal").open(network) as session:
        exact = session.run(weights, times).first_spike_times[0]
    figures: dict[str, Any] = {}
    for name, options in SIMULATORS:
        say(f"{name}, dt = tau/{round(1 / options['dt'])}: batches of {batch} on 5-120-3 ...")
        key = name.removeprefix("pynn-")
        with get_backend(name, **options).open(network) as opened:
            session_: Any = opened
            start = time.perf_counter()
            found = session_.run(weights, times).first_spike_times[0]
            figures[f"{key}_first_s"] = round(time.perf_counter() - start, 2)
            wall, cpu, parts = [], [], []
            for _ in range(repetitions):
                start, start_cpu = time.perf_counter(), time.process_time()
                session_.run(weights, times)
                cpu.append(time.process_time() - start_cpu)
                wall.append(time.perf_counter() - start)
                parts.append(dict(session_.seconds))
        both = np.isfinite(found) & np.isfinite(exact)
        error = np.abs(found[both] - exact[both])
        figures[f"{key}_batch_s"] = round(median(wall), 3)
        figures[f"{key}_cpu_s"] = round(median(cpu), 3)
        for part in PARTS:
            figures[f"{key}_{part}_s"] = round(median(p[part] for p in parts), 4)
        figures[f"{key}_error"] = float(f"{np.median(error):.2g}")
        figures[f"{key}_largest_error"] = float(f"{error.max():.2g}")
        figures[f"{key}_wrong_decisions"] = int((np.isfinite(found) != np.isfinite(exact)).sum())
    return figures | {"machine": machine()}
