"""Models of one shape that share a batch, one process each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.brian2.results import Shape
from hxloop.backends.emulated.brian2.runners import BinaryRunner, NumpyRunner

Array = NDArray[np.float64]


class Runner(Protocol):
    """One model that can be run again and again."""

    def run(self, data: dict[str, Array]) -> list[Array]:
        """What the model came to."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class Fleet:
    """Runners of one model.

    Args:
        shape: of the model; its ``batch`` is that of one runner.
        target: "cpp_standalone", or "numpy", which is one runner in this process.
        cache_dir: where compiled models are kept.
        processes: how many runners.

    Attributes:
        shape, runners: these.

    Raises:
        CompilerError: see ``compiled_model``.
    """

    def __init__(self, shape: Shape, target: str, cache_dir: Path | None, processes: int) -> None:
        self.shape = shape
        self.runners: list[Runner] = []
        self._pool: ThreadPoolExecutor | None = None
        if target == "numpy":
            self.runners = [NumpyRunner(shape)]
        else:
            self.runners = [BinaryRunner(shape, cache_dir) for _ in range(processes)]
        n = len(self.runners)
        if n > 1:
            self._pool = ThreadPoolExecutor(n - 1, thread_name_prefix="hxloop-brian2")

    def share(self, batch: int, run: Callable[[Runner, Sequence[slice]], None]) -> None:
        """Let every runner do its pieces of a batch.

        Args:
            batch: number of samples.
            run: runs pieces, one after another.
        """
        size, n, waiting = self.shape.batch, len(self.runners), []
        parts = [slice(start, min(start + size, batch)) for start in range(0, batch, size)]
        if self._pool is not None:
            for index in range(1, min(n, len(parts))):
                waiting.append(self._pool.submit(run, self.runners[index], parts[index::n]))
        run(self.runners[0], parts[::n])
        for other in waiting:
            other.result()

    def close(self) -> None:
        """Free models and their temporary files."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        while self.runners:
            self.runners.pop().close()
