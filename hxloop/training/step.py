"""One batch of a training: run, gradient, step, and what follows from what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.activity import Activity, Spikes
from hxloop.errors import RunFailed
from hxloop.network import Feature
from hxloop.training.decisions import checked_decisions, what_decides
from hxloop.training.evaluation import bad_loss
from hxloop.training.inputs import training_inputs
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import Loss, begin_of, reads_of
from hxloop.training.optimiser import Optimiser
from hxloop.training.options import SpikeData, TrainingOptions
from hxloop.training.trainer_state import TrainerState


def train_batch(
    network: LoopNetwork,
    loss: Loss,
    optimiser: Optimiser,
    options: TrainingOptions,
    data: SpikeData,
    samples: NDArray[np.int64],
    state: TrainerState,
    seen: Callable[[Activity], None] | None = None,
) -> float:
    """Train on a batch.

    Args:
        network: whose weights are changed.
        loss: the objective.
        optimiser: with the rate of this batch.
        options: of the training.
        data: of the training.
        samples: ``(batch,)``, indices of the samples.
        state: its ``sums`` are added to; epoch, batch and step number the noise.
        seen: told what the substrate did, before anything is made of it: what is odd there may
            be why the rest fails.

    Returns:
        The loss before the step.

    Raises:
        RunFailed: the substrate failed for good, or the loss is no number.
    """
    labels = data.labels[samples]
    times = training_inputs(data, samples, options, state.epoch, state.batch)
    counts = network.gradient_counts
    counts.reset()
    output, activity, penalty = _run(network, loss, options, times, state.step)
    if seen is not None:
        seen(activity)
    objective = loss(output, torch.tensor(labels))
    value = float(objective.detach())
    if not np.isfinite(value):
        where = f"epoch {state.epoch + 1}, batch {state.batch}"
        raise RunFailed(bad_loss(value, where, activity.output_times))
    optimiser.step(objective if penalty is None else objective + penalty)
    weights, spec = list(network.weights), network.session.network
    scales = [scale * optimiser.fraction for scale in optimiser.scales]
    trained = [each.requires_grad for each in weights]
    bumped = options.silent.apply(weights, activity, labels, scales, trained, spec)
    lowered = options.overactive.apply(weights, activity, scales, trained, spec)
    network.enforce_dale()
    network.enforce_delays()
    reset = network.enforce_neurons()
    if options.clip_weights:
        clipped = network.clip_weights(weight_limit(network, options))
    else:
        clipped = activity.info.clipped_weights or (0,) * len(network.weights)
    optimiser.average.update()

    sums = state.sums
    sums.samples += len(labels)
    sums.loss += value * len(labels)
    seen = what_decides(loss, spec, activity)
    sums.correct += int((checked_decisions(loss, seen) == labels).sum())
    for index, silent in enumerate(activity.silent_fraction()):
        sums.silent[index] += silent * len(labels)
    for index, count in enumerate(clipped):
        sums.clipped[index] += count
    sums.zeroed += counts.n_not_rising
    sums.capped += counts.n_capped
    sums.bumped += bumped
    sums.lowered += lowered
    sums.clipped_neurons += reset
    if Feature.MULTI_SPIKE in spec.features:
        for index, spikes in enumerate(activity.spikes):
            sums.spikes[index] += float(spikes.count.mean()) * len(labels)
    sums.retries += activity.info.retries
    return value


def _run(
    network: LoopNetwork,
    loss: Loss,
    options: TrainingOptions,
    inputs: NDArray[np.float64] | Spikes,
    trial: int,
) -> tuple[Any, Activity, Tensor | None]:
    """What the loss reads, the activity, and a term to be added to the loss; None: none."""
    reads, begin = reads_of(loss), begin_of(loss)
    if not options.spike_penalty.weight:
        return *network.output(inputs, trial, reads=reads, begin=begin), None
    trains, activity = network.trains(inputs, trial)
    penalty = options.spike_penalty(trains, network.session.network)
    return network.read(trains, activity, inputs, reads, begin), activity, penalty


def weight_limit(network: LoopNetwork, options: TrainingOptions) -> float | None:
    """The narrower of the substrate's range and the one asked for; None: there is none."""
    limits = (network.session.capabilities.weight_limit, options.weight_limit)
    return min((limit for limit in limits if limit is not None), default=None)
