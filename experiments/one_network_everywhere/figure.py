"""The figure of the study: how far spike times are apart, and how training in the loop goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hxloop.experiments.study_parts import save_figure
from hxloop.page import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

COLOURS = (BLACK, BLUE, SKY, GREEN, VERMILION, ORANGE, PURPLE, GREY)


def write_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json``.

    Args:
        results: of the study.
        path: PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = {k: row for k, row in results["backends"].items() if "accuracy" in row}
    colours = dict(zip(rows, COLOURS, strict=False))
    figure = Figure(figsize=(11.5, 3.8), layout="constrained")
    scores, apart, training = figure.subplots(1, 3, width_ratios=(1.0, 1.3, 1.0))
    _draw_scores(scores, rows, colours)
    _draw_differences(apart, rows, colours, np.array(results["histogram_log10_edges"]))
    for label, row in rows.items():
        if "training" in row:
            values = [100 * value for value in row["training"]["validation_accuracies"]]
            training.plot(
                range(1, len(values) + 1), values, "o-", color=colours[label], label=label
            )
    training.set(xlabel="epoch", ylabel="validation accuracy (%)")
    training.set_title("trained in the loop", fontsize=10)
    training.xaxis.get_major_locator().set_params(integer=True)
    if training.lines:
        training.legend(frameon=False, fontsize=8)
    for axis in (scores, apart, training):
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_scores(axis: Any, rows: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    values = [100 * row["accuracy"] for row in rows.values()]
    places = np.arange(len(values))[::-1]
    axis.axvspan(values[0] - 0.5, values[0] + 0.5, color="#eeeeee", zorder=0)
    axis.scatter(values, places, color=[colours[label] for label in rows], zorder=2)
    axis.set_yticks(places, list(rows), fontsize=8)
    axis.set_xlabel("test accuracy (%)")
    axis.set_title("the same network", fontsize=10)


def _draw_differences(
    axis: Any, rows: Mapping[str, Any], colours: Mapping[str, str], edges: np.ndarray
) -> None:
    for label, row in list(rows.items())[1:]:  # the first is the reference
        share = np.array(row["histogram"]) / max(1, sum(row["histogram"]))
        axis.stairs(share, edges, color=colours[label], label=label)
    axis.set(
        xlabel="log10 of the distance from ideal (tau_syn); left end: none",
        ylabel="share of spikes",
        yscale="log",
        ylim=(5e-6, 20),  # room for the legend
    )
    axis.set_title("spike times", fontsize=10)
    axis.legend(frameon=False, fontsize=7, ncols=2, loc="upper center")
