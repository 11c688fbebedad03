"""A study of one configuration in several variants, each trained from several seeds.

``[study.variants]`` has a table for each variant: what of the configuration is another there, in
its own words. An experiment of this kind has a ``study.py`` that takes ``run`` from here::

    [study]
    seeds = [1, 2, 3]

    [study.variants."weights only"]

    [study.variants."axonal delays"]
    network.delays = "axonal"

With ``also_on = ["pynn-nest"]`` every network is evaluated there as well, unchanged, once it is
trained.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hxloop.errors import ConfigError, MissingDependencyError
from hxloop.experiments.study_parts import (
    Study,
    check_list,
    check_no_calibration,
    prepared_on,
    run_of_study,
    study_options,
)
from hxloop.experiments.variants_figure import write_figure
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import Prepared, RunResult, evaluate_prepared, prepare
from hxloop.substrate import check_network, get_backend
from hxloop.training.events import AllOf
from hxloop.training.progress import Steps

__all__ = ["VariantsOptions", "markdown_table", "run", "variant"]

# Keys that mean something only beside the name they stand with.
_OF_A_NAME = {"backend": ("options", "calibration", "twin"), "loss": ("options",)}


@dataclass(frozen=True)
class VariantsOptions:
    """The ``[study]`` table.

    Attributes:
        variants: for each, what is another than in the configuration, nested as there.
        seeds: of the trainings of every variant.
        chip_of_seed: a training on emulated chips takes the chip of its seed's number, so that
            several seeds are several chips.
        also_on: backends on which every network is evaluated, too, but where it was trained.
        name: of the study; the experiment's name by default.
    """

    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1, 2, 3)
    chip_of_seed: bool = False
    also_on: tuple[str, ...] = ()
    name: str = ""

    @classmethod
    def of(cls, config: ExperimentConfig) -> VariantsOptions:
        """Read the ``[study]`` table.

        Raises:
            ConfigError: unknown keys or values that make no sense.
        """
        options = study_options(cls, config)
        check_list("seeds", options.seeds)
        if options.also_on != ():
            check_list("also_on", options.also_on)
        tables = isinstance(options.variants, Mapping) and all(
            isinstance(changes, Mapping) for changes in options.variants.values()
        )
        if not tables or not options.variants:
            raise ConfigError(
                "study.variants: expected a table for each variant, [study.variants.NAME], of what "
                f"is another there; got {options.variants!r}"
            )
        return options


def variant(config: ExperimentConfig, name: str, seed: int) -> ExperimentConfig:
    """The configuration of one training: a run like any other, without ``[study]``.

    Raises:
        ConfigError: what the variant changes is not there to be changed, or has no such value.
    """
    options = VariantsOptions.of(config)
    values = tomllib.loads(config.to_toml())
    values.pop("study")
    _merge(values, options.variants[name], ())
    values |= {"seed": seed, "name": f"{config.name}: {name}"}
    if options.chip_of_seed and values["backend"]["name"] == "emulated-chip":
        values["backend"].setdefault("options", {})["chip"] = seed
    return ExperimentConfig.from_mapping(values, f"study.variants.{name!r}")


def _merge(values: dict[str, Any], changes: Mapping[str, Any], at: tuple[str, ...]) -> None:
    """Put changes over nested values, in place. Another name begins with options of its own."""
    if (
        at
        and at[-1] in _OF_A_NAME
        and changes.get("name", values.get("name")) != values.get("name")
    ):
        for key in _OF_A_NAME[at[-1]]:
            values.pop(key, None)
    for key, change in changes.items():
        if isinstance(change, Mapping) and isinstance(values.get(key), dict):
            _merge(values[key], change, (*at, key))
        else:
            values[key] = change


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Run the study, or what is missing of it.

    Args:
        config: what the variants share; ``[study]`` as in ``VariantsOptions``.
        out: study folder: ``results.json``, ``results.md``, ``figure.png``, and a run folder
            for every training.
        force: start anew in a folder that holds another study.
        events: who watches; told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a configuration that is not valid, of any variant: before anything is trained.
        OutputError: ``out`` holds something else.
        TrainingInterrupted: stopped on request; another call goes on.
    """
    options = VariantsOptions.of(config)
    check_no_calibration(config, "which trains on several substrates")
    parts = {
        (name, seed): variant(config, name, seed)
        for name in options.variants
        for seed in options.seeds
    }
    for name in options.variants:
        network = prepare(parts[name, options.seeds[0]]).network
        for place in options.also_on:
            check_network(network, get_backend(place).capabilities, place)
    study = Study.open(
        config, out, options, {"trainings": []}, markdown_table, force=force, events=events
    )
    done = {(row["variant"], row["seed"]) for row in study.results["trainings"]}
    steps = Steps(events.news, len(parts), len(done))
    for (name, seed), part in parts.items():
        if (name, seed) in done:
            continue
        steps.begin(f"{name}, seed {seed}")
        prepared = prepare(part)
        # Numbered, because a name may hold what no folder's can.
        folder = f"{list(options.variants).index(name) + 1}-seed-{seed}"
        row: dict[str, Any] = {"variant": name, "seed": seed, "run_dir": folder}
        row |= _row(prepared, study.train(folder, prepared))
        events.news(f"  test {100 * row['test_accuracy']:.1f} %")
        study.results["trainings"].append(row)
        study.save()
    _evaluate_elsewhere(study, options, parts, events.news)
    study.finish()
    write_figure(study.results, study.path / "figure.png")
    return study.results


def _evaluate_elsewhere(
    study: Study,
    options: VariantsOptions,
    parts: Mapping[tuple[str, int], ExperimentConfig],
    say: Callable[[str], None],
) -> None:
    """The networks as they are on the backends of ``also_on``, as far as that was not done before.

    One whose packages are not installed is told and left out; another call goes on with it.
    """
    for row in study.results["trainings"]:
        for place in options.also_on:
            if place == row["backend"] or place in row.setdefault("also_on", {}):
                continue
            say(f"{row['variant']}, seed {row['seed']}: as it is on {place}")
            prepared = prepare(parts[row["variant"], row["seed"]])
            weights = study.weights(row["run_dir"], prepared)
            try:
                test = evaluate_prepared(prepared_on(prepared, place, {}), weights).test
            except MissingDependencyError as error:
                say(f"  not run: {error}")
                continue
            row["also_on"][place] = {
                "test_accuracy": test.accuracy,
                "undecided": int((test.decisions < 0).sum()),
                "spikes_per_neuron": [round(n, 4) for n in test.spikes_per_neuron],
            }
            say(f"  test {100 * test.accuracy:.1f} %")
            study.save()


def _row(prepared: Prepared, result: RunResult) -> dict[str, Any]:
    """What of one training stands in the results."""
    summary, network = result.as_dict(), prepared.network
    weights = sum(pre * post for pre, post in network.shapes)
    delays = sum(math.prod(shape) for shape in network.delay_shapes if shape is not None)
    keys = ("backend", "chip", "test_accuracy", "validation_accuracy", "epoch", "undecided")
    return {
        **{key: summary[key] for key in keys},
        "network": str(network),
        "parameters": weights + delays,
        "spikes_per_neuron": [round(n, 4) for n in result.test.spikes_per_neuron],
        "seconds_per_epoch": round(summary["seconds_per_epoch"], 3),
    }


def markdown_table(results: Mapping[str, Any]) -> str:
    """The results as a table, test accuracies in per cent, with means and standard deviations."""
    rows = results["trainings"]
    seeds = sorted({row["seed"] for row in rows})
    places = list(dict.fromkeys(place for row in rows for place in row.get("also_on", {})))
    elsewhere = [f"on {place}" for place in places]
    columns = [*(f"seed {seed}" for seed in seeds), "mean", *elsewhere, "spikes a neuron"]
    head = ["variant", "parameters", *columns]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = {row["seed"]: row for row in rows if row["variant"] == name}
        accuracies = {seed: 100 * row["test_accuracy"] for seed, row in own.items()}
        moved = [[row["also_on"][place] for row in own.values() if place in row.get("also_on", {})]
                 for place in places]  # fmt: skip
        both = (row["spikes_per_neuron"] for row in own.values())
        spikes = [mean(each) for each in zip(*both, strict=True)]
        cells = [
            name,
            str(next(iter(own.values()))["parameters"]),
            *(f"{accuracies[seed]:.1f}" if seed in own else "" for seed in seeds),
            _mean_and_deviation(accuracies.values()),
            *(
                _mean_and_deviation(100 * each["test_accuracy"] for each in there)
                for there in moved
            ),
            ", ".join(f"{n:.2f}" for n in spikes),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_and_deviation(values: Iterable[float]) -> str:
    """As a cell of the table: the mean, and the standard deviation of what was drawn (n - 1)."""
    values = list(values)
    if len(values) < 2:
        return f"**{values[0]:.1f}**" if values else ""
    return f"**{mean(values):.1f}** ± {stdev(values):.1f}"
