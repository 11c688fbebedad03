"""What this machine does: times and memory, measured on the spot. Scripts, never tests."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

# Imported when run: some import a simulator.
_BENCHMARKS = {
    "activity": "hxloop.bench.activity:bench_activity",
    "chip": "hxloop.bench.chip:bench_chip",
    "engine": "hxloop.bench.engine:bench_engine",
    "pynn": "hxloop.bench.pynn:bench_pynn",
}


def benchmark_names() -> tuple[str, ...]:
    """What ``run_benchmark`` knows."""
    return tuple(sorted(_BENCHMARKS))


def run_benchmark(name: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Run a benchmark by name.

    Args:
        name: one of ``benchmark_names()``.
        say: told in words what is measured next.

    Returns:
        Figures by name; seconds end in ``_s``, milliseconds in ``_ms``.

    Raises:
        KeyError: no such benchmark.
    """
    module, _, function = _BENCHMARKS[name].partition(":")
    benchmark: Callable[[Callable[[str], None]], dict[str, Any]] = getattr(
        importlib.import_module(module), function
    )
    return benchmark(say)
