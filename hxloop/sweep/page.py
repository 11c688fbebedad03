"""The page of a sweep: what came of each point, and of each of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from hxloop.errors import OutputError
from hxloop.files import write_atomically
from hxloop.page import BLUE, GREY, Section, page, picture
from hxloop.runs.report.comparison_page import WIDE_TABLE, wide_table
from hxloop.runs.report.figures import axes_of
from hxloop.sweep.result import CONFIDENCE, SweepResult


def write_page(result: SweepResult, path: Path, picture_at: Path, by: Sequence[str] | None) -> None:
    """Write the page, one HTML file that opens offline, and its figure as a file of its own.

    Raises:
        OutputError: one cannot be written.
    """
    figure = draw(result, by)
    try:
        figure.savefig(picture_at, dpi=130)
    except OSError as error:
        raise OutputError(f"{picture_at}: cannot be written: {error.strerror}") from error
    failed = [row for row in result.rows if row.error is not None]
    rows = [("runs", str(len(result.rows)))]
    if failed:
        rows.append(("failed", str(len(failed))))
    sections = [
        Section(
            "Accuracies",
            "Dots: the test accuracy of each run. Bars: the mean over runs with its "
            f"{100 * CONFIDENCE:.0f} % interval (Student's t over runs), which says how far the "
            "mean of other seeds and chips may be from it.",
            picture(figure, "test accuracies"),
        ),
        Section("By setting", "", wide_table(*result.table(by))),
        Section("All runs", "", wide_table(*_all_runs(result))),
    ]
    text = page(
        result.experiment, "A sweep by hxloop.", rows=rows, sections=sections, style=WIDE_TABLE
    )
    write_atomically(path, text.encode("utf-8"))


def draw(result: SweepResult, by: Sequence[str] | None = None) -> Figure:
    """Every run a dot, every group a mean with its interval."""
    groups, keys = result.groups(by), result.split_by(by)
    figure, (axis,) = axes_of(1, 1, 8, max(2.4, 0.9 + 0.32 * len(groups)))
    for place, group in enumerate(groups):
        values = [100 * accuracy for accuracy in group.accuracies]
        axis.plot(values, [place] * len(values), "o", color=GREY, markersize=4, alpha=0.7)
        if group.mean is not None:
            mean = [100 * group.mean]
            axis.plot(mean, [place], "|", color=BLUE, markersize=14, markeredgewidth=2)
        if group.interval is not None:
            ends = [100 * end for end in group.interval]
            axis.plot(ends, [place] * 2, color=BLUE, linewidth=1.5)
    names = [", ".join(str(group.values[key]) for key in keys) for group in groups]
    axis.set_yticks(range(len(groups)), names)
    axis.set(xlabel="test accuracy (%)", ylim=(len(groups) - 0.5, -0.5), ylabel=", ".join(keys))
    return figure


def _all_runs(result: SweepResult) -> tuple[list[str], list[list[str]]]:
    rows = []
    for row in result.rows:
        accuracy = "" if row.accuracy is None else f"{100 * row.accuracy:.2f} %"
        told = row.error or accuracy or "not done"
        rows.append([row.name, *(str(row.values[key]) for key in result.keys), told])
    return ["run", *result.keys, "test accuracy"], rows
