"""The sections of the report of an analysis: what each shows, and the words beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hxloop.activity import RecordedActivity
from hxloop.analysis.report import curves as drawn
from hxloop.analysis.report import figures, pathway_figures, raster, words
from hxloop.analysis.report.looks import Analysis, class_label, state_colours
from hxloop.analysis.report.packet_table import label_share_tables, packet_tables
from hxloop.analysis.report.pathway_curves import distinctness_curves, label_share_curves
from hxloop.page import escape, script_data

# A plot: its id, a sentence about it, and (what a menu calls it, figure) of every variant.
Plot = tuple[str, str, list[tuple[str, figures.Figure]]]
# Heading, a line of explanation, plots, further HTML.
Part = tuple[str, str, list[Plot], str]
# Below this a state's title and its neighbour's would run into each other.
_STATE_WIDTH = 330
_RASTER_TEXT = (
    "First spikes of every layer, input at the bottom, output at the top. In colour: spikes up to "
    "the decision (dotted line: the spike of the output neuron decided for); grey: later ones. The "
    "pale band is the "
    "shorth, the shortest interval with half of the coloured spikes. Drag to zoom, double-click "
    "to return."
)


def sections(analysis: Analysis, states: Sequence[RecordedActivity]) -> Iterator[Part]:
    """All sections of the page, in order.

    Args:
        analysis: the result of ``hxloop.analysis.analyse.analyse``.
        states: those whose spikes are shown beside each other, of the same samples.
    """
    yield (
        "Raster: one sample on its way through the network",
        _RASTER_TEXT + f" {words.decision_words(analysis)}",
        [],
        _raster_html(analysis, states),
    )
    yield _synchrony(analysis)
    yield _packets(analysis)
    yield from _separability(analysis)
    yield from _pathways(analysis)
    yield from _training(analysis)
    yield _null_models(analysis)
    yield "Glossary: what the words mean", "", [], words.glossary_html(analysis)


def _synchrony(analysis: Analysis) -> Part:
    spread = drawn.spread_curves(analysis)
    plots: list[Plot] = [("spread", "", _variants(spread))]
    if (by_class := drawn.class_curves(analysis)) is not None:
        text = "Shorth before the decision, for every class of the trained state."
        plots.append(("spread-by-class", text, _variants([by_class])))
    return (
        "Synchrony: spread of the spikes against depth",
        "Mean over samples with its confidence interval; the pale band holds the middle half of "
        "the samples. Low = synchronous. Grey: the same spikes spread evenly, or jittered.",
        plots,
        "",
    )


def _packets(analysis: Analysis) -> Part:
    return (
        "Pulse packets: size and width of the volleys",
        "Each volley as a point: how many spikes (a), how wide (σ); lines run from the input to "
        "the output, numbers are layers, small points are classes (all: means over samples, spikes "
        "before the decision). Towards the upper left: stronger and sharper pulses. The table has "
        "the numbers, read from first spikes or, of neurons that spike again, from all.",
        [("packets", "", [("", figures.packets_figure(analysis))])],
        packet_tables(analysis),
    )


def _separability(analysis: Analysis) -> Iterator[Part]:
    if separability := drawn.separability_curves(analysis):
        plots: list[Plot] = [("separability", "", _variants(separability))]
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
            "were not used for learning to tell; with confidence intervals over samples. The first "
            "measure is the primary one, stated beforehand; the others show what depends on it.",
            plots,
            "",
        )


def _pathways(analysis: Analysis) -> Iterator[Part]:
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
                    _variants(distinctness_curves(analysis)),
                ),
                (
                    "label-share",
                    "Semantization: which part of a packet's spikes (first spikes, up to the "
                    "decision) are of neurons tied to the sample's label by excitatory weights; "
                    "dotted: chance for as many neurons, dashed: the other labels' neurons.",
                    _variants(label_share_curves(analysis)),
                ),
            ],
            label_share_tables(analysis),
        )


def _training(analysis: Analysis) -> Iterator[Part]:
    if training := drawn.training_curves(analysis):
        yield (
            "Training: the same measures at every logged epoch",
            "A curve for each layer, dark = near the input.",
            [("training", "", _variants(training))],
            "",
        )


def _null_models(analysis: Analysis) -> Part:
    return (
        "Null models: what chance would give",
        "Each measure beside what it is when one thing is destroyed: times within a sample (spread "
        "evenly, jittered), what activity has to do with the class (labels or winners shuffled), "
        "who is connected to whom (weights shuffled).",
        [],
        words.null_tables(analysis) + words.comparison_tables(analysis),
    )


def _variants(curves: Sequence[drawn.Curves]) -> list[tuple[str, figures.Figure]]:
    return [(entry.name, figures.curves_figure(entry)) for entry in curves]


def _raster_html(analysis: Analysis, states: Sequence[RecordedActivity]) -> str:
    colours = state_colours(analysis)
    data = raster.raster_data(states, colours=colours, layout=figures.LAYOUT)
    options = "".join(
        f"<option value='{place}'>sample {sample['index']}, "
        f"{escape(class_label(analysis['class_names'], sample['label']))}</option>"
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
        f"min-width:{_STATE_WIDTH * len(states)}px'></div></div>" + script_data("raster-data", data)
    )
