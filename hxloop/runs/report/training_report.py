"""What the report of a run shows, gathered from the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.chip.cost import cost_in_words
from hxloop.data import Dataset, TimeSeries, yin_yang_class
from hxloop.errors import ConfigError
from hxloop.runs.cost import estimated_cost
from hxloop.runs.encoded import same_inputs, spike_data
from hxloop.runs.report.page import (
    DecisionPlane,
    Evaluation,
    TrainingReport,
    decision_plane,
    write_report,
)
from hxloop.training.evaluation import EVALUATION_TRIAL, evaluate
from hxloop.training.loop import LoopNetwork
from hxloop.training.notes import Note
from hxloop.training.options import EvaluationResult

if TYPE_CHECKING:
    from hxloop.runs.plan import Prepared, RunResult

__all__ = ["plane_of", "report_failure", "training_report", "write_report"]

# Trials of the decision plane, beyond those of the test set.
PLANE_TRIAL = EVALUATION_TRIAL + (1 << 30)
# Samples whose spikes are shown; more do not change a histogram, but take memory.
LARGEST = 2000


def training_report(
    prepared: Prepared, network: LoopNetwork, result: RunResult, origin: Mapping[str, Any]
) -> TrainingReport:
    """Gather the report; for Yin-Yang the decision plane is run on the network's session.

    Args:
        prepared: the experiment.
        network: the trained network, on an open session.
        result: how it went.
        origin: provenance.

    Raises:
        ConfigError: the result is that of a mere evaluation.
    """
    if result.training is None:
        raise ConfigError("training_report: expected the result of a training; got an evaluation")
    config, test, summary = prepared.config, result.test, result.as_dict()
    rows = [
        ("Test accuracy", f"{100 * test.accuracy:.2f} % of {len(test.labels)} samples"),
        ("No decision", f"{summary['undecided']} of {len(test.labels)} samples"),
        ("Data", prepared.data_name),
        ("Network", f"{prepared.network}, window {prepared.network.t_window:g} tau_syn"),
        ("Backend", " ".join([config.backend.name, _options(config.backend.options)])),
        ("Chip", result.chip_id or "none"),
        ("Decision", prepared.loss.decision_rule),
        *(("Note", note.text) for note in result.notes),
        (
            "Training",
            f"{summary['epochs']} epochs, {summary['seconds']:.0f} s "
            f"({summary['seconds_per_epoch']:.2f} s an epoch), "
            f"weights of epoch {result.training.epoch}",
        ),
    ]
    if cost := estimated_cost(result.config, result.test):
        rows.append(("Estimated cost on the chip", cost_in_words(cost)))
    if calibration := prepared.calibration_in_words:
        rows.insert(6, ("Calibration", calibration))
    if law := _dales_law(prepared, result.training.weights):
        rows.insert(4, ("Dale's law", law))
    return TrainingReport(
        title=config.name,
        description=config.description,
        summary=rows,
        metrics=result.training.metrics,
        test=_evaluation(prepared, test),
        plane=plane_of(prepared, network),
        substrate=prepared.substrate,
        config_toml=config.to_toml(),
        provenance=origin,
        n_weights=tuple(matrix.size for matrix in result.training.weights),
        weight_names=tuple(each.name for each in prepared.network.projections),
        batches=-(-len(prepared.data["train"]) // config.training.batch_size),
    )


def _evaluation(prepared: Prepared, test: EvaluationResult) -> Evaluation:
    """What of the evaluation of the test split is shown."""
    network = prepared.network
    # A chain's layers are known by their numbers, populations of a graph by their names.
    names = () if network.is_chain else tuple(p.name for p in network.populations)
    readouts = tuple(i for i, p in enumerate(network.layers) if p.neuron.never_spikes)
    # Own data may come without their raw samples: those of the configuration are still there.
    raw = prepared.datasets["test"]
    known = np.array_equal(raw.labels, prepared.data["test"].labels)
    return Evaluation(
        split="test",
        labels=test.labels,
        decisions=test.decisions,
        n_classes=raw.n_classes if known else network.n_outputs,
        input_times=test.input_times[:LARGEST],
        first_spike_times=tuple(times[:LARGEST] for times in test.first_spike_times),
        t_window=network.t_window,
        loss=test.loss,
        class_names=prepared.class_names,
        decision_rule=prepared.loss.decision_rule,
        output=network.output_index,
        populations=names,
        readouts=readouts,
        first_sample=test.first_sample,
    )


def report_failure(
    prepared: Prepared,
    network: LoopNetwork,
    result: RunResult,
    origin: Mapping[str, Any],
    path: Path,
) -> Note | None:
    """Write the report of a training; what goes wrong is told, and costs nothing but the report.

    Returns:
        None, or a note that says why there is no report.
    """
    try:
        write_report(training_report(prepared, network, result, origin), path)
    # Whatever it is: own data, a figure, a full disk. The training is complete and is worth more.
    except Exception as error:  # noqa: BLE001
        path.unlink(missing_ok=True)
        return Note(
            "report-failed",
            f"The report could not be made ({type(error).__name__}: {error}). The training is "
            f"complete, and everything else is in {path.parent}. Try again: hxloop resume "
            f"{path.parent}",
        )
    return None


def _dales_law(prepared: Prepared, weights: Sequence[NDArray[np.float64]]) -> str:
    """In words, with what came of it; empty where it does not hold."""
    network = prepared.network
    words = []
    for index, population in enumerate(network.populations):
        sent = [
            matrix.ravel()
            for (pre, _), matrix in zip(network.ends, weights, strict=True)
            if pre == index
        ]
        if not population.n_inhibitory or not sent:
            continue
        name = f"layer {index + 1}" if network.is_chain else population.name
        words.append(
            f"{name}: {population.n_excitatory} exc., {population.n_inhibitory} inh. neurons, "
            f"{100 * float((np.concatenate(sent) == 0).mean()):.0f} % of their weights 0"
        )
    return "; ".join(words)


def _options(options: Mapping[str, Any]) -> str:
    chosen = ", ".join(f"{name} {value}" for name, value in options.items())
    return f"({chosen})" if chosen else ""


def plane_of(prepared: Prepared, network: LoopNetwork) -> DecisionPlane | None:
    """Decisions of a network over the Yin-Yang plane; None for other data."""
    if not _is_yin_yang(prepared):
        return None
    encoding = prepared.config.spike_encoding()
    n_classes = prepared.network.n_outputs

    def decide(samples: NDArray[np.float64]) -> NDArray[np.int64]:
        labels = np.zeros(len(samples), dtype=np.int64)
        data = spike_data(Dataset("plane", samples, labels, n_classes), encoding)
        size = prepared.config.training.batch_size
        return evaluate(network, prepared.loss, data, size, PLANE_TRIAL, quiet=True).decisions

    test = prepared.datasets["test"]
    points = np.asarray(test.samples, dtype=np.float64)[:, :2]
    return decision_plane(decide, points, test.labels)


def _is_yin_yang(prepared: Prepared) -> bool:
    """Whether the network has to do with points of the disk, whatever the data are called."""
    raw, data = prepared.datasets["test"], prepared.data["test"]
    if isinstance(raw.samples, Spikes | TimeSeries):
        return False
    samples = np.asarray(raw.samples)
    if samples.ndim != 2 or samples.shape[1] != 4 or not np.array_equal(raw.labels, data.labels):
        return False
    x, y = samples[:, 0], samples[:, 1]
    if not np.array_equal(samples[:, 2:], np.stack([1 - x, 1 - y], axis=1)):
        return False
    if any(yin_yang_class(*point) != label for *point, label in zip(x, y, raw.labels, strict=True)):
        return False
    encoded = prepared.config.spike_encoding().encode(samples)
    return same_inputs(encoded, data.input_times)
