"""The checkpoint of a training: written after every epoch, read to go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hxloop.errors import FileFormatError, OutputError
from hxloop.network import NetworkSpec, Parameters
from hxloop.network.values import NEURONS, named_neurons
from hxloop.training.checkpoint import (
    CHECKPOINT,
    CHECKPOINTS,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from hxloop.training.notes import Note
from hxloop.training.optimiser import Optimiser
from hxloop.training.options import TrainingOptions
from hxloop.training.state import (
    best_delays,
    check_epochs,
    check_same_training,
    other_threads,
)
from hxloop.training.trainer_state import TrainerState

# Of the best epoch: "best.0" are weights, as they were called before there were delays.
BEST, BEST_DELAYS, BEST_NEURONS = "best.{}", "best.delays.{}", f"best.{NEURONS}."


class SavedTraining:
    """The checkpoint in the folder of a training, if it has a folder.

    Args:
        folder: made with its parents; None: nothing is written.
        network: what is trained.

        optimiser: whose state is to be held.

    Raises:
        OutputError: the folder cannot be written to.
        ConfigError: the optimizer or its schedule has a state that no checkpoint holds.
    """

    def __init__(self, folder: Path | None, network: NetworkSpec, optimiser: Optimiser) -> None:
        self.path = None if folder is None else folder / CHECKPOINTS / CHECKPOINT
        self._network, self._sizes = network, list(network.sizes)
        if self.path is not None:
            optimiser.state()
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot write to {folder}: {error.strerror}") from error

    def save(
        self,
        state: TrainerState,
        optimiser: Optimiser,
        best: Parameters,
        described: Mapping[str, Any],
        epochs: int,
    ) -> None:
        """Write it.

        Args:
            state: how far the training is.
            optimiser: with its moments.
            best: parameters of the best epoch.
            described: what the steps hang on, see ``describe_training``.
            epochs: that are planned.

        Raises:
            OutputError: it cannot be written; the one before is kept.
        """
        if self.path is None:
            return
        kept = {BEST.format(i): torch.from_numpy(each) for i, each in enumerate(best.weights)}
        for i, each in enumerate(best.delays):
            if each is not None:
                kept[BEST_DELAYS.format(i)] = torch.from_numpy(each)
        own = {f"best.{name}": each for name, each in best.named().items()}
        kept |= {n: torch.from_numpy(a) for n, a in own.items() if n.startswith(BEST_NEURONS)}
        values = {
            **state.as_dict(),
            "sizes": self._sizes,
            "training": described,
            "epochs": epochs,
            "scales": optimiser.scales,
            "threads": torch.get_num_threads(),
        }
        if own_state := optimiser.state():
            values["optimizer"] = own_state
        save_checkpoint(self.path, Checkpoint({**optimiser.tensors(), **kept}, values))

    def restore(
        self, optimiser: Optimiser, described: Mapping[str, Any], options: TrainingOptions
    ) -> tuple[TrainerState, Parameters, list[Note]]:
        """Go back to it.

        Args:
            optimiser: gets its parameters and moments.
            described: what the steps of this training hang on.
            options: of this training.

        Returns:
            How far it was, parameters of its best epoch, and what is to be told.

        Raises:
            FileFormatError: there is none, it is damaged, or it is of another network.
            ConfigError: it is of another training, or more epochs are done than there are to be.
        """
        if self.path is None:
            raise FileFormatError("resume: this trainer has no run folder to resume from")
        checkpoint = load_checkpoint(self.path)
        tensors, values = checkpoint.tensors, checkpoint.state
        if values.get("sizes") != self._sizes:
            raise FileFormatError(
                f"checkpoint {self.path}: is of a network of sizes {values.get('sizes')}; "
                f"expected {self._sizes}"
            )
        # Checkpoints of earlier versions do not say what they are of.
        if "training" in values:
            check_same_training(values["training"], described, self.path)
        state = TrainerState.from_dict(values)
        best, lost = self._best(tensors, state, options)
        notes = [
            check_epochs(state, values.get("epochs"), options),
            other_threads(values.get("threads")),
            lost,
        ]
        optimiser.restore(tensors, values.get("optimizer", {}))
        # They hang on the initial weights, which may not be those of this training's network.
        optimiser.scales = list(values.get("scales", optimiser.scales))
        state.finished = state.stopped_early(options)
        return state, best, [note for note in notes if note is not None]

    def _best(
        self, tensors: Mapping[str, Tensor], state: TrainerState, options: TrainingOptions
    ) -> tuple[Parameters, Note | None]:
        """The parameters of the best epoch, and that the delays are not known."""
        shapes = self._network.delay_shapes
        delayed = [i for i, shape in enumerate(shapes) if shape is not None]
        # Checkpoints of earlier versions hold none of the best epoch, those of the last one alone.
        known = all(BEST_DELAYS.format(i) in tensors for i in delayed)
        last = {i: f"delays.{place}" for place, i in enumerate(delayed)}
        names = {i: BEST_DELAYS.format(i) if known else last[i] for i in delayed}
        weights = [tensors[BEST.format(i)].numpy().copy() for i in range(len(shapes))]
        delays = [
            tensors[names[i]].numpy().copy() if i in names else None for i in range(len(shapes))
        ]
        now = state.best_epoch == state.epoch and not state.batch
        lost = options.select == "best" and bool(state.best_epoch) and not (known or now)
        own = {name.removeprefix("best."): tensors[name].numpy().copy() for name in tensors
               if name.startswith(BEST_NEURONS)}  # fmt: skip
        best = Parameters(tuple(weights), tuple(delays), named_neurons(own))
        return best, best_delays(state) if lost else None
