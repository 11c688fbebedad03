"""A network for any chip: trained on an ensemble of drawn chips, tested on chips never seen.

Every batch of a training runs on another chip of its ensemble (backend "ensemble"). Beside it a
network that was trained in software alone, with weights kept within the chip's range: plain
transfer. All are tested on the same chips, which no training has seen, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError
from hxloop.experiments.any_chip.figure import write_figure
from hxloop.experiments.study_parts import (
    Study,
    check_list,
    check_no_calibration,
    on_backend,
    prepared_on,
    run_of_study,
    study_options,
)
from hxloop.network import Parameters
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import Prepared, evaluate_prepared, prepare
from hxloop.substrate import get_backend
from hxloop.training.events import AllOf
from hxloop.training.progress import Steps


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study; the experiment's name by default.
        ensembles: numbers of chips to train on; 0: a new one for every batch.
        presets: of imperfections.
        test_chips: numbers of the chips that are tested on.
        first: number of the first chip that is trained on.
    """

    name: str = "any-chip"
    ensembles: tuple[int, ...] = (1, 2, 5, 10, 0)
    presets: tuple[str, ...] = ("calibrated", "uncalibrated")
    test_chips: tuple[int, ...] = tuple(range(1, 11))
    first: int = 101

    @classmethod
    def of(cls, config: ExperimentConfig) -> StudyOptions:
        """Read the ``[study]`` table.

        Raises:
            ConfigError: unknown keys or values that make no sense; a chip that is trained on and
                tested on.
        """
        options = study_options(cls, config)
        for key in ("ensembles", "presets", "test_chips"):
            check_list(key, getattr(options, key))
        first = checks.whole("study.first", options.first, low=0)
        for size in options.ensembles:
            checks.whole("study.ensembles", size, low=0)
        for chip in options.test_chips:
            checks.whole("study.test_chips", chip, low=0)
            # One without end takes as many as there are batches.
            if chip >= first and (0 in options.ensembles or chip < first + max(options.ensembles)):
                raise ConfigError(
                    f"study.test_chips: expected chips that no training sees; got {chip}, and "
                    f"trainings on chips from study.first = {first} on"
                )
        return options


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Run the study, or what is missing of it.

    Args:
        config: network, training and chip options; ``[study]`` as in ``StudyOptions``.
        out: study folder: ``results.json``, ``results.md``, ``figure.png``, and a run folder
            for every training.
        force: start anew in a folder that holds another study.
        events: who watches; told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a configuration that is not valid.
        OutputError: ``out`` holds something else.
        TrainingInterrupted: stopped on request; another call goes on.
    """
    options = StudyOptions.of(config)
    check_no_calibration(config, "whose chips are several, and as they come")
    backend = get_backend(config.backend.name, **config.backend.options)
    limited = config.training.model_copy(update={"weight_limit": backend.capabilities.weight_limit})
    software = prepare(on_backend(config, "ideal", {}).model_copy(update={"training": limited}))
    study = Study.open(
        config, out, options, {"software": None, "rows": []}, markdown_table,
        force=force, events=events,
    )  # fmt: skip
    rows = study.results["rows"]
    done = {(row["preset"], row["ensemble"]) for row in rows}
    todo = [(preset, size) for size in (None, *options.ensembles) for preset in options.presets]
    steps = Steps(events.news, 1 + len(todo), (study.results["software"] is not None) + len(done))
    if study.results["software"] is None:
        steps.begin("In software")
        study.train_first("software", software)
    for preset, size in todo:
        if (preset, size) in done:
            continue
        steps.begin(f"{_in_words(size).capitalize()}, {preset}")
        row: dict[str, Any] = {"preset": preset, "ensemble": size}
        if size is None:
            weights = study.weights("software", software)
        else:
            chips = _ensemble(config, options, preset, size)
            prepared = prepared_on(replace(software, config=config), "ensemble", chips)
            folder = f"{preset}-{size or 'endless'}"
            row["seconds"] = study.train(folder, prepared).as_dict()["seconds"]
            weights = study.weights(folder, software)
        tested = row["test_accuracies"] = _tested(software, config, options, preset, weights)
        events.news(f"  on chips never seen {100 * mean(tested):.1f} %")
        rows.append(row)
        study.save()
    study.finish()
    write_figure(study.results, study.path / "figure.png")
    return study.results


def _ensemble(
    config: ExperimentConfig, options: StudyOptions, preset: str, size: int
) -> dict[str, Any]:
    """Options of the backend "ensemble"."""
    over = {"name": config.backend.name, **config.backend.options, "imperfections": preset}
    if size == 0:
        return {"over": over, "endless": options.first}
    return {"over": over, "numbers": list(range(options.first, options.first + size))}


def _tested(
    software: Prepared,
    config: ExperimentConfig,
    options: StudyOptions,
    preset: str,
    weights: Parameters,
) -> list[float]:
    """Test accuracy on every chip."""
    found = []
    for chip in options.test_chips:
        chosen = {**config.backend.options, "chip": chip, "imperfections": preset}
        on_chip = prepared_on(replace(software, config=config), config.backend.name, chosen)
        found.append(round(evaluate_prepared(on_chip, weights).test.accuracy, 6))
    return found


def _in_words(size: int | None) -> str:
    """What a network was trained on."""
    if size is None:
        return "transfer from software"
    if size == 0:
        return "a new chip for every batch"
    return f"{size} chip{'s' if size > 1 else ''}"


def markdown_table(results: Mapping[str, Any]) -> str:
    """The results as a table: test accuracies in per cent over the chips never seen."""
    software = 100 * results["software"]["test_accuracy"]
    lines = [
        f"In software, weights within the chip's range: {software:.1f} %",
        "",
        "| preset | trained on | mean (%) | worst chip (%) | best chip (%) |",
        "|---|---|---|---|---|",
    ]
    for preset in dict.fromkeys(row["preset"] for row in results["rows"]):
        for row in results["rows"]:
            if row["preset"] == preset:
                each = [100 * value for value in row["test_accuracies"]]
                lines.append(
                    f"| {preset} | {_in_words(row['ensemble'])} | {mean(each):.1f} | "
                    f"{min(each):.1f} | {max(each):.1f} |"
                )
    return "\n".join(lines) + "\n"
