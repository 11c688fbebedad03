"""The figure of the study: accuracies of every chip in every state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hxloop.experiments.study_parts import save_figure
from hxloop.page import BLUE, ORANGE, PURPLE, SKY, VERMILION

COLOURS = (VERMILION, ORANGE, PURPLE, BLUE, SKY)
LABELS = {
    "uncalibrated": "uncalibrated",
    "calibrated": "calibrated",
    "drifted_uncalibrated": "uncalibrated,\ndrifted",
    "drifted_old": "drifted, old\ncalibration",
    "drifted_new": "drifted, new\ncalibration",
}
NETWORKS = {
    "transfer": "transferred from software",
    "loop_uncalibrated": "in the loop, uncalibrated",
    "loop_uncalibrated_twin": "in the loop, uncalibrated, digital twin",
    "loop_calibrated": "in the loop, calibrated",
    "loop_calibrated_twin": "in the loop, calibrated, digital twin",
}


def write_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json``.

    Args:
        results: of the study.
        path: PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    shown = [name for name in NETWORKS if name in results["chips"][0]["networks"]]
    for index, network in enumerate(shown):
        shift = 0.14 * (index - (len(shown) - 1) / 2)
        first = next(s for s in LABELS if s in _states(results, network))
        for place, state in enumerate(LABELS):
            scores, off = [], []
            for row in results["chips"]:
                tested = row["networks"][network]["states"].get(state)
                if tested is not None:
                    scores.append(100 * tested["accuracy"])
                    off.append(tested["spike_error"])
            if not scores:
                continue
            x, colour = np.full(len(scores), place + shift), COLOURS[index]
            left.plot([place + shift - 0.06, place + shift + 0.06], [np.mean(scores)] * 2,
                      color=colour, linewidth=2)  # fmt: skip
            named = NETWORKS[network] if state == first else None
            left.scatter(x, scores, s=20, color=colour, alpha=0.7, label=named, linewidths=0)
            right.scatter(x, off, s=20, color=colour, alpha=0.7, linewidths=0)
    software = 100 * results["software"]["test_accuracy"]
    left.axhline(software, color="black", linestyle="--", linewidth=1, label="in software")
    left.set_ylabel("test accuracy on the chip (%)")
    left.legend(frameon=False, fontsize=8, loc="lower right")
    right.set(ylabel="spike times off (median, tau_syn)", yscale="log")
    for axis in (left, right):
        axis.set_xticks(range(len(LABELS)), list(LABELS.values()), fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    right.tick_params(axis="x", rotation=60)
    save_figure(figure, path)


def _states(results: Mapping[str, Any], network: str) -> list[str]:
    return list(results["chips"][0]["networks"][network]["states"])
