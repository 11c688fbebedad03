"""Running a set of samples without training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.activity import Activity, RunInfo
from hxloop.loop import LoopNetwork
from hxloop.losses import Loss
from hxloop.training_options import EvaluationResult, SpikeData

RunObserver = Callable[[Activity, NDArray[np.int64], NDArray[np.int64]], None]

# Trial of the first batch of an evaluation: beyond the trials of any training.
EVALUATION_TRIAL = 1 << 50


def evaluate(
    network: LoopNetwork,
    loss: Loss,
    data: SpikeData,
    batch_size: int,
    trial: int = EVALUATION_TRIAL,
    observer: RunObserver | None = None,
) -> EvaluationResult:
    """Run a set of samples, without training.

    Args:
        network: what to evaluate.
        loss: gives the loss and the decision rule.
        data: encoded samples.
        batch_size: samples of one run; it matters for the trial noise, not for the result
            of a substrate without.
        trial: stream of trial noise of the first batch; the next batches take the next ones.
        observer: told each run: activity, labels ``(batch,)`` and decisions ``(batch,)``.
    """
    total, decisions, inputs, layers, infos = 0.0, [], [], [], []
    with torch.no_grad():
        for index, start in enumerate(range(0, len(data), batch_size)):
            part = slice(start, start + batch_size)
            output, activity = network(data.input_times[part], trial=trial + index)
            labels = torch.from_numpy(data.labels[part])
            total += float(loss(output, labels)) * len(labels)
            decisions.append(loss.decide(activity.output_times))
            if observer is not None:
                observer(activity, data.labels[part], decisions[-1])
            inputs.append(activity.input_times)
            layers.append(activity.first_spike_times)
            infos.append(activity.info)
    decided = np.concatenate(decisions)
    return EvaluationResult(
        loss=total / len(data),
        accuracy=float((decided == data.labels).mean()),
        decisions=decided,
        labels=data.labels,
        input_times=np.concatenate(inputs),
        first_spike_times=tuple(np.concatenate(layer) for layer in zip(*layers, strict=True)),
        info=RunInfo.of_all(infos),
        run_seconds=tuple(info.duration_seconds for info in infos),
    )
