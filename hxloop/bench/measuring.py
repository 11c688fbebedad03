"""Clock and memory: medians over repetitions, and the process's resident memory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch


def median_seconds(function: Callable[[], object], repetitions: int, warm_up: int = 1) -> float:
    """Median time of a call.

    Args:
        function: what to time.
        repetitions: how often it is timed.
        warm_up: calls before, not timed.
    """
    return interleaved_seconds([function], repetitions, warm_up)[0]


def interleaved_seconds(
    functions: list[Callable[[], object]], repetitions: int, warm_up: int = 1
) -> list[float]:
    """Median time of a call of each function, called in turns.

    Turns make a comparison fair on a machine whose load changes.
    """
    return [wall for wall, _ in interleaved_times(functions, repetitions, warm_up)]


def interleaved_times(
    functions: list[Callable[[], object]], repetitions: int, warm_up: int = 1
) -> list[tuple[float, float]]:
    """As ``interleaved_seconds``, with the processor time of all threads beside the seconds."""
    for function in functions * warm_up:
        function()
    times: list[list[tuple[float, float]]] = [[] for _ in functions]
    for _ in range(repetitions):
        for function, collected in zip(functions, times, strict=True):
            start, worked = time.perf_counter(), time.process_time()
            function()
            collected.append((time.perf_counter() - start, time.process_time() - worked))
    return [(median(w for w, _ in each), median(p for _, p in each)) for each in times]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return {"processor": model, "threads": torch.get_num_threads()}
