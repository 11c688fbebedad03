"""How much of an accuracy is the recipe, and how much the chip.

Every arm is a recipe of training on an emulated chip: the published one (``recipe.py``) or that of
the configuration. Seeds are initial weights, order of samples, trial noise, and the chip's number.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hxloop.errors import ConfigError
from hxloop.experiments.reality_check.recipe import PublishedRecipe, train_by_recipe
from hxloop.experiments.study_parts import (
    Study,
    check_list,
    check_no_calibration,
    on_backend,
    run_of_study,
    study_options,
)
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import RunResult, prepare
from hxloop.substrate import get_backend
from hxloop.training.events import AllOf
from hxloop.training.progress import Steps

RECIPES = ("published", "ours")
_LAST = 10


@dataclass(frozen=True)
class RealityOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study.
        arms: for each, its ``recipe`` ("published" or "ours"), ``chip``, options of the emulated
            chip beyond those of the configuration, and ``changes`` of the published recipe.
        seeds: of the trainings of every arm.
        published_epochs: of the published recipe, which has 300.
    """

    name: str = "reality-check"
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    published_epochs: int = 300

    @classmethod
    def of(cls, config: ExperimentConfig) -> RealityOptions:
        """Read the ``[study]`` table.

        Raises:
            ConfigError: unknown keys or values that make no sense.
        """
        options = study_options(cls, config)
        check_list("seeds", options.seeds)
        for name, arm in options.arms.items():
            if not isinstance(arm, Mapping) or set(arm) - {"recipe", "chip", "changes"}:
                raise ConfigError(
                    f"study.arms.{name!r}: expected a table with recipe, chip, changes; got {arm!r}"
                )
            if arm.get("recipe") not in RECIPES:
                raise ConfigError(
                    f"study.arms.{name!r}.recipe: expected one of {RECIPES}; "
                    f"got {arm.get('recipe')!r}"
                )
        if not options.arms:
            raise ConfigError("study.arms: expected a table for each arm, [study.arms.NAME]")
        return options


def arm_config(config: ExperimentConfig, name: str, seed: int) -> ExperimentConfig:
    """The configuration of one training by our recipe: a run like any other."""
    chosen = {**config.backend.options, **chip_of(config, name), "chip": seed}
    values = tomllib.loads(on_backend(config, config.backend.name, chosen).to_toml())
    values |= {"seed": seed, "name": f"{config.name}: {name}"}
    values.pop("study", None)
    return ExperimentConfig.from_mapping(values, f"study.arms.{name!r}")


def chip_of(config: ExperimentConfig, name: str) -> dict[str, Any]:
    """Options of an arm's chip, beyond those of the configuration."""
    return dict(RealityOptions.of(config).arms[name].get("chip", {}))


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Run the study, or what is missing of it.

    Args:
        config: our recipe; ``[study]`` as in ``RealityOptions``.
        out: study folder: ``results.json``, ``results.md``, a run folder for every training by
            our recipe.
        force: start anew in a folder that holds another study.
        events: who watches; told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a configuration that is not valid, of any arm: before anything is trained.
        OutputError: ``out`` holds something else.
        TrainingInterrupted: stopped on request; another call goes on.
    """
    options = RealityOptions.of(config)
    check_no_calibration(config, "whose chips are several, and as they come")
    for name in options.arms:
        prepare(arm_config(config, name, options.seeds[0]))
    study = Study.open(
        config, out, options, {"trainings": []}, markdown_table, force=force, events=events
    )
    done = {(row["arm"], row["seed"]) for row in study.results["trainings"]}
    # Seed by seed, so that what was stopped early still compares all arms.
    parts = [(name, seed) for seed in options.seeds for name in options.arms]
    steps = Steps(events.news, len(parts), len(done))
    for name, seed in parts:
        if (name, seed) in done:
            continue
        steps.begin(f"{name}, seed {seed}")
        row: dict[str, Any] = {"arm": name, "seed": seed, "recipe": options.arms[name]["recipe"]}
        if row["recipe"] == "published":
            chosen = {**config.backend.options, **chip_of(config, name), "chip": seed}
            backend = get_backend(config.backend.name, **chosen)
            changes = options.arms[name].get("changes", {})
            recipe = PublishedRecipe(epochs=options.published_epochs, **changes)
            row |= {"epochs": recipe.epochs} | _of_curve(
                train_by_recipe(backend, recipe, seed, events.news)
            )
        else:
            folder = f"{list(options.arms).index(name) + 1}-seed-{seed}"
            row |= _of_run(study.train(folder, prepare(arm_config(config, name, seed))))
        events.news(f"  test {100 * row['test_accuracy']:.1f} %")
        study.results["trainings"].append(row)
        study.save()
    study.finish()
    return study.results


def _of_curve(result: Mapping[str, Any]) -> dict[str, Any]:
    curve = result["validation"]
    kept = {key: result[key] for key in ("test_accuracy", "bumped", "seconds_per_epoch")}
    return kept | _of_validation(curve)


def _of_run(result: RunResult) -> dict[str, Any]:
    summary = result.as_dict()
    metrics = () if result.training is None else result.training.metrics
    curve = [epoch["validation_accuracy"] for epoch in metrics]
    return {
        "epochs": len(curve),
        "test_accuracy": summary["test_accuracy"],
        "seconds_per_epoch": round(summary["seconds_per_epoch"], 3),
    } | _of_validation(curve)


def _of_validation(curve: list[float]) -> dict[str, Any]:
    return {"last_epochs": round(mean(curve[-_LAST:]), 4), "best_epoch": round(max(curve), 4)}


def markdown_table(results: Mapping[str, Any]) -> str:
    """The results as a table, in per cent: tests, their mean and spread, and validation."""
    rows = results["trainings"]
    seeds = sorted({row["seed"] for row in rows})
    head = [
        "arm", "epochs", *(f"seed {seed}" for seed in seeds), "mean", "spread",
        f"validation, last {_LAST} epochs", "best epoch",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in dict.fromkeys(row["arm"] for row in rows):
        own = {row["seed"]: row for row in rows if row["arm"] == name}
        tests = {seed: 100 * row["test_accuracy"] for seed, row in own.items()}
        cells = [
            name,
            str(next(iter(own.values()))["epochs"]),
            *(f"{tests[seed]:.1f}" if seed in own else "" for seed in seeds),
            f"**{mean(tests.values()):.1f}**",
            f"{stdev(tests.values()):.1f}" if len(tests) > 1 else "",
            f"{100 * mean(row['last_epochs'] for row in own.values()):.1f}",
            f"{100 * mean(row['best_epoch'] for row in own.values()):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
