"""The report of a training: one HTML file that opens anywhere."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hxloop.checkpoint import write_atomically

# Okabe and Ito's palette: told apart by colour-blind readers, too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


@dataclass(frozen=True)
class Evaluation:
    """What a network did with one split; see ``EvaluationResult`` for the arrays."""

    split: str
    labels: NDArray[np.int64]
    decisions: NDArray[np.int64]
    n_classes: int
    input_times: NDArray[np.float64]
    first_spike_times: tuple[NDArray[np.float64], ...]
    t_window: float
    loss: float


@dataclass(frozen=True)
class DecisionPlane:
    """Decisions over the Yin-Yang plane; -1 = none, -2 = outside the disk."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    decisions: NDArray[np.int64]
    samples: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingReport:
    """Everything the report shows.

    Attributes:
        title: heading.
        summary: rows (label, text) shown first.
        metrics: one mapping for each epoch.
        test: evaluation of the test split.
        plane: decisions over the plane; None for other data.
        substrate: chip parameters by name, one value for each circuit; may be empty.
        config_toml: the complete configuration.
        provenance: versions, machine, command.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    metrics: Sequence[Mapping[str, Any]]
    test: Evaluation
    plane: DecisionPlane | None
    substrate: Mapping[str, NDArray[np.float64]]
    config_toml: str
    provenance: Mapping[str, Any]


def decision_plane(
    decide: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    samples: NDArray[np.float64],
    labels: NDArray[np.int64],
    resolution: int = 100,
) -> DecisionPlane:
    """Ask for a decision at every point of the Yin-Yang disk.

    Args:
        decide: ``(n, 4)`` samples (x, y, 1 - x, 1 - y) -> ``(n,)`` decisions.
        samples: ``(n, 2)`` points to draw on top, with their ``labels``.
        resolution: points along each axis.
    """
    axis = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(axis, axis)
    inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    points = np.stack([x[inside], y[inside], 1 - x[inside], 1 - y[inside]], axis=1)
    decisions = np.full(x.shape, -2, dtype=np.int64)
    decisions[inside] = decide(points)
    return DecisionPlane(axis, axis, decisions, samples, labels)


def write_report(report: TrainingReport, path: Path) -> None:
    """Write the report, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    sections = [
        ("Learning", "Accuracy and loss after every epoch.", _learning(report)),
        ("Confusion", "Rows: the true class. Columns: the decision.", _confusion(report.test)),
    ]
    if report.plane is not None:
        text = "What the network decides at every point, with the test samples on top."
        sections.append(("The Yin-Yang plane", text, _plane(report.plane)))
    sections += [
        (
            "One sample",
            "First spikes of every channel, inputs below, outputs on top.",
            _raster(report.test),
        ),
        ("Spike times", "Over all test samples; outputs one line each.", _histograms(report.test)),
    ]
    if report.substrate:
        text = "Its fixed pattern: factors on time constants and strengths, shifts of potentials."
        sections.append(("The chip", text, _chip(report.substrate)))
    sections.append(
        ("Counts", "What was clipped, silent or zeroed, epoch by epoch.", _counts(report))
    )

    def escape(text: object) -> str:
        return html.escape(str(text))

    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in report.summary)
    body = "".join(
        f"<section><h2>{escape(name)}</h2><p>{escape(text)}</p>{_image(figure, name)}</section>"
        for name, text, figure in sections
    )
    details = (
        f"<details><summary>Configuration</summary><pre>{escape(report.config_toml)}</pre></details>"
        "<details><summary>Provenance</summary><pre>"
        f"{escape(json.dumps(dict(report.provenance), indent=2))}</pre></details>"
    )
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(report.title)}</title><style>{_CSS}</style></head><body><main>"
        f"<h1>{escape(report.title)}</h1><table>{rows}</table>{body}{details}</main></body></html>"
    )
    write_atomically(path, page.encode())


_CSS = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;margin:0}
main{max-width:60rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.15rem;
margin:2.2rem 0 .2rem;border-top:1px solid #ddd;padding-top:1rem}p{color:#555;margin:.2rem 0 .8rem}
img{max-width:100%}table{border-collapse:collapse}th{text-align:left;padding:.15rem 1.5rem .15rem 0;
font-weight:600;vertical-align:top}pre{background:#f6f6f6;padding:1rem;overflow:auto;font-size:13px}
"""


def _image(figure: Figure, name: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(name)}' src='data:image/png;base64,{data}'>"


def _axes(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def _learning(report: TrainingReport) -> Figure:
    figure, (left, right) = _axes(1, 2, 9, 3.2)
    epochs = [m["epoch"] for m in report.metrics]
    for axis, key, factor, label in (
        (left, "accuracy", 100, "accuracy (%)"),
        (right, "loss", 1, "loss"),
    ):
        for colour, split in zip(COLOURS, ("train", "validation"), strict=False):
            values = [factor * m[f"{split}_{key}"] for m in report.metrics]
            axis.plot(
                epochs, values, marker="." if len(epochs) < 20 else "", color=colour, label=split
            )
        axis.set(xlabel="epoch", ylabel=label)
        axis.legend(frameon=False)
    accuracy = 100 * float((report.test.decisions == report.test.labels).mean())
    left.axhline(accuracy, color="black", linestyle=":", linewidth=1)
    left.annotate(f"test {accuracy:.1f}", (epochs[0], accuracy), va="bottom", fontsize=9)
    return figure


def _confusion(test: Evaluation) -> Figure:
    figure, (axis,) = _axes(1, 1, 4, 3.5)
    undecided = bool((test.decisions < 0).any())
    table = np.zeros((test.n_classes, test.n_classes + undecided), dtype=int)
    np.add.at(table, (test.labels, test.decisions), 1)  # -1 is the last column
    axis.imshow(
        table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1
    )
    for (row, column), count in np.ndenumerate(table):
        dark = count > 0.6 * table[row].sum()
        axis.text(column, row, count, ha="center", va="center", color="white" if dark else "black")
    names = [str(i) for i in range(test.n_classes)]
    axis.set_xticks(range(table.shape[1]), names + ["none"] * undecided)
    axis.set_yticks(range(test.n_classes), names)
    axis.set(xlabel="decision", ylabel="class")
    return figure


def _plane(plane: DecisionPlane) -> Figure:
    figure, (axis,) = _axes(1, 1, 5.2, 5.2)
    image = np.ones((*plane.decisions.shape, 3))
    for value in np.unique(plane.decisions):
        if value >= -1:
            hex_colour = COLOURS[value] if value >= 0 else "#888888"
            rgb = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
            image[plane.decisions == value] = 0.55 + 0.45 * rgb
    axis.imshow(image, origin="lower", extent=(0, 1, 0, 1), interpolation="nearest")
    for value in np.unique(plane.labels):
        chosen = plane.samples[plane.labels == value]
        axis.scatter(*chosen.T, s=5, color=COLOURS[value], label=f"class {value}", linewidths=0)
    axis.set(xlabel="x", ylabel="y", aspect="equal")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=3)
    return figure


def _raster(test: Evaluation) -> Figure:
    figure, (axis,) = _axes(1, 1, 9, 5)
    layers = [test.input_times[0], *(times[0] for times in test.first_spike_times)]
    base, ticks, names = 0.0, [], []
    for index, times in enumerate(layers):
        # Small layers get room, so that a few output neurons can be seen beside 120 hidden ones.
        step = max(1.0, 12 / len(times))
        spiked = np.isfinite(times)
        height = base + step * np.arange(len(times))
        axis.scatter(times[spiked], height[spiked], s=12, color=COLOURS[index % 8], marker="|")
        ticks.append(base + step * len(times) / 2)
        silent = int((~spiked).sum())
        kind = (
            "inputs" if index == 0 else "outputs" if index == len(layers) - 1 else f"layer {index}"
        )
        names.append(f"{kind}\n({len(times)}, {silent} silent)")
        base += step * len(times) + 6
    decision = int(test.decisions[0])
    if decision >= 0:
        when = test.first_spike_times[-1][0, decision]
        axis.axvline(when, color="black", linestyle=":", linewidth=1)
    axis.set_yticks(ticks, names)
    axis.set(xlabel="time (tau_syn)", xlim=(0, test.t_window))
    axis.set_title(f"class {test.labels[0]}, decision {decision if decision >= 0 else 'none'}")
    return figure


def _histograms(test: Evaluation) -> Figure:
    layers = test.first_spike_times
    figure, axes = _axes(1, len(layers), 4.5 * len(layers), 3)
    bins = np.linspace(0, test.t_window, 60)
    for index, (axis, times) in enumerate(zip(axes, layers, strict=True)):
        if index < len(layers) - 1:
            axis.hist(times[np.isfinite(times)], bins, color=COLOURS[1])
        else:
            for neuron in range(times.shape[1]):
                column = times[:, neuron]
                label = f"neuron {neuron}"
                axis.hist(column[np.isfinite(column)], bins, histtype="step", label=label,
                          color=COLOURS[neuron % 8])  # fmt: skip
            axis.legend(frameon=False, fontsize=8)
        silent = 100 * float(np.isinf(times).mean())
        axis.set_title(f"layer {index + 1}: {silent:.1f} % silent", fontsize=10)
        axis.set(xlabel="time (tau_syn)", ylabel="spikes")
    return figure


def _chip(substrate: Mapping[str, NDArray[np.float64]]) -> Figure:
    columns = 3
    figure, axes = _axes(
        -(-len(substrate) // columns), columns, 9, 2.1 * -(-len(substrate) // columns)
    )
    for axis, (name, values) in zip(axes, substrate.items(), strict=False):
        axis.hist(values, 30, color=COLOURS[0])
        axis.set_title(f"{name}: sd {np.std(values):.3f}", fontsize=9)
    for axis in axes[len(substrate) :]:
        axis.set_visible(False)
    return figure


def _counts(report: TrainingReport) -> Figure:
    figure, axes = _axes(2, 2, 9, 4.5)
    epochs = [m["epoch"] for m in report.metrics]
    layered = (("silent_fraction", "silent fraction"), ("clipped_weights", "clipped weights"))
    for axis, (key, label) in zip(axes, layered, strict=False):
        for layer in range(len(report.metrics[0].get(key, []))):
            values = [m[key][layer] for m in report.metrics]
            axis.plot(epochs, values, color=COLOURS[layer % 8], label=f"layer {layer + 1}")
        axis.set(ylabel=label)
        axis.legend(frameon=False, fontsize=8)
    zeroed = [m.get("zeroed_gradients", 0) for m in report.metrics]
    capped = [m.get("capped_gradients", 0) for m in report.metrics]
    axes[2].plot(epochs, zeroed, color=COLOURS[0], label="not rising")
    axes[2].plot(epochs, capped, color=COLOURS[1], label="capped")
    axes[2].legend(frameon=False, fontsize=8)
    axes[2].set(xlabel="epoch", ylabel="zeroed gradients")
    axes[3].plot(epochs, [m.get("bumped_neurons", 0) for m in report.metrics], color=COLOURS[2])
    axes[3].set(xlabel="epoch", ylabel="bumped neurons")
    return figure
