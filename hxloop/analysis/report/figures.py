"""Interactive figures of an analysis, as plotly's JSON: ``{"data": [...], "layout": {...}}``.

Made of plain dictionaries, so that nothing but the script in the page needs plotly.
"""

from __future__ import annotations

from typing import Any

from hxloop.analysis.report.curves import Curves, Line
from hxloop.analysis.report.looks import UNIT, Analysis, class_label, shown_states, state_colours
from hxloop.analysis.report.raster import plotly_text

Figure = dict[str, Any]

LAYOUT: dict[str, Any] = {
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
    "paper_bgcolor": "#fff",
    "plot_bgcolor": "#fff",
    "margin": {"l": 78, "r": 16, "t": 16, "b": 56},
    "hoverlabel": {"font": {"size": 13}, "align": "left"},
}
AXIS: dict[str, Any] = {
    "linecolor": "#888",
    "showline": True,
    "ticks": "outside",
    "gridcolor": "#eee",
    "zeroline": False,
    "automargin": True,
}


def curves_figure(curves: Curves) -> Figure:
    """Curves with error bars and bands."""
    data = [trace for line in curves.lines for trace in _line_traces(curves, line)]
    x_axis: dict[str, Any] = {**AXIS, **_title(curves.x_label), "showgrid": False}
    if curves.ticks:
        x_axis |= {"tickmode": "array", "tickvals": curves.x, "ticktext": curves.ticks}
        x_axis["range"] = [curves.x[0] - 0.25, curves.x[-1] + 0.25]
    y_axis: dict[str, Any] = {**AXIS, **_title(curves.y_label)}
    y_axis |= {"range": list(curves.y_range)} if curves.y_range else {"rangemode": "tozero"}
    return {
        "data": data,
        "layout": {
            **LAYOUT,
            "height": 430,
            "hovermode": "closest",
            "xaxis": x_axis,
            "yaxis": y_axis,
            "legend": _legend(),
        },
    }


def packets_figure(analysis: Analysis) -> Figure:
    """Pulse packets of causal spikes: from layer to layer through the (a, sigma) plane."""
    colours, data, widest = state_colours(analysis), [], 1e-3
    for state in shown_states(analysis):
        layers = analysis["synchrony"][state]["layers"]
        names = [layer["name"] for layer in layers]
        dashed = state == analysis["roles"]["untrained"]
        for index, layer in enumerate(layers):
            classes = [c for c in layer["by_class"] if c["causal"]["packet_sigma"] is not None]
            here = [layer, *classes]
            widest = max([widest, *(c["causal"]["packet_sigma"] or 0.0 for c in here)])
            data.append(
                {
                    "type": "scatter", "mode": "markers", "showlegend": False,
                    "legendgroup": state,
                    "x": [c["causal"]["packet_sigma"] for c in classes],
                    "y": [c["causal"]["packet_a"] for c in classes],
                    "customdata": [
                        plotly_text(class_label(analysis["class_names"], c["label"]))
                        for c in classes
                    ],
                    "marker": {"size": 5, "color": colours[state], "opacity": 0.3,
                               "symbol": "square" if dashed else "circle"},
                    "hovertemplate": f"{state}, {names[index]}, %{{customdata}}<br>"
                    "σ = %{x:.3g} τ<sub>syn</sub>, a = %{y:.3g} spikes<extra></extra>",
                }
            )  # fmt: skip
        data.append(
            {
                "type": "scatter", "mode": "lines+markers+text", "name": state,
                "legendgroup": state,
                "x": [layer["causal"]["packet_sigma"] for layer in layers],
                "y": [layer["causal"]["packet_a"] for layer in layers],
                "text": [name.removeprefix("layer ") for name in names],
                "customdata": names,
                "textposition": [
                    "top right" if name in ("input", "output") else "top center" for name in names
                ],
                "textfont": {"color": colours[state], "size": 13},
                "line": {"color": colours[state], "width": 2,
                         "dash": "dash" if dashed else "solid"},
                "marker": {"size": 10, "color": colours[state],
                           "symbol": "square" if dashed else "circle"},
                "hovertemplate": f"{state}, %{{customdata}}<br>σ = %{{x:.3g}} τ<sub>syn</sub>, "
                "a = %{y:.4g} spikes<extra></extra>",
            }
        )  # fmt: skip
    return {
        "data": data,
        "layout": {
            **LAYOUT,
            "height": 470,
            "hovermode": "closest",
            "xaxis": {**AXIS, **_title("width of the pulse packet, σ (τ_syn)"),
                      "range": [-0.03 * widest, 1.08 * widest]},
            "yaxis": {**AXIS, **_title("spikes in the pulse packet, a"), "type": "log",
                      "dtick": 1},
            "legend": _legend(),
        },
    }  # fmt: skip


def matrices_figure(
    rows: dict[str, list[list[list[float | None]]]],
    names: list[str],
    classes: list[str],
    what: str,
) -> Figure:
    """Matrices of all pairs of classes: a row for each state, a column for each layer.

    Args:
        rows: for each state one matrix for each layer.
        names: of the layers.
        classes: names of the classes.
        what: the value, for the colour bar.
    """
    layout: dict[str, Any] = {
        **LAYOUT,
        "height": 70 + 190 * len(rows),
        "margin": {"l": 100, "r": 16, "t": 40, "b": 40},
        "coloraxis": {
            "colorscale": "Cividis", "cmin": 0, "cmax": 1,
            "colorbar": {"title": {"text": what, "side": "right"}, "thickness": 14},
        },
        "annotations": [],
        "meta": {"least_width": 130 + 110 * len(names)},
    }  # fmt: skip
    data = []
    for row, (state, matrices) in enumerate(rows.items()):
        for column, matrix in enumerate(matrices):
            place = row * len(names) + column
            suffix = str(place + 1) if place else ""
            width, height = 1 / len(names), 1 / len(rows)
            bottom = 1 - (row + 1) * height
            ends = {"showgrid": False, "ticks": "", "showline": False, "zeroline": False}
            layout[f"xaxis{suffix}"] = {
                **ends, "domain": [column * width, (column + 0.9) * width],
                "anchor": f"y{suffix}", "type": "category", "tickfont": {"size": 10},
                "showticklabels": row == len(rows) - 1,
            }  # fmt: skip
            layout[f"yaxis{suffix}"] = {
                **ends, "domain": [bottom, bottom + 0.88 * height], "anchor": f"x{suffix}",
                "autorange": "reversed", "type": "category", "tickfont": {"size": 10},
                "showticklabels": column == 0, "scaleanchor": f"x{suffix}",
                "constrain": "domain", "title": {"text": state} if column == 0 else None,
            }  # fmt: skip
            data.append(
                {
                    "type": "heatmap", "z": matrix, "x": classes, "y": classes,
                    "xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "coloraxis": "coloraxis",
                    "hovertemplate": f"{state}, {names[column]}<br>classes %{{y}} and %{{x}}: "
                    "%{z:.3f}<extra></extra>",
                }
            )  # fmt: skip
            if row == 0:
                layout["annotations"].append(
                    {
                        "text": names[column], "showarrow": False, "font": {"size": 12},
                        "xref": f"x{suffix} domain", "x": 0.5, "yref": f"y{suffix} domain",
                        "y": 1, "yanchor": "bottom",
                    }
                )  # fmt: skip
    return {"data": data, "layout": layout}


def overlap_figure(analysis: Analysis) -> Figure | None:
    """Overlap of the populations active for every two classes; None without labels."""
    states = [s for s in shown_states(analysis) if analysis["separability"][s]["layers"]]
    if not states:
        return None
    rows = {
        state: [layer["overlap_matrix"] for layer in analysis["separability"][state]["layers"]]
        for state in states
    }
    classes = class_ticks(analysis, analysis["separability"][states[-1]]["classes"])
    return matrices_figure(rows, list(analysis["layer_names"]), classes, "Jaccard index")


def class_ticks(analysis: Analysis, labels: list[int]) -> list[str]:
    """Classes on an axis: their names, made unlike where two begin alike, or numbers."""
    names = [class_label(analysis["class_names"], c).removeprefix("class ") for c in labels]
    short = [name if len(name) <= 8 else name[:7] + "…" for name in names]
    if len(set(short)) < len(short):
        short = [f"{label} {name}" for label, name in zip(labels, short, strict=True)]
    return [plotly_text(name) for name in short]


def _line_traces(curves: Curves, line: Line) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    where = "%{text}" if curves.ticks else f"{curves.x_label} %{{x}}"
    names = curves.ticks or [f"{x:g}" for x in curves.x]
    if line.band:
        low, high = line.band
        known = [i for i, value in enumerate(low) if value is not None and high[i] is not None]
        x = [curves.x[i] for i in known]
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": x + x[::-1],
                "y": [high[i] for i in known] + [low[i] for i in known[::-1]],
                "fill": "toself", "fillcolor": _pale(line.colour), "line": {"width": 0},
                "hoverinfo": "skip", "showlegend": False, "legendgroup": line.name,
            }
        )  # fmt: skip
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "lines+markers" if line.symbol else "lines",
        "name": plotly_text(line.name), "legendgroup": line.name,
        "x": curves.x, "y": line.values,
        "text": names,
        "line": {"color": line.colour, "width": 2.5 if line.symbol else 1.8, "dash": line.dash},
        "hovertemplate": f"{line.name}, {where}<br>%{{y:.4g}}<extra></extra>",
    }  # fmt: skip
    if line.symbol:
        trace["marker"] = {"size": 8, "symbol": line.symbol, "color": line.colour}
    if line.low:
        trace["customdata"] = [[a, b] for a, b in zip(line.low, line.high, strict=True)]
        trace["hovertemplate"] = (
            f"{line.name}, {where}<br>%{{y:.4g}} [%{{customdata[0]:.4g}}, "
            "%{customdata[1]:.4g}]<extra></extra>"
        )
        trace["error_y"] = {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
            "array": _gaps(line.high, line.values), "arrayminus": _gaps(line.values, line.low),
        }  # fmt: skip
    traces.append(trace)
    return traces


def _gaps(upper: list[float | None], lower: list[float | None]) -> list[float]:
    return [
        0.0 if a is None or b is None else max(0.0, a - b)
        for a, b in zip(upper, lower, strict=True)
    ]


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def with_unit(text: str) -> str:
    """Plain text as plotly draws it, with the index of the time constant set low."""
    return text.replace(UNIT, "τ<sub>syn</sub>")


def _title(text: str) -> dict[str, Any]:
    return {"title": {"text": with_unit(text), "font": {"size": 13}}}


def _legend() -> dict[str, Any]:
    return {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 12}}
