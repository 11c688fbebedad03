"""Pulse packets of every layer as tables: how many spikes, how wide, from whose neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hxloop.analysis.measures.matched import MATCHED
from hxloop.analysis.report.looks import MS_PER_TAU, UNIT, Analysis, shown_states
from hxloop.analysis.report.pathway_curves import label_shares
from hxloop.analysis.report.words import interval, table
from hxloop.page import escape

_HEAD = (
    "layer", "spikes", "a", "a / neuron", f"σ ({UNIT})", "interval", "σ (ms)", f"shorth ({UNIT})",
    f"σ of {MATCHED} spikes", f"shorth of {MATCHED} spikes", "shorth / spread evenly", "interval",
    "shorth / permuted within classes", "interval", "all spikes: a", f"σ ({UNIT})",
)  # fmt: skip

_SHARE_HEAD = (
    "layer", "samples", "spikes", "neurons in a set", "share", "interval", "chance",
    "other labels", "share − others", "interval", "weights shuffled", "share − shuffled", "p",
)  # fmt: skip


def packet_tables(analysis: Analysis) -> str:
    """A table for every shown state; layers from the input to the output, causal spikes first."""
    return "".join(
        f"<h3>{escape(state)}: pulse packets before the decision</h3>"
        + table(_HEAD, [_row(layer) for layer in analysis["synchrony"][state]["layers"]])
        for state in reversed(shown_states(analysis))
    )


def label_share_tables(analysis: Analysis) -> str:
    """Whose neurons the packets' spikes are of, a table for every shown state."""
    return "".join(
        f"<h3>{escape(state)}: share of the label's neurons in the packet</h3>"
        + table(_SHARE_HEAD, [_share_row(layer) for layer in label_shares(analysis, state)])
        for state in reversed(shown_states(analysis))
        if label_shares(analysis, state)
    )


def _share_row(layer: Mapping[str, Any]) -> list[Any]:
    sizes, null = layer["set_sizes"], layer["null"]["weight_shuffled"]
    return [
        layer["name"],
        layer["share"]["n"],
        layer["n_spikes"],
        f"{min(sizes)} to {max(sizes)}",
        layer["share"]["value"],
        interval(layer["share"]),
        layer["chance"]["value"],
        layer["others"]["value"],
        layer["beyond_others"]["value"],
        interval(layer["beyond_others"]),
        null["value"],
        null["difference"],
        null["p_value"],
    ]


def _row(layer: Mapping[str, Any]) -> list[Any]:
    causal, every = layer["causal"], layer["all"]
    low, high = layer["intervals"]["causal"]["packet_sigma"]
    sigma = causal["packet_sigma"]
    row = [
        layer["name"],
        causal["n_spikes"],
        causal["packet_a"],
        causal["packet_share"],
        sigma,
        interval({"low": low, "high": high}),
        None if sigma is None else MS_PER_TAU * sigma,
        causal["shorth"],
        causal["matched_sigma"],
        causal["matched_shorth"],
    ]
    for null in ("uniform", "class_permuted"):
        ratio = layer["null"][null]["ratio"]
        row += [ratio["value"], interval(ratio)]
    return [*row, every["packet_a"], every["packet_sigma"]]
