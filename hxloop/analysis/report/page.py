"""The report of an analysis: one interactive HTML file that opens without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hxloop.activity import RecordedActivity
from hxloop.analysis.report import words as words
from hxloop.analysis.report.looks import Analysis
from hxloop.analysis.report.page_style import CSS
from hxloop.analysis.report.sections import sections as parts
from hxloop.files import write_atomically
from hxloop.page import Section, escape, page, script_data


@dataclass(frozen=True)
class AnalysisReport:
    """Everything the report shows.

    Attributes:
        title: heading.
        description: a line below it.
        analysis: the result of ``hxloop.analysis.analyse.analyse``.
        states: those whose spikes are shown beside each other, of the same samples.
        provenance: versions, machine, command.
    """

    title: str
    description: str
    analysis: Analysis
    states: Sequence[RecordedActivity]
    provenance: Mapping[str, Any]


def write_analysis_report(report: AnalysisReport, path: Path) -> None:
    """Write the report, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, analysis_page(report).encode())


def analysis_page(report: AnalysisReport) -> str:
    """The page."""
    from plotly.offline import get_plotlyjs

    analysis = report.analysis
    sections, every = [], {}
    for title, text, plots, more in parts(analysis, report.states):
        body = "".join(_plot_html(name, sentence, found) for name, sentence, found in plots)
        anchor = "about-" + title.partition(":")[0].lower().replace(" ", "-")
        sections.append(Section(title, text, body + more, anchor))
        every.update({name: [figure for _, figure in found] for name, _, found in plots})
    script = files("hxloop.analysis.report").joinpath("page.js").read_text(encoding="utf-8")
    return page(
        report.title,
        report.description,
        rows=words.overview_rows(analysis),
        lead=_contents(sections)
        + f"<section><h2>What was found</h2>{words.claims_html(analysis)}</section>",
        sections=sections,
        details={
            "Settings of the analysis": json.dumps(dict(analysis["options"]), indent=2),
            "Provenance": json.dumps(dict(report.provenance), indent=2, default=str),
        },
        style=CSS,
        scripts=script_data("figures", every)
        + f"<script>{get_plotlyjs()}</script><script>{script}</script>",
    )


def _contents(sections: Sequence[Section]) -> str:
    links = (f"<a href='#{s.anchor}'>{escape(s.title.partition(':')[0])}</a>" for s in sections)
    return f"<nav>{' · '.join(links)}</nav>"


def _plot_html(name: str, sentence: str, found: Sequence[tuple[str, Any]]) -> str:
    height = found[0][1]["layout"]["height"]
    menu = ""
    if len(found) > 1:
        options = "".join(f"<option>{escape(title)}</option>" for title, _ in found)
        menu = (
            f"<div class='controls'><label>Show <select data-for='{name}'>{options}</select>"
            "</label></div>"
        )
    text = f"<p class='caption'>{escape(sentence)}</p>" if sentence else ""
    # What has several columns is scrolled where there is no room for them side by side.
    least = max(figure["layout"].get("meta", {}).get("least_width", 0) for _, figure in found)
    width = f";min-width:{least}px" if least else ""
    return (
        f"{text}{menu}<div class='wide'><div class='plot' data-figure='{name}' "
        f"style='height:{height}px{width}'></div></div>"
    )
