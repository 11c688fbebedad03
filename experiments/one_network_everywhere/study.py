"""One network on every backend: does it decide alike, spike alike, and how long does that take?

A network is trained in software and evaluated, unchanged, on every backend of the list: accuracy,
spike times against those of the ideal substrate, time of a batch. Then it is trained anew, from
the same initial weights, for a few epochs in the loop on those that ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.errors import ConfigError, MissingDependencyError, unknown_name
from hxloop.experiments.one_network_everywhere.figure import write_figure
from hxloop.experiments.study_parts import (
    Study,
    on_backend,
    prepared_on,
    run_of_study,
    study_options,
)
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import Prepared, evaluate_prepared, prepare
from hxloop.training.events import AllOf
from hxloop.training.options import EvaluationResult
from hxloop.training.progress import Steps

# Edges of the histograms of spike-time differences, log10; what is smaller is in the first bin.
EDGES = np.linspace(-16, 0, 65)


@dataclass(frozen=True)
class Place:
    """One backend of the list.

    Attributes:
        name: of the backend.
        label: in the table.
        options: of the backend.
        nominal: its neurons have the nominal parameters, so that it must score as ideal does.
        train: train on it, too.
    """

    name: str
    label: str = ""
    options: Mapping[str, Any] | None = None
    nominal: bool = True
    train: bool = False


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study; the experiment's name by default.
        backends: where the network goes, see ``Place``; the first is what others are compared to.
        epochs: of the trainings in the loop.
    """

    name: str = "one-network-everywhere"
    backends: tuple[Any, ...] = ({"name": "ideal"},)
    epochs: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.backends, tuple) or not self.backends:
            raise ConfigError(f"study.backends: expected a list of tables; got {self.backends!r}")
        checks.settle(self, epochs=checks.whole("study.epochs", self.epochs, low=1))
        known = [field.name for field in fields(Place)]
        for table in self.backends:
            for key in table if isinstance(table, Mapping) else ():
                if key not in known:
                    raise ConfigError(unknown_name("key in [[study.backends]]", key, known))
            if not isinstance(table, Mapping) or "name" not in table:
                raise ConfigError(f"study.backends: expected tables with a name; got {table!r}")
        labels = [place.label for place in self.places]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"study.backends: expected labels without repeats; got {labels}")

    @property
    def places(self) -> tuple[Place, ...]:
        """The list, as objects."""
        made = [Place(**{**table, "options": table.get("options", {})}) for table in self.backends]
        return tuple(replace(place, label=place.label or place.name) for place in made)


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Run the study, or what is missing of it.

    A backend whose packages are not installed is left out, with the reason in its row.

    Args:
        config: the network and how it is trained; ``[study]`` as in ``StudyOptions``.
        out: study folder: ``results.json``, ``results.md``, ``figure.png``, run folders.
        force: start anew in a folder that holds another study.
        events: who watches; told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a configuration that is not valid.
        OutputError: ``out`` holds something else.
        TrainingInterrupted: stopped on request; another call goes on.
    """
    options = study_options(StudyOptions, config)
    prepared = prepare(on_backend(config, config.backend.name, config.backend.options))
    empty = {
        "batch": config.training.batch_size,
        "network": None,
        "backends": {},
        "histogram_log10_edges": EDGES.tolist(),
    }
    study = Study.open(
        config, out, options, empty, markdown_table,
        force=force, events=events,
    )  # fmt: skip
    rows = study.results["backends"]
    tried = [place.label for place in options.places if place.label in rows]
    in_loop = sum("training" in row for row in rows.values())
    known = (study.results["network"] is not None) + len(tried) + in_loop
    total = 1 + len(options.places) + sum(place.train for place in options.places)
    steps = Steps(events.news, total, min(known, total))
    if study.results["network"] is None:
        steps.begin(f"Training the network on {config.backend.name}")
        study.train_first("network", prepared)
    weights = study.weights("network", prepared)
    _evaluate_everywhere(study, options, prepared, weights, steps, events.news)
    _train_in_the_loop(study, options, prepared, steps)
    study.finish()
    write_figure(study.results, study.path / "figure.png")
    return study.results


def _evaluate_everywhere(
    study: Study,
    options: StudyOptions,
    prepared: Prepared,
    weights: Sequence[NDArray[np.float64]],
    steps: Steps,
    say: Callable[[str], None],
) -> None:
    """The network as it is on every backend of the list, against the first of them."""
    rows = study.results["backends"]
    reference = None
    for place in options.places:
        row = rows.setdefault(place.label, {"backend": place.name})
        row["nominal"] = place.nominal
        if reference is not None and "accuracy" in row:
            continue
        steps.begin(f"{place.label}: the network as it is")
        row.pop("missing", None)
        try:
            evaluation = evaluate_prepared(_placed(prepared, place, 1), weights).test
        except MissingDependencyError as error:
            row["missing"] = str(error)
            say(f"  not run: {error}")
        else:
            reference = evaluation if reference is None else reference
            row |= _row(evaluation, reference)
            say(f"  {100 * row['accuracy']:.1f} %, {1e3 * row['batch_seconds']:.0f} ms a batch")
        study.save()


def _train_in_the_loop(
    study: Study, options: StudyOptions, prepared: Prepared, steps: Steps
) -> None:
    """The trainings that the list asks for, where there is a backend for them."""
    for place in options.places:
        row = study.results["backends"][place.label]
        if not place.train or "missing" in row or "training" in row:
            continue
        steps.begin(f"{place.label}: {options.epochs} epochs of training in the loop")
        part = _placed(prepared, place, options.epochs)
        trained = study.train(place.label.replace(" ", "-").replace(",", ""), part)
        metrics = trained.training.metrics if trained.training else ()
        row["training"] = {
            "test_accuracy": trained.test.accuracy,
            "validation_accuracies": [m["validation_accuracy"] for m in metrics],
            "seconds_per_epoch": trained.as_dict()["seconds_per_epoch"],
        }
        study.save()


def markdown_table(results: Mapping[str, Any]) -> str:
    """The results as tables."""
    network = 100 * results["network"]["test_accuracy"]
    lines = [
        f"The network, trained on {results['network']['backend']}: {network:.1f} %",
        "",
        "| backend | test (%) | decisions that differ | spikes or silences that differ "
        "| median, 99 %, largest difference of spike times (tau_syn) | batch of 150 (ms) |",
        "|---|---|---|---|---|---|",
    ]
    for label, row in results["backends"].items():
        if "missing" in row:
            lines.append(f"| {label} | not run: {row['missing'].partition('. ')[0]} | | | | |")
            continue
        if "accuracy" not in row:
            continue
        lines.append(
            f"| {label} | {100 * row['accuracy']:.1f} | {row['decisions_differ']} | "
            f"{row['spikes_differ']} of {row['spikes']} | "
            f"{row['median']:.0e}, {row['p99']:.0e}, {row['largest']:.0e} | "
            f"{1e3 * row['batch_seconds']:.0f} |"
        )
    trained = {k: row["training"] for k, row in results["backends"].items() if "training" in row}
    if trained:
        lines += [
            "",
            "| trained in the loop on | epochs | test (%) | s an epoch |",
            "|---|---|---|---|",
        ]
    for label, row in trained.items():
        lines.append(
            f"| {label} | {len(row['validation_accuracies'])} | {100 * row['test_accuracy']:.1f} | "
            f"{row['seconds_per_epoch']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _placed(prepared: Prepared, place: Place, epochs: int) -> Prepared:
    moved = prepared_on(prepared, place.name, dict(place.options or {}))
    training = moved.config.training.model_copy(update={"epochs": epochs})
    return replace(moved, config=moved.config.model_copy(update={"training": training}))


def _row(result: EvaluationResult, reference: EvaluationResult) -> dict[str, Any]:
    """The network on one backend, against the first backend of the list."""
    times, expected = (np.concatenate(r.first_spike_times, axis=1) for r in (result, reference))
    spikes, silent = np.isfinite(expected), np.isinf(times)
    both = spikes & ~silent
    apart = np.abs(times[both] - expected[both])
    with np.errstate(divide="ignore"):
        logarithms = np.clip(np.log10(apart), EDGES[0], EDGES[-1])
    full = result.run_seconds[:-1] or result.run_seconds  # the last batch may be smaller
    return {
        "accuracy": result.accuracy,
        "decisions_differ": int((result.decisions != reference.decisions).sum()),
        "spikes": int(spikes.sum()),
        "spikes_differ": int((spikes == silent).sum()),
        "median": float(np.median(apart)),
        "p99": float(np.quantile(apart, 0.99)),
        "largest": float(apart.max()),
        "histogram": np.histogram(logarithms, EDGES)[0].tolist(),
        "batch_seconds": median(full),
    }
