"""The figure of a study of variants: a dot for each training, a line for each mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from hxloop.experiments.study_parts import save_figure
from hxloop.page import BLACK, BLUE


def write_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json``.

    Args:
        results: of the study.
        path: PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = results["trainings"]
    names = list(dict.fromkeys(row["variant"] for row in rows))
    figure = Figure(figsize=(7, 1.2 + 0.42 * len(names)), layout="constrained")
    axis = figure.subplots()
    for place, name in enumerate(names):
        values = [100 * row["test_accuracy"] for row in rows if row["variant"] == name]
        axis.plot(values, [place] * len(values), "o", color=BLUE, alpha=0.7, markersize=5)
        middle = mean(values)
        axis.plot([middle, middle], [place - 0.3, place + 0.3], color=BLACK, linewidth=1.5)
        axis.annotate(f"{middle:.1f}", (middle, place - 0.33), ha="center", va="bottom", fontsize=8)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="test accuracy (%)", ylim=(len(names) - 0.4, -0.8))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    save_figure(figure, path)
