"""The figure of the study: a line for every chip, from open loop to in the loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hxloop.errors import OutputError

OPEN, LOOP = "#D55E00", "#0072B2"


def write_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json``.

    Raises:
        OutputError: the file cannot be written.
    """
    presets = list(dict.fromkeys(row["preset"] for row in results["chips"]))
    figure = Figure(figsize=(1.2 + 2.6 * len(presets), 4), layout="constrained")
    panels = figure.subplots(1, len(presets), squeeze=False, sharey=True)[0]
    software = 100 * results["software"]["test_accuracy"]
    for axis, preset in zip(panels, presets, strict=True):
        rows = [row for row in results["chips"] if row["preset"] == preset]
        pairs = [(100 * row["open_loop"], 100 * row["in_the_loop"]) for row in rows]
        axis.axhline(software, color="black", linestyle="--", linewidth=1)
        for pair in pairs:
            axis.plot([0, 1], pair, color="#999999", linewidth=1, zorder=1)
        for x, colour in enumerate((OPEN, LOOP)):
            values = [pair[x] for pair in pairs]
            axis.scatter([x] * len(values), values, s=36, color=colour, zorder=2)
            mean = sum(values) / len(values)
            right = 0.12 if x else -0.12
            axis.annotate(f"{mean:.1f}", (x + right, mean), va="center",
                          ha="left" if x else "right", color=colour)  # fmt: skip
        axis.set_xticks([0, 1], ["open loop", "in the loop"])
        axis.set_xlim(-0.6, 1.6)
        axis.set_title(f"{preset} ({len(rows)} chips)", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("test accuracy on the chip (%)")
    panels[0].annotate("in software", (-0.55, software), va="bottom", fontsize=8)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
