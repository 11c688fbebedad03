"""The page of a comparison: accuracies, curves and what differs between runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from hxloop.files import write_atomically
from hxloop.page import Section, escape, page, picture
from hxloop.runs.comparison import CONFIDENCE, ComparedRun, Comparison
from hxloop.runs.report.figures import axes_of, colour, whole_epochs

# Of a table that may be wider than the page.
WIDE_TABLE = (
    ".wide{overflow-x:auto}.wide td,.wide th{padding:.15rem 1rem .15rem 0;white-space:nowrap;"
    "text-align:left;border-bottom:1px solid #eee}.wide td{overflow-wrap:normal}"
    ".wide tr:first-child td{font-weight:400}"
)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the page, one HTML file that opens offline.

    Raises:
        OutputError: it cannot be written.
    """
    rows = [
        (
            f"{len(members)} run{'s' * (len(members) > 1)} of group {number + 1}",
            _mean_in_words(members, mean, spread),
        )
        for number, (members, mean, spread) in enumerate(comparison.groups())
    ]
    sections = [
        Section(
            "Accuracies",
            f"Points: the test accuracy of each run with its {100 * CONFIDENCE:.0f} % interval for "
            "the samples it was tested on (Wilson). The interval says how well this one network is "
            "known, not how others would do: for that look at the spread within a group.",
            _pictures(comparison),
        ),
        Section(
            "What differs",
            "Settings that are not the same in all runs. Runs that differ in seed and chip alone "
            "are a group.",
            _table(comparison),
        ),
    ]
    title = f"{len(comparison.runs)} runs"
    text = page(title, "Compared by hxloop.", rows=rows, sections=sections, style=WIDE_TABLE)
    write_atomically(path, text.encode("utf-8"))


def in_words(run: ComparedRun) -> str:
    """Accuracy and interval of a run."""
    if run.accuracy is None or run.interval is None:
        return f"not finished, {len(run.run.metrics)} epochs"
    low, high = run.interval
    return f"{100 * run.accuracy:.2f} % ({100 * low:.1f} to {100 * high:.1f})"


def _mean_in_words(members: list[ComparedRun], mean: float | None, spread: float | None) -> str:
    if mean is None:
        return "none finished"
    text = f"{100 * mean:.2f} %"
    if spread is not None:
        text += f", standard deviation {100 * spread:.2f}"
    left = sum(run.accuracy is None for run in members)
    return text + (f"; {left} not finished" if left else "")


def _pictures(comparison: Comparison) -> str:
    with matplotlib.rc_context({"axes.formatter.useoffset": False}):
        n = len(comparison.runs)
        figure, (left, right) = axes_of(1, 2, 10, max(3.2, 0.9 + 0.22 * n))
        for index, run in enumerate(comparison.runs):
            kind: dict[str, Any] = {"color": colour(run.group)}
            metrics = run.run.metrics
            epochs = [entry["epoch"] for entry in metrics]
            values = [100 * entry["validation_accuracy"] for entry in metrics]
            if epochs:
                left.plot(epochs, values, marker="." if len(epochs) < 20 else "", **kind)
            if run.accuracy is not None and run.interval is not None:
                low, high = run.interval
                right.plot([100 * low, 100 * high], [index, index], linewidth=1.5, **kind)
                right.plot([100 * run.accuracy], [index], marker="o", **kind)
        whole_epochs(left, [entry["epoch"] for r in comparison.runs for entry in r.run.metrics])
        left.set(xlabel="epoch", ylabel="validation accuracy (%)")
        right.set_yticks(range(n), [run.label for run in comparison.runs])
        right.set(xlabel="test accuracy (%)", ylim=(n - 0.5, -0.5))
        return picture(figure, "validation accuracy over epochs, and test accuracies")


def _table(comparison: Comparison) -> str:
    heads = ["run", "group", "test accuracy", *comparison.keys]
    rows = []
    for run in comparison.runs:
        cells = [run.label, str(run.group + 1), in_words(run)]
        rows.append([*cells, *(setting(run.settings[key]) for key in comparison.keys)])
    return wide_table(heads, rows)


def wide_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts as HTML, in a box of its own if it is wider than the page.

    Args:
        heads: of the columns.
        rows: as many cells each. ``WIDE_TABLE`` is the style that goes with it.
    """
    lines = ["".join(f"<th>{escape(head)}</th>" for head in heads)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<div class='wide'><table>{body}</table></div>"


def setting(value: Any) -> str:
    """A setting in a table."""
    return "-" if value is None else str(value)
