"""The shipped experiments: one folder each, with a config.toml and perhaps a study.py."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hxloop.backend import unknown_name
from hxloop.config import ExperimentConfig
from hxloop.errors import UnknownNameError

FOLDER = Path(__file__).resolve().parent


def experiment_names() -> tuple[str, ...]:
    """Names of the shipped experiments, sorted."""
    found = FOLDER.glob("*/config.toml")
    return tuple(sorted(path.parent.name.replace("_", "-") for path in found))


def experiment_description(name: str) -> str:
    """First line of what a shipped experiment is about."""
    values = tomllib.loads(_config_path(name).read_text(encoding="utf-8"))
    return str(values.get("description", ""))


def load_experiment(name: str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Configuration of a shipped experiment by name, or of a TOML file by path.

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


def study_of(name: str) -> Callable[..., dict[str, Any]] | None:
    """The function ``run(config, out, *, force, progress)`` of an experiment that is a study.

    A study trains more than one network; None for an experiment that trains just one.
    """
    if name not in experiment_names() or not (_config_path(name).parent / "study.py").is_file():
        return None
    module = importlib.import_module(f"hxloop.experiments.{name.replace('-', '_')}.study")
    run: Callable[..., dict[str, Any]] = module.run
    return run


def _config_path(name: str) -> Path:
    return FOLDER / name.replace("-", "_") / "config.toml"
