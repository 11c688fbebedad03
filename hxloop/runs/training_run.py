"""A training as a run: one object that owns its folder, its trainer and its recorder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hxloop.activity import TRAINED
from hxloop.errors import OutputError
from hxloop.provenance import now, provenance
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import EVALUATION, IDENTITY, PROVENANCE
from hxloop.runs.identity import change_notes, identity_of, run_digest
from hxloop.runs.plan import Prepared, RunResult
from hxloop.runs.recorder import FINAL, ActivityRecorder
from hxloop.runs.watching import OfTrainer
from hxloop.substrate import Session
from hxloop.training.events import TrainingEvents
from hxloop.training.identity import Difference
from hxloop.training.notes import Note, tell
from hxloop.training.options import EvaluationResult, TrainingResult
from hxloop.training.trainer import Trainer


def begun_folder(prepared: Prepared, path: Path, *, force: bool = False) -> RunDirectory:
    """A run folder in which a training is begun: it says what it is of, and nothing is trained.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
    """
    folder = RunDirectory.create(path, force=force)
    folder.write_json(IDENTITY, identity_of(prepared))
    folder.write_json(PROVENANCE, _origin(prepared.config))
    folder.write_config(prepared.config)
    return folder


class TrainingRun:
    """A training, from where its folder stands to the evaluation of what was learned.

    Args:
        prepared: what is trained.
        session: open, of ``prepared``.
        folder: of the run, see ``begun_folder``; None writes nothing.
        events: who watches; told in this order, and before the activity is recorded.
        changes: settings that are others than those that the training was begun with.
        report: whether a report is written, which takes longer than a short training.

    Attributes:
        prepared, session, folder: as given.
        trainer: it trains; its ``events`` tell everybody.
        recorder: it records the activity; None: none is recorded.
    """

    def __init__(
        self,
        prepared: Prepared,
        session: Session,
        folder: RunDirectory | None = None,
        events: Iterable[TrainingEvents] = (),
        changes: Sequence[Difference] = (),
        report: bool = True,
    ) -> None:
        self.prepared, self.session, self.folder = prepared, session, folder
        self._changes, self._report = changes, report
        told = [*events]
        self.trainer = Trainer(
            prepared.loop_network(session),
            prepared.loss,
            prepared.data["train"],
            prepared.data["validation"],
            prepared.config.training_options(),
            run_dir=folder.path if folder else None,
            events=told,
        )
        self.recorder: ActivityRecorder | None = None
        if folder is not None and prepared.config.activity.epochs:
            self.recorder = ActivityRecorder(folder.activity, prepared, self.trainer)
            self.trainer.events.watchers.append(self.recorder)
        for watcher in told:
            if isinstance(watcher, OfTrainer):
                watcher.call(self.trainer)

    def run(self) -> RunResult:
        """Train from where the folder stands, evaluate, and write what came of it.

        Raises:
            TrainingInterrupted: stopped on request; there is a checkpoint to go on from.
            FileFormatError, ConfigError: there is one, and it is damaged or of another training.
            RunFailed: the substrate failed for good.
            OutputError: something could not be written; weights and checkpoint are kept.
        """
        origin = self._origin()
        self._go_on()
        if self.folder is not None:
            self.folder.write_json(PROVENANCE, origin)
        training = self.trainer.fit()
        # At once: whatever follows may fail, or be stopped, and must not cost the weights.
        self._write_weights(training)
        test = self._test(training.epoch)
        chip, folder = test.info.chip_id, self.folder
        path = None if folder is None else folder.path
        result = RunResult(self.prepared.config, training, test, chip, path)
        if folder is None:
            return result
        if chip:
            self._write_weights(training, chip)
        result = self._write_results(folder, result, origin)
        if self.recorder is not None and self.recorder.failure is not None:
            raise OutputError(
                f"{self.recorder.failure}. The training is complete, and everything else is in "
                f"{path}. Record its activity again: hxloop evaluate {path} --activity FILE"
            ) from self.recorder.failure
        return result

    def _origin(self) -> dict[str, Any]:
        """Where this comes from, and when it was begun and gone on with."""
        origin, folder = _origin(self.prepared.config), self.folder
        # A run that was stopped before its first checkpoint starts at the beginning.
        if folder is not None and folder.started and (folder.path / PROVENANCE).exists():
            before = folder.read_json(PROVENANCE)
            resumed = [*before.get("resumed", []), origin["started"]]
            origin |= {"started": before.get("started"), "resumed": resumed}
        return origin

    def _go_on(self) -> None:
        """To the last checkpoint, if there is one; the initial weights are recorded before."""
        trainer, recorder, folder = self.trainer, self.recorder, self.folder
        if recorder is not None:
            recorder.between(0)
        if folder is not None and folder.started:
            trainer.resume()
        if folder is not None and self._changes:
            # Only now: what could not be gone on with has changed nothing.
            folder.write_config(self.prepared.config)
            folder.write_json(IDENTITY, identity_of(self.prepared))
            trainer.note(change_notes(self._changes))
        if recorder is not None:
            recorder.continue_from(trainer.epochs_done)

    def _test(self, epoch: int) -> EvaluationResult:
        """The test split; recorded with it, or instead of it, what was selected."""
        trainer, recorder, test = self.trainer, self.recorder, self.prepared.data["test"]
        if recorder is None or FINAL not in self.prepared.config.activity.epochs:
            return trainer.evaluate(test)
        if recorder.split != "test":
            recorder.record_final(epoch)
            return trainer.evaluate(test)
        with recorder.state(TRAINED, epoch) as observer:
            return trainer.evaluate(test, observer=observer)

    def _write_weights(self, training: TrainingResult, chip: str | None = None) -> None:
        if self.folder is None:
            return
        prepared, capabilities = self.prepared, self.session.capabilities
        metadata = {
            "experiment": prepared.config.name,
            "run": run_digest(identity_of(prepared)),
            "network": str(prepared.network),
            "layout": "(pre, post)",
            "config_digest": prepared.config.digest,
            "backend": prepared.backend.name,
        }
        limit, levels = capabilities.weight_limit, capabilities.weight_levels
        if limit is not None and levels is not None:
            metadata["weight_lsb"] = repr(limit / levels)
        self.folder.write_weights(training.parameters, metadata | ({"chip": chip} if chip else {}))

    def _write_results(
        self, folder: RunDirectory, result: RunResult, origin: dict[str, Any]
    ) -> RunResult:
        folder.write_json(EVALUATION, result.as_dict())
        origin |= {"finished": now(), "chip": result.chip_id}
        if not self._report:
            folder.write_json(PROVENANCE, origin)
            return result
        # Imported here: figures take a second to import.
        try:
            from hxloop.runs.report.training_report import report_failure
        except ModuleNotFoundError as error:
            # A machine of a chip need not have what draws figures; the run is finished without.
            left_out = _without_report(error, folder.path)
            folder.write_json(PROVENANCE, origin)
            tell([left_out])
            return replace(result, problems=(left_out,))

        network = self.trainer.network
        failure = report_failure(self.prepared, network, result, origin, folder.report)
        # Last: a run is finished when all its files are there.
        if failure is None:
            folder.write_json(PROVENANCE, origin)
            return result
        tell([failure])
        return replace(result, problems=(failure,))


def _without_report(error: ModuleNotFoundError, run: Path) -> Note:
    package = (error.name or "matplotlib").partition(".")[0]
    return Note(
        "report-left-out",
        f"There is no report: the package {package!r}, which draws it, is not installed. The "
        f"training is complete, and everything else is in {run}. For a report: pip install "
        f"{package}, then hxloop resume {run}",
    )


def _origin(config: ExperimentConfig) -> dict[str, Any]:
    return provenance(seed=config.seed, backend=config.backend.name)
