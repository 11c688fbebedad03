"""The study's results as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hxloop.analysis.statistics import across_seeds

KINDS = {"deep": "four layers", "eight": "eight layers", "chip": "four layers, on the chip"}


def markdown_tables(results: Mapping[str, Any]) -> str:
    """Claims by network, spread by layer, substrates, ablation; what there is of them."""
    blocks = []
    if results["networks"]:
        blocks += [_claims(results["networks"]), _layers(results["networks"])]
    if "substrates" in results:
        blocks.append(_substrates(results["substrates"]))
    if "ablation" in results:
        blocks.append(_ablation(results["ablation"]))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def by_kind(networks: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Networks of one kind together: "deep-1", "deep-2" are "deep"."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for name, network in networks.items():
        kinds.setdefault(name.partition("-")[0], []).append(network)
    return kinds


def _claims(networks: Mapping[str, Any]) -> Iterator[str]:
    heads = ("network", "seeds", "test (%)", "claim", "found in", "quantity", "mean over seeds")
    yield f"| {' | '.join(heads)} | effect size |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind, members in by_kind(networks).items():
        accuracy = ", ".join(f"{100 * m['test_accuracy']:.2f}" for m in members)
        for claims in zip(*(member["claims"] for member in members), strict=True):
            found = sum(claim["verdict"] == "found" for claim in claims)
            values = [claim["value"] for claim in claims if claim["value"] is not None]
            effects = [c["effect_size"] for c in claims if c["effect_size"] is not None]
            yield (
                f"| {KINDS[kind]} | {len(members)} | {accuracy} | {claims[0]['statement']} | "
                f"{found} of {len(claims)} | {claims[0]['quantity']} | {_mean(values)} | "
                f"{_range(effects)} |"
            )


def _layers(networks: Mapping[str, Any]) -> Iterator[str]:
    yield "| network | state | measure | by layer, from the input on |"
    yield "|---|---|---|---|"
    for kind, members in by_kind(networks).items():
        for state in members[0]["synchrony"]:
            rows = {
                "causal shorth (tau_syn)": [
                    [layer["causal"]["shorth"] for layer in m["synchrony"][state]] for m in members
                ],
                "linear read-out": [
                    [layer["readout_times"]["value"] for layer in m["separability"][state]]
                    for m in members
                ],
                "silhouette": [
                    [layer["silhouette_times"]["value"] for layer in m["separability"][state]]
                    for m in members
                ],
                "distinctness of pathways": [
                    [layer["distinctness"]["value"] for layer in m["pathways"][state]["from_runs"]]
                    for m in members
                ],
            }
            for measure, values in rows.items():
                means = ", ".join(f"{value:.3f}" for value in _means(values)[: len(values[0])])
                yield f"| {KINDS[kind]} | {state} | {measure} | {means} |"


def _substrates(substrates: Mapping[str, Any]) -> Iterator[str]:
    overview = substrates["overview"]
    yield f"| substrate ({substrates['samples']} samples) | test (%) | causal shorth by layer |"
    yield "|---|---|---|"
    rows = zip(overview["states"], overview["accuracy"], overview["causal_shorth"], strict=True)
    for name, accuracy, shorth in rows:
        values = ", ".join("-" if value is None else f"{value:.3f}" for value in shorth)
        yield f"| {name} | {100 * accuracy:.1f} | {values} |"
    for name, reason in substrates["missing"].items():
        yield f"| {name} | not run: {reason} | |"


def _ablation(ablation: Mapping[str, Any]) -> Iterator[str]:
    yield "| silenced | neurons | accuracy on its own class (%) | on the others (%) |"
    yield "|---|---|---|---|"
    baseline = np.array(ablation["baseline"])
    yield f"| nothing | 0 | {100 * baseline.mean():.1f} | {100 * baseline.mean():.1f} |"
    for label, key in (("what a class relies on", ""), ("as many others", "control_")):
        accuracy = np.array(ablation[f"{key}accuracy"])
        own = np.diagonal(accuracy).mean()
        others = accuracy[~np.eye(len(accuracy), dtype=bool)].mean()
        neurons = np.mean(ablation["silenced"])
        yield f"| {label} | {neurons:.0f} | {100 * own:.1f} | {100 * others:.1f} |"


def _means(values: Sequence[Sequence[float | None]]) -> list[float]:
    table = np.array(values, dtype=float)
    return [float(value) for value in np.nanmean(table, axis=0)]


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.3g}"
    estimate = across_seeds(values)
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _range(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
