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
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

import numpy as np
import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from hxloop import checks
from hxloop.data.encoding import ENCODINGS, Encoding, LatencyEncoding, get_encoding
from hxloop.errors import ConfigError, NetworkError
from hxloop.files import sha256_of
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec
from hxloop.runs.config_paths import with_absolute_paths
from hxloop.runs.config_words import explained
from hxloop.text import check_printable
from hxloop.training.initialisation import (
    INITIALISATIONS,
    BalancedInitialisation,
    Initialisation,
    NormalInitialisation,
    get_initialisation,
)
from hxloop.training.losses import LOSSES
from hxloop.training.notes import Note, tell
from hxloop.training.options import TrainingOptions
from hxloop.training.silent_neurons import SilentNeuronPolicy


class _Section(BaseModel):
    # Strict: "5" is no number and true is no 1.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetConfig(_Section):
    """Which data; sizes of None are the published ones."""

    name: str = "yin-yang"
    train_size: int | None = Field(default=None, ge=1)
    validation_size: int | None = Field(default=None, ge=1)
    test_size: int | None = Field(default=None, ge=1)


class _ChoiceSection(_Section):
    """One whose keys are the options of what comes along; another package's has ``options``.

    It is written down with what means something for the choice.
    """

    CHOICE: ClassVar[str]
    COME_ALONG: ClassVar[Mapping[str, type[Any]]]
    # A configuration that does not choose reads, and has the digest, as before one could.
    UNSAID: ClassVar[str | None] = None

    options: dict[str, Any] = {}

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        left = {"options"} if not self.options else set()
        if values[self.CHOICE] not in self.COME_ALONG:
            left |= set(values) - {self.CHOICE, "options"}
        elif values[self.CHOICE] == self.UNSAID:
            left.add(self.CHOICE)
        return {key: value for key, value in values.items() if key not in left}

    def options_of_choice(self, section: str) -> dict[str, Any]:
        """What the chosen one is made with.

        Raises:
            ConfigError: ``options`` for one that comes along.
        """
        name = getattr(self, self.CHOICE)
        if name not in self.COME_ALONG:
            return self.options
        taken = [field.name for field in fields(self.COME_ALONG[name])]
        if self.options:
            raise ConfigError(
                f"{section}.options: expected none for {name!r}, whose options are keys of "
                f"[{section}]: {', '.join(taken)}; got {', '.join(self.options)}"
            )
        return {key: getattr(self, key) for key in taken}


class EncodingConfig(_ChoiceSection):
    """See ``hxloop.data.encoding.LatencyEncoding``, of which the keys are.

    ``name``: "latency", or that of another package's, whose options are ``options``.
    """

    CHOICE: ClassVar[str] = "name"
    COME_ALONG: ClassVar[Mapping[str, type[Any]]] = ENCODINGS
    UNSAID: ClassVar[str | None] = "latency"

    name: str = "latency"
    t_early: float = LatencyEncoding.t_early
    t_late: float = LatencyEncoding.t_late
    bias_times: tuple[float, ...] = LatencyEncoding.bias_times
    replicate: int = LatencyEncoding.replicate
    large_first: bool = LatencyEncoding.large_first
    silent_zero: bool = LatencyEncoding.silent_zero


class NeuronConfig(_Section):
    """See ``hxloop.network.NeuronSpec``."""

    tau_mem: float = NeuronSpec.tau_mem
    tau_syn: float = NeuronSpec.tau_syn
    v_threshold: float = NeuronSpec.v_threshold
    v_leak: float = NeuronSpec.v_leak
    v_reset: float = NeuronSpec.v_reset


class NetworkConfig(_Section):
    """Hidden layers; inputs and outputs follow from the data.

    ``n_inhibitory`` neurons of every hidden layer are inhibitory (Dale's law); 0 = no law.
    """

    hidden: tuple[int, ...] = (120,)
    n_inhibitory: int = LayerSpec.n_inhibitory
    t_window: float = NetworkSpec.t_window
    neuron: NeuronConfig = NeuronConfig()


class InitialisationConfig(_ChoiceSection):
    """See ``training.initialisation``: "normal" takes means and stdevs, "balanced" the rest.

    With the ``method`` of another package ``options`` are its own.
    """

    CHOICE: ClassVar[str] = "method"
    COME_ALONG: ClassVar[Mapping[str, type[Any]]] = INITIALISATIONS

    method: str = "normal"
    means: tuple[float, ...] = NormalInitialisation.means
    stdevs: tuple[float, ...] = NormalInitialisation.stdevs
    spread: float = BalancedInitialisation.spread
    active: float = BalancedInitialisation.active


class BackendConfig(_Section):
    """Backend by name, with its options.

    ``calibration`` is a file of ``hxloop calibrate``; with ``twin`` the gradient is that of the
    neurons as they were measured.
    ``record``: a file to which every run of a training is added, see ``hxloop.record``.
    """

    name: str = "ideal"
    options: dict[str, Any] = {}
    calibration: str | None = None
    twin: bool = False
    record: str | None = None


class LossConfig(_Section):
    """Loss by name, with its options."""

    name: str = "time-to-first-spike"
    options: dict[str, Any] = {}


class SilentConfig(_Section):
    """See ``hxloop.training.silent_neurons.SilentNeuronPolicy``."""

    hidden: float = SilentNeuronPolicy.hidden
    output: float = SilentNeuronPolicy.output
    bump: float = SilentNeuronPolicy.bump
    per_input: bool = SilentNeuronPolicy.per_input
    layers: str = SilentNeuronPolicy.layers


class TrainingConfig(_Section):
    """See ``hxloop.training.options.TrainingOptions``."""

    epochs: int = TrainingOptions.epochs
    batch_size: int = TrainingOptions.batch_size
    learning_rate: float = TrainingOptions.learning_rate
    relative_rate: bool = TrainingOptions.relative_rate
    beta1: float = TrainingOptions.beta1
    beta2: float = TrainingOptions.beta2
    schedule: str = TrainingOptions.schedule
    step_epochs: int = TrainingOptions.step_epochs
    step_factor: float = TrainingOptions.step_factor
    final_fraction: float = TrainingOptions.final_fraction
    max_dw_norm: float | None = TrainingOptions.max_dw_norm
    silent: SilentConfig = SilentConfig()
    clip_weights: bool = TrainingOptions.clip_weights
    weight_limit: float | None = TrainingOptions.weight_limit
    input_noise: float = TrainingOptions.input_noise
    max_shift: int = TrainingOptions.max_shift
    patience: int | None = TrainingOptions.patience
    select: str = TrainingOptions.select
    retries: int = TrainingOptions.retries
    time_limit: float | None = TrainingOptions.time_limit
    checkpoint_every: int | None = TrainingOptions.checkpoint_every


class ActivityConfig(_Section):
    """What a training writes to ``activity.h5``: when, and of which samples.

    It changes nothing in the training. ``epochs``: after how many epochs of training, 0 = before
    it, "final" = with the selected weights; () = no log. ``samples``: the first so many of the
    split, or all where it has fewer.
    """

    epochs: tuple[Annotated[int, Field(ge=0)] | Literal["final"], ...] = (0, "final")
    split: Literal["test", "validation", "train"] = "test"
    samples: int = Field(default=1000, ge=1)
    compress: bool = True


class ExperimentConfig(_Section):
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
    study: dict[str, Any] = {}

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
        return NetworkSpec.feed_forward(
            self.spike_encoding().n_channels(n_features),
            *self.network.hidden,
            n_classes,
            neuron=NeuronSpec(**self.network.neuron.model_dump()),
            n_inhibitory=self.network.n_inhibitory,
            t_window=self.network.t_window,
        )

    def training_options(self) -> TrainingOptions:
        """The training described."""
        values = {
            field.name: getattr(self.training, field.name)
            for field in fields(TrainingOptions)
            if field.name not in ("silent", "seed")
        }
        silent = SilentNeuronPolicy(**self.training.silent.model_dump())
        return TrainingOptions(**values, silent=silent, seed=self.seed)

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
        start, n = self.initialisation, len(self.network.hidden) + 1
        if start.method == "normal" and (len(start.means) != n or len(start.stdevs) != n):
            raise ConfigError(
                f"initialisation: network.hidden = {list(self.network.hidden)} makes {n} layers "
                f"of weights; expected {n} values in initialisation.means and {n} in "
                f"initialisation.stdevs; got {len(start.means)} and {len(start.stdevs)}. Weights "
                "for every depth and width are found by: initialisation.method = balanced"
            )

    def to_toml(self) -> str:
        """The whole configuration with every default; options that are off are left out."""
        return tomli_w.dumps(_without_none(self.model_dump()))

    def with_absolute_paths(self) -> ExperimentConfig:
        """The same, its relative paths taken from where one is now."""
        values = with_absolute_paths(self.model_dump(), Path.cwd())
        backend = BackendConfig.model_construct(**values["backend"])
        return self.model_copy(update={"backend": backend})

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
            if config.encoding.name in ENCODINGS:  # others are not loaded for reading
                config.spike_encoding()
            NeuronSpec(**config.network.neuron.model_dump())
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


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set ``a.b.c=value`` in nested mappings, in place.

    Raises:
        ConfigError: no "=" or a key below something that is not a table.
    """
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise ConfigError(f"--set {override!r}: expected KEY=VALUE, for example training.epochs=5")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except RecursionError:
        raise ConfigError(f"--set {key.strip()}: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        if text.strip().startswith(("[", "{")):
            raise ConfigError(
                f"--set {override!r}: not a list or table in TOML ({error}); write numbers as 0.5 "
                'and text in quotes: \'["a", "b"]\''
            ) from error
        # .5 and 5. are numbers everywhere but in TOML.
        number = re.fullmatch(r"[+-]?(\d+\.|\.\d+)(e[+-]?\d+)?", text.strip(), re.IGNORECASE)
        parsed = {"value": float(text) if number else text.strip()}
    if list(parsed) != ["value"] or "\n" in text.strip():
        raise ConfigError(f"--set {override!r}: expected one value on one line")
    value = parsed["value"]
    table = values
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {name!r} is a value, not a table")
    table[names[-1]] = value


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set several values, each as ``apply_override`` does, in place.

    Where one names another backend or loss, the options in ``values``, which belong to the former
    one, do not apply any more: they are left out, and that is warned of.

    Raises:
        ConfigError: see ``apply_override``.
    """
    for section, default in (("backend", BackendConfig().name), ("loss", LossConfig().name)):
        named: dict[str, Any] = {}
        for override in overrides:
            if override.partition("=")[0].strip() == f"{section}.name":
                apply_override(named, override)
        table = values.get(section, {})
        if not named or not isinstance(table, dict):
            continue
        new, old = named[section]["name"], table.get("name", default)
        if new == old:
            continue
        left = {key: table.pop(key) for key in _OF_THE_NAME if key in table}
        left = {**left.pop("options", {}), **left}
        if left:
            words = ", ".join(f"{key} = {value}" for key, value in left.items())
            text = f"{section}.name = {new}: left out what was set for {old} ({words})."
            tell([Note(f"{section}-options-left-out", text, {"left_out": list(left)})])
    for override in overrides:
        apply_override(values, override)


# Keys of a section that mean something for the backend or loss of that name only.
_OF_THE_NAME = ("options", "calibration", "twin")
_SECTIONS = {
    "LatencyEncoding": "encoding",
    "NeuronSpec": "network.neuron",
    "SilentNeuronPolicy": "training.silent",
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


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
