"""Where a training stands: what a checkpoint holds beside the tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hxloop.network import Feature, NetworkSpec
from hxloop.training.notes import Note
from hxloop.training.optimiser import Optimiser
from hxloop.training.options import EvaluationResult, TrainingOptions
from hxloop.training.own_neurons import spread_of


@dataclass
class EpochSums:
    """Sums over the batches of an epoch so far.

    Attributes:
        samples: how many were run.
        loss: of all of them.
        correct: how many were decided rightly.
        zeroed, capped: spikes whose gradient was not passed on, see ``GradientCounts``.
        bumped: neurons whose weights were bumped.
        lowered: neurons whose weights were lowered, see ``OveractiveNeuronPolicy``.
        retries: runs that were repeated.
        seconds: of earlier parts of the epoch, before it was stopped.
        silent: for each layer the sum of the silent fractions.
        clipped: for each projection the clipped weights.
        clipped_neurons: parameters of neurons that were set back to their bounds.
        spikes: of a network whose neurons may spike more than once, for each population the sum
            of the mean number of spikes of a neuron.
    """

    samples: int = 0
    loss: float = 0
    correct: int = 0
    zeroed: int = 0
    capped: int = 0
    bumped: int = 0
    lowered: int = 0
    retries: int = 0
    seconds: float = 0.0
    silent: list[float] = field(default_factory=list)
    clipped: list[int] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)
    clipped_neurons: int = 0

    @classmethod
    def empty(cls, network: NetworkSpec) -> EpochSums:
        """Nothing was run yet."""
        several = Feature.MULTI_SPIKE in network.features
        return cls(
            silent=[0.0] * len(network.layers),
            clipped=[0] * len(network.shapes),
            spikes=[0.0] * len(network.layers) if several else [],
        )

    def metrics(
        self, epoch: int, validation: EvaluationResult, optimiser: Optimiser, seconds: float
    ) -> dict[str, Any]:
        """Metrics of the epoch, as they are in ``metrics.jsonl``; its notes are still to come.

        Args:
            epoch: how many are done with it.
            validation: after it.
            optimiser: after its last batch.
            seconds: that it took since it was begun or taken up again.
        """
        own = spread_of(optimiser.neurons)
        return {
            "epoch": epoch,
            "train_loss": self.loss / self.samples,
            "train_accuracy": self.correct / self.samples,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "learning_rate": optimiser.rate,
            "silent_fraction": [total / self.samples for total in self.silent],
            "clipped_weights": self.clipped,
            "zeroed_gradients": self.zeroed,
            "capped_gradients": self.capped,
            "bumped_neurons": self.bumped,
            **self._of_spikes(),
            **({"clipped_neurons": self.clipped_neurons, "neurons": own} if own else {}),
            "retries": self.retries,
            "notes": [],
            "seconds": round(self.seconds + seconds, 3),
        }

    def _of_spikes(self) -> dict[str, Any]:
        """What there is to say of neurons that may spike more than once."""
        if not self.spikes:
            return {}
        means = [total / self.samples for total in self.spikes]
        return {"lowered_neurons": self.lowered, "spikes_per_neuron": means}


@dataclass
class TrainerState:
    """How far a training is, and what it has seen.

    Attributes:
        epoch: how many epochs are done.
        batch: how many batches of the one that goes on.
        step: how many batches in all.
        sums: over the batches of this epoch.
        best_epoch, best_accuracy: the best validation so far, and after which epoch.
        metrics: of each epoch.
        notes: what was odd so far, see ``Note.as_dict``.
        finished: whether it stopped by itself.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: EpochSums = field(default_factory=EpochSums)
    best_epoch: int = 0
    best_accuracy: float = -1.0
    metrics: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint; what earlier versions did not count, if there is any."""
        values = asdict(self)
        if not self.sums.clipped_neurons:
            del values["sums"]["clipped_neurons"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainerState:
        """What ``as_dict`` gave; checkpoints of earlier versions hold no notes."""
        known = {each.name: values.get(each.name, []) for each in fields(cls)}
        return cls(**{**known, "sums": EpochSums(**known["sums"])})

    def stopped_early(self, options: TrainingOptions) -> bool:
        """Whether the validation accuracy has not risen for ``options.patience`` epochs."""
        patience = options.patience
        return patience is not None and self.epoch - self.best_epoch >= patience

    @property
    def noted(self) -> set[str]:
        """Keys of the notes."""
        return {note["key"] for note in self.notes}

    def replace_notes(self, notes: Iterable[Note]) -> None:
        """Keep notes, in place of earlier ones of their keys."""
        new = [*notes]
        keys = {note.key for note in new}
        kept = [note for note in self.notes if note["key"] not in keys]
        self.notes = kept + [note.as_dict() for note in new]

    def add_notes(self, notes: Iterable[Note]) -> list[Note]:
        """Keep those that are new, which are returned."""
        new = [note for note in notes if note.key not in self.noted]
        self.notes += [note.as_dict() for note in new]
        return new

    def unwritten_notes(self) -> list[dict[str, Any]]:
        """Those that are in the metrics of no epoch yet."""
        written = {note["key"] for earlier in self.metrics for note in earlier.get("notes", [])}
        return [note for note in self.notes if note["key"] not in written]
