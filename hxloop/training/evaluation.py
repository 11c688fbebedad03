"""Running a set of samples without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity, RunInfo, Spikes
from hxloop.errors import ConfigError, RunInputError
from hxloop.network import NetworkSpec
from hxloop.training.decisions import (
    check_reads,
    checked_decisions,
    highest_of_equals,
    what_decides,
)
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import Loss, begin_of, reads_of
from hxloop.training.notes import (
    Note,
    data_notes,
    physics_notes,
    silence_notes,
    tell,
    tie_notes,
    weight_notes,
)
from hxloop.training.options import EvaluationResult, SpikeData, TrainingOptions

RunObserver = Callable[[Activity, NDArray[np.int64], NDArray[np.int64]], None]
EvaluationListener = Callable[[int, int], None]

# Trial of the first batch of an evaluation: beyond the trials of any training.
EVALUATION_TRIAL = 1 << 50


def evaluate(
    network: LoopNetwork,
    loss: Loss,
    data: SpikeData,
    batch_size: int,
    trial: int = EVALUATION_TRIAL,
    observer: RunObserver | None = None,
    *,
    quiet: bool = False,
    progress: EvaluationListener | None = None,
) -> EvaluationResult:
    """Run a set of samples, without training.

    What is odd is warned of (``HxloopWarning``) and kept in the result's ``notes``.

    Args:
        network: what to evaluate.
        loss: gives the loss and the decision rule.
        data: encoded samples.
        batch_size: samples of one run; it matters for the trial noise, not for the result
            of a substrate without.
        trial: stream of trial noise of the first batch; the next batches take the next ones.
        observer: told each run: activity, labels ``(batch,)`` and decisions ``(batch,)``.
        quiet: keep notes in the result, but do not warn of them.
        progress: told after each run how many samples are done, and of how many.

    Raises:
        RunInputError: samples or labels that do not fit the network, or an argument of another
            kind; before anything is run.
        ConfigError: a batch size or trial that is none.
    """
    check_data("data", data, network)
    check_loss(loss, network)
    asked: dict[str, Any] = {"reads": reads_of(loss), "begin": begin_of(loss)}
    batch_size = checks.whole("evaluate: batch_size", batch_size, low=1)
    trial = checks.whole("evaluate: trial", trial, low=0)
    total, decisions, inputs, layers, counts, infos = 0.0, [], [], [], [], []
    first_sample, ties, right = tuple[Spikes, ...](), 0, 0
    with torch.no_grad():
        for index, start in enumerate(range(0, len(data), batch_size)):
            part = slice(start, start + batch_size)
            output, activity = network.output(data.inputs(part), trial + index, **asked)
            own_labels = checks.read_only(data.labels[part])
            # Losses get copies, observers what they can only look at: neither changes the data.
            total += float(loss(output, torch.tensor(data.labels[part]))) * len(own_labels)
            seen = what_decides(loss, network.session.network, activity)
            decisions.append(checked_decisions(loss, seen))
            tied = decisions[-1] != highest_of_equals(loss, seen)
            ties += int(tied.sum())
            right += int((tied & (decisions[-1] == data.labels[part])).sum())
            if observer is not None:
                observer(activity.read_only(), own_labels, checks.read_only(decisions[-1]))
            if index == 0:
                first_sample = _first_sample(activity)
            inputs.append(activity.input_times)
            layers.append(activity.first_spike_times)
            counts.append([spikes.n_spikes for spikes in activity.spikes])
            infos.append(activity.info)
            if progress is not None:
                progress(min(start + batch_size, len(data)), len(data))
    decided, spec = np.concatenate(decisions), network.session.network
    result = EvaluationResult(
        loss=total / len(data),
        accuracy=float((decided == data.labels).mean()),
        decisions=decided,
        labels=data.labels,
        input_times=np.concatenate(inputs),
        first_spike_times=tuple(np.concatenate(layer) for layer in zip(*layers, strict=True)),
        info=RunInfo.of_all(infos),
        run_seconds=tuple(info.duration_seconds for info in infos),
        ties=ties,
        spikes_per_neuron=tuple(
            float(n) for n in np.sum(counts, axis=0) / (len(data) * np.array(spec.sizes[1:]))
        ),
        first_sample=first_sample,
    )
    notes = (*_notes(result, data, network), *tie_notes(ties, right, len(data)))
    if not quiet:
        tell(notes)
    return replace(result, notes=notes)


def _first_sample(activity: Activity) -> tuple[Spikes, ...]:
    return tuple(spikes.select([0]) for spikes in (activity.inputs, *activity.spikes))


def _notes(result: EvaluationResult, data: SpikeData, network: LoopNetwork) -> tuple[Note, ...]:
    spec, limit = network.session.network, network.session.capabilities.weight_limit
    return (
        *data_notes(data, spec),
        *weight_notes(result.info, spec, limit),
        *physics_notes(result.info),
        *output_notes(result, spec),
    )


def check_data(where: str, data: SpikeData, network: LoopNetwork) -> None:
    """Check that samples are for a network: its inputs, its classes.

    Args:
        where: their name, for messages.
        data: the samples.
        network: that is to run them.

    Raises:
        RunInputError: they are not, or an argument is of another kind.
    """
    if not isinstance(network, LoopNetwork):
        raise RunInputError(f"network: expected a LoopNetwork; got {checks.shown(network)}")
    if not isinstance(data, SpikeData):
        raise RunInputError(
            f"{where}: expected SpikeData(input_times, labels); got {checks.shown(data)}"
        )
    spec = network.session.network
    if data.n_inputs != spec.n_inputs:
        raise RunInputError(
            f"{where}: expected input_times of {spec.n_inputs} channels, for network {spec}; got "
            f"{data.n_inputs}"
        )
    checks.labels(f"{where}: labels", data.labels, high=spec.n_outputs - 1)


def check_training(
    network: LoopNetwork,
    loss: Loss,
    train: SpikeData,
    validation: SpikeData,
    options: TrainingOptions,
) -> None:
    """Check that all that a training is made of goes together.

    Raises:
        ConfigError: no options, or shifts of what are no images.
        RunInputError, NetworkError: see ``check_loss`` and ``check_data``.
    """
    check_loss(loss, network)
    if not isinstance(options, TrainingOptions):
        raise ConfigError(f"options: expected TrainingOptions; got {checks.shown(options)}")
    for where, data in (("train", train), ("validation", validation)):
        check_data(where, data, network)
    if options.max_shift and train.image is None:
        raise ConfigError("training.max_shift: these data are no images; set it to 0")


def check_loss(loss: Loss, network: LoopNetwork | None = None) -> None:
    """Check that it is one, and can read what decides in a network.

    Raises:
        RunInputError: it has no rule to decide by, or cannot be called.
        NetworkError: it reads membranes of neurons that spike, or spikes of a read-out.
    """
    if isinstance(loss, type) or not callable(loss) or not hasattr(loss, "decide"):
        raise RunInputError(
            f"loss: expected a loss, such as get_loss('time-to-first-spike'); got "
            f"{checks.shown(loss)}"
        )
    if network is not None:
        check_reads(loss, network.session.network)


def bad_loss(value: float, where: str, times: NDArray[np.float64]) -> str:
    """What to tell of a loss that is no number.

    Args:
        value: of the loss.
        where: "epoch 3, batch 7".
        times: of the output neurons in this batch.
    """
    spikes = times[np.isfinite(times)]
    seen = f"{times.size - spikes.size} of {times.size} output neurons were silent"
    if spikes.size:
        seen += f", the others spiked from {spikes.min():.4g} to {spikes.max():.4g}"
    return (
        f"training: the loss is {value} in {where}; expected a finite number. In this batch "
        f"{seen}: does the loss take silent neurons (inf) and such times without overflow? The "
        "last checkpoint is kept."
    )


def output_notes(result: EvaluationResult, network: NetworkSpec) -> tuple[Note, ...]:
    """What is odd about the spikes of an evaluation."""
    silent = [float(np.isinf(times).mean()) for times in result.first_spike_times]
    undecided = int((result.decisions < 0).sum())
    return silence_notes(silent, network, undecided, len(result.labels))
