"""What happens in a training, told to everybody who watches it: one protocol, plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hxloop.training.options import ProgressListener, TrainingResult


class TrainingEvents:
    """For whoever watches a training to inherit; each method does nothing.

    What is told is over: a watcher may run the network, or ask for a stop (``wants_stop``), but not
    change weights. An exception ends the training; its last checkpoint is kept.

    Example:
        >>> class Losses(TrainingEvents):
        ...     def __init__(self):
        ...         self.of_batches = []
        ...     def batch(self, epoch, batch, loss):
        ...         self.of_batches.append(loss)
    """

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        """A training starts, or goes on.

        Args:
            epoch: how many epochs are done.
            epochs: how many there are to be.
            batches: of each epoch.
            batch: how many batches of the epoch that comes are done.
        """

    def batch(self, epoch: int, batch: int, loss: float) -> None:
        """A batch was done, the weights are changed.

        Args:
            epoch: how many epochs are done.
            batch: how many batches of this one are done.
            loss: of the batch, before its step.
        """

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """An epoch was done, and its checkpoint is written. ``metrics``: as in its file."""

    def recorded(self, state: str) -> None:
        """A state was written to the activity log of the training. ``state``: its name."""

    def stopped(self, epoch: int, batch: int) -> None:
        """The training stops as it was asked to, with a checkpoint; see ``started``."""

    def finished(self, result: TrainingResult) -> None:
        """The training is at its end."""

    def news(self, text: str) -> None:
        """What is done next, in words, where more is done than one training: by a study, say."""

    def wants_stop(self) -> bool:
        """Whether the training is to stop, with a checkpoint; asked after every batch."""
        return False


class AllOf(TrainingEvents):
    """Tells several watchers, in their order.

    Args:
        watchers: who is told; may be added to.
    """

    def __init__(self, watchers: Iterable[TrainingEvents] = ()) -> None:
        self.watchers = [*watchers]

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.started(epoch, epochs, batches, batch)

    def batch(self, epoch: int, batch: int, loss: float) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.batch(epoch, batch, loss)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.epoch(metrics)

    def recorded(self, state: str) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.recorded(state)

    def stopped(self, epoch: int, batch: int) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.stopped(epoch, batch)

    def finished(self, result: TrainingResult) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.finished(result)

    def news(self, text: str) -> None:
        """See ``TrainingEvents``."""
        for watcher in self.watchers:
            watcher.news(text)

    def wants_stop(self) -> bool:
        """Whether one of them wants it."""
        return any([watcher.wants_stop() for watcher in self.watchers])


class OfListener(TrainingEvents):
    """Tells a ``ProgressListener``, as trainers took before there were events."""

    def __init__(self, listener: ProgressListener) -> None:
        self._listener = listener

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        """See ``TrainingEvents``."""
        self._listener.on_start(epoch, epochs, batches)

    def batch(self, epoch: int, batch: int, loss: float) -> None:
        """See ``TrainingEvents``."""
        self._listener.on_batch(epoch, batch, loss)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """See ``TrainingEvents``."""
        self._listener.on_epoch(metrics)


class BetweenEpochs(TrainingEvents):
    """For whoever does something whenever so many epochs are done and no more to inherit.

    After each epoch, and where a training goes on from the end of one: whoever stopped it may have
    stopped it before this was done.
    """

    def between(self, epochs: int) -> None:
        """So many epochs are done, and no batch of the next one."""

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        """See ``TrainingEvents``."""
        if epoch and not batch:
            self.between(epoch)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """See ``TrainingEvents``."""
        self.between(int(metrics["epoch"]))


class AfterEpoch(BetweenEpochs):
    """Calls a function with the number of epochs done.

    Attributes:
        call: the function; None: none.
    """

    def __init__(self, call: Callable[[int], None] | None) -> None:
        self.call = call

    def between(self, epochs: int) -> None:
        """See ``BetweenEpochs``."""
        if self.call is not None:
            self.call(epochs)
