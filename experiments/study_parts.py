"""What studies share: their folder, their options, and the trainings they consist of.

A study is a configuration with a ``[study]`` table, see ``registry.study_of``. Its folder holds
``config.toml``, ``results.json`` and a run folder for every training; a study that was stopped
goes on with what is missing.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from hxloop.backend import unknown_name
from hxloop.config import ExperimentConfig
from hxloop.errors import ConfigError, OutputError
from hxloop.experiment import OnTrainer, Prepared, RunResult, resume_prepared, train_prepared
from hxloop.provenance import provenance
from hxloop.rundir import RunDirectory
from hxloop.training_options import ProgressListener

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
        if RunDirectory.open(out).config() == config:
            return RunDirectory.open(out)
        raise OutputError(
            f"{out}: holds a study or run of another configuration. Give another --out, or --force "
            "to replace it."
        )
    folder = RunDirectory.create(out, force=force)
    folder.write_config(config)
    folder.write_json("provenance.json", provenance(seed=config.seed))
    return folder


def on_backend(config: ExperimentConfig, name: str, options: dict[str, Any]) -> ExperimentConfig:
    """The configuration of one training of a study: on that backend, a run like any other."""
    backend = config.backend.model_copy(update={"name": name, "options": options})
    return config.model_copy(update={"backend": backend, "study": {}})


def train_part(
    prepared: Prepared,
    path: Path,
    progress: ProgressListener | None,
    on_trainer: OnTrainer | None,
) -> RunResult:
    """Train one part of a study in ``path``, or go on with what is there."""
    if (path / "config.toml").is_file():
        return resume_prepared(prepared, path, progress=progress, on_trainer=on_trainer)
    return train_prepared(prepared, path, progress=progress, on_trainer=on_trainer)


def part_weights(folder: RunDirectory, name: str, prepared: Prepared) -> tuple[NDArray[Any], ...]:
    """Weights of a training that is done."""
    return RunDirectory.open(folder.path / name).weights(prepared.network)
