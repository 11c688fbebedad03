"""What this machine does: times and memory, measured on the spot. Scripts, never tests."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError, unknown_name

# Imported when run: some import a simulator.
_BENCHMARKS = {
    "activity": "hxloop.bench.activity:bench_activity",
    "chip": "hxloop.bench.chip:bench_chip",
    "engine": "hxloop.bench.engine:bench_engine",
    "pynn": "hxloop.bench.pynn:bench_pynn",
    "trains": "hxloop.bench.trains:bench_trains",
}


def benchmark_names() -> tuple[str, ...]:
    """What ``run_benchmark`` knows."""
    return tuple(sorted(_BENCHMARKS))


def run_benchmark(
    name: str, say: Callable[[str], None], options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run a benchmark by name.

    Args:
        name: one of ``benchmark_names()``.
        say: told in words what is measured next.
        options: how much is measured, e.g. ``repetitions``; whole numbers.

    Returns:
        Figures by name; seconds end in ``_s``, milliseconds in ``_ms``.

    Raises:
        KeyError: no such benchmark.
        ConfigError: no such option, or not a whole number of at least 1.
    """
    module, _, function = _BENCHMARKS[name].partition(":")
    benchmark: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), function)
    known = [key for key in inspect.signature(benchmark).parameters if key != "say"]
    chosen = {}
    for key, value in (options or {}).items():
        if key not in known:
            raise ConfigError(unknown_name(f"option of benchmark {name!r}", key, known))
        chosen[key] = checks.whole(f"bench.{key}", value, low=1)
    return benchmark(say, **chosen)
