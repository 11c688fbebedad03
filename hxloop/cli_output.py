"""What the command line prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hxloop.config import ExperimentConfig
from hxloop.training_options import ProgressListener

if TYPE_CHECKING:
    from hxloop.experiment import RunResult


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def line(text: str) -> None:
    """A line of result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line of news."""
    _console().print(text, markup=False)


def error(text: str) -> None:
    """An error, readable."""
    _console().print(f"hxloop: {text}", markup=False)


def json_object(content: Mapping[str, Any]) -> None:
    """Exactly one JSON object on stdout."""
    line(json.dumps(content))


def announce(config: ExperimentConfig) -> None:
    """What is about to happen."""
    note(f"{config.name}: {config.description}")
    chosen = ", ".join(f"{key} = {value}" for key, value in config.backend.options.items())
    note(f"Backend {config.backend.name}{f' ({chosen})' if chosen else ''}, seed {config.seed}")
    brian2 = config.backend.options.get("solver", "brian2") == "brian2"
    if config.backend.name == "emulated-chip" and brian2:
        note("The Brian2 model of a network's shape is compiled once (about half a minute).")


def trained(result: RunResult, as_json: bool) -> None:
    """The end of a training."""
    if as_json:
        json_object(result.as_dict())
        return
    evaluated(result, False)
    if result.run_dir is not None:
        line(f"Report:        {result.run_dir / 'report.html'}")


def evaluated(result: RunResult, as_json: bool) -> None:
    """An evaluation."""
    summary = result.as_dict()
    if as_json:
        json_object(summary)
        return
    chip = f" on chip {result.chip_id}" if result.chip_id else ""
    line(
        f"Test accuracy: {100 * summary['test_accuracy']:.2f} % of "
        f"{summary['test_samples']} samples{chip}"
    )


def study_done(result: Mapping[str, Any], folder: Path, as_json: bool) -> None:
    """The end of a study."""
    if as_json:
        json_object(result)
        return
    line(str(result.get("table", "")))
    line(f"Results: {folder}")


def listing(kind: str, entries: Mapping[str, str], as_json: bool) -> None:
    """Names with descriptions."""
    if as_json:
        json_object({kind: [{"name": k, "description": v} for k, v in entries.items()]})
        return
    width = max((len(name) for name in entries), default=0)
    for name, description in entries.items():
        line(f"{name:<{width}}  {description}")


@contextmanager
def progress() -> Iterator[ProgressListener]:
    """A progress bar on a terminal, a line an epoch elsewhere."""
    console = _console()
    if not console.is_terminal:
        yield _Lines()
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("batches"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[news]}"),
        console=console,
    ) as bar:
        yield _Bar(bar)


class _Lines:
    def __init__(self) -> None:
        self._epochs = 0

    def on_start(self, epoch: int, epochs: int, batches: int) -> None:
        self._epochs = epochs
        note(f"Training epochs {epoch + 1} to {epochs}, {batches} batches each")

    def on_batch(self, epoch: int, batch: int, loss: float) -> None:
        pass

    def on_epoch(self, metrics: Mapping[str, Any]) -> None:
        epoch = f"epoch {metrics['epoch']}/{self._epochs}"
        note(f"{epoch}  {_news(metrics)}  {metrics['seconds']:.2f} s")


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("Starting", total=None, news="")
        self._batches = self._epochs = 0

    def on_start(self, epoch: int, epochs: int, batches: int) -> None:
        self._batches, self._epochs = batches, epochs
        self._bar.update(self._task, total=epochs * batches, completed=epoch * batches)

    def on_batch(self, epoch: int, batch: int, loss: float) -> None:
        done = epoch * self._batches + batch
        self._bar.update(
            self._task, completed=done, description=f"Epoch {epoch + 1}/{self._epochs}"
        )

    def on_epoch(self, metrics: Mapping[str, Any]) -> None:
        self._bar.update(self._task, news=_news(metrics))


def _news(metrics: Mapping[str, Any]) -> str:
    return (
        f"loss {metrics['train_loss']:.3f}  train {100 * metrics['train_accuracy']:.1f} %  "
        f"validation {100 * metrics['validation_accuracy']:.1f} %"
    )
