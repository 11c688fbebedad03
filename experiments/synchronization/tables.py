"""The study's results as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hxloop.analysis.assess.across_networks import across_networks

MEASURES = {
    "causal_shorth": "causal shorth (tau_syn)",
    "readout_times": "linear read-out",
    "silhouette_times": "silhouette",
    "distinctness": "distinctness of pathways",
}


def markdown_tables(results: Mapping[str, Any]) -> str:
    """Claims by network, measures by layer, substrates, ablation; what there is of them."""
    blocks = []
    for kind, members in by_kind(results["networks"]).items():
        together = across_networks(members)
        accuracies = ", ".join(f"{100 * m['test_accuracy']:.2f}" for m in members)
        place = ", in the loop on the chip" if kind == "chip" else ""
        heading = f"{depth(members)}{place}: test accuracy {accuracies} %"
        blocks += [[heading], list(_claims(together)), list(_layers(together))]
    if "substrates" in results:
        blocks.append(list(_substrates(results["substrates"])))
    if "ablation" in results:
        blocks.append(list(_ablation(results["ablation"])))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def by_kind(networks: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Networks of one kind together: "deep-1", "deep-2" are "deep"."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for name, network in networks.items():
        kinds.setdefault(name.partition("-")[0], []).append(network)
    return kinds


def depth(members: Sequence[Mapping[str, Any]]) -> str:
    """How deep networks of one kind are, in words."""
    return f"{len(members[0]['layer_names']) - 2} hidden layers"


def _claims(together: Mapping[str, Any]) -> Iterator[str]:
    yield "| claim | verdict | quantity | value | effect size |"
    yield "|---|---|---|---|---|"
    for claim in together["claims"].values():
        verdicts = ", ".join(f"{count} x {name}" for name, count in claim["verdicts"].items())
        yield (
            f"| {claim['statement']} | {verdicts} | {claim['quantity']} | "
            f"{_estimate(claim['value'])} | {_estimate(claim['effect_size'])} |"
        )


def _layers(together: Mapping[str, Any]) -> Iterator[str]:
    names = together["layer_names"]
    yield f"| measure | state | {' | '.join(names)} |"
    yield "|---|---|" + "---|" * len(names)
    for key, measure in MEASURES.items():
        for state in ("untrained", "trained"):
            layers = together["layers"][state][key]
            if layers is None:
                continue
            cells = [_number(layer["value"]) for layer in layers]
            cells += [""] * (len(names) - len(cells))
            yield f"| {measure} | {state} | {' | '.join(cells)} |"


def _substrates(substrates: Mapping[str, Any]) -> Iterator[str]:
    overview = substrates["overview"]
    names = substrates["layer_names"]
    heading = f"causal shorth on a substrate ({substrates['samples']} samples)"
    yield f"| {heading} | test (%) | {' | '.join(names)} |"
    yield "|---|---|" + "---|" * len(names)
    rows = zip(overview["states"], overview["accuracy"], overview["causal_shorth"], strict=True)
    for name, accuracy, shorth in rows:
        cells = " | ".join(_number(value) for value in shorth)
        yield f"| {name} | {100 * accuracy:.1f} | {cells} |"
    for name, reason in substrates["missing"].items():
        yield f"| {name} | not run: {reason} | {' | '.join(names)} |"


def _ablation(ablation: Mapping[str, Any]) -> Iterator[str]:
    lost = ("points lost by its class", "by others", "random: by its class", "by others")
    columns = (*lost, "difference", "p")
    yield f"| silenced of each layer (%) | neurons | {' | '.join(columns)} |"
    yield "|---|---|" + "---|" * len(columns)
    for row in ablation["fractions"]:
        drops = []
        for key in ("drop", "random_drop"):
            drop = np.array(row[key], dtype=float)
            own = np.eye(len(drop), dtype=bool)
            drops += [np.nanmean(drop[own]), np.nanmean(drop[~own])]
        cells = " | ".join(f"{100 * value:.1f}" for value in drops)
        yield (
            f"| {100 * row['fraction']:g} | {np.mean(row['n_silenced']):.0f} | {cells} | "
            f"{100 * row['value']:.1f} | {row['p_value']:.2g} |"
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _estimate(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "-"
    if estimate["low"] is None or estimate["n"] < 2:
        return f"{estimate['value']:.3g}"
    return f"{estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}]"
