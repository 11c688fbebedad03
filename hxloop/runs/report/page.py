"""The report of a training: one HTML file that opens anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from hxloop.files import write_atomically
from hxloop.page import Section, page, picture
from hxloop.runs.report import figures as figures
from hxloop.runs.report.data import DecisionPlane, Evaluation, TrainingReport, decision_plane

__all__ = ["DecisionPlane", "Evaluation", "TrainingReport", "decision_plane", "write_report"]


def write_report(report: TrainingReport, path: Path) -> None:
    """Write the report, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, _page(report).encode())


def _sections(report: TrainingReport) -> Iterator[tuple[str, str, Figure]]:
    """Heading, a line of explanation, picture."""
    rule = report.test.decision_rule or "that of the decision told above"
    if report.plane is not None:
        yield (
            "What the network decides",
            "Left: its decision at every point of the Yin-Yang plane, with the test samples in "
            "the colour of their class; wrong ones are ringed. Right: how often it took one "
            "class for another.",
            figures.plane_and_confusion(report.plane, report.test),
        )
    else:
        text = "How often the network took one class for another."
        yield "What the network decides", text, figures.confusion(report.test)
    yield "Learning", "After every epoch.", figures.learning(report)
    yield (
        "One sample on its way through the network",
        "Every spike of every channel: inputs at the bottom, then the populations in their "
        f"order. {_dotted(report.test, rule)}",
        figures.raster(report.test),
    )
    if len(report.test.readouts) < len(report.test.first_spike_times):
        yield (
            "Spike times",
            "First spikes over all test samples. Outputs: one line for each neuron, filled where "
            "it is the neuron of the sample's class.",
            figures.histograms(report.test),
        )
    if report.substrate:
        yield (
            "The chip",
            "Its fixed pattern, one value for each circuit in use: factors on time constants and "
            "synaptic strengths, shifts of potentials in units of the leak-threshold distance.",
            figures.chip(report.substrate),
        )
    yield (
        "Counts",
        "What was silent, clipped, zeroed or bumped in every epoch: silent pairs of sample and "
        "neuron, and weights beyond the range, of all in a layer or projection; gradients and "
        "neurons as numbers, added up over the batches.",
        figures.counts(report),
    )


def _dotted(test: Evaluation, rule: str) -> str:
    if test.output % len(test.first_spike_times) in test.readouts:
        return f"The decision is {rule}."
    return f"Dotted: the first spike of the output neuron decided for, which is {rule}."


def _page(report: TrainingReport) -> str:
    details = {
        "Configuration": report.config_toml,
        "Provenance": json.dumps(dict(report.provenance), indent=2),
    }
    return page(
        report.title,
        report.description,
        rows=report.summary,
        sections=[
            Section(name, text, picture(figure, name)) for name, text, figure in _sections(report)
        ],
        details=details,
    )
