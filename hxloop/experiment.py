"""From a configuration to a trained network: what the command line does, in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.report import (
    DecisionPlane,
    Evaluation,
    TrainingReport,
    decision_plane,
    write_report,
)
from hxloop.backend import Backend, Session, get_backend
from hxloop.config import ExperimentConfig
from hxloop.datasets import Dataset, load_dataset
from hxloop.initialisation import initial_weights
from hxloop.loop import LoopNetwork
from hxloop.losses import Loss, get_loss
from hxloop.network import NetworkSpec
from hxloop.provenance import provenance
from hxloop.rundir import RunDirectory
from hxloop.training import EVALUATION_TRIAL, Trainer, evaluate
from hxloop.training_options import (
    EvaluationResult,
    ProgressListener,
    SpikeData,
    TrainingResult,
)

# Trials of the decision plane, beyond those of the test set.
_PLANE_TRIAL = EVALUATION_TRIAL + (1 << 30)


@dataclass(frozen=True)
class Prepared:
    """Everything a configuration describes, made.

    Attributes:
        config: the configuration.
        network: its network.
        backend: its backend, not yet opened.
        loss: its loss.
        datasets: raw splits by name.
        data: encoded splits by name.
    """

    config: ExperimentConfig
    network: NetworkSpec
    backend: Backend
    loss: Loss
    datasets: Mapping[str, Dataset]
    data: Mapping[str, SpikeData]

    def open_session(self) -> Session:
        """Open the backend with the network and the configuration's seed."""
        return self.backend.open(self.network, seed=self.config.seed)

    def loop_network(self, session: Session) -> LoopNetwork:
        """A network with fresh initial weights on a session."""
        start = self.config.initialisation
        weights = initial_weights(self.network, start.means, start.stdevs, self.config.seed)
        return LoopNetwork(session, weights)


@dataclass(frozen=True)
class RunResult:
    """What ``train`` and ``evaluate_run`` return.

    Attributes:
        training: how training went; None for a mere evaluation.
        test: the evaluation of the test split.
        chip_id: of the substrate; None without one.
        run_dir: the run folder; None without one.
    """

    training: TrainingResult | None
    test: EvaluationResult
    chip_id: str | None
    run_dir: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Summary as plain values, what ``--json`` prints."""
        summary: dict[str, Any] = {
            "test_accuracy": self.test.accuracy,
            "test_loss": self.test.loss,
            "test_samples": len(self.test.labels),
            "undecided": int((self.test.decisions < 0).sum()),
            "chip": self.chip_id,
            "run_dir": str(self.run_dir) if self.run_dir else None,
        }
        if self.training is not None:
            metrics = self.training.metrics
            summary |= {
                "epoch": self.training.epoch,
                "epochs": len(metrics),
                "validation_accuracy": self.training.validation_accuracy,
                "seconds": round(sum(m["seconds"] for m in metrics), 2),
                "seconds_per_epoch": float(np.median([m["seconds"] for m in metrics])),
            }
        return summary


def prepare(config: ExperimentConfig) -> Prepared:
    """Make what a configuration describes.

    Raises:
        UnknownNameError: an unknown backend, backend option, data set or loss.
        ConfigError: values that do not fit together.
        NetworkError: a network that makes no sense.
    """
    chosen = config.dataset
    sizes = {
        "train": chosen.train_size,
        "validation": chosen.validation_size,
        "test": chosen.test_size,
    }
    backend = get_backend(config.backend.name, **config.backend.options)
    loss = get_loss(config.loss.name, **config.loss.options)
    datasets = {split: load_dataset(chosen.name, split, size) for split, size in sizes.items()}
    encoding = config.latency_encoding()
    data = {
        split: SpikeData(encoding.encode(dataset.samples), dataset.labels)
        for split, dataset in datasets.items()
    }
    first = datasets["train"]
    network = config.network_spec(first.samples.shape[1], first.n_classes)
    start = config.initialisation
    initial_weights(network, start.means, start.stdevs, config.seed)  # fails early
    return Prepared(config, network, backend, loss, datasets, data)


def train(
    config: ExperimentConfig,
    out: Path | None = None,
    *,
    force: bool = False,
    progress: ProgressListener | None = None,
    on_trainer: Any = None,
) -> RunResult:
    """Train from scratch, evaluate on the test split, write the run folder.

    Args:
        config: the experiment.
        out: run folder, made; None writes nothing.
        force: replace a run that is in ``out``.
        progress: who is told how it goes.
        on_trainer: called with the ``Trainer`` before it starts (to stop it from elsewhere).

    Raises:
        OutputError: ``out`` is not empty or cannot be written.
        TrainingInterrupted: stopped on request; ``resume`` continues.
        HxloopError: whatever else is wrong, see ``prepare`` and ``Trainer.fit``.
    """
    prepared = prepare(config)
    run = RunDirectory.create(out, force=force) if out is not None else None
    if run is not None:
        run.write_config(config)
    return _run(prepared, run, progress, on_trainer, resume=False)


def resume(
    run_dir: Path, *, progress: ProgressListener | None = None, on_trainer: Any = None
) -> RunResult:
    """Continue an interrupted training bit for bit as if it had not been interrupted.

    Raises:
        FileFormatError: not a run folder, or its files are damaged.
        TrainingInterrupted: stopped again.
    """
    run = RunDirectory.open(run_dir)
    return _run(prepare(run.config()), run, progress, on_trainer, resume=True)


def evaluate_run(
    run_dir: Path, backend: str | None = None, options: Mapping[str, Any] | None = None
) -> RunResult:
    """Evaluate a finished training on the test split, on its own or on another backend.

    Args:
        run_dir: run folder.
        backend: name of another backend; None: the one it was trained on.
        options: options of that backend; they replace those of the run.

    Raises:
        FileFormatError: not a finished run, or its files are damaged.
        UnknownNameError: unknown backend or option.
    """
    run = RunDirectory.open(run_dir)
    config = run.config()
    if backend is not None or options:
        name = backend or config.backend.name
        chosen = dict(options or {})
        if name == config.backend.name:
            chosen = {**config.backend.options, **chosen}
        replaced = config.backend.model_copy(update={"name": name, "options": chosen})
        config = config.model_copy(update={"backend": replaced})
    prepared = prepare(config)
    weights = run.weights(prepared.network)
    with prepared.open_session() as session:
        network = LoopNetwork(session, weights, retries=config.training.retries)
        result = evaluate(network, prepared.loss, prepared.data["test"], config.training.batch_size)
        chip = _chip_id(network, prepared)
    return RunResult(None, result, chip, run_dir)


def _run(
    prepared: Prepared,
    run: RunDirectory | None,
    progress: ProgressListener | None,
    on_trainer: Any,
    *,
    resume: bool,
) -> RunResult:
    config = prepared.config
    with prepared.open_session() as session:
        trainer = Trainer(
            prepared.loop_network(session),
            prepared.loss,
            prepared.data["train"],
            prepared.data["validation"],
            config.training_options(),
            run_dir=run.path if run else None,
            progress=progress,
        )
        if resume:
            trainer.resume()
        if on_trainer is not None:
            on_trainer(trainer)
        training = trainer.fit()
        test = trainer.evaluate(prepared.data["test"])
        chip = _chip_id(trainer.network, prepared)
        result = RunResult(training, test, chip, run.path if run else None)
        if run is not None:
            plane = _plane(prepared, trainer.network)
            _write(prepared, run, result, plane)
    return result


def _write(
    prepared: Prepared, run: RunDirectory, result: RunResult, plane: DecisionPlane | None
) -> None:
    config, training = prepared.config, result.training
    if training is None:
        return
    run.write_weights(
        training.weights,
        {"network": str(prepared.network), "experiment": config.name, "layout": "(pre, post)"},
    )
    run.write_json("evaluation.json", result.as_dict())
    origin = provenance(seed=config.seed, chip=result.chip_id, backend=config.backend.name)
    run.write_json("provenance.json", origin)
    test, limit = result.test, 2000
    summary = result.as_dict()
    rows = [
        ("Test accuracy", f"{100 * test.accuracy:.2f} % of {len(test.labels)} samples"),
        ("Network", f"{prepared.network}, window {prepared.network.t_window:g} tau_syn"),
        ("Backend", f"{config.backend.name} {json.dumps(config.backend.options)}"),
        ("Chip", result.chip_id or "none"),
        ("Decision", prepared.loss.decision_rule),
        (
            "Training",
            f"{summary['epochs']} epochs, {summary['seconds']:.0f} s "
            f"({summary['seconds_per_epoch']:.2f} s an epoch), weights of epoch {training.epoch}",
        ),
    ]
    parameters = getattr(prepared.backend, "substrate_parameters", None)
    report = TrainingReport(
        title=f"{config.name}: {config.description}" if config.description else config.name,
        summary=rows,
        metrics=training.metrics,
        test=Evaluation(
            split="test",
            labels=test.labels[:limit],
            decisions=test.decisions[:limit],
            n_classes=prepared.datasets["test"].n_classes,
            input_times=test.input_times[:limit],
            first_spike_times=tuple(t[:limit] for t in test.first_spike_times),
            t_window=prepared.network.t_window,
            loss=test.loss,
        ),
        plane=plane,
        substrate=parameters(prepared.network) if parameters else {},
        config_toml=config.to_toml(),
        provenance=origin,
    )
    write_report(report, run.report)


def _plane(prepared: Prepared, network: LoopNetwork) -> DecisionPlane | None:
    if prepared.config.dataset.name != "yin-yang":
        return None
    encoding = prepared.config.latency_encoding()

    def decide(samples: NDArray[np.float64]) -> NDArray[np.int64]:
        data = SpikeData(encoding.encode(samples), np.zeros(len(samples), dtype=np.int64))
        size = prepared.config.training.batch_size
        return evaluate(network, prepared.loss, data, size, _PLANE_TRIAL).decisions

    test = prepared.datasets["test"]
    return decision_plane(decide, test.samples[:, :2], test.labels)


def _chip_id(network: LoopNetwork, prepared: Prepared) -> str | None:
    _, activity = network(prepared.data["test"].input_times[:1], trial=EVALUATION_TRIAL)
    return activity.info.chip_id
