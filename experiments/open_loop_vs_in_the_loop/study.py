"""Open loop against in the loop: the claim of hxloop, measured.

One network is trained in software, with weights kept within the chip's range, and transferred
to every chip as it is (open loop). Then a network is trained in the loop on every chip, with
the same encoding, initial weights, sample order and number of epochs. All are tested on the
chip, with the same trial noise.

Between the two, "with noise": trained in software that knows what chips are like, but no chip.
Weights have the chip's steps and range, and in every batch every threshold is off by a new draw, as
far as the thresholds and leaks of such chips are, their noise from run to run included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.errors import ConfigError, unknown_name
from hxloop.experiments.open_loop_vs_in_the_loop.figure import write_figure
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
from hxloop.runs.report.page import DecisionPlane
from hxloop.runs.report.training_report import plane_of
from hxloop.runs.run import Prepared, evaluate_prepared, prepare
from hxloop.substrate import Backend, get_backend
from hxloop.training.events import AllOf
from hxloop.training.loop import LoopNetwork
from hxloop.training.progress import Steps

STARTS = ("scratch", "open-loop")
# As configurations name them, as results do, and as the table is headed.
ARMS = {"open-loop": "open loop", "with-noise": "with noise", "in-the-loop": "in the loop"}


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study; the experiment's name by default.
        chips: numbers of the chips.
        presets: of imperfections.
        start: initial weights of the training in the loop: drawn ("scratch"), or those of the
            "open-loop" network, which then has been trained twice as long in all.
        arms: which trainings there are.
    """

    name: str = "open-loop-vs-in-the-loop"
    chips: tuple[int, ...] = (1, 2, 3, 4, 5)
    presets: tuple[str, ...] = ("calibrated", "uncalibrated")
    start: str = "scratch"
    arms: tuple[str, ...] = tuple(ARMS)

    @classmethod
    def of(cls, config: ExperimentConfig) -> StudyOptions:
        """Read the ``[study]`` table.

        Raises:
            ConfigError: unknown keys or values that make no sense.
        """
        options = study_options(cls, config)
        if options.start not in STARTS:
            raise ConfigError(f"study.start: expected one of {STARTS}; got {options.start!r}")
        for key in ("chips", "presets", "arms"):
            check_list(key, getattr(options, key))
        for arm in options.arms:
            if arm not in ARMS:
                raise ConfigError(unknown_name("arm in study.arms", arm, list(ARMS)))
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
    chips = list(_chips(config, options))
    software = prepare(_in_software(config, chips[0].backend.capabilities.weight_limit))
    study = Study.open(
        config, out, options, {"software": None, "with_noise": {}, "chips": []}, markdown_table,
        force=force, events=events,
    )  # fmt: skip
    study.results.setdefault("with_noise", {})  # a study of an earlier version has none
    started = _Starts(config, study, software, events)
    done = sum(_key(arm) in row for row in study.results["chips"] for arm in options.arms)
    steps = Steps(events.news, len(chips) * len(options.arms), done)
    for part in chips:
        row = _row(study.results, part)
        for arm in options.arms:
            if _key(arm) in row:
                continue
            steps.begin(f"Chip {part.chip}, {part.preset}: {ARMS[arm]}")
            prepared = replace(software, config=part.config, backend=part.backend)
            if arm == "in-the-loop":
                if options.start == "open-loop":
                    prepared = replace(prepared, weights=started.weights("open-loop", part.preset))
                loop = study.train(part.folder, prepared)
                row |= {"chip_id": loop.chip_id, "seconds": loop.as_dict()["seconds"]}
                row[_key(arm)] = loop.test.accuracy
            else:
                weights = started.weights(arm, part.preset)
                row[_key(arm)] = evaluate_prepared(prepared, weights).test.accuracy
            events.news(f"  {100 * row[_key(arm)]:.1f} %")
            study.save()
    study.finish()
    if {"open-loop", "in-the-loop"} <= set(options.arms):
        _draw(study, software, chips[-1], started)
    return study.results


@dataclass(frozen=True)
class _Starts:
    """What is transferred, trained once when it is first asked for."""

    config: ExperimentConfig
    study: Study
    software: Prepared
    events: AllOf

    def weights(self, arm: str, preset: str) -> Parameters:
        """Of a network that has seen no chip."""
        if arm == "open-loop":
            if self.study.results["software"] is None:
                self.events.news("Open loop: training in software")
                self.study.train_first("software", self.software)
            return self.study.weights("software", self.software)
        folder, trained = f"with-noise-{preset}", self.study.results["with_noise"]
        noisy = prepared_on(self.software, self.config.backend.name, _noise(self.config, preset))
        if preset not in trained:
            self.events.news(f"With noise, {preset}: training in software")
            done = self.study.train(folder, noisy)
            trained[preset] = done.as_dict() | {"run_dir": folder}
            self.study.save()
        return self.study.weights(folder, noisy)


def _noise(config: ExperimentConfig, preset: str) -> dict[str, Any]:
    """Options of a chip whose neurons are all alike, and whose thresholds are off in every batch.

    By as much as the thresholds and the leaks of a preset are, and from run to run, together.
    """
    spread = Imperfections.resolve(preset)
    off = math.hypot(spread.v_threshold, spread.v_leak, spread.threshold_trial)
    alike = {"preset": "none", "threshold_trial": off}
    return {**config.backend.options, "imperfections": alike}


def _key(arm: str) -> str:
    """An arm as results name it."""
    return arm.replace("-", "_")


def _row(results: dict[str, Any], part: _Chip) -> dict[str, Any]:
    """What is known of a chip; begun where nothing is."""
    rows: list[dict[str, Any]] = results["chips"]
    for row in rows:
        if (row["preset"], row["chip"]) == (part.preset, part.chip):
            return row
    rows.append({"preset": part.preset, "chip": part.chip})
    return rows[-1]


def _draw(study: Study, software: Prepared, chip: _Chip, started: _Starts) -> None:
    """Decisions on the last chip of the last preset: of the shipped ones, the most imperfect."""
    shown = replace(software, config=chip.config, backend=chip.backend)
    both = (
        ("open loop", started.weights("open-loop", chip.preset)),
        ("in the loop", study.weights(chip.folder, software)),
    )
    planes = [
        (f"{kind}, {chip.preset} chip {chip.chip}", plane)
        for kind, weights in both
        if (plane := _plane(shown, weights)) is not None
    ]
    write_figure(study.results, planes, study.path / "figure.png")


def markdown_table(results: Mapping[str, Any]) -> str:
    """The results as a table, test accuracies in per cent, with means, of the arms there are."""
    arms = [arm for arm in ARMS if any(_key(arm) in row for row in results["chips"])]
    heads = "".join(f" {ARMS[arm]} (%) |" for arm in arms)
    lines = [f"| preset | chip |{heads}", "|---|---|" + "---|" * len(arms)]
    if results["software"] is not None:
        accuracy = 100 * results["software"]["test_accuracy"]
        lines = [f"In software, weights within the chip's range: {accuracy:.1f} %", "", *lines]
    for preset in dict.fromkeys(row["preset"] for row in results["chips"]):
        rows = [row for row in results["chips"] if row["preset"] == preset]
        lines += [
            f"| {preset} | {row['chip']} |"
            + "".join(f" {_in_words(row.get(_key(arm)))} |" for arm in arms)
            for row in rows
        ]
        known = [[row[_key(arm)] for row in rows if _key(arm) in row] for arm in arms]
        means = (sum(each) / len(each) if each else None for each in known)
        lines.append(f"| {preset} | mean |" + "".join(f" {_in_words(each)} |" for each in means))
    return "\n".join(lines) + "\n"


def _in_words(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{100 * accuracy:.1f}"


@dataclass(frozen=True)
class _Chip:
    preset: str
    chip: int
    config: ExperimentConfig
    backend: Backend

    @property
    def folder(self) -> str:
        """Its run folder within that of the study."""
        return f"{self.preset}-{self.chip}"


def _chips(config: ExperimentConfig, options: StudyOptions) -> Iterator[_Chip]:
    for preset in options.presets:
        for chip in options.chips:
            chosen = {**config.backend.options, "chip": chip, "imperfections": preset}
            backend = get_backend(config.backend.name, **chosen)
            yield _Chip(preset, chip, on_backend(config, config.backend.name, chosen), backend)


def _plane(prepared: Prepared, weights: Parameters) -> DecisionPlane | None:
    with prepared.open_session() as session:
        return plane_of(prepared, LoopNetwork(session, weights))


def _in_software(config: ExperimentConfig, limit: float | None) -> ExperimentConfig:
    """Open loop: on the ideal substrate, within the range of weights that every chip has.

    Weights beyond it would fail on the chip for a reason that no calibration can mend.
    """
    training = config.training.model_copy(update={"weight_limit": limit})
    return on_backend(config, "ideal", {}).model_copy(update={"training": training})
