"""Experiment configurations: TOML files, validated, with every default in one place."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from hxloop import checks
from hxloop.data.encoding import ENCODINGS, Encoding, get_encoding
from hxloop.errors import ConfigError, NetworkError
from hxloop.files import sha256_of
from hxloop.network import NetworkSpec
from hxloop.runs.config_network import NetworkConfig as NetworkConfig
from hxloop.runs.config_network import NeuronConfig as NeuronConfig
from hxloop.runs.config_overrides import apply_override as apply_override
from hxloop.runs.config_overrides import apply_overrides
from hxloop.runs.config_paths import with_absolute_paths
from hxloop.runs.config_section import Section as Section
from hxloop.runs.config_sections import (
    ActivityConfig as ActivityConfig,
)
from hxloop.runs.config_sections import (
    BackendConfig as BackendConfig,
)
from hxloop.runs.config_sections import (
    DatasetConfig as DatasetConfig,
)
from hxloop.runs.config_sections import (
    EncodingConfig as EncodingConfig,
)
from hxloop.runs.config_sections import (
    InitialisationConfig as InitialisationConfig,
)
from hxloop.runs.config_sections import (
    LossConfig as LossConfig,
)
from hxloop.runs.config_sections import (
    SilentConfig as SilentConfig,
)
from hxloop.runs.config_sections import (
    TrainingConfig as TrainingConfig,
)
from hxloop.runs.config_words import explained
from hxloop.runs.toml_text import toml_text
from hxloop.text import check_printable
from hxloop.training.initialisation import (
    Initialisation,
    get_initialisation,
)
from hxloop.training.losses import LOSSES
from hxloop.training.options import TrainingOptions
from hxloop.training.overactive_neurons import OveractiveNeuronPolicy, SpikeCountPenalty
from hxloop.training.silent_neurons import SilentNeuronPolicy


class ExperimentConfig(Section):
    """One experiment, complete.

    ``seed`` seeds everything: initial weights, sample order, input noise, trial noise.
    """

    name: str = "unnamed"
    description: str = ""
    seed: int = Field(default=0, ge=0)
    dataset: DatasetConfig = DatasetConfig()
    encoding: EncodingConfig = EncodingConfig()
    network: NetworkConfig = NetworkConfig()
    initialisation: InitialisationConfig = InitialisationConfig()
    backend: BackendConfig = BackendConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    activity: ActivityConfig = ActivityConfig()
    study: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name", "description")
    @classmethod
    def _printable(cls, text: str) -> str:
        # They are shown in terminals and pages; see ``config_words`` for the message.
        try:
            check_printable("name", text)
        except ConfigError as error:
            raise PydanticCustomError("control_character", "control character") from error
        return text

    def spike_encoding(self) -> Encoding:
        """The encoding described."""
        section = self.encoding
        return get_encoding(section.name, **section.options_of_choice("encoding"))

    latency_encoding = spike_encoding  # its name before another one could be chosen

    def weights_drawn_by(self) -> Initialisation:
        """The initialisation described."""
        section = self.initialisation
        return get_initialisation(section.method, **section.options_of_choice("initialisation"))

    def network_spec(self, n_features: int, n_classes: int) -> NetworkSpec:
        """The network described, for data of so many features and classes."""
        return self.network.spec(self.spike_encoding().n_channels(n_features), n_classes)

    def training_options(self) -> TrainingOptions:
        """The training described."""
        values = {
            field.name: getattr(self.training, field.name)
            for field in fields(TrainingOptions)
            if field.name not in (*_POLICIES, "seed")
        }
        own = {name: getattr(self.training, name).model_dump() for name in _POLICIES}
        given = {
            name: kind(**{key: value for key, value in own[name].items() if value is not None})
            for name, kind in _POLICIES.items()
        }
        return TrainingOptions(**values, **given, seed=self.seed)

    def check_activity(self) -> None:
        """Check that the epochs to log are epochs of the training.

        Raises:
            ConfigError: one is beyond the last.
        """
        last = self.training.epochs
        beyond = [e for e in self.activity.epochs if e != "final" and e > last]
        if beyond:
            raise ConfigError(
                f"activity.epochs: expected numbers from 0 to training.epochs = {last}, or "
                f'"final"; got {beyond[0]}'
            )

    def check_initialisation(self) -> None:
        """Check that there is a mean and a standard deviation for every layer of weights.

        Raises:
            ConfigError: there is not, and what helps.
        """
        start, n = self.initialisation, self.network.n_projections
        if start.method == "normal" and (len(start.means) != n or len(start.stdevs) != n):
            made = f"network.hidden = {list(self.network.hidden)} makes {n} layers"
            if self.network.populations:
                made = f"the projections of network.populations make {n} matrices"
            raise ConfigError(
                f"initialisation: {made} "
                f"of weights; expected {n} values in initialisation.means and {n} in "
                f"initialisation.stdevs; got {len(start.means)} and {len(start.stdevs)}. Weights "
                "for every depth and width are found by: initialisation.method = balanced"
            )

    def to_toml(self) -> str:
        """The whole configuration with every default; options that are off are left out."""
        return toml_text(self.model_dump())

    def with_absolute_paths(self) -> ExperimentConfig:
        """The same, its relative paths taken from where one is now."""
        values = with_absolute_paths(self.model_dump(), Path.cwd())
        backend = BackendConfig.model_construct(**values["backend"])
        dataset = DatasetConfig.model_construct(**values["dataset"])
        start = InitialisationConfig.model_construct(**values["initialisation"])
        return self.model_copy(
            update={"backend": backend, "dataset": dataset, "initialisation": start}
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the whole configuration, whatever the order of its keys."""
        text = json.dumps(self.model_dump(), sort_keys=True, default=str)
        return sha256_of(text)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], source: str) -> ExperimentConfig:
        """Validate.

        Args:
            values: nested, as read from TOML.
            source: named in error messages.

        Raises:
            ConfigError: unknown keys or wrong values; all of them, a line each.
        """
        # What a file names is absolute already, see ``load``; the rest was typed here.
        values = _with_tuples(with_absolute_paths(values, Path.cwd()))
        problems = _wrong_loss_options(values)
        try:
            config = cls.model_validate(values)
        except ValidationError as error:
            problems = [*(dict(problem) for problem in error.errors()), *problems]
        if problems:
            raise ConfigError(f"{source}:\n  " + "\n  ".join(explained(problems, cls)))
        try:
            config.training_options()
            config.dataset.own_data()
            if config.encoding.name in ENCODINGS:  # others are not loaded for reading
                config.spike_encoding()
            config.network.check()
            config.check_activity()
            if not config.study:  # a study may train nothing, or other networks
                config.check_initialisation()
        except (ConfigError, NetworkError) as error:
            raise ConfigError(f"{source}: {_in_the_file(str(error))}") from error
        return config

    @classmethod
    def load(cls, path: str | PathLike[str], overrides: Sequence[str] = ()) -> ExperimentConfig:
        """Read a TOML file. An experiment without a name gets that of its file.

        Relative paths in the file are relative to the file, those in overrides to where one is;
        the configuration holds them absolute.

        Args:
            path: the file.
            overrides: "key.key=value" each, the value in TOML syntax or a bare string.

        Raises:
            ConfigError: unreadable, not TOML, or invalid.
        """
        path = checks.path("configuration", path)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"configuration {path}: cannot be read: {error.strerror}") from error
        except RecursionError:
            raise ConfigError(f"configuration {path}: nested too deeply") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration {path}: not valid TOML: {error}") from error
        values.setdefault("name", path.stem)
        values = with_absolute_paths(values, Path(os.path.abspath(path)).parent)
        apply_overrides(values, overrides)
        return cls.from_mapping(values, " with ".join([f"configuration {path}", *overrides]))


_POLICIES: dict[str, type[Any]] = {
    "silent": SilentNeuronPolicy,
    "overactive": OveractiveNeuronPolicy,
    "spike_penalty": SpikeCountPenalty,
}
_SECTIONS = {
    **{kind.__name__: "encoding" for kind in ENCODINGS.values()},
    "NeuronSpec": "network.neuron",
    "OveractiveNeuronPolicy": "training.overactive",
    "SilentNeuronPolicy": "training.silent",
    "SpikeCountPenalty": "training.spike_penalty",
    "TrainingOptions": "training",
}


def _wrong_loss_options(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What pydantic would say of options of another type than a loss that comes along declares."""
    section = values.get("loss")
    if not isinstance(section, Mapping) or not isinstance(section.get("options"), Mapping):
        return []
    # Another package's is not loaded for it: its configurations are read without that package, too.
    loss = LOSSES.get(str(section.get("name", LossConfig().name)))
    kinds = get_type_hints(loss) if loss else {}
    problems: list[dict[str, Any]] = []
    for key, value in section["options"].items():
        if key in kinds:
            try:
                TypeAdapter(kinds[key], config=ConfigDict(strict=True)).validate_python(value)
            except ValidationError as error:
                for problem in error.errors():
                    at = ("loss", "options", key, *problem["loc"])
                    problems.append({**problem, "loc": at})
    return problems


def _in_the_file(text: str) -> str:
    """An error of the library in the words of a configuration."""
    for name, section in _SECTIONS.items():
        text = re.sub(rf"\b{name}\b", section, text)
    return text


def _with_tuples(value: Any) -> Any:
    # TOML has lists only, and a frozen configuration holds tuples.
    if isinstance(value, Mapping):
        return {key: _with_tuples(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_with_tuples(item) for item in value)
    return checks.plain(value)
