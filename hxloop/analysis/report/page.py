"""The report of an analysis: one interactive HTML file that opens without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hxloop.activity import RecordedActivity
from hxloop.analysis.report import curves as drawn
from hxloop.analysis.report import figures as figures
from hxloop.analysis.report import pathway_figures, raster
from hxloop.analysis.report import words as words
from hxloop.analysis.report.looks import Analysis, class_label, state_colours
from hxloop.analysis.report.words import decision_words
from hxloop.files import write_atomically
from hxloop.page import Section, escape, page, script_data

# A plot: its id, a sentence about it, and (what a menu calls it, figure) of every variant.
Plot = tuple[str, str, list[tuple[str, figures.Figure]]]


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
    for title, text, plots, more in _sections(report):
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
        style=_CSS,
        scripts=script_data("figures", every)
        + f"<script>{get_plotlyjs()}</script><script>{script}</script>",
    )


def _contents(sections: Sequence[Section]) -> str:
    links = (f"<a href='#{s.anchor}'>{escape(s.title.partition(':')[0])}</a>" for s in sections)
    return f"<nav>{' · '.join(links)}</nav>"


def _sections(report: AnalysisReport) -> Iterator[tuple[str, str, list[Plot], str]]:
    """Heading, a line of explanation, plots, further HTML."""
    analysis = report.analysis
    yield (
        "Raster: one sample on its way through the network",
        _RASTER_TEXT + f" {decision_words(analysis)}",
        [],
        _raster_html(report),
    )
    spread = drawn.spread_curves(analysis)
    plots: list[Plot] = [("spread", "", _variants(spread))]
    if (by_class := drawn.class_curves(analysis)) is not None:
        text = "Shorth before the decision, for every class of the trained state."
        plots.append(("spread-by-class", text, _variants([by_class])))
    yield (
        "Synchrony: spread of the spikes against depth",
        "Mean over samples with its confidence interval; the pale band holds the middle half of "
        "the samples. Low = synchronous. Grey: the same spikes spread evenly, or jittered.",
        plots,
        "",
    )
    yield (
        "Pulse packets: size and width of the volleys",
        "Each volley as a point: how many spikes (a), how wide (σ); lines run from the input to "
        "the output, numbers are layers, small points are classes (all: means over samples, spikes "
        "before the decision). Towards the upper left: stronger and sharper pulses.",
        [("packets", "", [("", figures.packets_figure(analysis))])],
        "",
    )
    if separability := drawn.separability_curves(analysis):
        plots = [("separability", "", _variants(separability))]
        if (overlap := figures.overlap_figure(analysis)) is not None:
            text = (
                "Overlap of the neurons that spike before the decision in at least half of the "
                "samples of a class, for every two classes: 0 = none in common, 1 = the same, "
                "white = nobody active."
            )
            plots.append(("populations", text, [("", overlap)]))
        yield (
            "Separability: telling the classes apart, against depth",
            "How well the class can be told from the spikes of one layer alone, on samples that "
            "were not used for learning to tell; with confidence intervals over samples.",
            plots,
            "",
        )
    if diagrams := pathway_figures.pathway_diagrams(analysis):
        overlap = pathway_figures.pathway_overlap_figure(analysis)
        yield (
            "Pathways: which neurons carry a class",
            "Excitatory pathways, traced back from the output neuron that won. A neuron stands at "
            "its number, bottom to top; its size is its share of the credit, the width of a line "
            "that of a connection. Above: how many of the class's strongest neurons are its own.",
            [
                ("pathways", "", diagrams),
                (
                    "pathway-overlap",
                    "Overlap of every two classes' pathways: 0 = no neuron in common, 1 = the same "
                    "neurons with the same credit, white = a class that won too rarely.",
                    [("", overlap)] if overlap else [],
                ),
                (
                    "distinctness",
                    "Distinctness, 1 - the mean overlap of two classes: 0 = all the same, 1 = no "
                    "neuron in common. It grows towards the output by construction: read it beside "
                    "the null models (dotted), or beyond what they give (corrected).",
                    _variants(drawn.distinctness_curves(analysis)),
                ),
            ],
            "",
        )
    if training := drawn.training_curves(analysis):
        yield (
            "Training: the same measures at every logged epoch",
            "A curve for each layer, dark = near the input.",
            [("training", "", _variants(training))],
            "",
        )
    yield (
        "Null models: what chance would give",
        "Each measure beside what it is when one thing is destroyed: times within a sample (spread "
        "evenly, jittered), what activity has to do with the class (labels or winners shuffled), "
        "who is connected to whom (weights shuffled).",
        [],
        words.null_tables(analysis) + words.comparison_tables(analysis),
    )
    yield "Glossary: what the words mean", "", [], words.glossary_html(analysis)


def _variants(curves: Sequence[drawn.Curves]) -> list[tuple[str, figures.Figure]]:
    return [(entry.name, figures.curves_figure(entry)) for entry in curves]


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


def _raster_html(report: AnalysisReport) -> str:
    colours = state_colours(report.analysis)
    data = raster.raster_data(report.states, colours=colours, layout=figures.LAYOUT)
    options = "".join(
        f"<option value='{place}'>sample {sample['index']}, "
        f"{escape(class_label(report.analysis['class_names'], sample['label']))}</option>"
        for place, sample in enumerate(data["samples"])
    )
    orders = [("index", "number"), ("time", "spike time"), ("class", "preferred class")]
    by = "".join(f"<option value='{k}'>{v}</option>" for k, v in orders)
    return (
        f"<div class='controls'><label>Sample <select id='raster-sample'>{options}</select></label>"
        "<button id='raster-previous' aria-label='previous sample'>◀</button>"
        "<button id='raster-next' aria-label='next sample'>▶</button>"
        f"<label>Neurons in order of <select id='raster-order'>{by}</select></label>"
        "<label><input type='checkbox' id='raster-later' checked> spikes after the decision</label>"
        f"</div><div class='wide'><div id='raster' "
        f"style='height:{90 + 104 * len(data['layers'])}px;"
        f"min-width:{_STATE_WIDTH * len(report.states)}px'></div></div>"
        + script_data("raster-data", data)
    )


# Below this a state's title and its neighbour's would run into each other.
_STATE_WIDTH = 330
_RASTER_TEXT = (
    "First spikes of every layer, input at the bottom, output at the top. In colour: spikes up to "
    "the decision (dotted line: the spike of the output neuron decided for); grey: later ones. The "
    "pale band is the "
    "shorth, the shortest interval with half of the coloured spikes. Drag to zoom, double-click "
    "to return."
)
_CSS = """
main{max-width:72rem}p{max-width:56rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}
.headline{font-size:1.1rem;color:#222;font-weight:600}.small{font-size:.85rem;margin:0}
.claim{display:grid;grid-template-columns:9.5rem 1fr;gap:.2rem 1rem;padding:.6rem 0 .5rem .8rem;
border-left:5px solid;margin:.5rem 0}.claim p{margin:.15rem 0}.claim .verdict{font-weight:600}
.found{border-color:#00795A}.found .verdict{color:#00795A}
.notfound{border-color:#9B3F76}.notfound .verdict{color:#9B3F76}
.unknown{border-color:#999}.unknown .verdict{color:#666}
nav{margin:1.2rem 0 0;font-size:.93rem}nav a{color:#0072B2;text-decoration:none}
nav a:hover{text-decoration:underline}
.controls{display:flex;flex-wrap:wrap;gap:.4rem .9rem;align-items:center;margin:.6rem 0;
font-size:.93rem}.controls select,.controls button{font:inherit;padding:.15rem .4rem}
.caption{margin-top:1.6rem}.plot,#raster{width:100%}.scroll,.wide{overflow-x:auto}
table.numbers td,table.numbers th{padding:.12rem 1.1rem .12rem 0;text-align:right;font-weight:400;
font-variant-numeric:tabular-nums;white-space:nowrap}table.numbers th{color:#555;
border-bottom:1px solid #ccc;white-space:normal;vertical-align:bottom;font-size:.9rem}
table.numbers td:first-child,table.numbers th:first-child{text-align:left}
table.glossary td{font-weight:400;vertical-align:top}
.of{font-weight:400;font-size:.85rem;color:#555}
@media (max-width:40rem){.claim{grid-template-columns:1fr}table.glossary th,main>table th{
white-space:normal;padding-right:.7rem}.controls label,.controls select{max-width:100%}
.controls select{text-overflow:ellipsis}h1,p,td{
overflow-wrap:anywhere}}
"""
