"""What is compiled in an epoch is told, and is no time of the epoch."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hxloop.errors import TrainingInterrupted
from hxloop.machine.compiling import CompileClock, Stopwatch, compile_clock
from hxloop.machine.jit import njit
from hxloop.training.events import TrainingEvents
from tests.training.small_training import LOSS, trainer

WAIT = 0.4


class Said(TrainingEvents):
    def __init__(self) -> None:
        self.words: list[str] = []

    def news(self, text: str) -> None:
        self.words.append(text)


class Compiles:
    """A loss that a compiler is needed for, twice."""

    def __init__(self) -> None:
        self.left = 2

    def __getattr__(self, name: str) -> Any:
        return getattr(LOSS, name)

    def __call__(self, *args: Any) -> Any:
        if self.left:
            self.left -= 1
            with compile_clock.running():
                time.sleep(WAIT / 2)
        return LOSS(*args)


def test_an_epoch_does_not_count_what_is_compiled_in_it(tmp_path: Path) -> None:
    trainer().fit()  # whatever numba has to compile here
    said, of_this = Said(), trainer(tmp_path, events=[])
    of_this.loss = Compiles()
    of_this.events.watchers.append(said)
    start = time.perf_counter()
    result = of_this.fit()
    passed = time.perf_counter() - start
    assert sum(epoch["seconds"] for epoch in result.metrics) < passed - 0.9 * WAIT
    assert said.words[0] == "Compiling kernels (once, up to a minute) ..."
    assert said.words[1:] == [f"Compiled in {WAIT:.1f} s, not counted as time of epoch 1"]
    said.words.clear()
    trainer(events=[said]).fit()
    assert said.words == []  # all is compiled


def test_an_interrupted_epoch_does_not_count_it_either(tmp_path: Path) -> None:
    stopped = trainer(tmp_path)
    stopped.loss = Compiles()
    stopped.request_stop()
    start = time.perf_counter()
    with pytest.raises(TrainingInterrupted):
        stopped.fit()
    assert stopped.state.sums.seconds < time.perf_counter() - start - 0.4 * WAIT


def test_what_is_compiled_at_one_time_counts_once() -> None:
    clock, told = CompileClock(), []
    with clock.telling(lambda: told.append(threading.current_thread())):
        others = [threading.Thread(target=lambda: (clock.start(), time.sleep(0.2), clock.stop()))
                  for _ in range(3)]  # fmt: skip
        start = time.perf_counter()
        with clock.running():
            for each in others:
                each.start()
            for each in others:
                each.join()
        passed = time.perf_counter() - start
    assert 0.2 <= clock.seconds <= passed and told == [threading.current_thread()]
    before = clock.seconds
    time.sleep(0.01)
    assert clock.seconds == before


def test_numba_tells_the_clock_once_for_what_it_compiles() -> None:
    @njit
    def twice(a: float) -> float:
        return 2 * a

    watch = Stopwatch()
    assert twice(3.0) == 6.0
    compiled = watch.compiling
    assert 0 < compiled < 60 and watch.seconds >= 0
    assert twice(4.0) == 8.0 and watch.compiling == compiled
