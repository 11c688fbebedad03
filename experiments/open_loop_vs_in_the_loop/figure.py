"""The figure of the study: decisions on one chip, and a line for every chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hxloop.experiments.study_parts import save_figure
from hxloop.page import BLUE, GREEN, GREY, VERMILION
from hxloop.runs.report.figures import draw_decisions
from hxloop.runs.report.page import DecisionPlane

# As results name them.
ARMS = {"open_loop": VERMILION, "with_noise": GREEN, "in_the_loop": BLUE}


def write_figure(
    results: Mapping[str, Any], planes: Sequence[tuple[str, DecisionPlane]], path: Path
) -> None:
    """Draw ``results.json``.

    Args:
        results: of the study.
        planes: captions and decisions, drawn on the left.
        path: PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    presets = list(dict.fromkeys(row["preset"] for row in results["chips"]))
    columns = len(planes) + len(presets)
    figure = Figure(figsize=(2.9 * columns, 3.4), layout="constrained")
    for index, (caption, plane) in enumerate(planes):
        axis = figure.add_subplot(1, columns, 1 + index)
        draw_decisions(axis, plane)
        axis.set_title(caption, fontsize=10)
        axis.set_axis_off()
    software = 100 * results["software"]["test_accuracy"]
    panels: list[Any] = []
    for index, preset in enumerate(presets):
        first = panels[0] if panels else None
        axis = figure.add_subplot(1, columns, 1 + len(planes) + index, sharey=first)
        rows = [row for row in results["chips"] if row["preset"] == preset]
        _draw_chips(axis, rows, software)
        axis.set_title(f"{preset}, {len(rows)} chips", fontsize=10)
        panels.append(axis)
    panels[0].set_ylabel("test accuracy on the chip (%)")
    panels[0].annotate("in software", (-0.55, software), va="bottom", fontsize=8)
    save_figure(figure, path)


def _draw_chips(axis: Any, rows: Sequence[Mapping[str, Any]], software: float) -> None:
    arms = [arm for arm in ARMS if all(arm in row for row in rows)]
    lines = [[100 * row[arm] for arm in arms] for row in rows]
    axis.axhline(software, color="black", linestyle="--", linewidth=1)
    for line in lines:
        axis.plot(range(len(arms)), line, color=GREY, linewidth=1, zorder=1)
    last = len(arms) - 1
    for x, arm in enumerate(arms):
        values, colour = [line[x] for line in lines], ARMS[arm]
        axis.scatter([x] * len(values), values, s=36, color=colour, zorder=2)
        mean = sum(values) / len(values)
        axis.annotate(
            f"{mean:.1f}",
            (x + (-0.12 if x == 0 else 0.12), mean),
            va="center",
            ha="right" if x == 0 else "left",
            color=colour,
        )
    axis.set_xticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
    axis.set_xlim(-0.6, last + 0.6)
    axis.spines[["top", "right"]].set_visible(False)
