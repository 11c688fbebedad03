"""Printed figures of an analysis: SVG with text as text, and PNG, for papers and slides."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hxloop.activity import RecordedActivity
from hxloop.analysis.measures.all_spikes import when_decided
from hxloop.analysis.report import curves as drawn
from hxloop.analysis.report.curves import Curves
from hxloop.analysis.report.looks import (
    UNIT,
    Analysis,
    class_label,
    shown_states,
    state_colours,
)
from hxloop.analysis.report.pathway_curves import distinctness_curves, label_share_curves
from hxloop.analysis.report.pathway_figures import states_with_pathways
from hxloop.errors import OutputError

Array = NDArray[np.float64]
# Width of a page's text column, inches.
WIDTH = 7.0
DOTS_PER_INCH = 300
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters stay letters, to be edited
    "svg.hashsalt": "hxloop",  # the same figure gives the same file
}
_DASHES = {"solid": "-", "dash": "--", "dot": ":"}
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "x": "x", "": ""}


def write_figures(
    analysis: Analysis, states: Sequence[RecordedActivity], folder: Path
) -> list[Path]:
    """Write all figures.

    Args:
        analysis: the result of ``hxloop.analysis.analyse.analyse``.
        states: whose spikes are shown beside each other, the first sample of each.
        folder: made if it is missing.

    Returns:
        The files.

    Raises:
        OutputError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with style():
            for name, draw in _figures(analysis, states):
                figure = draw()
                for kind in ("svg", "png"):
                    path = folder / f"{name}.{kind}"
                    metadata = {"Date": None} if kind == "svg" else {}
                    figure.savefig(path, dpi=DOTS_PER_INCH, metadata=metadata)
                    figure.set_layout_engine("none")  # as laid out for the first
                    written.append(path)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return written


def style() -> AbstractContextManager[None]:
    """The look of all figures; to be drawn and saved within."""
    return rc_context(_STYLE)


def _figures(
    analysis: Analysis, states: Sequence[RecordedActivity]
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    yield "raster", lambda: raster(analysis, states)
    spread = [entry for entry in drawn.spread_curves(analysis) if entry.printed]
    yield "spread", lambda: panels(spread)
    yield "packets", lambda: packets(analysis)
    if separability := drawn.separability_curves(analysis):
        few = [entry for entry in separability if entry.printed]
        yield "separability", lambda: panels(few)
    if distinctness := distinctness_curves(analysis):
        yield "pathways", lambda: panels([*distinctness, *label_share_curves(analysis)])
        yield "pathway_overlap", lambda: overlaps(analysis)
    if training := drawn.training_curves(analysis):
        yield "training", lambda: panels(training)


def panels(entries: Sequence[Curves], columns: int = 2) -> Figure:
    """Plots of curves side by side."""
    rows = -(-len(entries) // columns)
    figure = Figure(figsize=(WIDTH, 2.6 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, entry, letter in zip(axes, entries, ascii_lowercase, strict=False):
        _draw_curves(axis, entry)
        axis.set_title(letter, loc="left", fontweight="bold")
    for axis in axes[len(entries) :]:
        axis.set_visible(False)
    # In the order of the curves; matplotlib would put those with error bars last.
    handles: dict[str, Any] = {line.name: None for entry in entries for line in entry.lines}
    for axis in axes[: len(entries)]:
        handles.update(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


def packets(analysis: Analysis) -> Figure:
    """Pulse packets of causal spikes, from layer to layer."""
    figure = Figure(figsize=(WIDTH / 2, 2.8), layout="constrained")
    axis = figure.subplots()
    colours = state_colours(analysis)
    for state in shown_states(analysis):
        layers = [
            layer
            for layer in analysis["synchrony"][state]["layers"]
            if layer["causal"]["packet_sigma"] is not None and layer["causal"]["packet_a"] > 0
        ]
        dashed = state == analysis["roles"]["untrained"]
        x = [layer["causal"]["packet_sigma"] for layer in layers]
        y = [layer["causal"]["packet_a"] for layer in layers]
        axis.plot(x, y, "s--" if dashed else "o-", color=colours[state], label=state)
        for layer, place in zip(layers, zip(x, y, strict=True), strict=True):
            axis.annotate(
                layer["name"].removeprefix("layer "), place, xytext=(3, 4),
                textcoords="offset points", color=colours[state], fontsize=7,
            )  # fmt: skip
    axis.set(xlabel=_unit(f"width of the pulse packet, σ ({UNIT})"), ylabel="spikes in it, a")
    axis.set_yscale("log")
    axis.legend()
    return figure


def overlaps(analysis: Analysis) -> Figure:
    """Overlap of every two class pathways, a row for each state, a column for each layer."""
    states = states_with_pathways(analysis)
    names = analysis["layer_names"][:-1]
    figure = Figure(figsize=(WIDTH, 0.4 + WIDTH / len(names) * len(states)), layout="constrained")
    axes = figure.subplots(len(states), len(names), squeeze=False)
    for row, state in zip(axes, states, strict=True):
        layers = analysis["pathways"][state]["from_runs"]["layers"]
        for axis, layer in zip(row, layers, strict=True):
            matrix = np.array(layer["overlap_matrix"], dtype=np.float64)
            image = axis.imshow(matrix, cmap="cividis", vmin=0, vmax=1)
            axis.spines[:].set_visible(False)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(state)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name)
    figure.colorbar(image, ax=axes, label="overlap of two class pathways", shrink=0.7)
    return figure


def raster(analysis: Analysis, states: Sequence[RecordedActivity]) -> Figure:
    """All spikes of the first sample through all layers, a column for each state."""
    names, colours = analysis["layer_names"], state_colours(analysis)
    figure = Figure(figsize=(WIDTH, 0.7 + 0.75 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(states), squeeze=False, sharex=True)
    for column, state in enumerate(states):
        layers, colour = (state.inputs, *state.spikes), colours[state.name]
        decided = when_decided(state)[:1]
        for place, (name, spikes) in enumerate(zip(names, layers, strict=True)):
            axis = axes[len(names) - 1 - place, column]
            shown = spikes.select(slice(0, 1))
            causal = (shown.times <= decided[0]) & np.isfinite(decided[0])
            for chosen, tint in ((~causal, "#b0b0b0"), (causal, colour)):
                neurons, when = shown.units[chosen], shown.times[chosen]
                axis.plot(when, neurons, "|", color=tint, markersize=3, mew=0.7)
            if np.isfinite(decided[0]):
                axis.axvline(decided[0], color="black", linestyle=":", linewidth=0.8)
            axis.set_ylim(-0.05 * spikes.n_units - 0.5, 1.05 * spikes.n_units - 0.5)
            axis.set_yticks([])
            axis.spines[["left", "bottom"]].set_visible(False)
            if place == 0:
                axis.spines["bottom"].set_visible(True)
            else:
                axis.tick_params(axis="x", length=0)
            if column == 0:
                axis.set_ylabel(f"{name}\n{spikes.n_units}")
        own, won = int(state.labels[0]), int(state.decisions[0])
        named = state.class_names
        winner = "none" if won < 0 else named[won] if named else str(won)
        text = f"{state.name}: {class_label(named, own)}, decision {winner}"
        axes[0, column].set_title(text, color=colour, parse_math=False)
        axes[-1, column].set_xlabel(_unit(f"time ({UNIT})"))
    return figure


def _draw_curves(axis: Any, entry: Curves) -> None:
    x = np.array(entry.x)
    for line in entry.lines:
        values = _floats(line.values)
        if line.band:
            low, high = (_floats(end) for end in line.band)
            axis.fill_between(x, low, high, color=line.colour, alpha=0.15, linewidth=0)
        look = {
            "color": line.colour, "linestyle": _DASHES[line.dash], "label": line.name,
            "marker": _MARKERS[line.symbol], "linewidth": 1.4 if line.symbol else 1.0,
        }  # fmt: skip
        if line.low:
            gaps = [values - _floats(line.low), _floats(line.high) - values]
            axis.errorbar(x, values, np.nan_to_num(np.maximum(gaps, 0)), capsize=1.5, **look)
        else:
            axis.plot(x, values, **look)
    if entry.ticks:
        axis.set_xticks(x, entry.ticks, rotation=30 if len(entry.ticks) > 7 else 0)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    limits: tuple[float | None, float | None] = entry.y_range or (0, None)
    finite = [v for line in entry.lines for v in line.values if v is not None]
    if entry.y_range is None and min(finite, default=0) < 0:
        limits = (None, None)
    # Small panels: a long label would run out of the picture.
    label = _unit(textwrap.fill(entry.y_label, 32))
    axis.set(xlabel=entry.x_label, ylabel=label, ylim=limits)


def _floats(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _unit(text: str) -> str:
    return text.replace(UNIT, r"$\tau_\mathrm{syn}$")
