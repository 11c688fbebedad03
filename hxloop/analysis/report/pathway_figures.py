"""Interactive figures of class pathways: a diagram for each class, and overlaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hxloop.analysis.report.figures import AXIS, LAYOUT, Figure, class_ticks, matrices_figure
from hxloop.analysis.report.looks import Analysis, class_label, shown_states, state_colours

# Connections are drawn in three widths: those with at least this share of a layer's drive.
_SYMBOLS = {"other": "circle", "shared": "circle-open", "own": "circle"}
_WIDTHS = ((0.08, 4.0), (0.04, 2.2), (0.0, 0.9))


def states_with_pathways(analysis: Analysis) -> list[str]:
    """Those states of ``shown_states`` whose pathways were traced."""
    return [s for s in shown_states(analysis) if analysis["pathways"][s]["from_runs"]]


def pathway_diagrams(analysis: Analysis) -> list[tuple[str, Figure]]:
    """One figure for each class: its strongest neurons in every layer and what connects them."""
    states = states_with_pathways(analysis)
    if not states:
        return []
    classes = analysis["pathways"][states[-1]]["classes"]
    return [
        (class_label(analysis["class_names"], c), _diagram(analysis, states, i))
        for i, c in enumerate(classes)
    ]


def pathway_overlap_figure(analysis: Analysis) -> Figure | None:
    """Overlap of every two class pathways in every layer; None where none were traced."""
    states = states_with_pathways(analysis)
    if not states:
        return None
    rows = {
        state: [
            layer["overlap_matrix"] for layer in analysis["pathways"][state]["from_runs"]["layers"]
        ]
        for state in states
    }
    classes = class_ticks(analysis, analysis["pathways"][states[-1]]["classes"])
    return matrices_figure(rows, list(analysis["layer_names"][:-1]), classes, "overlap")


def own_neurons(layer: Mapping[str, Any], index: int) -> tuple[list[int], list[int]]:
    """Strongest neurons of a class: those of no other class, and those shared.

    Args:
        layer: an entry of ``pathways.<state>.from_runs.layers``.
        index: of the class.
    """
    listed = [[neuron for neuron, _ in members] for members in layer["strongest"]]
    others = {n for i, members in enumerate(listed) if i != index for n in members}
    own = [n for n in listed[index] if n not in others]
    return own, [n for n in listed[index] if n in others]


def _diagram(analysis: Analysis, states: list[str], index: int) -> Figure:
    names = analysis["layer_names"]
    layout: dict[str, Any] = {
        **LAYOUT, "height": 520, "hovermode": "closest", "annotations": [],
        "meta": {"least_width": 36 + max(280, 64 * len(names)) * len(states)},
        "margin": {"l": 24, "r": 12, "t": 56, "b": 56},
        "legend": {"orientation": "h", "y": -0.1, "x": 0, "font": {"size": 12}},
    }  # fmt: skip
    data = _legend_traces()
    gap = 0.03 if len(states) > 1 else 0.0
    width = (1 - gap * (len(states) - 1)) / len(states)
    for column, state in enumerate(states):
        suffix = str(column + 1) if column else ""
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        left = column * (width + gap)
        layout[f"xaxis{suffix}"] = {
            **AXIS, "domain": [left, left + width], "anchor": f"y{suffix}", "showgrid": False,
            "showline": False, "ticks": "", "range": [-0.4, len(names) - 0.6],
            "tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names,
        }  # fmt: skip
        layout[f"yaxis{suffix}"] = {
            "range": [-0.03, 1.05], "showgrid": False, "zeroline": False,
            "showticklabels": False, "anchor": f"x{suffix}", "showline": False,
            **({"matches": "y"} if column else {}),
        }  # fmt: skip
        found, counts = _state_traces(analysis, state, index)
        data += [trace | axes for trace in found]
        layout["annotations"].append(
            {
                "text": f"<b>{state}</b>" + ("" if counts else ": won too rarely"),
                "x": 0, "xref": f"x{suffix} domain", "y": 1,
                "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 22,
                "showarrow": False, "font": {"size": 14, "color": state_colours(analysis)[state]},
            }
        )  # fmt: skip
        layout["annotations"] += [
            {
                "text": text, "x": layer, "xref": f"x{suffix}", "y": 1, "yref": "paper",
                "yanchor": "bottom", "showarrow": False, "font": {"size": 11, "color": "#555"},
            }
            for layer, text in enumerate(counts)
        ]  # fmt: skip
    return {"data": data, "layout": layout}


def _state_traces(
    analysis: Analysis, state: str, index: int
) -> tuple[list[dict[str, Any]], list[str]]:
    sizes, names = analysis["layer_sizes"], analysis["layer_names"]
    pathways = analysis["pathways"][state]
    layers = pathways["from_runs"]["layers"]
    colour = state_colours(analysis)[state]

    def height(layer: int, neuron: int) -> float:
        found: float = (neuron + 0.5) / sizes[layer]
        return found

    traces: list[dict[str, Any]] = []
    flows = pathways["from_runs"]["flows"][index]
    for place, (least, width) in enumerate(_WIDTHS):
        most = _WIDTHS[place - 1][0] if place else float("inf")
        x: list[float | None] = []
        y: list[float | None] = []
        for layer, edges in enumerate(flows):
            for pre, post, share in edges:
                if least <= share < most:
                    x += [layer, layer + 1, None]
                    y += [height(layer, pre), height(layer + 1, post), None]
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip",
                "line": {"color": colour, "width": width}, "opacity": 0.45, "showlegend": False,
            }
        )  # fmt: skip
    counts = []
    kinds: dict[str, list[tuple[float, float, float, str]]] = {"other": [], "shared": [], "own": []}
    for number, layer in enumerate(layers):
        own, shared = own_neurons(layer, index)
        credit = dict(map(tuple, layer["strongest"][index]))
        for kind, neurons in (("shared", shared), ("own", own)):
            for neuron in neurons:
                text = f"{names[number]}, neuron {neuron}<br>{100 * credit[neuron]:.1f} % of credit"
                kinds[kind].append((number, height(number, neuron), credit[neuron], text))
        everyone = {n for members in layer["strongest"] for n, _ in members}
        for neuron in sorted(everyone - set(credit)):
            text = f"{names[number]}, neuron {neuron}<br>of other classes"
            kinds["other"].append((number, height(number, neuron), 0.0, text))
        counts.append(f"{len(own)}/{len(own) + len(shared)} own")
    last = len(sizes) - 1
    kinds["own"].append((last, height(last, index), 1.0, f"output neuron {index}"))
    for kind, points in kinds.items():
        tint = "#c4c4c4" if kind == "other" else colour
        marks = [4.0 if kind == "other" else 6 + 16 * min(1.0, p[2]) ** 0.5 for p in points]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "showlegend": False,
                "legendgroup": kind, "x": [p[0] for p in points], "y": [p[1] for p in points],
                "text": [p[3] for p in points], "hovertemplate": "%{text}<extra></extra>",
                "marker": {"size": marks, "symbol": _SYMBOLS[kind], "color": tint,
                           "line": {"width": 1.6, "color": tint}},
            }
        )  # fmt: skip
    won = any(layer["strongest"][index] for layer in layers)
    return traces, counts if won else []


def _legend_traces() -> list[dict[str, Any]]:
    """Entries of the legend, in a colour of no state."""
    names = {
        "own": "strong in this class only",
        "shared": "strong in this and another class",
        "other": "strong in other classes",
    }
    return [
        {
            "type": "scatter", "mode": "markers", "x": [None], "y": [None], "name": name,
            "legendgroup": kind,
            "marker": {"size": 5 if kind == "other" else 10, "symbol": _SYMBOLS[kind],
                       "color": "#c4c4c4" if kind == "other" else "#444",
                       "line": {"width": 1.6, "color": "#444"} if kind != "other" else {}},
        }
        for kind, name in names.items()
    ]  # fmt: skip
