"""What a training writes to ``activity.h5``, without changing the training.

All recorded runs are evaluations with trials of their own, so no random stream of the training
moves. A log that cannot be written, or is lost while the training goes on, does not stop it: that
is told at once by a note, and at the end by an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import (
    TRAINED,
    Activity,
    ActivityWriter,
    StateWriter,
    epoch_name,
)
from hxloop.activity.log.schema import epoch_of
from hxloop.errors import FileFormatError, OutputError
from hxloop.runs.plan import Prepared
from hxloop.training.evaluation import EVALUATION_TRIAL, RunObserver
from hxloop.training.events import BetweenEpochs
from hxloop.training.losses import reads_of
from hxloop.training.notes import Note
from hxloop.training.options import SpikeData
from hxloop.training.readout import FIRST
from hxloop.training.trainer import Trainer

FINAL = "final"


class ActivityRecorder(BetweenEpochs):
    """Records a training at the moments that its configuration names.

    Args:
        path: the activity log; made when the first state begins.
        prepared: what to record is told in the section ``activity`` of its configuration.
        trainer: whose network is recorded; its ``note`` takes what is to be told at once, its
            ``events`` tell of each state that was written.

    Attributes:
        failure: why the log could not be written; None = all went well so far. After a failure
            nothing more is recorded.

    The log is locked only while something is written to it.
    """

    def __init__(self, path: Path, prepared: Prepared, trainer: Trainer) -> None:
        self.path, self.prepared, self.trainer = path, prepared, trainer
        config = self.config = prepared.config
        self.split, self.samples = config.activity.split, config.activity.samples
        data = prepared.data[self.split]
        self.data = _first_batches(data, self.samples, config.training.batch_size)
        self.failure: OutputError | FileFormatError | None = None
        self._begun = False

    def continue_from(self, epoch: int) -> None:
        """Forget what was recorded after an epoch, from which a training goes on.

        Raises:
            FileFormatError: there is a log, and it is damaged or not of this network.
        """
        if not self.path.exists():
            return
        with self._noting(), self._open() as log:
            late = [name for name in log.states if (epoch_of(name) or 0) > epoch]
            log.drop([*late, TRAINED])

    def between(self, epochs: int) -> None:
        """Record the network after so many epochs, if that is wanted and not done yet.

        Raises:
            FileFormatError: there is a log, and it is damaged or not of this network.
            RunFailed: the substrate failed.
        """
        if self.failure is not None or epochs not in self.config.activity.epochs:
            return
        name = epoch_name(epochs)
        if self.path.exists():
            with self._noting(), self._open() as log:
                if name in log.complete_states:
                    return
        if self.failure is not None:
            return
        with self.state(name, epochs) as observer:
            self._evaluate(observer)

    def record_final(self, epoch: int) -> None:
        """Record the selected weights, those of an epoch, on another split than the test's.

        On the test split they are recorded while they are evaluated, see ``state``.
        """
        if self.failure is None and FINAL in self.config.activity.epochs:
            with self.state(TRAINED, epoch) as observer:
                self._evaluate(observer)

    @contextmanager
    def state(self, name: str, epoch: int) -> Iterator[RunObserver]:
        """An observer for ``evaluate`` that records the first samples as a state."""
        log: ActivityWriter | None = None
        writer: StateWriter | None = None
        left = self.samples
        if self.failure is None:
            with self._noting():
                log = self._open()
                writer = log.state(
                    name,
                    epoch=epoch,
                    split=self.split,
                    n_samples=min(left, len(self.data)),
                    input_trains=self.data.spikes_again or None,
                )

        def observe(
            activity: Activity, labels: NDArray[np.int64], decisions: NDArray[np.int64]
        ) -> None:
            nonlocal left
            n = min(left, len(labels))
            if writer is not None and self.failure is None and n:
                with self._noting():
                    writer.append(activity.select(slice(0, n)), labels[:n], decisions[:n])
                left -= n

        try:
            yield observe
            if writer is not None and self.failure is None:
                with self._noting():
                    writer.close()
                if self.failure is None:
                    self.trainer.events.recorded(name)
        finally:
            if writer is not None:
                writer.abandon()
            if log is not None:
                log.close()

    def _evaluate(self, observer: RunObserver) -> None:
        self.trainer.evaluate(self.data, EVALUATION_TRIAL, observer, quiet=True)

    def _open(self) -> ActivityWriter:
        if self._begun and not self.path.is_file():
            raise OutputError(f"{self.path}: was removed while the training was recorded to it")
        log = ActivityWriter(
            self.path,
            self.trainer.network.session.network,
            about=about(self.prepared),
            compress=self.config.activity.compress,
        )
        self._begun = True
        return log

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OutputError as error:
            self._fail(error)
        except FileFormatError as error:
            if not self._begun:  # damaged before: told before anything is computed
                raise FileFormatError(
                    f"{error}. If nothing can be read from it any more, move it away and resume: "
                    "the training loses nothing; what is still to come is recorded to a new file"
                ) from error
            self._fail(error)

    def _fail(self, error: OutputError | FileFormatError) -> None:
        self.failure = error
        text = f"{error}. The training goes on without recording its activity"
        self.trainer.note([Note("activity-not-recorded", text)])


def about(prepared: Prepared) -> dict[str, object]:
    """What a log tells about its origin, and by which rule its decisions were made."""
    config, reads = prepared.config, reads_of(prepared.loss)
    return {
        "decision_rule": prepared.loss.decision_rule,
        # As logs of losses that read first spikes always were.
        **({} if reads == FIRST else {"decision_reads": reads}),
        "class_names": list(prepared.class_names),
        "experiment": config.name,
        "dataset": prepared.data_name,
        "seed": config.seed,
        "backend": config.backend.name,
        "config_digest": config.digest,
    }


def _first_batches(data: SpikeData, samples: int, batch_size: int) -> SpikeData:
    # Whole batches: trial noise is drawn by the batch, and a simulator may compile for its size.
    n = -(-samples // batch_size) * batch_size
    return data if n >= len(data) else SpikeData(data.inputs(slice(n)), data.labels[:n], data.image)
