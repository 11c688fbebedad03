"""A run in its folder, opened in Python: what it was, what came of it, and its network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hxloop import checks
from hxloop.activity.log.reader import ActivityLog
from hxloop.errors import FileFormatError, MissingDependencyError
from hxloop.files.json_text import parse_json
from hxloop.network import Parameters
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.elsewhere import evaluation_backend
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import CONFIG, EVALUATION, PROVENANCE
from hxloop.runs.plan import Prepared, plan
from hxloop.training.checkpoint import METRICS
from hxloop.training.loop import LoopNetwork


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not; nothing is read before it is asked for.

    Example:
        ``run = Run.open("runs/yin-yang")``, then ``run.metrics[-1]["validation_accuracy"]``, or
        ``with run.network() as network: network.trains(inputs)``.
    """

    folder: RunDirectory

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """The run in a folder.

        Raises:
            FileFormatError: there is none.
        """
        return cls(RunDirectory.open(checks.path("Run.open", path)))

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @cached_property
    def config(self) -> ExperimentConfig:
        """Its configuration, complete."""
        return self.folder.config()

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """When, where and with which versions it was trained; empty before it began."""
        there = (self.path / PROVENANCE).is_file()
        return self.folder.read_json(PROVENANCE) if there else {}

    @cached_property
    def evaluation(self) -> Mapping[str, Any] | None:
        """What its test came to; None: it is not finished."""
        return self.folder.read_json(EVALUATION) if self.folder.is_finished else None

    @cached_property
    def metrics(self) -> tuple[Mapping[str, Any], ...]:
        """An entry for each epoch that is done, as ``metrics.jsonl`` has them.

        A last line that is just being written is left out.

        Raises:
            FileFormatError: a line is damaged.
        """
        path = self.path / METRICS
        if not path.is_file():
            return ()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        found = []
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                continue
            try:
                found.append(parse_json(line))
            except ValueError as error:
                raise FileFormatError(f"{path}, line {number}: damaged: {error}") from error
        return tuple(found)

    def metrics_frame(self) -> Any:
        """``metrics`` as a pandas data frame, an epoch a row.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError(
                "Run.metrics_frame needs the package 'pandas', which is not installed; try: pip "
                "install 'hxloop[tables]'"
            ) from error
        return pd.DataFrame(list(self.metrics)).set_index("epoch", drop=False)

    @cached_property
    def plan(self) -> Prepared:
        """What its configuration describes; data are read when they are asked for."""
        return plan(self.config, "test")

    @cached_property
    def parameters(self) -> Parameters:
        """The trained weights, and delays and neurons where it has some.

        Raises:
            FileFormatError: there are none yet, or they are damaged or of another training.
        """
        return self.folder.weights(self.plan.network)

    @property
    def activity(self) -> ActivityLog:
        """What all layers did, before and after, as far as it was recorded: open, to be closed.

        Raises:
            FileFormatError: nothing was.
        """
        return ActivityLog.open(self.folder.activity)

    @contextmanager
    def network(
        self, backend: str | None = None, options: Mapping[str, Any] | None = None
    ) -> Iterator[LoopNetwork]:
        """The trained network on an open session, which is closed in the end.

        Args:
            backend: name of another one than its own; None: its own, with its calibration.
            options: of the backend, added to its own where it is the same.

        Raises:
            HxloopError: the backend cannot be opened, or there are no weights.
        """
        chosen = evaluation_backend(self.config.backend, backend, options)
        prepared = plan(self.config.model_copy(update={"backend": chosen}), "test")
        session = prepared.open_session()
        try:
            yield replace(prepared, weights=self.parameters).loop_network(session)
        finally:
            session.close()


def runs_in(root: Path) -> list[Run]:
    """The runs in a folder and in the folders below it, by path; a study's are its trainings."""
    found = []
    for folder, names, files in os.walk(root):
        names.sort()
        if CONFIG in files:
            run = Run(RunDirectory(Path(folder)))
            if not run.config.study:
                names.clear()
                found.append(run)
    return found
