"""The study's figure: spread, classes and pathways against depth; training; substrates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hxloop.experiments.study_parts import save_figure
from hxloop.experiments.synchronization.tables import by_kind, depth
from hxloop.page import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION

TRAINED, UNTRAINED, CHIP, NULL = BLUE, GREY, VERMILION, BLACK
SUBSTRATE_COLOURS = (BLUE, VERMILION, ORANGE, GREEN)
Layers = Sequence[Mapping[str, Any]]


def write_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json``; without a deeper network or substrates their panel is left out.

    Args:
        results: of the study.
        path: PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    kinds = by_kind(results["networks"])
    figure = Figure(figsize=(12, 6.8), layout="constrained")
    axes = figure.subplots(2, 3)
    deep = kinds["deep"]
    _spread(axes[0, 0], deep, kinds.get("chip", []))
    _spread(axes[0, 1], kinds.get("eight", []), [])
    _training(axes[0, 2], deep)
    _against_depth(
        axes[1, 0], deep, "silhouette_times", "silhouette of the classes", "null_silhouette"
    )
    _against_depth(axes[1, 1], deep, "distinctness", "distinctness of pathways", None)
    _substrates(axes[1, 2], results.get("substrates"))
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _spread(axis: Any, members: Layers, chip: Layers) -> None:
    if not members:
        axis.set_visible(False)
        return
    axis.set_title(f"spread, {depth(members)}", fontsize=10)
    axis.set_ylabel("causal shorth (tau_syn)")
    shown = [
        (members, "untrained", UNTRAINED, "untrained"),
        (members, "trained", TRAINED, "trained"),
        (chip, "trained", CHIP, "trained on the chip"),
    ]
    for networks, state, colour, label in shown:
        for index, network in enumerate(networks):
            values = _row(network, state, "causal_shorth")[:-1]  # at the output: the decision
            axis.plot(values, "o-", color=colour, ms=4, label=None if index else label)
    band = np.array(members[0]["bands"][:-1], dtype=float)
    axis.fill_between(range(len(band)), band[:, 0], band[:, 2], color=TRAINED, alpha=0.15, lw=0)
    _name_layers(axis, len(band))
    axis.legend(frameon=False, fontsize=8)
    axis.set_ylim(0, None)


def _row(network: Mapping[str, Any], role: str, table: str) -> np.ndarray:
    """A measure by layer in the state of a role; NaN where it is not defined."""
    overview, state = network["overview"], network["roles"][role]
    return np.array(overview[table][overview["states"].index(state)], dtype=float)


def _training(axis: Any, members: Layers) -> None:
    axis.set_title("spread while training, first seed", fontsize=10)
    axis.set(xlabel="epoch", ylabel="causal shorth (tau_syn)")
    overview = members[0]["overview"]
    epochs = [members[0]["epochs"] if e is None else e for e in overview["epochs"]]
    table = np.array(overview["causal_shorth"], dtype=float)[:, :-1]
    order = np.argsort(epochs, kind="stable")
    places = np.array(epochs, dtype=float)[order]
    for layer in range(table.shape[1]):
        share = layer / max(1, table.shape[1] - 1)
        colour = tuple(np.array([0.75, 0.87, 0.96]) * (1 - share) + np.array([0, 0.2, 0.4]) * share)
        axis.plot(places, table[order, layer], "o-", ms=3, color=colour, label=_short(layer))
    axis.set_xscale("symlog", linthresh=1)
    ticks = sorted({int(place) for place in places})
    axis.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
    axis.legend(frameon=False, fontsize=8, title="layer", title_fontsize=8)


def _against_depth(axis: Any, members: Layers, table: str, title: str, null: str | None) -> None:
    axis.set_title(f"{title}, {depth(members)}", fontsize=10)
    axis.set_ylabel(title)
    count = 0
    for role, colour in (("untrained", UNTRAINED), ("trained", TRAINED)):
        for index, network in enumerate(members):
            values = _row(network, role, table)
            values = values[: len(network["layer_names"]) - 1]  # without the output
            count = len(values)
            axis.plot(values, "o-", ms=4, color=colour, label=role if index == 0 else None)
    if null is not None:
        values = np.array(members[0][null][:count], dtype=float)
        axis.plot(values, ":", color=NULL, lw=1, label="labels shuffled")
    _name_layers(axis, count)
    axis.legend(frameon=False, fontsize=8)


def _substrates(axis: Any, substrates: Mapping[str, Any] | None) -> None:
    axis.set_title("the same trained network on other substrates", fontsize=10)
    axis.set_ylabel("causal shorth (tau_syn)")
    if substrates is None:
        axis.set_visible(False)
        return
    overview = substrates["overview"]
    rows = zip(overview["states"], overview["accuracy"], overview["causal_shorth"], strict=True)
    for (name, accuracy, values), colour in zip(rows, SUBSTRATE_COLOURS, strict=False):
        shown = np.array(values[:-1], dtype=float)
        axis.plot(shown, "o-", ms=4, color=colour, label=f"{name}: {100 * accuracy:.0f} %")
    _name_layers(axis, len(overview["causal_shorth"][0]) - 1)
    axis.set_ylim(0, None)
    axis.legend(frameon=False, fontsize=8)


def _name_layers(axis: Any, count: int) -> None:
    axis.set_xticks(range(count), [_short(layer) for layer in range(count)])
    axis.set_xlabel("layer")


def _short(layer: int) -> str:
    return "input" if layer == 0 else str(layer)
