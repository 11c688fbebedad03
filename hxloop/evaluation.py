"""Running a set of samples without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.activity import Activity, RunInfo
from hxloop.loop import LoopNetwork
from hxloop.losses import Loss
from hxloop.network import NetworkSpec
from hxloop.notes import Note, input_notes, silence_notes, tell, tie_notes, weight_notes
from hxloop.training_options import EvaluationResult, SpikeData

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
    """
    total, decisions, inputs, layers, infos = 0.0, [], [], [], []
    ties = right = 0
    with torch.no_grad():
        for index, start in enumerate(range(0, len(data), batch_size)):
            part = slice(start, start + batch_size)
            output, activity = network(data.input_times[part], trial=trial + index)
            labels = torch.from_numpy(data.labels[part])
            total += float(loss(output, labels)) * len(labels)
            decisions.append(loss.decide(activity.output_times))
            tied = decisions[-1] != _highest_of_equals(loss, activity.output_times)
            ties += int(tied.sum())
            right += int((tied & (decisions[-1] == data.labels[part])).sum())
            if observer is not None:
                observer(activity, data.labels[part], decisions[-1])
            inputs.append(activity.input_times)
            layers.append(activity.first_spike_times)
            infos.append(activity.info)
            if progress is not None:
                progress(min(start + batch_size, len(data)), len(data))
    decided = np.concatenate(decisions)
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
    )
    session = network.session
    notes = (
        *input_notes(data.input_times, session.network),
        *weight_notes(result.info, session.network, session.capabilities.weight_limit),
        *output_notes(result, session.network),
        *tie_notes(ties, right, len(data)),
    )
    if not quiet:
        tell(notes)
    return replace(result, notes=notes)


def output_notes(result: EvaluationResult, network: NetworkSpec) -> tuple[Note, ...]:
    """What is odd about the spikes of an evaluation."""
    silent = [float(np.isinf(times).mean()) for times in result.first_spike_times]
    undecided = int((result.decisions < 0).sum())
    return silence_notes(silent, network, undecided, len(result.labels))


def _highest_of_equals(loss: Loss, output_times: NDArray[np.float64]) -> NDArray[np.int64]:
    """The decisions with the highest index among equals; ``decide`` takes the lowest."""
    reverse = loss.decide(output_times[:, ::-1])
    return np.where(reverse < 0, reverse, output_times.shape[1] - 1 - reverse)
