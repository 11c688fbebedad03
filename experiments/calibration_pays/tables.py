"""The study's results as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.calibration.workflow import RATIO_BOUNDS

# How the networks are named in results, with what the tables call them.
NETWORKS = {
    "transfer": "transferred",
    "loop_uncalibrated": "in the loop, uncalibrated",
    "loop_uncalibrated_twin": "in the loop, uncalibrated, twin",
    "loop_calibrated": "in the loop, calibrated",
    "loop_calibrated_twin": "in the loop, calibrated, twin",
}
# States of a chip in which networks are tested.
STATES = {
    "uncalibrated": "all knobs at the median code",
    "calibrated": "calibrated",
    "drifted_uncalibrated": "after drift, all knobs at the median code",
    "drifted_old": "after drift, old calibration",
    "drifted_new": "after drift, calibrated anew",
}


def tables(results: Mapping[str, Any]) -> str:
    """All of them; "" as long as no chip is done."""
    if not results["chips"]:
        return ""
    return "\n".join([network_table(results), ratio_table(results), left_table(results)])


def network_table(results: Mapping[str, Any]) -> str:
    """Networks on the chip: means over the chips with the lowest and the highest."""
    lines = [
        f"In software: {100 * results['software']['test_accuracy']:.1f} %",
        "",
        "| network | chip | accuracy (%) | lowest to highest | epochs to 90 % "
        "| spike times off (tau_syn) |",
        "|---|---|---|---|---|---|",
    ]
    for network in results["study"]["networks"]:
        called = NETWORKS[network]
        parts = [row["networks"][network] for row in results["chips"]]
        epochs = [part["epochs_to_90"] for part in parts]
        taken = [str(value) if value else "never" for value in epochs]
        for state in states_of(network):
            tested = [part["states"][state] for part in parts]
            scores = [100 * test["accuracy"] for test in tested]
            off = float(np.mean([test["spike_error"] for test in tested]))
            lines.append(
                f"| {called} | {STATES[state]} | {np.mean(scores):.1f} | {min(scores):.1f} to "
                f"{max(scores):.1f} | {', '.join(taken) if network != 'transfer' else ''} "
                f"| {off:.3f} |"
            )
    return "\n".join(lines) + "\n"


def ratio_table(results: Mapping[str, Any]) -> str:
    """Spread of every quantity, calibrated over not calibrated, chip by chip."""
    columns = ("strength spread (%)", "failed", "drawn dead", "bad passed as good")
    lines = [
        f"| chip | {' | '.join([*RATIO_BOUNDS, *columns])} |",
        "|" + "---|" * (1 + len(RATIO_BOUNDS) + len(columns)),
    ]
    for row in results["chips"]:
        found = row["calibration"]
        cells = [f"{found['ratios'][name]:.3f}" for name in RATIO_BOUNDS]
        cells.append(f"{100 * found['strength_spread']:.2f}")
        cells += [str(len(found[key])) for key in ("failed", "drawn_dead", "passed_bad")]
        lines.append(f"| {row['chip']} | {' | '.join(cells)} |")
    bounds = [f"{bound:.2f}" if bound else "" for bound in RATIO_BOUNDS.values()]
    lines.append(f"| bound for real chips | {' | '.join([*bounds, *[''] * len(columns)])} |")
    return "\n".join(lines) + "\n"


def left_table(results: Mapping[str, Any]) -> str:
    """Spread that calibration leaves, mean over the chips, beside the preset ``calibrated``."""
    preset = Imperfections.calibrated()
    lines = ["| quantity | left by calibration | preset `calibrated` |", "|---|---|---|"]
    for name in results["chips"][0]["calibration"]["left"]:
        left = np.mean([row["calibration"]["left"][name] for row in results["chips"]])
        assumed = getattr(preset, name.removesuffix("_exc").removesuffix("_inh"))
        lines.append(f"| {name} | {left:.4f} | {assumed:.4f} |")
    return "\n".join(lines) + "\n"


def states_of(network: str) -> tuple[str, ...]:
    """Where a network is tested: transferred ones everywhere, others where they belong."""
    if network == "transfer":
        return tuple(STATES)
    if "uncalibrated" in network:
        return ("uncalibrated", "drifted_uncalibrated")
    return ("calibrated", "drifted_old", "drifted_new")
