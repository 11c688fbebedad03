"""What studies share: their options, their folder, and the trainings they consist of.

A study is a configuration with a ``[study]`` table, see ``registry.study_of``. Its folder holds
``config.toml``, ``results.json``, ``results.md`` and a run folder for every training; a study
that was stopped goes on with what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from numpy.typing import NDArray

from hxloop.errors import ConfigError, OutputError, unknown_name
from hxloop.provenance import now, provenance
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import FolderState, state_of
from hxloop.runs.run import (
    OnTrainer,
    Prepared,
    RunResult,
    resume_prepared,
    train_prepared,
)
from hxloop.substrate import get_backend
from hxloop.training.options import ProgressListener

Options = TypeVar("Options")


def study_options(cls: type[Options], config: ExperimentConfig) -> Options:
    """Read the ``[study]`` table.

    Args:
        cls: a dataclass of the options of the study.
        config: the experiment.

    Raises:
        ConfigError: unknown keys, or what ``cls`` refuses.
    """
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for key in config.study:
        if key not in known:
            raise ConfigError(unknown_name("key in [study]", key, known))
    return cls(**config.study)


def check_list(key: str, values: Any) -> None:
    """Refuse what is no list, empty, or repeats itself.

    Raises:
        ConfigError: any of these.
    """
    if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
        raise ConfigError(f"study.{key}: expected a list without repeats; got {values!r}")


def study_folder(config: ExperimentConfig, out: Path, force: bool) -> RunDirectory:
    """The folder of a study, made, or found with the same configuration.

    Raises:
        OutputError: ``out`` holds something else, or cannot be written.
    """
    if (out / "config.toml").is_file() and not force:
        if RunDirectory.open(out).config() == config.with_absolute_paths():
            return RunDirectory.open(out)
        if state_of(out) is FolderState.RUN:
            raise OutputError(
                f"{out}: holds a study or run of another configuration. Give another --out, or "
                "--force to replace it."
            )
    folder = RunDirectory.create(out, force=force)
    folder.write_json("provenance.json", provenance(seed=config.seed))
    folder.write_config(config)
    return folder


def on_backend(config: ExperimentConfig, name: str, options: dict[str, Any]) -> ExperimentConfig:
    """The configuration of one training of a study: on that backend, a run like any other.

    A calibration, its twin and a recording belong to one chip. They go along to the substrate of
    the study itself, and to no other.
    """
    backend = config.backend.model_copy(update={"name": name, "options": options})
    if (name, options) != (config.backend.name, config.backend.options):
        backend = backend.model_copy(update={"calibration": None, "twin": False, "record": None})
    return config.model_copy(update={"backend": backend, "study": {}})


def prepared_on(prepared: Prepared, name: str, options: dict[str, Any]) -> Prepared:
    """The same training on another backend, see ``on_backend``."""
    own = prepared.config.backend
    moved = replace(
        prepared,
        config=on_backend(prepared.config, name, options),
        backend=get_backend(name, **options),
    )
    same = (name, options) == (own.name, own.options)
    return moved if same else replace(moved, calibration=None, twin=None)


def check_no_calibration(config: ExperimentConfig, why: str) -> None:
    """Refuse a calibration, a twin and a recording in a study that could use none of them.

    Args:
        config: of the study.
        why: as the message says it.

    Raises:
        ConfigError: there is one.
    """
    for key in ("calibration", "twin", "record"):
        if value := getattr(config.backend, key):
            raise ConfigError(
                f"backend.{key}: expected none in the study {config.name!r}, {why}; got {value!r}"
            )


def empty_results(
    config: ExperimentConfig, options: Any, empty: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``results.json`` holds before anything was measured.

    Args:
        config: of the study.
        options: its ``[study]``, a dataclass.
        empty: results of its own.
    """
    results = {
        "experiment": config.name,
        "seed": config.seed,
        "epochs": config.training.epochs,
        "study": asdict(options),
        **empty,
        "finished": None,
    }
    # As it would be read again: lists, not tuples.
    found: dict[str, Any] = json.loads(json.dumps(results))
    return found


P = ParamSpec("P")
R = TypeVar("R")


def one_at_a_time(
    run: Callable[Concatenate[ExperimentConfig, Path, P], R],
) -> Callable[Concatenate[ExperimentConfig, Path, P], R]:
    """For the ``run`` of a study: refuses a folder in which another process runs one.

    Raises (when called):
        OutputError: another process does.
    """

    @wraps(run)
    def reserving(config: ExperimentConfig, out: Path, *more: P.args, **named: P.kwargs) -> R:
        with RunDirectory.reserved(out):
            return run(config, out, *more, **named)

    return cast("Callable[Concatenate[ExperimentConfig, Path, P], R]", reserving)


@dataclass(frozen=True)
class Study:
    """A study under way: its folder, and the results so far, which no interruption loses.

    Attributes:
        folder: of the study.
        results: what ``results.json`` holds; change it, then ``save``.
        table: ``results`` as Markdown, "" as long as there is nothing to show.
        progress, on_trainer: see ``hxloop.runs.train``.
    """

    folder: RunDirectory
    results: dict[str, Any]
    table: Callable[[Mapping[str, Any]], str]
    progress: ProgressListener | None
    on_trainer: OnTrainer | None

    @classmethod
    def open(
        cls,
        config: ExperimentConfig,
        out: Path,
        options: Any,
        empty: Mapping[str, Any],
        table: Callable[[Mapping[str, Any]], str],
        *,
        force: bool,
        progress: ProgressListener | None,
        on_trainer: OnTrainer | None,
    ) -> Study:
        """Begin a study, or go on with the one in ``out``.

        Args:
            config: of the study.
            out: its folder.
            options: its ``[study]``, a dataclass; they stand in the results.
            empty: results before anything was measured.
            table, progress, on_trainer: see above.
            force: start anew in a folder that holds another study.

        Raises:
            OutputError: ``out`` holds something else, or cannot be written.
        """
        folder = study_folder(config, out, force)
        if (folder.path / "results.json").exists():
            results = folder.read_json("results.json")
        else:
            results = empty_results(config, options, empty)
        return cls(folder, results, table, progress, on_trainer)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    def save(self) -> None:
        """Write the results so far."""
        self.folder.write_json("results.json", self.results)
        self.folder.write_text("results.md", self.table(self.results))

    def finish(self) -> None:
        """Write the results, with the moment at which the study was first complete."""
        self.results["finished"] = self.results["finished"] or now()
        self.save()

    def train(self, name: str, prepared: Prepared) -> RunResult:
        """Train one part in the run folder ``name``, or go on with what is there."""
        path = self.path / name
        progress, on_trainer = self.progress, self.on_trainer
        if (path / "config.toml").is_file():
            return resume_prepared(prepared, path, progress=progress, on_trainer=on_trainer)
        # What is there without a config.toml was stopped before it was a run; it is ours.
        return train_prepared(prepared, path, force=True, progress=progress, on_trainer=on_trainer)

    def train_first(self, name: str, prepared: Prepared) -> None:
        """Train what everything else starts from, and keep what came of it in ``results[name]``."""
        # The folder is relative, so that a study can be moved and shared.
        self.results[name] = self.train(name, prepared).as_dict() | {"run_dir": name}
        self.save()

    def weights(self, name: str, prepared: Prepared) -> tuple[NDArray[Any], ...]:
        """Weights of a part that has been trained."""
        return RunDirectory.open(self.path / name).weights(prepared.network).weights
