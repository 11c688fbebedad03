"""Open loop against in the loop: the claim of hxloop, measured.

One network is trained in software, with weights kept within the chip's range, and transferred
to every chip as it is (open loop). Then a network is trained in the loop on every chip, with
the same encoding, initial weights, sample order and number of epochs. Both are tested on the
chip, with the same trial noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hxloop.errors import ConfigError
from hxloop.experiments.open_loop_vs_in_the_loop.figure import write_figure
from hxloop.experiments.study_parts import (
    Study,
    check_list,
    check_no_calibration,
    on_backend,
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


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study; the experiment's name by default.
        chips: numbers of the chips.
        presets: of imperfections.
        start: initial weights of the training in the loop: drawn ("scratch"), or those of the
            "open-loop" network, which then has been trained twice as long in all.
    """

    name: str = "open-loop-vs-in-the-loop"
    chips: tuple[int, ...] = (1, 2, 3, 4, 5)
    presets: tuple[str, ...] = ("calibrated", "uncalibrated")
    start: str = "scratch"

    @classmethod
    def of(cls, config: ExperimentConfig) -> StudyOptions:
        """Read the ``[study]`` table.

        Raises:
            ConfigError: unknown keys or values that make no sense.
        """
        options = study_options(cls, config)
        if options.start not in STARTS:
            raise ConfigError(f"study.start: expected one of {STARTS}; got {options.start!r}")
        for key in ("chips", "presets"):
            check_list(key, getattr(options, key))
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
        config, out, options, {"software": None, "chips": []}, markdown_table,
        force=force, events=events,
    )  # fmt: skip
    done = {(row["preset"], row["chip"]) for row in study.results["chips"]}
    steps = Steps(events.news, 1 + len(chips), (study.results["software"] is not None) + len(done))
    if study.results["software"] is None:
        steps.begin("Open loop: training in software")
        study.train_first("software", software)
    open_weights = study.weights("software", software)

    for part in chips:
        preset, chip = part.preset, part.chip
        if (preset, chip) in done:
            continue
        prepared = replace(software, config=part.config, backend=part.backend)
        steps.begin(f"Chip {chip}, {preset}: transfer, then training in the loop")
        transfer = evaluate_prepared(prepared, open_weights)
        if options.start == "open-loop":
            prepared = replace(prepared, weights=open_weights)
        loop = study.train(part.folder, prepared)
        row = {
            "preset": preset,
            "chip": chip,
            "chip_id": loop.chip_id,
            "open_loop": transfer.test.accuracy,
            "in_the_loop": loop.test.accuracy,
            "seconds": loop.as_dict()["seconds"],
        }
        events.news(f"  open loop {100 * row['open_loop']:.1f} %, in the loop "
            f"{100 * row['in_the_loop']:.1f} %")  # fmt: skip
        study.results["chips"].append(row)
        study.save()
    study.finish()

    # The last chip of the last preset is shown: of the shipped ones, the most imperfect kind.
    shown = replace(software, config=chips[-1].config, backend=chips[-1].backend)
    loop_weights = study.weights(chips[-1].folder, software)
    planes = [
        (f"{kind}, {chips[-1].preset} chip {chips[-1].chip}", plane)
        for kind, weights in (("open loop", open_weights), ("in the loop", loop_weights))
        if (plane := _plane(shown, weights)) is not None
    ]
    write_figure(study.results, planes, study.path / "figure.png")
    return study.results


def markdown_table(results: Mapping[str, Any]) -> str:
    """The results as a table, test accuracies in per cent, with means."""
    software = 100 * results["software"]["test_accuracy"]
    lines = [
        f"In software, weights within the chip's range: {software:.1f} %",
        "",
        "| preset | chip | open loop (%) | in the loop (%) | gain |",
        "|---|---|---|---|---|",
    ]

    def line(preset: str, chip: Any, before: float, after: float) -> str:
        gain = after - before
        return f"| {preset} | {chip} | {100 * before:.1f} | {100 * after:.1f} | {100 * gain:+.1f} |"

    for preset in dict.fromkeys(row["preset"] for row in results["chips"]):
        rows = [row for row in results["chips"] if row["preset"] == preset]
        lines += [line(preset, r["chip"], r["open_loop"], r["in_the_loop"]) for r in rows]
        means = (sum(row[key] for row in rows) / len(rows) for key in ("open_loop", "in_the_loop"))
        lines.append(line(preset, "mean", *means))
    return "\n".join(lines) + "\n"


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
