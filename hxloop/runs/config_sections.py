"""The sections of a configuration, with every default in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from hxloop.data.encoding import ENCODINGS, LatencyEncoding
from hxloop.errors import ConfigError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec
from hxloop.training.initialisation import (
    INITIALISATIONS,
    BalancedInitialisation,
    NormalInitialisation,
)
from hxloop.training.options import TrainingOptions
from hxloop.training.silent_neurons import SilentNeuronPolicy


class Section(BaseModel):
    """A table of a configuration; unknown keys are refused."""

    # Strict: "5" is no number and true is no 1.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetConfig(Section):
    """Which data; sizes of None are the published ones."""

    name: str = "yin-yang"
    train_size: int | None = Field(default=None, ge=1)
    validation_size: int | None = Field(default=None, ge=1)
    test_size: int | None = Field(default=None, ge=1)


class ChoiceSection(Section):
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


class EncodingConfig(ChoiceSection):
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


class NeuronConfig(Section):
    """See ``hxloop.network.NeuronSpec``."""

    tau_mem: float = NeuronSpec.tau_mem
    tau_syn: float = NeuronSpec.tau_syn
    v_threshold: float = NeuronSpec.v_threshold
    v_leak: float = NeuronSpec.v_leak
    v_reset: float = NeuronSpec.v_reset


class NetworkConfig(Section):
    """Hidden layers; inputs and outputs follow from the data.

    ``n_inhibitory`` neurons of every hidden layer are inhibitory (Dale's law); 0 = no law.
    """

    hidden: tuple[int, ...] = (120,)
    n_inhibitory: int = LayerSpec.n_inhibitory
    t_window: float = NetworkSpec.t_window
    neuron: NeuronConfig = NeuronConfig()


class InitialisationConfig(ChoiceSection):
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


class BackendConfig(Section):
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


class LossConfig(Section):
    """Loss by name, with its options."""

    name: str = "time-to-first-spike"
    options: dict[str, Any] = {}


class SilentConfig(Section):
    """See ``hxloop.training.silent_neurons.SilentNeuronPolicy``."""

    hidden: float = SilentNeuronPolicy.hidden
    output: float = SilentNeuronPolicy.output
    bump: float = SilentNeuronPolicy.bump
    per_input: bool = SilentNeuronPolicy.per_input
    layers: str = SilentNeuronPolicy.layers


class TrainingConfig(Section):
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


class ActivityConfig(Section):
    """What a training writes to ``activity.h5``: when, and of which samples.

    It changes nothing in the training. ``epochs``: after how many epochs of training, 0 = before
    it, "final" = with the selected weights; () = no log. ``samples``: the first so many of the
    split, or all where it has fewer.
    """

    epochs: tuple[Annotated[int, Field(ge=0)] | Literal["final"], ...] = (0, "final")
    split: Literal["test", "validation", "train"] = "test"
    samples: int = Field(default=1000, ge=1)
    compress: bool = True
