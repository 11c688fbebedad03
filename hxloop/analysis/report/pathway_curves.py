"""Curves of the class pathways against depth."""

from __future__ import annotations

from collections.abc import Sequence

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
