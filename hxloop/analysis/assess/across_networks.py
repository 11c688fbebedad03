"""Several independently trained networks put together: do the claims hold for every seed?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hxloop.analysis.assess.summary import estimate, plain
from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.measure_registry import measures
from hxloop.errors import RunInputError


def across_networks(results: Sequence[Mapping[str, Any]], level: float = 0.95) -> dict[str, Any]:
    """Means over networks with Student's intervals, and how often each claim was found.

    The networks are the independent units here, so the interval says what another seed would
    give; that of a single analysis says what other samples would.

    Args:
        results: what ``analyse`` returned, one for each network; the same layers and roles.
        level: coverage of the intervals.

    Returns:
        ``n_networks``, ``claims`` {key: {``verdicts`` {verdict: count}, ``value`` and
        ``effect_size`` {value, low, high, n}}}, where low and high of the effect size, and of the
        fraction that is learned, are the lowest and the highest network (an interval from a few
        networks would reach beyond what such numbers can be), and ``layers`` {role: {measure:
        [{value, low, high, n} for each layer]}}, each measure None where no network has it. Plain
        values.

    Raises:
        RunInputError: no result, or networks with other layers.
    """
    if not results:
        raise RunInputError("results: expected at least one analysis; got none")
    names = results[0]["layer_names"]
    for index, result in enumerate(results):
        if result["layer_names"] != names:
            raise RunInputError(
                f"results[{index}]: expected the layers {names}; got {result['layer_names']}"
            )
    claims: dict[str, Any] = {}
    for position, claim in enumerate(results[0]["claims"]):
        same = [result["claims"][position] for result in results]
        claims[claim["key"]] = {
            "statement": claim["statement"],
            "quantity": next((one["quantity"] for one in same if one["quantity"]), ""),
            "verdicts": dict(Counter(one["verdict"] for one in same)),
            "value": _range([one["value"] for one in same])
            if claim["key"] == "learned"
            else _over_networks([one["value"] for one in same], level),
            "effect_size": _range([one["effect_size"] for one in same]),
        }
    # An analysis from elsewhere need not hold what other packages add here.
    tables = [
        each.table
        for each in measures()
        if each.overview and all(each.table in result["overview"] for result in results)
    ]
    layers = {
        role: {table: _layers(results, role, table, level) for table in tables}
        for role in ("trained", "untrained")
    }
    combined: dict[str, Any] = plain(
        {"n_networks": len(results), "layer_names": names, "claims": claims, "layers": layers}
    )
    return combined


def _layers(
    results: Sequence[Mapping[str, Any]], role: str, table: str, level: float
) -> list[dict[str, Any]] | None:
    """One estimate for each layer, over the networks that have the state and the measure."""
    rows = []
    for result in results:
        overview, name = result["overview"], result["roles"][role]
        row = None if name is None else overview[table][overview["states"].index(name)]
        if row is not None:
            rows.append(row)
    if not rows:
        return None
    return [_over_networks(column, level) for column in zip(*rows, strict=True)]


def _range(values: Sequence[float | str | None]) -> dict[str, Any]:
    """Mean, and the lowest and highest of the networks."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
    return {
        "value": float(np.mean(known)), "low": min(known), "high": max(known), "n": len(known),
    }  # fmt: skip


def _over_networks(values: Sequence[float | str | None], level: float) -> dict[str, Any]:
    # None is what JSON has for NaN, "inf" for infinity.
    numbers = [np.nan if value is None else float(value) for value in values]
    return estimate(statistics.across_seeds(numbers, level))
