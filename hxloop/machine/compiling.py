"""How long this process has spent compiling: no time of whoever happens to need it first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock


class CompileClock:
    """Counts the seconds in which anything is compiled, by whichever threads.

    Example:
        >>> clock, told = CompileClock(), []
        >>> with clock.telling(lambda: told.append("a compiler starts")):
        ...     with clock.running(), clock.running():
        ...         pass
        >>> told, clock.seconds > 0
        (['a compiler starts'], True)
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._running, self._since, self._done = 0, 0.0, 0.0
        self._told: list[Callable[[], None]] = []

    @property
    def seconds(self) -> float:
        """So far; what is compiled at one time counts once."""
        with self._lock:
            now = time.perf_counter() - self._since if self._running else 0.0
            return self._done + now

    def start(self) -> None:
        """Something begins to be compiled; tells those who asked, in this thread."""
        with self._lock:
            first = not self._running
            self._running += 1
            if first:
                self._since = time.perf_counter()
        for tell in [*self._told] if first else ():
            tell()

    def stop(self) -> None:
        """What began last is compiled, or failed to be."""
        with self._lock:
            self._running -= 1
            if not self._running:
                self._done += time.perf_counter() - self._since

    @contextmanager
    def running(self) -> Iterator[None]:
        """While something is compiled."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Have a function called whenever a compiler starts and none runs."""
        self._told.append(tell)
        try:
            yield
        finally:
            self._told.remove(tell)


# Of this process: compilers do not know for whom they work.
compile_clock = CompileClock()


class Stopwatch:
    """Time since it was made, without what was spent compiling."""

    def __init__(self) -> None:
        self._start, self._compiled = time.perf_counter(), compile_clock.seconds

    @property
    def compiling(self) -> float:
        """Seconds spent compiling."""
        return compile_clock.seconds - self._compiled

    @property
    def seconds(self) -> float:
        """Seconds without them."""
        return time.perf_counter() - self._start - self.compiling
