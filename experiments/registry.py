"""The shipped experiments: one folder each, with a config.toml and perhaps a study.py."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hxloop.errors import UnknownNameError, unknown_name
from hxloop.runs.config import ExperimentConfig

FOLDER = Path(__file__).resolve().parent


def experiment_names() -> tuple[str, ...]:
    """Names of the shipped experiments, sorted."""
    found = FOLDER.glob("*/config.toml")
    return tuple(sorted(path.parent.name.replace("_", "-") for path in found))


def experiment_description(name: str) -> str:
    """What a shipped experiment is about, in a line."""
    return load_experiment(name).description


def load_experiment(name: str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Configuration of a shipped experiment by name, or of a TOML file by path.

    Args:
        name: one of ``experiment_names()``, or a path.
        overrides: "key.key=value" each, see ``ExperimentConfig.load``.

    Raises:
        UnknownNameError: neither a shipped name nor a file.
        ConfigError: a configuration that is not valid.
    """
    if name in experiment_names():
        return ExperimentConfig.load(_config_path(name), overrides)
    if name.endswith(".toml") or Path(name).is_file():
        return ExperimentConfig.load(Path(name), overrides)
    raise UnknownNameError(
        unknown_name("experiment", name, experiment_names()) + " A TOML file works, too."
    )


def study_of(config: ExperimentConfig) -> Callable[..., dict[str, Any]] | None:
    """The function that runs a study, a configuration that trains more than one network.

    It is called as ``run(config, out, *, force, events)``, see ``study_parts.RunOfStudy``. What is
    already in ``out`` is not done again.

    Returns:
        None for a configuration that trains just one network: one without ``[study]``.

    Raises:
        UnknownNameError: there is no study of the name in ``study.name``.
    """
    run: Callable[..., dict[str, Any]] | None = _of_study(config, "run")
    return run


def reanalysis_of(config: ExperimentConfig) -> Callable[..., dict[str, Any]] | None:
    """The function that analyses the finished trainings of a study anew, without training.

    It is called as ``analyse_again(config, folder, out, *, say)``.

    Returns:
        None for a configuration that is no study, and for a study that has none.

    Raises:
        UnknownNameError: there is no study of the name in ``study.name``.
    """
    again: Callable[..., dict[str, Any]] | None = _of_study(config, "analyse_again")
    return again


def _of_study(config: ExperimentConfig, function: str) -> Any:
    if not config.study:
        return None
    name = str(config.study.get("name", config.name))
    studies = [n for n in experiment_names() if (_config_path(n).parent / "study.py").is_file()]
    if name not in studies:
        raise UnknownNameError(unknown_name("study", name, studies))
    module = importlib.import_module(f"hxloop.experiments.{name.replace('-', '_')}.study")
    return getattr(module, function, None)


def _config_path(name: str) -> Path:
    return FOLDER / name.replace("-", "_") / "config.toml"
