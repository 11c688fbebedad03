"""Curves of the class pathways against depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hxloop.analysis.measures.measure import PATHWAYS
from hxloop.analysis.measures.measure_registry import in_menus
from hxloop.analysis.report.curves import Curves, by_layer, estimates, null_line, state_line
from hxloop.analysis.report.looks import Analysis, shown_states, state_colours


def distinctness_curves(analysis: Analysis) -> list[Curves]:
    """Distinctness of the class pathways against depth, from runs and from weights."""
    states = [s for s in shown_states(analysis) if analysis["pathways"][s]["from_runs"]]
    if not states:
        return []
    found = []
    label = "distinctness of the class pathways"
    corrected = [
        state_line(
            analysis,
            state,
            [layer["corrected"] for layer in analysis["pathways"][state]["from_runs"]["layers"]],
        )
        for state in states
    ]
    for source, name, null in (
        ("from_runs", "traced through actual runs", "label_shuffled"),
        ("from_weights", "from weights alone", "weight_shuffled"),
    ):
        lines = []
        for state in states:
            layers = analysis["pathways"][state][source]["layers"]
            found_here = [layer["distinctness"] for layer in layers]
            if source == "from_weights":
                found_here = [{"value": v, "low": None, "high": None} for v in found_here]
            lines.append(state_line(analysis, state, *estimates(found_here)))
            values = [layer["null"][null]["value"] for layer in layers]
            words = null.replace("label_", "winners ").replace("weight_", "weights ")
            colour = state_colours(analysis)[state]
            lines.append(null_line(f"{state}, {words}", values, colour))
        found.append(by_layer(analysis, name, label, lines, (0.0, 1.02), below_output=True))
    name = "beyond construction and chance (corrected)"
    found.insert(1, by_layer(analysis, name, f"{label}, corrected", corrected, below_output=True))
    return found + _other_pathways(analysis, states)


def label_share_curves(analysis: Analysis) -> list[Curves]:
    """Share of the packets' spikes that are of the label's neurons, against depth."""
    shown = [s for s in shown_states(analysis) if label_shares(analysis, s)]
    if not shown:
        return []
    lines, colours = [], state_colours(analysis)
    for state in shown:
        layers = label_shares(analysis, state)
        lines.append(state_line(analysis, state, *estimates([layer["share"] for layer in layers])))
        for key, words in (("chance", "chance"), ("others", "other labels")):
            values = [layer[key]["value"] for layer in layers]
            line = null_line(f"{state}, {words}", values, colours[state])
            lines.append(replace(line, dash="dash") if key == "others" else line)
    name, label = "label share", "share of the packet's spikes from the label's neurons"
    return [by_layer(analysis, name, label, lines, (0.0, 1.02), below_output=True)]


def label_shares(analysis: Analysis, state: str) -> list[Mapping[str, Any]]:
    """Label shares of every layer; empty where they were not measured."""
    found = analysis["pathways"][state].get("label_share")
    return found["layers"] if found else []


def _other_pathways(analysis: Analysis, states: Sequence[str]) -> list[Curves]:
    """Measures of pathways beside their distinctness."""
    found = []
    for measure in in_menus(PATHWAYS):
        layers = {state: analysis["pathways"][state]["from_runs"]["layers"] for state in states}
        if measure.key == "distinctness" or measure.key not in layers[states[0]][0]:
            continue
        lines = [
            state_line(analysis, state, [layer[measure.key] for layer in layers[state]])
            for state in states
        ]
        limits = measure.limits
        found.append(
            by_layer(analysis, measure.menu, measure.label, lines, limits, below_output=True)
        )
    return found
