"""The report of a calibration: one HTML file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hxloop.calibration.options import QUANTITIES, wanted
from hxloop.calibration.result import CalibrationResult
from hxloop.files import write_atomically
from hxloop.page import BLUE, VERMILION, Section, escape, page, picture

Array = NDArray[np.float64]

BEFORE, AFTER = VERMILION, BLUE
LABELS = {
    "v_threshold": "threshold (LSB)",
    "v_leak": "leak potential (LSB)",
    "v_reset": "reset potential (LSB)",
    "tau_mem": "membrane time constant (us)",
    "tau_syn_exc": "exc. synaptic time constant (us)",
    "tau_syn_inh": "inh. synaptic time constant (us)",
    "strength_exc": "exc. strength (of median)",
    "strength_inh": "inh. strength (of median)",
}
_MAP_COLUMNS = 64


def write_calibration_report(
    path: Path, result: CalibrationResult, summary: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    """Write the report.

    Args:
        path: HTML file.
        result: what it is about.
        summary: plain values as ``hxloop calibrate --json`` prints them.
        provenance: versions, machine, command.

    Raises:
        OutputError: the file cannot be written.
    """
    content = page(
        f"Calibration of {result.chip_id or 'any chip'}",
        "Measured through the chip's own converters and spikes, and corrected by its knobs.",
        rows=_summary(result, summary),
        sections=[
            Section(name, text, shown if isinstance(shown, str) else picture(shown, name))
            for name, text, shown in _sections(result)
        ],
        details={
            "Result": json.dumps(dict(summary), indent=2),
            "Provenance": json.dumps(dict(provenance), indent=2),
        },
    )
    write_atomically(path, content.encode())


def _summary(result: CalibrationResult, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    n, target = result.n_circuits, result.target
    ratios = ", ".join(f"{name} {value:.3f}" for name, value in summary["ratios"].items())
    return [
        ("Good circuits", f"{int(result.usable.sum())} of {n}; {len(result.failed)} failed"),
        ("Spread, calibrated/uncalibrated", f"{ratios} (judged by {summary['ratios_judged_by']})"),
        (
            "Target",
            f"leak {target.v_leak_lsb:g}, reset {target.v_reset_lsb:g}, threshold "
            f"{target.v_threshold_lsb:g} LSB; tau_mem {target.tau_mem_us:g}, tau_syn "
            f"{target.tau_syn_us:g} us",
        ),
        (
            "Scales",
            f"weight {result.weight_scale:.4f}, time {result.time_scale:.4f}, spikes late by "
            f"{result.spike_offset:.5f} tau_syn",
        ),
        ("Effort", f"{result.runs} chip runs, {result.seconds:.1f} s"),
        ("Made", f"{result.made}, hxloop {result.version}, digest {result.digest}"),
    ]


def _sections(result: CalibrationResult) -> Iterator[tuple[str, str, Figure | str]]:
    yield (
        "Distributions",
        "All circuits, as measured before (orange) and after (blue); the line is the target, the "
        "grey band the tolerance. The lower row of each pair is a close-up of the tolerance; what "
        "lies outside is piled up at its edges.",
        distributions(result),
    )
    yield (
        "Circuit by circuit",
        "What is left, in tolerances, at the place of each circuit (row after row of the chip); "
        "failed ones are ringed.",
        _maps(result),
    )
    failed = "".join(
        f"<tr><th>circuit {circuit}</th><td>{escape(text)}</td></tr>"
        for circuit, text in result.failures.items()
    )
    yield (
        "Failed circuits",
        "Out of tolerance, with a margin of two standard errors. Networks are not placed on them.",
        f"<table>{failed}</table>" if failed else "<p>None.</p>",
    )
    yield (
        "Convergence",
        "Size of the error after each measurement of a step: median over the circuits, and the "
        "band from the 16th to the 84th percentile.",
        _convergence(result),
    )
    yield "Effort", "Chip runs and seconds of each step.", _effort(result)


def distributions(result: CalibrationResult) -> Figure:
    """Histograms of every quantity over the circuits, before and after."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    axes = figure.subplots(4, 4)
    for index, name in enumerate(QUANTITIES):
        row, column = 2 * (index // 4), index % 4
        goal = wanted(name, result.target)
        tolerance = result.options.tolerance(name, result.target)
        before, after = (_finite(v[name]) for v in (result.before, result.estimates))
        both = np.concatenate([before, after])
        wide = np.linspace(both.min(), both.max(), 50) if both.size else np.linspace(0, 1, 50)
        near = np.linspace(goal - 1.2 * tolerance, goal + 1.2 * tolerance, 60)
        for axis, bins in ((axes[row, column], wide), (axes[row + 1, column], near)):
            axis.axvspan(goal - tolerance, goal + tolerance, color="#eeeeee", zorder=0)
            axis.hist(np.clip(before, bins[0], bins[-1]), bins, color=BEFORE, alpha=0.6)
            axis.hist(np.clip(after, bins[0], bins[-1]), bins, color=AFTER, alpha=0.8)
            axis.axvline(goal, color="black", linewidth=1)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=8)
            axis.set_xlabel(axis_label(name), fontsize=8)
            if column == 0:
                axis.set_ylabel("circuits", fontsize=8)
        axes[row, column].set_title(
            f"{LABELS[name].partition(' (')[0]}\nsd {_sd(before):.3g} to {_sd(after):.2g}",
            fontsize=9,
        )
    return figure


def axis_label(name: str) -> str:
    """Of an axis of values of a quantity: its unit, with the word that fits."""
    words, _, unit = LABELS[name].partition(" (")
    unit = unit.rstrip(")")
    what = "time" if "time" in words else "strength" if "strength" in words else "potential"
    return f"{what} ({unit})"


def _maps(result: CalibrationResult) -> Figure:
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes = figure.subplots(4, 2).T.ravel()
    columns = min(_MAP_COLUMNS, result.n_circuits)
    rows = -(-result.n_circuits // columns)
    image = None
    for axis, name in zip(axes, QUANTITIES, strict=True):
        off = result.estimates[name] - wanted(name, result.target)
        grid = np.full(rows * columns, np.nan)
        grid[: result.n_circuits] = off / result.options.tolerance(name, result.target)
        image = axis.imshow(grid.reshape(rows, columns), cmap="RdBu_r", vmin=-1, vmax=1,
                            aspect="auto", interpolation="nearest")  # fmt: skip
        for circuit in result.failed:
            axis.plot(circuit % columns, circuit // columns, "o", markersize=7,
                      markerfacecolor="none", markeredgecolor="black")  # fmt: skip
        axis.set_title(LABELS[name].partition(" (")[0], fontsize=9)
        axis.set(xticks=[], yticks=[])
    if image is not None:
        figure.colorbar(image, ax=list(axes), label="deviation (tolerances)", shrink=0.6)
    return figure


def _convergence(result: CalibrationResult) -> Figure:
    steps = result.steps
    columns = 5
    rows = max(1, -(-len(steps) // columns))
    figure = Figure(figsize=(11, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, step in zip(axes, steps, strict=False):
        low, median, high = np.maximum(step.convergence, 1e-4).T
        x = np.arange(1, len(median) + 1)
        axis.fill_between(x, low, high, color=AFTER, alpha=0.2, linewidth=0)
        axis.plot(x, median, "o-", color=AFTER, markersize=3)
        ends = int(step.at_end.sum())
        axis.set_title(f"{step.name} ({step.unit})" + (f", {ends} at end" if ends else ""),
                       fontsize=8)  # fmt: skip
        axis.set_yscale("log")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7)
    for axis in axes[len(steps) :]:
        axis.set_visible(False)
    return figure


def _effort(result: CalibrationResult) -> Figure:
    steps = result.steps
    figure = Figure(figsize=(10, 0.22 * max(4, len(steps)) + 1), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    y = np.arange(len(steps))
    left.barh(y, [step.runs for step in steps], color=AFTER)
    right.barh(y, [step.seconds for step in steps], color=AFTER)
    left.set_yticks(y, [step.name for step in steps], fontsize=8)
    left.invert_yaxis()
    left.set_xscale("log")
    left.set_xlabel("chip runs")
    right.set_xlabel("seconds")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _finite(values: Array) -> Array:
    found: Array = values[np.isfinite(values)]
    return found


def _sd(values: Array) -> float:
    return float(values.std()) if values.size else float("nan")
