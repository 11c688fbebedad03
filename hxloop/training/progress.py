"""Who is told how long work takes tells it: lines for logs and notebooks, bars for terminals.

Everything goes to standard error. ``hxloop.runs.train(config, progress=True)`` uses
``TrainingLines``; the command line shows bars on a terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from hxloop.text import printable
from hxloop.training.events import OfListener, TrainingEvents

if TYPE_CHECKING:
    from hxloop.training.options import ProgressListener

Say = Callable[[str], None]
# Off a terminal nothing is told more often than this, in seconds.
EVERY = 5.0
# What share of a calibration must be done before the time left is told: what happens once, in its
# first run (a compilation), would be taken for the pace of ten thousand runs.
FIRST_SHARE = 0.01
# Chip runs and seconds of each step of a calibration with the default options, measured on an
# emulated chip: how much of the whole a step is.
CALIBRATION_EFFORT: Mapping[str, tuple[int, float]] = {
    "before": (1558, 3.1), "tau_syn_exc": (3328, 4.5), "tau_syn_inh": (3328, 4.5),
    "v_threshold": (26, 1.8), "strength_exc": (42, 1.1), "strength_inh": (39, 0.9),
    "offset_inh": (26, 0.9), "offset_exc": (26, 0.8), "v_leak": (13, 0.4), "tau_mem": (3341, 5.0),
    "v_reset": (13, 0.4), "v_leak again": (13, 0.4), "refine tau_syn_exc": (1536, 1.6),
    "refine tau_syn_inh": (1536, 1.6), "refine strength_exc": (54, 1.2),
    "refine strength_inh": (54, 1.2), "refine tau_mem": (1542, 2.3),
    "refine v_threshold": (36, 2.2), "refine v_reset": (18, 0.4), "refine v_leak": (18, 0.5),
    "verify": (1608, 5.1),
}  # fmt: skip


@cache
def console() -> Console:
    """One console, so that a line told while a bar is shown goes above it."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line of news on standard error."""
    console().print(printable(text), markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Pace:
    """How long the rest will take, from what has been done so far."""

    def __init__(self, done: float = 0.0) -> None:
        self._start, self._from = time.monotonic(), done

    def left(self, done: float, total: float) -> str:
        """In words, "" as long as nothing is known."""
        if done <= self._from or total <= done:
            return ""
        passed = time.monotonic() - self._start
        seconds = passed / (done - self._from) * (total - done)
        return f"about {duration(seconds)} left" if seconds >= 0.5 else ""


class TrainingLines(TrainingEvents):
    """A line for an epoch, and how long the rest will take.

    Args:
        every: seconds between lines; the first and the last epoch are always told.
        tell: takes the lines; by default they go to standard error.
    """

    def __init__(self, every: float = 1.0, tell: Say = say) -> None:
        self.every, self._tell = every, tell
        self._epochs, self._last = 0, -float("inf")
        self._pace = Pace()

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        """See ``TrainingEvents``."""
        self._epochs, self._last, self._pace = epochs, -float("inf"), Pace(epoch)
        if epoch < epochs:
            self._tell(f"Training epochs {epoch + 1} to {epochs}, {batches} batches each")

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """See ``TrainingEvents``."""
        epoch, now = metrics["epoch"], time.monotonic()
        if now - self._last < self.every and epoch < self._epochs:
            return
        self._last = now
        left = self._pace.left(epoch, self._epochs)
        self._tell(
            f"epoch {epoch}/{self._epochs}  {_news(metrics)}  {metrics['seconds']:.2f} s"
            + (f"  {left}" if left else "")
        )

    def news(self, text: str) -> None:
        """See ``TrainingEvents``."""
        self._tell(text)


class Steps:
    """How far a study is: which of its parts begins, and how long the rest will take.

    Args:
        say: takes a line.
        total: number of parts.
        done: of them, done before.
    """

    def __init__(self, say: Say, total: int, done: int = 0) -> None:
        self._say, self._total, self._done = say, total, done
        self._pace = Pace(done)

    def begin(self, text: str) -> None:
        """A part begins; the one before it is done."""
        left = self._pace.left(self._done, self._total)
        self._done += 1
        self._say(f"[{self._done} of {self._total}{f', {left}' if left else ''}] {text}")


class CalibrationSteps:
    """How much of a calibration is done, and of what is left the time.

    Its steps differ by a factor of a hundred; they count by what they cost.

    Args:
        show: called with the share done, the words for the step, and the words for what is left.
    """

    def __init__(self, show: Callable[[float, str, str], None]) -> None:
        self._show = show
        self._name, self._place, self._runs, self._began = "", "", 0, 0
        self._before, self._total = 0.0, 1.0
        self._pace: Pace | None = None

    def on_step(self, name: str, index: int, steps: int) -> None:
        """See ``hxloop.calibration.procedures.Progress``."""
        names = list(CALIBRATION_EFFORT)
        if steps < len(names):
            names = [known for known in names if not known.startswith("refine ")]
        costs = [CALIBRATION_EFFORT[known][1] for known in names]
        # Steps that are not known, if ever there are, count as the mean of those that are.
        costs += [sum(costs) / len(costs)] * (steps - len(costs))
        self._total, self._before = sum(costs), sum(costs[:index])
        self._name, self._place, self._began = name, f"step {index + 1}/{steps}", self._runs
        self._pace = self._pace or Pace(self._before)
        self._tell()

    def on_run(self, runs: int) -> None:
        """See ``hxloop.calibration.procedures.Progress``."""
        self._runs = runs
        self._tell()

    def _tell(self) -> None:
        runs, cost = CALIBRATION_EFFORT.get(self._name, (100, 0.0))
        within = min(1.0, (self._runs - self._began) / runs)
        done = self._before + cost * within
        told = self._pace is not None and done >= FIRST_SHARE * self._total
        left = self._pace.left(done, self._total) if self._pace and told else ""
        self._show(done / self._total, f"{self._place}  {self._name}  {self._runs} runs", left)


@contextmanager
def training() -> Iterator[TrainingEvents]:
    """A bar on a terminal, a line an epoch elsewhere."""
    if not console().is_terminal:
        yield TrainingLines(every=0.0)
        return
    with bar() as shown:
        yield _TrainingBar(shown)


@contextmanager
def calibration() -> Iterator[CalibrationSteps]:
    """A bar on a terminal; elsewhere a line for each step, and when one takes long."""
    if not console().is_terminal:
        told, when = "", -float("inf")

        def line(share: float, step: str, left: str) -> None:
            nonlocal told, when
            place, now = step.partition("  ")[0], time.monotonic()
            if place != told or now - when >= EVERY:
                told, when = place, now
                say(f"{step}  {100 * share:.0f} %" + (f"  {left}" if left else ""))

        yield CalibrationSteps(line)
        return
    with bar() as shown:
        task = shown.add_task("Calibration", total=1.0, left="", news="")

        def update(share: float, step: str, left: str) -> None:
            shown.update(task, completed=share, left=left, news=step)

        yield CalibrationSteps(update)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that is told how many of how many are done: a bar, or a line now and then."""
    pace, last = Pace(), time.monotonic()
    if not console().is_terminal:

        def line(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                say(f"{done} of {total} {what}  {pace.left(done, total)}".rstrip())

        yield line
        return
    with bar() as shown:
        task = shown.add_task(what.capitalize(), total=None, left="", news="")

        def update(done: int, total: int) -> None:
            left, news = pace.left(done, total), f"{done} of {total}"
            shown.update(task, total=total, completed=done, left=left, news=news)

        yield update


def bar() -> Progress:
    """A bar that shows the time left at any width; news are cut first."""
    fixed = {"no_wrap": True}
    return Progress(
        TextColumn("{task.description}", table_column=Column(**fixed)),  # type: ignore[arg-type]
        BarColumn(bar_width=12, table_column=Column(width=12, **fixed)),  # type: ignore[arg-type]
        TaskProgressColumn(table_column=Column(**fixed)),  # type: ignore[arg-type]
        TextColumn("{task.fields[left]}", table_column=Column(**fixed)),  # type: ignore[arg-type]
        _News(),
        console=console(),
    )


class _News(ProgressColumn):
    """Text that gives way: what does not fit is cut, in one line."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields["news"]), no_wrap=True, overflow="ellipsis")


class _TrainingBar(TrainingEvents):
    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._task = shown.add_task("Starting", total=None, left="", news="")
        self._batches = self._epochs = 0
        self._pace = Pace()

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        self._batches, self._epochs = batches, epochs
        self._pace = Pace(epoch * batches)
        # Reset, for in a study one training follows another.
        self._shown.reset(
            self._task, total=epochs * batches, completed=epoch * batches, left="", news=""
        )

    def batch(self, epoch: int, batch: int, loss: float) -> None:
        done, total = epoch * self._batches + batch, self._epochs * self._batches
        self._shown.update(
            self._task,
            completed=done,
            description=f"Epoch {epoch + 1}/{self._epochs}",
            left=self._pace.left(done, total),
        )

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        self._shown.update(self._task, news=_news(metrics))

    def news(self, text: str) -> None:
        say(text)


def of_progress(progress: ProgressListener | TrainingEvents | bool | None) -> list[TrainingEvents]:
    """Who watches for ``progress``; True: lines on standard error."""
    if progress is None or progress is False:
        return []
    if progress is True:
        return [TrainingLines()]
    return [progress if isinstance(progress, TrainingEvents) else OfListener(progress)]


def _news(metrics: Mapping[str, Any]) -> str:
    return (
        f"loss {metrics['train_loss']:.3f}  "
        f"validation {100 * metrics['validation_accuracy']:.1f} %  "
        f"train {100 * metrics['train_accuracy']:.1f} %"
    )
