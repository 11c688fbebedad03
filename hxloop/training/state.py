"""What a checkpoint says of its training, and whether a trainer may go on from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hxloop.activity.log.schema import network_to_json
from hxloop.errors import ConfigError
from hxloop.training.identity import (
    MAY_CHANGE,
    data_digest,
    describe_loss,
    listed,
    setting_differences,
)
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import Loss
from hxloop.training.notes import Note
from hxloop.training.options import SpikeData, TrainingOptions
from hxloop.training.trainer_state import TrainerState


def describe_training(
    network: LoopNetwork,
    loss: Loss,
    options: TrainingOptions,
    train: SpikeData,
    validation: SpikeData,
) -> dict[str, Any]:
    """All that the steps of a training hang on, but for the substrate; plain values."""
    own = [key for key, each in network.neurons.items() if each.requires_grad]
    training = json.loads(json.dumps(options.told())) | ({"train_neurons": own} if own else {})
    return {
        "training": {key: value for key, value in training.items() if key not in MAY_CHANGE},
        "network": json.loads(network_to_json(network.session.network)),
        "loss": describe_loss(loss),
        "data": {
            split: {"samples": len(data), "digest": data_digest(data)}
            for split, data in (("train", train), ("validation", validation))
        },
    }


def check_same_training(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with another training than a checkpoint is of.

    Raises:
        ConfigError: see above; it says what differs.
    """
    if changed := setting_differences(then, now):
        raise ConfigError(
            f"checkpoint {path}: of another training; {listed(changed)}. Going on would be "
            "neither the one nor the other: put that back, or train anew"
        )


def check_epochs(state: TrainerState, planned: int | None, options: TrainingOptions) -> Note | None:
    """What it means that a training is to have other epochs than it was begun with.

    Args:
        state: of the checkpoint.
        planned: its epochs so far; None: not known, of earlier versions.
        options: those to go on with.

    Raises:
        ConfigError: fewer than are done already, or none more because it stopped by itself.
    """
    done, epochs = state.epoch, options.epochs
    if epochs < done or (epochs == done and state.batch):
        begun = f", and one of {state.batch} batches" if state.batch else ""
        raise ConfigError(
            f"training.epochs: {done} epochs are done already{begun}; expected no fewer, got "
            f"{epochs}"
        )
    if planned is None or planned == epochs:
        return None
    if state.stopped_early(options) and epochs > done:
        raise ConfigError(
            f"training.epochs = {epochs}: this training stopped by itself after epoch {done}, "
            f"{options.patience} after its best (training.patience); to train longer, raise that "
            "as well in its config.toml"
        )
    told = f"Trained to epoch {epochs} instead of {planned}"
    if options.schedule != "cosine" or done == 0:
        told += ", as if that had been asked for from the start."
    else:
        before = options.learning_rate_at(done, planned)
        told += (
            f": the cosine of the learning rate now ends there, so that it goes on at "
            f"{options.learning_rate_at(done):.3g} instead of {before:.3g}. The epochs before "
            f"had the schedule of {planned}, so this is not the training that {epochs} epochs "
            "from the start would have been."
        )
    values = {"planned": planned, "epochs": epochs, "done": done}
    return Note("other-epochs", told, values)


def best_delays(state: TrainerState) -> Note:
    """That a checkpoint of an earlier version holds no delays of the best epoch."""
    done = f"{state.epoch} epochs" + (f" and {state.batch} batches" if state.batch else "")
    return Note(
        "best-delays-unknown",
        f"The checkpoint is of a version that kept no delays of the best epoch, number "
        f"{state.best_epoch}. If no later epoch is better, its weights are selected with the "
        f"delays after {done}; the validation accuracy was not measured with these.",
        {"best_epoch": state.best_epoch, "epoch": state.epoch, "batch": state.batch},
    )


def other_threads(then: int | None) -> Note | None:
    """That gradients are now added up in another order; ``then``: None: not known."""
    now = torch.get_num_threads()
    if then is None or then == now:
        return None
    return Note(
        "other-threads",
        f"The training was begun with {then} threads and goes on with {now}: gradients are added "
        "up in another order, so that last digits may differ from those of a training that was "
        f"not stopped (torch.set_num_threads({then}) or OMP_NUM_THREADS={then} keeps them).",
        {"then": then, "now": now},
    )
