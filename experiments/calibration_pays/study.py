"""What calibration is worth: transfer, training in the loop, and what a week of drift undoes.

One network is trained in software. Every chip is calibrated, and then tested with the
transferred network and with networks trained on it in the loop, each with all knobs at the
median code and with those of the calibration. The chip then drifts, and all are tested again,
with the old calibration and with a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.calibration import (
    CalibrationResult,
    calibrate,
    load_calibration,
    save_calibration,
    scale_network,
)
from hxloop.calibration.workflow import judge_result
from hxloop.chip.placement import N_CIRCUITS
from hxloop.errors import ConfigError, unknown_name
from hxloop.experiments.calibration_pays.figure import write_figure
from hxloop.experiments.calibration_pays.tables import NETWORKS, states_of, tables
from hxloop.experiments.study_parts import (
    Study,
    check_list,
    check_no_calibration,
    on_backend,
    prepared_on,
    run_of_study,
    study_options,
)
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import Prepared, evaluate_prepared, prepare
from hxloop.substrate import get_backend
from hxloop.training.events import AllOf
from hxloop.training.progress import Steps

SAMPLES = 300  # of the test set, for the error of spike times


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study.
        chips: numbers of the chips.
        hours: of drift.
        networks: which networks, of ``NETWORKS``.
    """

    name: str = "calibration-pays"
    chips: tuple[int, ...] = (1, 2, 3, 4, 5)
    hours: float = 168.0
    networks: tuple[str, ...] = tuple(NETWORKS)

    def __post_init__(self) -> None:
        check_list("chips", self.chips)
        check_list("networks", self.networks)
        for network in self.networks:
            if network not in NETWORKS:
                raise ConfigError(unknown_name("network in study.networks", network, NETWORKS))
        checks.settle(self, hours=checks.number("study.hours", self.hours, above=0))


@dataclass(frozen=True)
class _Chip:
    """One chip, fresh and drifted, with its calibrations."""

    number: int
    fresh: Prepared
    drifted: Prepared
    first: CalibrationResult
    second: CalibrationResult

    def in_state(self, state: str) -> Prepared:
        """What a network is tested on."""
        chip = self.drifted if state.startswith("drifted") else self.fresh
        chosen = {"calibrated": self.first, "drifted_old": self.first, "drifted_new": self.second}
        return replace(chip, calibration=chosen.get(state))

    def training(self, network: str) -> Prepared:
        """What a network is trained on."""
        calibrated = "uncalibrated" not in network
        twin = self.first.pattern(before=not calibrated) if network.endswith("twin") else None
        return replace(self.fresh, calibration=self.first if calibrated else None, twin=twin)


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Run the study, or what is missing of it; see ``registry.study_of``.

    Raises:
        ConfigError: a configuration that is not valid.
        OutputError: ``out`` holds something else.
        TrainingInterrupted: stopped on request; another call goes on.
    """
    options = study_options(StudyOptions, config)
    check_no_calibration(config, "which calibrates chips of its own")
    on_chip = prepare(on_backend(config, config.backend.name, config.backend.options))
    limit = on_chip.backend.capabilities.weight_limit
    training = config.training.model_copy(update={"weight_limit": limit})
    in_software = on_backend(config.model_copy(update={"training": training}), "ideal", {})
    software = replace(on_chip, config=in_software, backend=get_backend("ideal"))
    study = Study.open(
        config, out, options, {"software": None, "chips": []}, tables,
        force=force, events=events,
    )  # fmt: skip
    done = {row["chip"] for row in study.results["chips"]}
    # Of every chip: its two calibrations, and its trainings.
    parts = 2 + sum(network != "transfer" for network in options.networks)
    known = (study.results["software"] is not None) + parts * len(done)
    steps = Steps(events.news, 1 + parts * len(options.chips), known)
    if study.results["software"] is None:
        steps.begin("Training in software")
        study.train_first("software", software)
    transferred = study.weights("software", software)
    for number in options.chips:
        if number in done:
            continue
        chip = _chip(on_chip, number, options.hours, study.path, steps.begin)
        row: dict[str, Any] = {
            "chip": number,
            "chip_id": chip.first.chip_id,
            "calibration": _described(chip.first, chip.fresh),
            "networks": {},
        }
        for network in options.networks:
            row["networks"][network] = _network_on(
                study, chip, network, transferred, software, steps
            )
        study.results["chips"].append(row)
        study.save()
    study.finish()
    write_figure(study.results, study.path / "figure.png")
    return study.results


def _network_on(
    study: Study,
    chip: _Chip,
    network: str,
    transferred: Sequence[NDArray[np.float64]],
    software: Prepared,
    steps: Steps,
) -> dict[str, Any]:
    """One network on one chip, trained there unless it is the transferred one; in all states."""
    seconds, epochs, weights = None, None, transferred
    if network != "transfer":
        steps.begin(f"Chip {chip.number}: {NETWORKS[network]}")
        name = f"chip-{chip.number}-{network.replace('_', '-')}"
        trained = study.train(name, chip.training(network))
        weights = study.weights(name, chip.fresh)
        metrics = trained.training.metrics if trained.training else ()
        seconds, epochs = trained.as_dict()["seconds"], _epochs_to(metrics, 0.9)
    return {
        "seconds": seconds,
        "epochs_to_90": epochs,
        "states": {
            state: _tested(chip.in_state(state), weights, software) for state in states_of(network)
        },
    }


def _chip(
    prepared: Prepared, number: int, hours: float, folder: Path, say: Callable[[str], None]
) -> _Chip:
    parts, results = [], []
    for age in (0.0, hours):
        options = {**prepared.config.backend.options, "chip": number, "hours": age}
        part = prepared_on(prepared, prepared.config.backend.name, options)
        parts.append(part)
        path = folder / f"calibration-{number}-{age:g}h.h5"
        say(f"Chip {number}, {age:g} hours old: calibration")
        if not path.exists():
            with part.backend.open(scale_network(N_CIRCUITS), seed=prepared.config.seed) as session:
                save_calibration(path, calibrate(session))
        results.append(load_calibration(path, network=prepared.network))
    return _Chip(number, parts[0], parts[1], results[0], results[1])


def _described(result: CalibrationResult, chip: Prepared) -> dict[str, Any]:
    """The calibration, judged against the truth of the chip, which it never saw."""
    judgement = judge_result(chip.backend, result)
    return {
        "failed": list(result.failed),
        "runs": result.runs,
        "seconds": round(result.seconds, 1),
        "weight_scale": result.weight_scale,
        "time_scale": result.time_scale,
        "spike_offset": result.spike_offset,
        "ratios": dict(judgement.ratios),
        "strength_spread": judgement.strength_spread,
        "left": dict(judgement.left),
        "drawn_dead": list(judgement.dead),
        "passed_bad": list(judgement.passed_bad),
    }


def _tested(
    prepared: Prepared, weights: Sequence[NDArray[np.float64]], software: Prepared
) -> dict[str, float]:
    """Accuracy on the chip, and by how much its spikes are off from those of the ideal model."""
    accuracy = evaluate_prepared(prepared, weights).test.accuracy
    times = prepared.data["test"].inputs(slice(SAMPLES))
    with prepared.open_session() as session, software.open_session() as ideal:
        chip = session.run(weights, times, trial=0)
        model = ideal.run(chip.weights_used, chip.inputs)
    pairs = list(zip(chip.first_spike_times, model.first_spike_times, strict=True))
    both = [np.isfinite(a) & np.isfinite(b) for a, b in pairs]
    off = np.concatenate([np.abs(a[m] - b[m]) for (a, b), m in zip(pairs, both, strict=True)])
    apart = [float((np.isfinite(a) != np.isfinite(b)).mean()) for a, b in pairs]
    return {
        "accuracy": accuracy,
        "spike_error": float(np.median(off)),
        "silent_disagreement": float(np.mean(apart)),
    }


def _epochs_to(metrics: Sequence[Mapping[str, Any]], accuracy: float) -> int | None:
    for epoch in metrics:
        if epoch["validation_accuracy"] >= accuracy:
            return int(epoch["epoch"])
    return None
