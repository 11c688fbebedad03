"""What studies share: their options, their folder, and the trainings they consist of.

A study is a configuration with a ``[study]`` table, see ``registry.study_of``. Its folder holds
``config.toml``, ``results.json``, ``results.md`` and a run folder for every training; a study
that was stopped goes on with what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hxloop.errors import ConfigError, OutputError, unknown_name
from hxloop.network import Parameters
from hxloop.provenance import now, provenance
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import FolderState, state_of
from hxloop.runs.run import Prepared, RunResult, resume_prepared, train_prepared
from hxloop.runs.watching import OnTrainer, watchers
from hxloop.substrate import get_backend
from hxloop.training.events import AllOf, TrainingEvents
from hxloop.training.options import ProgressListener

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def save_figure(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write a figure of a study.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=dpi)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


class RunOfStudy(Protocol):
    """What the ``run`` of a study is for whoever calls it."""

    def __call__(
        self,
        config: ExperimentConfig,
        out: Path,
        *,
        force: bool = False,
        events: Iterable[TrainingEvents] = (),
        progress: ProgressListener | bool | None = None,
        on_trainer: OnTrainer | None = None,
        say: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """Run it, or what is missing of it.

        Args:
            config: of the study.
            out: its folder.
            force: start anew in a folder that holds another study.
            events: who watches: trainings, and the news of what is done next.
            progress, on_trainer: see ``hxloop.runs.train``.
            say: told in words what is done next.

        Raises:
            OutputError: another process runs one in that folder.
        """
        ...


def run_of_study(run: Callable[..., dict[str, Any]]) -> RunOfStudy:
    """For ``run(config, out, force, events)`` of a study: called with whoever watches, as one.

    It refuses a folder in which another process runs one.
    """

    @wraps(run)
    def given(
        config: ExperimentConfig,
        out: Path,
        *,
        force: bool = False,
        events: Iterable[TrainingEvents] = (),
        progress: ProgressListener | bool | None = None,
        on_trainer: OnTrainer | None = None,
        say: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        told = AllOf(watchers(events, progress, on_trainer, say))
        with RunDirectory.reserved(out):
            return run(config, out, force, told)

    return given


@dataclass(frozen=True)
class Study:
    """A study under way: its folder, and the results so far, which no interruption loses.

    Attributes:
        folder: of the study.
        results: what ``results.json`` holds; change it, then ``save``.
        table: ``results`` as Markdown, "" as long as there is nothing to show.
        events: who watches.
    """

    folder: RunDirectory
    results: dict[str, Any]
    table: Callable[[Mapping[str, Any]], str]
    events: AllOf

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
        events: AllOf,
    ) -> Study:
        """Begin a study, or go on with the one in ``out``.

        Args:
            config: of the study.
            out: its folder.
            options: its ``[study]``, a dataclass; they stand in the results.
            empty: results before anything was measured.
            table, events: see above.
            force: start anew in a folder that holds another study.

        Raises:
            OutputError: ``out`` holds something else, or cannot be written.
        """
        folder = study_folder(config, out, force)
        if (folder.path / "results.json").exists():
            results = folder.read_json("results.json")
        else:
            results = empty_results(config, options, empty)
        return cls(folder, results, table, events)

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
        path, events = self.path / name, self.events.watchers
        if (path / "config.toml").is_file():
            return resume_prepared(prepared, path, events=events)
        # What is there without a config.toml was stopped before it was a run; it is ours.
        return train_prepared(prepared, path, force=True, events=events)

    def train_first(self, name: str, prepared: Prepared) -> None:
        """Train what everything else starts from, and keep what came of it in ``results[name]``."""
        # The folder is relative, so that a study can be moved and shared.
        self.results[name] = self.train(name, prepared).as_dict() | {"run_dir": name}
        self.save()

    def weights(self, name: str, prepared: Prepared) -> Parameters:
        """What a part has learned that has been trained."""
        return RunDirectory.open(self.path / name).weights(prepared.network)
