"""The figure of the study: accuracy on chips never seen by number of chips trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from hxloop.experiments.study_parts import save_figure
from hxloop.page import BLUE, VERMILION


def write_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json``: a point for every chip, a line through the means.

    Args:
        results: of the study.
        path: PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axis = figure.add_subplot()
    presets = list(dict.fromkeys(row["preset"] for row in results["rows"]))
    names: list[str] = []
    for preset, colour in zip(presets, (BLUE, VERMILION, *["black"] * len(presets)), strict=False):
        rows = [row for row in results["rows"] if row["preset"] == preset]
        names = [_name(row["ensemble"]) for row in rows]
        for x, row in enumerate(rows):
            values = [100 * value for value in row["test_accuracies"]]
            axis.scatter([x] * len(values), values, s=12, color=colour, alpha=0.35, linewidths=0)
        means = [100 * mean(row["test_accuracies"]) for row in rows]
        axis.plot(range(len(rows)), means, "o-", color=colour, label=preset)
    software = 100 * results["software"]["test_accuracy"]
    axis.axhline(software, color="black", linestyle="--", linewidth=1, label="in software")
    axis.set_xticks(range(len(names)), names)
    axis.set(xlabel="trained on", ylabel="test accuracy on chips\nnever seen (%)")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _name(size: int | None) -> str:
    if size is None:
        return "software"
    return "endless" if size == 0 else f"{size} chip{'s' if size > 1 else ''}"
