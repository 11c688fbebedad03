"""Keep what is worth keeping of a finished run beside its experiment, small enough for git.

    python -m hxloop.experiments.results RUN_DIR

writes ``results/`` into the folder of the experiment: the complete configuration, metrics,
provenance, a figure, and the weights in half precision where they take less than 1 MB. It is a
run folder: ``hxloop evaluate`` takes it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from hxloop.errors import ConfigError, FileFormatError
from hxloop.experiments.registry import FOLDER, experiment_names
from hxloop.files.json_text import parse_json
from hxloop.page import BLUE, ORANGE
from hxloop.runs.folder import RunDirectory
from hxloop.runs.plan import prepare
from hxloop.runs.run import evaluate_run

LARGEST_WEIGHTS = 1_000_000  # bytes


def keep(run_dir: Path, folder: Path = FOLDER) -> Path:
    """Write the results of a finished run of a shipped experiment.

    Args:
        run_dir: run folder.
        folder: that of the experiments.

    Returns:
        The folder with the results.

    Raises:
        FileFormatError: not a finished run, damaged, or not one of a shipped experiment.
    """
    run = RunDirectory.open(run_dir)
    config = run.config()
    if config.name not in experiment_names():
        raise FileFormatError(
            f"{run_dir}: a run of {config.name!r}; expected one of {', '.join(experiment_names())}"
        )
    evaluation = {k: v for k, v in run.read_json("evaluation.json").items() if k != "run_dir"}
    provenance = run.read_json("provenance.json")
    metrics = (run.path / "metrics.jsonl").read_text(encoding="utf-8")
    target = folder / config.name.replace("-", "_") / "results"
    target.mkdir(parents=True, exist_ok=True)
    kept = RunDirectory(target)
    kept.write_config(config)
    # Half of float32's bytes; what that costs in accuracy is measured, not assumed.
    weights = run.weights(prepare(config).network)
    if 2 * sum(w.size for w in weights) < LARGEST_WEIGHTS:
        kept.write_weights(weights, {"experiment": config.name}, dtype=np.float16)
        again = evaluate_run(target)
        evaluation["test_accuracy_half_precision"] = round(again.test.accuracy, 6)
    kept.write_json("evaluation.json", evaluation)
    kept.write_json("provenance.json", {k: v for k, v in provenance.items() if k != "command"})
    kept.write_text("metrics.jsonl", metrics)
    figure = accuracy_over_time([parse_json(line) for line in metrics.splitlines()], evaluation)
    figure.savefig(target / "figure.png", dpi=110)
    return target


def accuracy_over_time(
    metrics: Sequence[Mapping[str, Any]], evaluation: Mapping[str, Any]
) -> Figure:
    """Errors over the time that training took, and how many neurons are silent.

    Args:
        metrics: of each epoch, as in ``metrics.jsonl``.
        evaluation: as in ``evaluation.json``.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    minutes = np.cumsum([m["seconds"] for m in metrics]) / 60
    for split, colour in (("train", BLUE), ("validation", ORANGE)):
        errors = [100 * (1 - m[f"{split}_accuracy"]) for m in metrics]
        left.plot(minutes, errors, color=colour, label=split)
    error = 100 * (1 - evaluation["test_accuracy"])
    left.axhline(error, color="black", linestyle=":", linewidth=1, label=f"test: {error:.2f} %")
    left.set(xlabel="time of training (min)", ylabel="error (%)", yscale="log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter(NullFormatter())
    left.legend(frameon=False)
    silent = 100 * np.array([m["silent_fraction"] for m in metrics])
    for layer, values in enumerate(silent.T):
        name = "output" if layer == silent.shape[1] - 1 else f"layer {layer + 1}"
        right.plot(minutes, values, label=name, color=_shade(layer, silent.shape[1]))
    right.set(
        xlabel="time of training (min)", ylabel="silent neurons per sample (%)", ylim=(0, None)
    )
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(evaluation["experiment"], fontsize=11)
    return figure


def _shade(layer: int, n_layers: int) -> tuple[float, float, float]:
    """From light to dark with depth."""
    share = layer / max(1, n_layers - 1)
    light, dark = np.array([0.62, 0.80, 0.94]), np.array([0.02, 0.15, 0.35])
    red, green, blue = light + share * (dark - light)
    return float(red), float(green), float(blue)


def main(run_dirs: Sequence[str]) -> None:
    """Keep the results of the runs in the given folders.

    Raises:
        ConfigError: no folder was given.
        FileFormatError: see ``keep``.
    """
    if not run_dirs:
        raise ConfigError("usage: python -m hxloop.experiments.results RUN_DIR ...")
    for run_dir in run_dirs:
        target = keep(Path(run_dir))
        evaluation = parse_json((target / "evaluation.json").read_text(encoding="utf-8"))
        half = evaluation.get("test_accuracy_half_precision")
        weights = f", {100 * half:.2f} % with weights in half precision" if half else ""
        sys.stdout.write(f"{target}: test {100 * evaluation['test_accuracy']:.2f} %{weights}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
