"""The trainer: epochs, checkpoints, resume.

All randomness is a function of the seed, the epoch and the batch, and trial noise of the
step, so nothing random has to be stored and a training that was stopped at any moment goes
on bit for bit as if it had not been.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity
from hxloop.errors import TrainingInterrupted
from hxloop.machine.compiling import Stopwatch
from hxloop.training.compiling import tell_compiled, told_of_compilers
from hxloop.training.evaluation import (
    EVALUATION_TRIAL,
    RunObserver,
    check_training,
    evaluate,
)
from hxloop.training.events import AfterEpoch, AllOf, TrainingEvents
from hxloop.training.inputs import sample_order
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import Loss
from hxloop.training.metrics_file import append_metrics, write_metrics
from hxloop.training.notes import Note, dale_note, data_notes, neuron_notes, tell, weight_notes
from hxloop.training.optimiser import Optimiser
from hxloop.training.options import (
    EvaluationResult,
    ProgressListener,
    SpikeData,
    TrainingOptions,
    TrainingResult,
)
from hxloop.training.progress import of_progress
from hxloop.training.saved import SavedTraining
from hxloop.training.state import describe_training
from hxloop.training.step import train_batch
from hxloop.training.torch_optimisers import GivenOptimizer, GivenScheduler
from hxloop.training.trainer_state import EpochSums, TrainerState

# Trials of the validation after epoch e: beyond those of any training, below EVALUATION_TRIAL.
VALIDATION_TRIAL = 1 << 40


class Trainer:
    """Trains a ``LoopNetwork``.

    Args:
        network: what to train; its weights are changed, its session is used.
        loss: the objective.
        train, validation: encoded samples.
        options: how.
        run_dir: folder for ``metrics.jsonl`` and ``checkpoints/``; None writes nothing.
        progress: who is told how it goes; True: a line for an epoch on standard error.
        after_epoch: called with the number of epochs done, after the checkpoint of each epoch,
            and again when a training goes on from such a checkpoint. It may run the network
            but not change it.
        events: who watches, see ``TrainingEvents``; told in this order, after ``progress``.
        optimizer: of torch, with rates of its own; or a function that makes one of groups of
            parameters (``partial(torch.optim.SGD, momentum=0.9)``); None: as ``options`` say.
        scheduler: of torch, of that optimizer, or a function that makes one of an optimizer.

    Attributes:
        state: how far it is.
        events: everybody who watches; may be added to.

    Example:
        >>> from hxloop import LoopNetwork, NetworkSpec, get_backend, get_loss
        >>> spec = NetworkSpec.feed_forward(2, 2)
        >>> data = SpikeData(np.array([[0.1, 0.9], [0.9, 0.1]]), np.array([0, 1]))
        >>> with get_backend("ideal").open(spec) as session:
        ...     network = LoopNetwork(session, [np.full((2, 2), 2.0)])
        ...     options = TrainingOptions(epochs=20, batch_size=2, learning_rate=0.05)
        ...     result = Trainer(
        ...         network, get_loss("time-to-first-spike"), data, data, options
        ...     ).fit()
        >>> result.validation_accuracy
        1.0
    """

    def __init__(
        self,
        network: LoopNetwork,
        loss: Loss,
        train: SpikeData,
        validation: SpikeData,
        options: TrainingOptions,
        *,
        run_dir: str | os.PathLike[str] | None = None,
        progress: ProgressListener | bool | None = None,
        after_epoch: Callable[[int], None] | None = None,
        events: Iterable[TrainingEvents] = (),
        optimizer: GivenOptimizer | None = None,
        scheduler: GivenScheduler | None = None,
    ) -> None:
        check_training(network, loss, train, validation, options)
        self._after_epoch = AfterEpoch(after_epoch)
        self.events = AllOf([*of_progress(progress), *events, self._after_epoch])
        self.network, self.loss, self.options = network, loss, options
        self.train_data, self.validation_data = train, validation
        self.run_dir = None if run_dir is None else checks.path("run_dir", run_dir)
        network.max_dw_norm, network.retries = options.max_dw_norm, options.retries
        if options.time_limit is not None:
            network.time_limit = options.time_limit
        self._optimiser = Optimiser(network, options, self.batches_per_epoch, optimizer, scheduler)
        self._stop = False
        self.state = TrainerState(sums=EpochSums.empty(network.session.network))
        if forbidden := network.enforce_dale():
            self._note([dale_note(forbidden)])
        self._best = network.parameters_held().copy()
        self._saved = SavedTraining(self.run_dir, network.session.network, self._optimiser)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of an epoch; the last may be smaller."""
        return -(-len(self.train_data) // self.options.batch_size)

    @property
    def epochs_done(self) -> int:
        """How many epochs of training the weights have seen to their end."""
        return self.state.epoch

    @property
    def after_epoch(self) -> Callable[[int], None] | None:
        """What is called with the number of epochs done; None: nothing."""
        return self._after_epoch.call

    @after_epoch.setter
    def after_epoch(self, call: Callable[[int], None] | None) -> None:
        """Call another function."""
        self._after_epoch.call = call

    def request_stop(self) -> None:
        """Stop after the current batch with a checkpoint. Safe in a signal handler."""
        self._stop = True

    def fit(self) -> TrainingResult:
        """Train to the end, from where the trainer stands.

        Raises:
            TrainingInterrupted: it was asked to stop; a checkpoint was written.
            RunFailed: the substrate failed for good, or the loss became NaN. The last
                checkpoint is kept.
        """
        state, options = self.state, self.options
        for data, use in ((self.train_data, "training"), (self.validation_data, "validation")):
            self._note(data_notes(data, self.network.session.network, use))
        self.events.started(state.epoch, options.epochs, self.batches_per_epoch, state.batch)
        with told_of_compilers(self.events):
            while state.epoch < options.epochs and not state.finished:
                self._epoch(Stopwatch())
                if state.epoch < options.epochs and not state.finished and self._is_to_stop():
                    self._interrupt()
        result = self._result()
        self.events.finished(result)
        return result

    def resume(self) -> None:
        """Go back to the last checkpoint of the run folder; ``fit`` continues from there.

        Raises:
            FileFormatError: there is none, it is damaged, or it is of another network.
            ConfigError: it is of another training, with other options, loss or data; or more
                epochs are done than there are to be.
        """
        self.state, self._best, notes = self._saved.restore(
            self._optimiser, self._described, self.options
        )
        self.note(notes)
        write_metrics(self.run_dir, self.state.metrics)

    def evaluate(
        self,
        data: SpikeData,
        trial: int = EVALUATION_TRIAL,
        observer: RunObserver | None = None,
        *,
        quiet: bool = False,
    ) -> EvaluationResult:
        """Evaluate the current weights; see ``evaluate``. Nothing is warned of twice."""
        result = evaluate(
            self.network, self.loss, data, self.options.batch_size, trial, observer, quiet=True
        )
        if not quiet:
            tell(note for note in result.notes if note.key not in self.state.noted)
        return result

    def _epoch(self, start: Stopwatch) -> None:
        state, options = self.state, self.options
        order = sample_order(len(self.train_data), options.seed, state.epoch)
        while state.batch < self.batches_per_epoch:
            first = state.batch * options.batch_size
            self._step(order[first : first + options.batch_size])
            self._between_batches(start)
        self._end_epoch(start)

    def _step(self, samples: NDArray[np.int64]) -> None:
        state, given = self.state, (self._optimiser, self.options, self.train_data, samples)
        self._optimiser.begin_batch(state.epoch + state.batch / self.batches_per_epoch)
        seen = None if state.step else self._note_weights
        value = train_batch(self.network, self.loss, *given, state, seen)
        state.batch += 1
        state.step += 1
        self.events.batch(state.epoch, state.batch, value)

    def _note_weights(self, activity: Activity) -> None:
        on = self.network.session
        limit = on.capabilities.weight_limit
        self._note(weight_notes(activity.info, on.network, limit, initial=True))

    def _between_batches(self, start: Stopwatch) -> None:
        state, every = self.state, self.options.checkpoint_every
        if state.batch == self.batches_per_epoch:
            return  # the end of the epoch follows, with its own checkpoint
        if self._is_to_stop():
            state.sums.seconds += start.seconds
            self._interrupt()
        if every is not None and state.batch % every == 0:
            self._checkpoint()

    def _is_to_stop(self) -> bool:
        return self._stop or self.events.wants_stop()

    def _interrupt(self) -> None:
        self._checkpoint()
        self.events.stopped(self.state.epoch, self.state.batch)
        where = f"resume with: hxloop resume {self.run_dir}" if self.run_dir else "nothing saved"
        raise TrainingInterrupted(
            f"training stopped in epoch {self.state.epoch + 1} of {self.options.epochs}, "
            f"after batch {self.state.batch}; {where}"
        )

    def note(self, notes: Iterable[Note]) -> None:
        """Keep notes, in place of earlier ones of their keys, and warn of them."""
        new = [*notes]
        self.state.replace_notes(new)
        tell(new)

    def _note(self, notes: Iterable[Note]) -> None:
        """Keep notes, and warn of those that are new; a resumed training has told the others."""
        tell(self.state.add_notes(notes))

    def _end_epoch(self, start: Stopwatch) -> None:
        state, options = self.state, self.options
        trial = VALIDATION_TRIAL + state.epoch * (1 << 20)
        with self._optimiser.average.in_place():
            result = self.evaluate(self.validation_data, trial, quiet=True)
            judged = self.network.parameters_held().copy()
        metrics = state.sums.metrics(state.epoch + 1, result, self._optimiser, start.seconds)
        tell_compiled(self.events, start, state.epoch + 1)
        self._note(neuron_notes(metrics))
        state.metrics.append(metrics)
        state.epoch, state.batch = state.epoch + 1, 0
        state.sums = EpochSums.empty(self.network.session.network)
        if result.accuracy >= state.best_accuracy:
            state.best_accuracy, state.best_epoch = result.accuracy, state.epoch
            self._best = judged
        self._optimiser.end_epoch(result.accuracy)
        state.finished = state.stopped_early(options)
        last = state.finished or state.epoch == options.epochs
        # Much is silent or undecided in the first epochs; that nothing spikes at all never mends.
        self._note(n for n in result.notes if last or n.key == "layer-never-spikes")
        metrics["notes"] = state.unwritten_notes()
        # The checkpoint first: it is what counts, and resuming writes the metrics from it.
        self._checkpoint()
        append_metrics(self.run_dir, state.metrics)
        self.events.epoch(metrics)

    def _result(self) -> TrainingResult:
        state = self.state
        if self.options.select == "best" and state.best_epoch:
            epoch, accuracy = state.best_epoch, state.best_accuracy
            self.network.hold(self._best)
        else:
            epoch, accuracy = state.epoch, state.metrics[-1]["validation_accuracy"]
            self._optimiser.average.hold()
        return TrainingResult(
            tuple(state.metrics), self.network.parameters_held().copy(), epoch, accuracy,
            tuple(Note.from_dict(note) for note in state.notes),
        )  # fmt: skip

    def _checkpoint(self) -> None:
        kept = self._best, self._described, self.options.epochs
        self._saved.save(self.state, self._optimiser, *kept)

    @cached_property
    def _described(self) -> dict[str, Any]:
        """What the steps hang on, for the checkpoints."""
        given = self.network, self.loss, self.options, self.train_data, self.validation_data
        return describe_training(*given) | self._optimiser.described
