"""Watchers of a training are told what is compiled, which is no time of its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hxloop.machine.compiling import Stopwatch, compile_clock
from hxloop.training.events import TrainingEvents


@contextmanager
def told_of_compilers(events: TrainingEvents) -> Iterator[None]:
    """Tell, once, that a compiler starts: for so long nothing seems to happen."""
    said = False

    def tell() -> None:
        nonlocal said
        if not said:
            said = True
            events.news("Compiling kernels (once, up to a minute) ...")

    with compile_clock.telling(tell):
        yield


def tell_compiled(events: TrainingEvents, watch: Stopwatch, epoch: int) -> None:
    """Tell how long it took in an epoch, if anything was compiled."""
    if watch.compiling:
        events.news(f"Compiled in {watch.compiling:.1f} s, not counted as time of epoch {epoch}")
