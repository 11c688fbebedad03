"""The report of a training: one HTML file that opens anywhere."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from hxloop.analysis import report_figures as figures
from hxloop.analysis.report_data import (
    DecisionPlane,
    Evaluation,
    TrainingReport,
    decision_plane,
)
from hxloop.atomic_write import write_atomically

__all__ = ["DecisionPlane", "Evaluation", "TrainingReport", "decision_plane", "write_report"]


def write_report(report: TrainingReport, path: Path) -> None:
    """Write the report, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, _page(report).encode())


def _sections(report: TrainingReport) -> Iterator[tuple[str, str, Figure]]:
    """Heading, a line of explanation, picture."""
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
        "The first spike of every channel: inputs at the bottom, outputs at the top. The dotted "
        "line is the first output spike, the decision.",
        figures.raster(report.test),
    )
    yield (
        "Spike times",
        "Over all test samples. Outputs: one line for each neuron, filled where it is the "
        "neuron of the sample's class.",
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
        "What was silent, clipped, zeroed or bumped in every epoch.",
        figures.counts(report),
    )


def _page(report: TrainingReport) -> str:
    def escape(text: object) -> str:
        return html.escape(str(text))

    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in report.summary)
    body = "".join(
        f"<section><h2>{escape(name)}</h2><p>{escape(text)}</p>{_image(figure, name)}</section>"
        for name, text, figure in _sections(report)
    )
    details = (
        f"<details><summary>Configuration</summary><pre>{escape(report.config_toml)}</pre></details>"
        "<details><summary>Provenance</summary><pre>"
        f"{escape(json.dumps(dict(report.provenance), indent=2))}</pre></details>"
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(report.title)}</title><style>{_CSS}</style></head><body><main>"
        f"<h1>{escape(report.title)}</h1><p class='lead'>{escape(report.description)}</p>"
        f"<table>{rows}</table>{body}{details}</main></body></html>"
    )


_CSS = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;margin:0}
main{max-width:60rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem;margin-bottom:0}
h2{font-size:1.15rem;margin:2.2rem 0 .2rem;border-top:1px solid #ddd;padding-top:1rem}
p{color:#555;margin:.2rem 0 .8rem;max-width:46rem}.lead{font-size:1.05rem;margin-bottom:1.2rem}
img{max-width:100%}table{border-collapse:collapse}th{text-align:left;padding:.15rem 1.5rem .15rem 0;
font-weight:600;vertical-align:top;white-space:nowrap}tr:first-child td{font-weight:600}
details{margin-top:1rem}pre{background:#f6f6f6;padding:1rem;overflow:auto;font-size:13px}
"""


def _image(figure: Figure, name: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(name)}' src='data:image/png;base64,{data}'>"
