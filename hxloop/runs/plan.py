"""What a configuration describes, made; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.calibration import CalibrationResult, MeasuredScales
from hxloop.calibration.measured_scales import load_any
from hxloop.data import Dataset
from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec, Parameters
from hxloop.network.own_neurons import OwnNeurons
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.cost import estimated_cost
from hxloop.runs.encoded import spike_data
from hxloop.runs.initial_neurons import initial_neurons
from hxloop.runs.lazy import LazyMapping, LazySequence
from hxloop.substrate import Backend, Session, get_backend
from hxloop.substrate.optional import true_parameters
from hxloop.substrate.recording.record import record
from hxloop.text import Brief
from hxloop.training.identity import data_digest
from hxloop.training.initialisation import initial_delays
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import Loss, get_loss
from hxloop.training.notes import Note, latest
from hxloop.training.options import EvaluationResult, SpikeData, TrainingResult
from hxloop.training.twin import digital_twin


@dataclass(frozen=True, repr=False)
class Prepared(Brief):
    """Everything a configuration describes, made.

    Attributes:
        config: the configuration.
        network: its network.
        backend: its backend, not yet opened.
        loss: its loss.
        weights: initial weights, ``(pre, post)`` for each projection, or ``Parameters``, in which
            the delays are those that count.
        datasets: raw splits by name ("train", "validation", "test").
        data: encoded splits by name.
        calibration: of the backend's chip; None: as it is.
        twin: what the neurons of the chip are measured to be; the gradient is then that of
            this model. None: that of the nominal one.
        configured: digests of the data by split as the configuration gives them, by which data
            that were exchanged are noticed.
        delays: initial delays, one entry for each projection, see ``Parameters``.
        neurons: what neurons have each for itself at first, see ``Parameters``.
    """

    config: ExperimentConfig
    network: NetworkSpec
    backend: Backend
    loss: Loss
    weights: Sequence[NDArray[np.float64]]
    datasets: Mapping[str, Dataset]
    data: Mapping[str, SpikeData]
    calibration: CalibrationResult | MeasuredScales | None = None
    twin: Mapping[str, NDArray[np.float64]] | None = None
    configured: Mapping[str, str] = field(default_factory=dict)
    delays: Sequence[NDArray[np.float64] | None] = ()
    neurons: OwnNeurons = field(default_factory=dict)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Digests of the data by split."""
        if self.as_configured:
            return self.configured
        return {split: data_digest(data) for split, data in self.data.items()}

    @property
    def as_configured(self) -> bool:
        """Whether the data are those of the configuration, by which they need not be read."""
        return isinstance(self.data, LazyMapping)

    @property
    def data_name(self) -> str:
        """Name of the data, which need not be those of the configuration."""
        if self.as_configured or self.digests == self.configured:
            return self.config.dataset.name
        name = self.datasets["test"].name if "test" in self.datasets else ""
        return name if name and name != self.config.dataset.name else "own data"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the output neurons; () = they have none, or data came without them."""
        raw = self.datasets["test"]
        names = tuple(raw.class_names)
        known = np.array_equal(raw.labels, self.data["test"].labels)
        return names if known and len(names) == self.network.n_outputs else ()

    def open_session(self) -> Session:
        """Open the backend with network, calibration and seed; record, if asked to."""
        session = self.backend.open(
            self.network, calibration=self.calibration, seed=self.config.seed
        )
        path = self.config.backend.record
        if path is None:
            return session
        try:
            return record(session, path, append=True)
        except BaseException:
            session.close()
            raise

    def loop_network(self, session: Session) -> LoopNetwork:
        """The initial weights on an open session, with the gradient that is asked for."""
        twin = None if self.twin is None else digital_twin(session, self.twin)
        own = self.config.training.train_neurons
        return LoopNetwork(session, self.initial, twin=twin, train_neurons=own)

    @property
    def initial(self) -> Parameters:
        """Initial weights, delays and neurons; drawn now, if they were not yet."""
        drawn = _drawn(self.weights)
        if isinstance(drawn, Parameters):
            return drawn
        return Parameters(tuple(self.weights), tuple(self.delays), self.neurons)

    @property
    def substrate(self) -> Mapping[str, NDArray[np.float64]]:
        """The chip's parameters by name, for the circuits in use, as it is calibrated.

        Empty where the backend knows of none.
        """
        return true_parameters(self.backend, self.network, self.calibration)

    @property
    def calibration_in_words(self) -> str | None:
        """Which calibration it is; None without one."""
        made = self.calibration
        if made is None:
            return None
        n_usable, n = int(made.usable.sum()), made.n_circuits
        file = self.config.backend.calibration
        words = f"{file}, " if file else ""
        words += f"made on chip {made.chip_id or '(any)'} at {made.made}; "
        words += f"{n_usable} of {n} circuits usable"
        return words if self.twin is None else f"{words}; gradient of the measured neurons (twin)"


@dataclass(frozen=True, repr=False)
class RunResult(Brief):
    """What ``train``, ``resume`` and ``evaluate_run`` return.

    Attributes:
        config: the configuration.
        training: how training went; None for a mere evaluation.
        test: the evaluation of the test split.
        chip_id: of the substrate; None without one.
        run_dir: the run folder; None without one.
        problems: what went wrong beside the training: no report could be made.
    """

    config: ExperimentConfig
    training: TrainingResult | None
    test: EvaluationResult
    chip_id: str | None
    run_dir: Path | None
    problems: tuple[Note, ...] = ()

    @property
    def backend(self) -> str:
        """Name of the backend that it was tested on."""
        return self.test.info.backend

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was odd, in the training, in the test and after; see ``hxloop.training.notes``."""
        trained = self.training.notes if self.training else ()
        return latest((*trained, *self.test.notes, *self.problems))

    def as_dict(self) -> dict[str, Any]:
        """Summary as plain values, what ``--json`` prints."""
        summary: dict[str, Any] = {
            "experiment": self.config.name,
            "backend": self.config.backend.name,
            "chip": self.chip_id,
            "calibration": self.config.backend.calibration,
            "calibration_digest": self.test.info.calibration_digest,
            "seed": self.config.seed,
            "test_accuracy": self.test.accuracy,
            "test_loss": self.test.loss,
            "test_samples": len(self.test.labels),
            "undecided": int((self.test.decisions < 0).sum()),
            "ties": self.test.ties,
            "clipped_weights": list(self.test.clipped_weights),
            "zeroed_weights": list(self.test.info.zeroed_weights),
            "notes": [note.as_dict() for note in self.notes],
            "run_dir": str(self.run_dir) if self.run_dir else None,
        }
        if cost := estimated_cost(self.config, self.test):
            summary["estimated_cost_of_a_sample"] = dict(cost)
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
    """Make what a configuration describes, all of it.

    Raises:
        UnknownNameError: an unknown backend, backend option, data set, loss, encoding or
            initialisation.
        ConfigError: values that do not fit together.
        NetworkError: a network that makes no sense.
        FileFormatError, CalibrationError: a calibration that cannot be read or does not fit.
    """
    made = plan(config)
    if config.training.max_shift and made.data["train"].image is None:
        raise ConfigError(
            f"training.max_shift: the samples of {config.dataset.name!r} are no images; set it to 0"
        )
    # Whatever cannot be made is told before anything is run.
    return replace(
        made,
        weights=_drawn(made.weights),
        datasets=dict(made.datasets),
        data=dict(made.data),
        configured=dict(made.configured),
    )


def plan(config: ExperimentConfig, first: str = "train") -> Prepared:
    """What a configuration describes, made as far as it is asked for.

    Args:
        config: the configuration.
        first: the split that tells how many inputs and classes there are; no other is read, and
            no initial weights are drawn, before somebody asks.

    Raises:
        HxloopError: see ``prepare``; of what is made later, later.
    """
    if not isinstance(config, ExperimentConfig):
        raise ConfigError(
            f"config: expected an ExperimentConfig; got {config!r}. Make one, of a "
            "shipped experiment or a TOML file: load_experiment('yin-yang')"
        )
    config.check_initialisation()
    splits = ("train", "validation", "test")
    backend = get_backend(config.backend.name, **config.backend.options)
    loss = get_loss(config.loss.name, **config.loss.options)
    encoding = config.spike_encoding()
    datasets = LazyMapping(splits, config.dataset.loader())

    data = LazyMapping(splits, lambda split: spike_data(datasets[split], encoding))
    known = datasets[first]
    network = config.network_spec(known.samples.shape[1], known.n_classes)
    neurons = initial_neurons(config, network, backend.capabilities)

    def initial() -> Sequence[NDArray[np.float64]]:
        drawn = config.weights_drawn_by()(network, data["train"].input_times, config.seed)
        if isinstance(drawn, Parameters):
            return drawn
        return checks.matrices(
            f"weights of initialisation.method {config.initialisation.method!r}",
            drawn, network.shapes, of=f"network {network}", error=ConfigError,
        )  # fmt: skip

    calibration = load_any(config.backend.calibration, network)
    if config.backend.twin and not isinstance(calibration, CalibrationResult):
        raise ConfigError(
            "backend.twin: needs measurements of the chip; set backend.calibration to a file made "
            "by: hxloop calibrate --out FILE"
        )
    return Prepared(
        config, network, backend, loss, LazySequence(initial), datasets, data, calibration,
        calibration.pattern()
        if isinstance(calibration, CalibrationResult) and config.backend.twin
        else None,
        LazyMapping(splits, lambda split: data_digest(data[split])),
        initial_delays(network, *config.initialisation.delays, config.seed), neurons,
    )  # fmt: skip


def _drawn(weights: Sequence[NDArray[np.float64]]) -> Sequence[NDArray[np.float64]]:
    """Initial weights, made if they were not yet; ``Parameters`` stay such."""
    made = weights.made if isinstance(weights, LazySequence) else weights
    return made if isinstance(made, Parameters) else tuple(made)
