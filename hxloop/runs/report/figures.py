"""The pictures of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import hsv_to_rgb, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hxloop.page import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW
from hxloop.runs.report.data import DecisionPlane, Evaluation, TrainingReport

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, BLACK)
# Where there are more classes: Tol's, as far as they are not alike.
_MORE = ("#882255", "#999933", "#332288", "#AA4499", "#88CCEE", "#661100", "#DDCC77", "#BBBBBB")
NO_DECISION = "#888888"
# Names that readers of a plot understand, for those of the chip's parameters.
_CHIP_LABELS = {
    "tau_mem": "membrane time constant",
    "tau_syn_exc": "exc. synaptic time constant",
    "tau_syn_inh": "inh. synaptic time constant",
    "strength_exc": "exc. synaptic strength",
    "strength_inh": "inh. synaptic strength",
    "v_threshold": "threshold",
    "v_leak": "leak potential",
    "v_reset": "reset potential",
}


def colour(index: int) -> str:
    """Of a class; no two of the first 200 are the same."""
    known = (*COLOURS, *_MORE)
    if index < len(known):
        return known[index]
    # Steps of the golden ratio around the circle of hues never come back to where they were.
    hue, value = (0.618034 * index) % 1, 0.55 + 0.4 * (index % 2)
    red, green, blue = (float(part) for part in hsv_to_rgb((hue, 0.75, value)))
    return to_hex((red, green, blue))


def axes_of(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    """A figure of so many axes, without frames above and right; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def learning(report: TrainingReport) -> Figure:
    """Accuracy and loss over the epochs."""
    figure, (left, right) = axes_of(1, 2, 9, 3.2)
    epochs = [m["epoch"] for m in report.metrics]
    kinds = ((left, "accuracy", 100, "accuracy (%)"), (right, "loss", 1, "loss"))
    for axis, key, factor, label in kinds:
        for colour, split in zip(COLOURS, ("train", "validation"), strict=False):
            values = [factor * m[f"{split}_{key}"] for m in report.metrics]
            marker = "." if len(epochs) < 20 else ""
            axis.plot(epochs, values, marker=marker, color=colour, label=split)
        axis.set(xlabel="epoch", ylabel=label)
        whole_epochs(axis, epochs)
    accuracy = 100 * float((report.test.decisions == report.test.labels).mean())
    left.axhline(
        accuracy, color="black", linestyle=":", linewidth=1, label=f"test {accuracy:.1f} %"
    )
    # The best place is searched for, and with much to draw matplotlib warns of how long that takes.
    left.legend(frameon=False, loc="lower right")
    right.legend(frameon=False, loc="upper right")
    return figure


def whole_epochs(axis: Any, epochs: list[int]) -> None:
    """Ticks at whole epochs, and room where there is one alone."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(set(epochs)) == 1:
        axis.set_xlim(epochs[0] - 1, epochs[0] + 1)


def confusion(test: Evaluation) -> Figure:
    """Counts of decisions by class."""
    figure, (axis,) = axes_of(1, 1, 4.2, 3.6)
    _draw_confusion(axis, test)
    return figure


def plane_and_confusion(plane: DecisionPlane, test: Evaluation) -> Figure:
    """The decision plane beside the counts of decisions."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _draw_plane(left, plane, test)
    _draw_confusion(right, test)
    return figure


def _draw_confusion(axis: Any, test: Evaluation) -> None:
    undecided = bool((test.decisions < 0).any())
    table = np.zeros((test.n_classes, test.n_classes + undecided), dtype=int)
    np.add.at(table, (test.labels, test.decisions), 1)  # -1 is the last column
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if test.n_classes <= 20:
        for (row, column), count in np.ndenumerate(table):
            colour = "white" if shares[row, column] > 0.6 else "black"
            axis.text(column, row, count, ha="center", va="center", color=colour)
    names = list(test.class_names) or [str(i) for i in range(test.n_classes)]
    axis.set_xticks(range(table.shape[1]), names + ["none"] * undecided)
    axis.set_yticks(range(test.n_classes), names)
    axis.set(xlabel="decision", ylabel="class")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def draw_decisions(axis: Any, plane: DecisionPlane) -> None:
    """Paint the plane in the pale colours of the decisions."""
    image = np.ones((*plane.decisions.shape, 3))
    for value in np.unique(plane.decisions):
        if value >= -1:
            hex_colour = colour(value) if value >= 0 else NO_DECISION
            rgb = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
            image[plane.decisions == value] = 0.6 + 0.4 * rgb
    axis.imshow(image, origin="lower", extent=(0, 1, 0, 1), interpolation="nearest")


def _draw_plane(axis: Any, plane: DecisionPlane, test: Evaluation) -> None:
    draw_decisions(axis, plane)
    for value in np.unique(plane.labels):
        chosen = plane.samples[plane.labels == value]
        name = test.class_names[value] if test.class_names else f"class {value}"
        axis.scatter(*chosen.T, s=5, color=colour(value), label=name, linewidths=0)
    wrong = plane.samples[: len(test.labels)][test.decisions != test.labels]
    axis.scatter(*wrong.T, s=28, facecolors="none", edgecolors="black", linewidths=0.7,
                 label=f"wrong ({len(wrong)})")  # fmt: skip
    axis.set(xlabel="x", ylabel="y", aspect="equal")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=1.5)


def raster(test: Evaluation) -> Figure:
    """All spikes of the first test sample, layer above layer."""
    rows = test.shown_sample()
    sizes = [test.input_times.shape[1], *(times.shape[1] for times in test.first_spike_times)]
    figure, (axis,) = axes_of(1, 1, 9, 2.6 + 0.7 * len(rows))
    base, ticks, names = 0.0, [], []
    # Small layers get room, so that they can be seen, and named, beside wide ones.
    room = max(20.0, 0.08 * sum(sizes))
    for index, ((times, units), size) in enumerate(zip(rows, sizes, strict=True)):
        last = index > 0 and test.is_output(index - 1)
        step = max(1.0, room / size)
        # Inputs after the window are no spikes: nothing can come of them.
        seen = (times < test.t_window) | (index > 0)
        colours = np.array([colour(i) if last else "#444444" for i in range(size)])
        bottom = base + step * units[seen]
        axis.vlines(times[seen], bottom, bottom + max(0.8 * step, room / 10), linewidth=1.3,
                    colors=colours[units[seen]])  # fmt: skip
        ticks.append(base + step * size / 2)
        kind = "inputs" if index == 0 else test.name(index - 1)
        after = f", {int((~seen).sum())} after the window" if not seen.all() else ""
        silent = size - len(np.unique(units))
        state = "never spike" if index - 1 in test.readouts else f"{silent} silent"
        names.append(f"{kind}\n{size}, {state}{after}")
        base += step * size + room / 2
    decision = int(test.decisions[0])
    if decision >= 0:
        when = test.first_spike_times[test.output][0, decision]
        if np.isfinite(when):
            axis.axvline(when, color="black", linestyle=":", linewidth=1)
    axis.set_yticks(ticks, names)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(xlabel="time (tau_syn)", xlim=(0, test.t_window), ylim=(-3, base))
    chosen = [_class_name(test, int(test.labels[0])), _class_name(test, decision)]
    axis.set_title(f"class {chosen[0]}, decision {chosen[1]}", fontsize=10)
    return figure


def _class_name(test: Evaluation, index: int) -> str:
    if index < 0:
        return "none"
    return test.class_names[index] if test.class_names else str(index)


def histograms(test: Evaluation) -> Figure:
    """Spike times of every layer; the output neurons apart from each other."""
    shown = [
        (index, times)
        for index, times in enumerate(test.first_spike_times)
        if index not in test.readouts
    ]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = axes_of(rows, columns, 9, 2.8 * rows)
    bins = np.linspace(0, test.t_window, 60)
    for axis, (index, times) in zip(axes, shown, strict=False):
        if not test.is_output(index):
            axis.hist(times[np.isfinite(times)], bins, color="#444444")
        else:
            for neuron in range(times.shape[1]):
                _draw_output(axis, test, neuron, bins)
            if times.shape[1] <= 10:
                columns = 2 if times.shape[1] > 5 else 1
                axis.legend(frameon=False, fontsize=7, ncols=columns, loc="upper right")
        silent = 100 * float(np.isinf(times).mean())
        axis.set_title(f"{test.name(index)}, {silent:.1f} % silent", fontsize=10)
        axis.set(xlabel="time (tau_syn)", ylabel="spikes")
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure


def _draw_output(axis: Any, test: Evaluation, neuron: int, bins: NDArray[np.float64]) -> None:
    times = test.first_spike_times[test.output][:, neuron]
    spiked = np.isfinite(times)
    own = times[spiked & (test.labels[: len(times)] == neuron)]
    axis.hist(own, bins, color=colour(neuron), alpha=0.35)
    axis.hist(times[spiked], bins, histtype="step", color=colour(neuron),
              label=_class_name(test, neuron))  # fmt: skip


def chip(substrate: Mapping[str, NDArray[np.float64]]) -> Figure:
    """How the circuits differ."""
    shown = {name: values for name, values in substrate.items() if name != "dead"}
    columns = 4
    rows = -(-len(shown) // columns)
    figure, axes = axes_of(rows, columns, 9.5, 2.4 * rows)
    for axis, (name, values) in zip(axes, shown.items(), strict=False):
        axis.hist(values, 24, color=COLOURS[0])
        axis.set_title(f"{_CHIP_LABELS.get(name, name)}\nsd {np.std(values):.3f}", fontsize=9)
        axis.tick_params(labelsize=8)
        unit = "shift (leak to threshold)" if name.startswith("v_") else "factor"
        axis.set_xlabel(unit, fontsize=8)
        axis.set_ylabel("circuits", fontsize=8)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    if dead := int(np.sum(substrate.get("dead", 0))):
        figure.suptitle(f"{dead} dead circuits", fontsize=10)
    return figure


def counts(report: TrainingReport) -> Figure:
    """What the training had to put up with, epoch by epoch."""
    first = report.metrics[0]
    # What there is to say of neurons that may spike more than once.
    of_spikes = "spikes_per_neuron" in first
    figure, axes = axes_of(2 + of_spikes, 2, 9, 5.4 + 2.5 * of_spikes)
    epochs = [m["epoch"] for m in report.metrics]

    def draw(axis: Any, label: str, lines: Mapping[str, list[float]]) -> None:
        for index, (name, values) in enumerate(lines.items()):
            marker = "." if len(epochs) < 20 else ""
            axis.plot(epochs, values, marker=marker, color=colour(index), label=name)
        axis.set_ylabel(label, fontsize=9)
        axis.set(ylim=(0, None) if any(map(any, lines.values())) else (0, 1))
        if len(lines) > 1:
            columns = -(-len(lines) // 5)
            axis.legend(frameon=False, fontsize=7, ncols=columns, loc="upper right")

    def parts(key: str, names: Sequence[str], per: Sequence[float]) -> dict[str, list[float]]:
        rows = enumerate(zip(names, per, strict=True))
        return {name: [m[key][i] / of for m in report.metrics] for i, (name, of) in rows}

    layers = range(len(first.get("silent_fraction", [])))
    names = report.test.populations or [f"layer {i + 1}" for i in layers]
    # Of read-outs there is nothing to count.
    spiking = [i for i in layers if i not in report.test.readouts]

    def by_layer(key: str, per: float) -> dict[str, list[float]]:
        found = parts(key, names, [per] * len(layers))
        return {names[i]: found[names[i]] for i in spiking}

    draw(axes[0], "silent neurons (%)", by_layer("silent_fraction", 0.01))
    if report.n_weights:
        weight_names = report.weight_names or [f"layer {i + 1}" for i in layers]
        # In the metrics is the sum over the batches of an epoch.
        chances = [report.batches * n / 100 for n in report.n_weights]
        clipped = parts("clipped_weights", weight_names, chances)
        draw(axes[1], "weights clipped in a step (%)", clipped)
    else:
        axes[1].set_visible(False)
    gradients = {"not rising": "zeroed_gradients", "capped": "capped_gradients"}
    lines = {name: [m.get(key, 0) for m in report.metrics] for name, key in gradients.items()}
    draw(axes[2], "gradients zeroed or\ncapped in an epoch", lines)
    bumped = [m.get("bumped_neurons", 0) for m in report.metrics]
    draw(axes[3], "neurons bumped in an epoch", {"": bumped})
    if of_spikes:
        draw(axes[4], "spikes of a neuron\nin a sample", by_layer("spikes_per_neuron", 1))
        lowered = [m["lowered_neurons"] for m in report.metrics]
        draw(axes[5], "over-active neurons\nlowered in an epoch", {"": lowered})
    for axis in axes[-2:]:
        axis.set(xlabel="epoch")
    for axis in axes:
        whole_epochs(axis, epochs)
    return figure
