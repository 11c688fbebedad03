"""The six networks as one table and one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hxloop.analysis.measures.matched import MATCHED
from hxloop.analysis.report.looks import CLASS_COLOURS, MS_PER_TAU, UNIT
from hxloop.analysis.report.static import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD = (
    "network, images, right", "layer", "spikes", "a", f"σ ({UNIT})", "σ (ms)", "σ before",
    f"shorth of {MATCHED}", "÷ even", "÷ permuted", "silhouette", "before", "read-out (%)",
    "neighbour (%)", "label share", "chance", "others", "before: share − others",
)  # fmt: skip
# What each panel of the figure shows, and where it stands in the results.
_PANELS = (
    (f"width of the packet, σ ({UNIT})", "packet_sigma"),
    ("spikes in the packet, a", "packet_a"),
    ("shorth / permuted within classes", "over_class_permuted"),
    ("silhouette (primary)", "silhouette_relative"),
)


def networks_table(networks: Mapping[str, Any]) -> str:
    """All networks in one table, layer by layer, after training unless it says "before".

    Args:
        networks: see ``networks.measure_networks``.
    """
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for name, entry in networks.items():
        for kind in ("published", "all_images"):
            if kind in entry:
                lines += _rows(name, entry["layer_names"][:-1], entry[kind])
    return "\n".join(lines) + "\n"


def _rows(name: str, layers: Sequence[str], states: Mapping[str, Any]) -> list[str]:
    after, before = states["trained"], states["untrained"]
    what = f"{name.removesuffix('_seed1')}, {after['samples']}, {100 * after['accuracy']:.2f} %"
    rows = []
    for i, layer in enumerate(layers):
        sigma = after["packet_sigma"][i]
        cells = [
            what if i == 0 else "",
            layer,
            _number(after["n_spikes"][i], ".0f"),
            _number(after["packet_a"][i], ".0f"),
            _number(sigma, ".3f"),
            _number(None if sigma is None else MS_PER_TAU * sigma, ".2f"),
            _number(before["packet_sigma"][i], ".3f"),
            _number(after["matched_shorth"][i], ".3f"),
            _number(after["over_uniform"][i]["value"], ".2f"),
            _number(after["over_class_permuted"][i]["value"], ".2f"),
            _number(after["silhouette_relative"][i]["value"], ".2f"),
            _number(before["silhouette_relative"][i]["value"], ".2f"),
            _number(100 * after["readout_times"][i]["value"], ".1f"),
            _number(100 * after["neighbour_times"][i]["value"], ".1f"),
        ]
        if "label_share" in after:
            share = after["label_share"][i]
            cells += [_number(share[key]["value"], ".2f") for key in ("share", "chance", "others")]
            cells.append(_number(before["label_share"][i]["beyond_others"]["value"], ".2f"))
        else:
            cells += ["–"] * 4
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def networks_figure(networks: Mapping[str, Any]) -> Figure:
    """Packets, surrogate and separability by layer, a colour for each network, dashed = before."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    axes = figure.subplots(2, 2).flat
    for axis, (label, key), letter in zip(axes, _PANELS, "abcd", strict=True):
        logarithmic = key != "silhouette_relative"
        for index, (name, entry) in enumerate(networks.items()):
            for state, line in (("trained", "o-"), ("untrained", "s--")):
                values = _values(entry["published"][state][key][:-1], logarithmic)
                colour, shown = CLASS_COLOURS[index], name if state == "trained" else None
                axis.plot(range(len(values)), values, line, color=colour, label=shown, ms=3, lw=1)
        axis.set(ylabel=label, xlabel="layer (0 = input)")
        axis.set_title(letter, loc="left", fontweight="bold")
        if logarithmic:
            axis.set_yscale("log")
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _values(entries: Sequence[Any], logarithmic: bool) -> list[float]:
    """Numbers, or the values of estimates; 0 has no place on a logarithmic axis."""
    plain = [entry["value"] if isinstance(entry, Mapping) else entry for entry in entries]
    return [float("nan") if v is None or (logarithmic and v <= 0) else v for v in plain]


def _number(value: float | None, form: str) -> str:
    """A number, or a dash where it is not defined."""
    if value is None:
        return "–"
    text = format(value, form)
    return text.removeprefix("-") if float(text) == 0 else text
