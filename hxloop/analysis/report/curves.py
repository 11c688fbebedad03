"""Curves of an analysis: what the interactive and the printed figures both draw.

Each function reads the result of ``hxloop.analysis.analyse`` and returns numbers and words; how
they look is the business of ``figures`` (plotly) and ``static`` (matplotlib).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hxloop.analysis.measures.measure import SEPARABILITY, SYNCHRONY, Measure
from hxloop.analysis.measures.measure_registry import in_menus, measures
from hxloop.analysis.report.looks import (
    GREY,
    Analysis,
    class_colour,
    class_label,
    class_symbol,
    depth_colour,
    is_training,
    shown_states,
    state_colours,
)

Values = list[float | None]


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        name: for the legend.
        values: one for each x; None = not defined.
        low: lower ends of the confidence intervals; empty = none.
        high: upper ends.
        band: lower and upper ends of a band drawn pale; empty = none.
        colour: "#rrggbb".
        dash: "solid", "dash" or "dot".
        symbol: "circle", "square", "diamond", "triangle-up", "x", or "" for none.
    """

    name: str
    values: Values
    low: Values
    high: Values
    band: tuple[Values, Values] | tuple[()]
    colour: str
    dash: str = "solid"
    symbol: str = "circle"


@dataclass(frozen=True)
class Curves:
    """A plot of curves.

    Attributes:
        name: what a menu calls it.
        y_label: with the unit.
        x_label: with the unit; empty where the ticks say it all.
        x: places.
        ticks: their names; empty = numbers.
        lines: the curves.
        y_range: limits; None = as the data have it.
        printed: whether it is drawn for print.
    """

    name: str
    y_label: str
    x_label: str
    x: list[float]
    ticks: list[str]
    lines: list[Line]
    y_range: tuple[float, float] | None = None
    printed: bool = False


def spread_curves(analysis: Analysis) -> list[Curves]:
    """Spread of the spikes against depth: every measure, of causal and of all spikes."""
    found = []
    for kind, kind_name in (("causal", "spikes before the decision"), ("all", "all spikes")):
        for measure in in_menus(SYNCHRONY):
            key, lines = measure.key, []
            if not _has(analysis, "synchrony", kind, key):
                continue
            for state in shown_states(analysis):
                layers = analysis["synchrony"][state]["layers"]
                intervals = [layer["intervals"][kind][key] for layer in layers]
                bands = [layer["bands"][kind][key] for layer in layers]
                lines.append(
                    state_line(
                        analysis,
                        state,
                        [layer[kind][key] for layer in layers],
                        ([i[0] for i in intervals], [i[1] for i in intervals]),
                        ([b[0] for b in bands], [b[2] for b in bands]),
                    )
                )
            if (kind, key) == ("causal", "shorth"):
                lines += _spread_nulls(analysis)
            name, printed = f"{measure.menu}, {kind_name}", measure.printed and kind == "causal"
            limits = measure.limits
            found.append(by_layer(analysis, name, measure.label, lines, limits, printed=printed))
    return found


def separability_curves(analysis: Analysis) -> list[Curves]:
    """Separability of the classes against depth; none where no state has labels."""
    states = [s for s in shown_states(analysis) if analysis["separability"][s]["layers"]]
    if not states:
        return []
    found = []
    for measure in in_menus(SEPARABILITY):
        key, lines = measure.key, []
        if not all(key in analysis["separability"][state]["layers"][0] for state in states):
            continue
        for state in states:
            layers = analysis["separability"][state]["layers"]
            lines.append(state_line(analysis, state, *estimates([la[key] for la in layers])))
        layers = analysis["separability"][states[-1]]["layers"]
        if all(key in layer["null"] for layer in layers):
            values = [layer["null"][key]["value"] for layer in layers]
            lines.append(null_line("labels shuffled", values))
        elif measure.is_accuracy:
            chance = 1 / len(analysis["separability"][states[-1]]["classes"])
            lines.append(null_line("chance", [chance] * len(layers)))
        limits = (0.0, 1.02) if measure.is_accuracy else measure.limits
        name, printed = measure.menu, measure.printed
        found.append(by_layer(analysis, name, measure.label, lines, limits, printed=printed))
    return found


def training_curves(analysis: Analysis) -> list[Curves]:
    """The main measures at every logged epoch, a curve for each layer; none without epochs."""
    if not is_training(analysis):
        return []
    overview = analysis["overview"]
    order = sorted(
        (i for i, epoch in enumerate(overview["epochs"]) if epoch is not None),
        key=lambda i: overview["epochs"][i],
    )
    epochs = [float(overview["epochs"][i]) for i in order]
    found = []
    for measure in measures():
        if not (measure.overview and measure.table in overview):
            continue
        label = over_training(measure)
        tables = [overview[measure.table][i] for i in order]
        known = next((table for table in tables if table is not None), None)
        if known is None:
            continue
        names = analysis["layer_names"][: len(known)]
        lines = [
            Line(
                name,
                [None if table is None else table[layer] for table in tables],
                [],
                [],
                (),
                depth_colour(layer, len(analysis["layer_names"])),
            )
            for layer, name in enumerate(names)
        ]
        found.append(Curves(label.partition(" (")[0], label, "epoch", epochs, [], lines))
    accuracy = [overview["accuracy"][i] for i in order]
    if any(value is not None for value in accuracy):
        line = Line("decisions", accuracy, [], [], (), "#000000")
        found.append(
            Curves("accuracy", "accuracy of the decisions", "epoch", epochs, [], [line], (0, 1.02))
        )
    return found


def class_curves(analysis: Analysis) -> Curves | None:
    """Causal shorth against depth for every class of the trained state; None without labels."""
    layers = analysis["synchrony"][analysis["roles"]["trained"]]["layers"]
    labels = [entry["label"] for entry in layers[0]["by_class"]]
    if not labels:
        return None
    lines = [
        Line(
            class_label(analysis["class_names"], label),
            [layer["by_class"][index]["causal"]["shorth"] for layer in layers],
            [],
            [],
            (),
            class_colour(index),
            symbol=class_symbol(index),
        )
        for index, label in enumerate(labels)
    ]
    (shorth,) = (each for each in measures(SYNCHRONY) if each.key == "shorth")
    return by_layer(analysis, "by class", shorth.label, lines)


def null_line(name: str, values: Values, colour: str = GREY) -> Line:
    """A curve of a null model."""
    return Line(name, values, [], [], (), colour, "dot", "")


def over_training(measure: Measure) -> str:
    """What a measure is called where it is drawn over training."""
    if measure.over_training:
        return measure.over_training
    label, bracket, unit = measure.label.partition(" (")
    if measure.group != SYNCHRONY:
        return measure.label
    return f"{label}, spikes before the decision{bracket}{unit}"


def _has(analysis: Analysis, part: str, kind: str, key: str) -> bool:
    """Whether an analysis, which may be of a machine with other packages, has a measure."""
    return all(key in state["layers"][0][kind] for state in analysis[part].values())


def _spread_nulls(analysis: Analysis) -> list[Line]:
    state = analysis["roles"]["trained"]
    layers = analysis["synchrony"][state]["layers"]
    jitter = layers[0]["null"]["jittered"]["sigma"]
    names = {
        "uniform": f"{state}, spread evenly until the decision",
        "jittered": f"{state}, jittered by {jitter:g}",
        "class_permuted": f"{state}, permuted within classes",
    }
    names |= {key: f"{state}, {key}" for key in layers[0]["null"] if key not in names}
    return [
        Line(
            name, [layer["null"][key]["shorth"] for layer in layers], [], [], (), GREY,
            "dash" if key == "jittered" else "dot", "",
        )
        for key, name in names.items()
        if key in layers[0]["null"]
    ]  # fmt: skip


def state_line(
    analysis: Analysis,
    state: str,
    values: Values,
    interval: tuple[Values, Values] | tuple[()] = (),
    band: tuple[Values, Values] | tuple[()] = (),
) -> Line:
    """A curve of a state, in its colour and dash."""
    roles = analysis["roles"]
    looks = {roles["trained"]: ("solid", "circle"), roles["untrained"]: ("dash", "square")}
    dash, symbol = looks.get(state, ("solid", "diamond"))
    low, high = interval or ([], [])
    return Line(state, values, low, high, band, state_colours(analysis)[state], dash, symbol)


def estimates(
    estimates: Sequence[Mapping[str, Any]],
) -> tuple[Values, tuple[Values, Values] | tuple[()]]:
    """Values and their intervals; () where there are none."""
    low = [estimate["low"] for estimate in estimates]
    high = [estimate["high"] for estimate in estimates]
    known = any(value is not None for value in low)
    return [estimate["value"] for estimate in estimates], (low, high) if known else ()


def by_layer(
    analysis: Analysis,
    name: str,
    label: str,
    lines: list[Line],
    limits: tuple[float, float] | None = None,
    below_output: bool = False,
    printed: bool = False,
) -> Curves:
    """Curves against depth."""
    ticks = list(analysis["layer_names"])
    if below_output:
        ticks = ticks[:-1]
    places = [float(i) for i in range(len(ticks))]
    return Curves(name, label, "", places, ticks, lines, limits, printed)
