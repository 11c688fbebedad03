"""The sections of a configuration, with every default in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hxloop.data import (
    Dataset,
    LatencyEncoding,
    LevelCrossingEncoding,
    OwnData,
    PopulationEncoding,
    SpikeTrainEncoding,
    load_dataset,
)
from hxloop.data.datasets import REGISTRY as DATASETS
from hxloop.data.encoding import ENCODINGS
from hxloop.errors import ConfigError
from hxloop.runs.config_section import ChoiceSection, Section
from hxloop.training.initialisation import (
    INITIALISATIONS,
    BalancedInitialisation,
    NormalInitialisation,
)
from hxloop.training.options import LATER_OPTIONS, TrainingOptions
from hxloop.training.overactive_neurons import OveractiveNeuronPolicy, SpikeCountPenalty
from hxloop.training.silent_neurons import SilentNeuronPolicy
from hxloop.training.weights_of_run import FromRunInitialisation


class DatasetConfig(Section):
    """Which data; sizes of None are the published ones.

    A data set that is known by ``name``; or with ``path`` files of one's own, see
    ``hxloop.data.OwnData``, whose arguments the other keys are.
    """

    LATER: ClassVar[frozenset[str]] = frozenset(field.name for field in fields(OwnData)) - {"name"}

    name: str = "yin-yang"
    path: str | None = None
    test_path: str | None = None
    validation_path: str | None = None
    label: str | None = OwnData.label
    split: str | None = OwnData.split
    ignore: tuple[str, ...] = OwnData.ignore
    scaling: str = OwnData.scaling
    test_fraction: float = OwnData.test_fraction
    validation_fraction: float = OwnData.validation_fraction
    split_seed: int = OwnData.split_seed
    train_size: int | None = Field(default=None, ge=1)
    validation_size: int | None = Field(default=None, ge=1)
    test_size: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _named_as_the_file(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "name" not in values:
            path = values.get("path")
            if isinstance(path, str) and path:
                return {**values, "name": OwnData(path=path).title}
        return values

    def loader(self) -> Callable[[str], Dataset]:
        """What loads a split, so many of its samples as are asked for.

        Files of one's own are read once, however many splits are loaded.

        Raises:
            UnknownNameError: there is no data set of that name.
        """
        own = self.own_data()
        if own is None:
            DATASETS.get(self.name)  # told now, not when the first split is asked for

        def load(split: str) -> Dataset:
            sizes = {
                "train": self.train_size,
                "validation": self.validation_size,
                "test": self.test_size,
            }
            if own is not None:
                return own.load(split, sizes[split])
            return load_dataset(self.name, split, sizes[split])

        return load

    def own_data(self) -> OwnData | None:
        """The files of one's own; None: it is a data set that is known by name.

        Raises:
            ConfigError: a key that makes no sense, or one of them without ``path``.
        """
        given = {key: getattr(self, key) for key in self.LATER}
        if self.path is None:
            known = type(self).model_fields
            for key in sorted(self.LATER):
                if given[key] != known[key].default:
                    raise ConfigError(
                        f"dataset.{key}: goes with files of one's own; expected dataset.path, too, "
                        f"or no such key for the data set {self.name!r}"
                    )
            return None
        return OwnData(**given, name=self.name)


class EncodingConfig(ChoiceSection):
    """See the encodings of ``hxloop.data``, of which the keys are.

    ``name``: "latency", "population", "level-crossing", "spike-trains", or that of another
    package's, whose options are ``options``. Keys that one does not have are refused.
    """

    CHOICE: ClassVar[str] = "name"
    COME_ALONG: ClassVar[Mapping[str, type[Any]]] = ENCODINGS
    UNSAID: ClassVar[str | None] = "latency"
    APART: ClassVar[bool] = True

    name: str = "latency"
    t_early: float = LatencyEncoding.t_early
    t_late: float = LatencyEncoding.t_late
    bias_times: tuple[float, ...] = LatencyEncoding.bias_times
    replicate: int = LatencyEncoding.replicate
    large_first: bool = LatencyEncoding.large_first
    silent_zero: bool = LatencyEncoding.silent_zero
    level_step: float = LevelCrossingEncoding.level_step
    level_origin: float = LevelCrossingEncoding.level_origin
    interval: float | None = LevelCrossingEncoding.interval
    onset: bool = LevelCrossingEncoding.onset
    time_scale: float = SpikeTrainEncoding.time_scale
    merge_channels: int = SpikeTrainEncoding.merge_channels
    fields: int = PopulationEncoding.fields
    width: float = PopulationEncoding.width
    silent_below: float = PopulationEncoding.silent_below


class InitialisationConfig(ChoiceSection):
    """See ``training.initialisation``: "normal" takes means and stdevs, "balanced" spread
    and active, "from-run" the weights of a ``run``.

    With the ``method`` of another package ``options`` are its own. Delays are drawn evenly from
    ``delays = [shortest, longest]``, beyond the ``min_delay`` of their projection; what neurons
    have each for itself from ``neurons = {tau_mem = [lowest, highest]}``, see ``drawn_neurons``.
    """

    CHOICE: ClassVar[str] = "method"
    COME_ALONG: ClassVar[Mapping[str, type[Any]]] = INITIALISATIONS
    LATER: ClassVar[frozenset[str]] = frozenset({"delays", "neurons", "run"})
    OF_ALL: ClassVar[frozenset[str]] = frozenset({"delays", "neurons"})

    method: str = "normal"
    means: tuple[float, ...] = NormalInitialisation.means
    stdevs: tuple[float, ...] = NormalInitialisation.stdevs
    spread: float = BalancedInitialisation.spread
    active: float = BalancedInitialisation.active
    delays: tuple[float, float] = (0.0, 0.0)
    run: str = FromRunInitialisation.run
    neurons: dict[str, tuple[float, float]] = Field(default_factory=dict)


class BackendConfig(Section):
    """Backend by name, with its options.

    ``calibration`` is a file of ``hxloop calibrate``; with ``twin`` the gradient is that of the
    neurons as they were measured.
    ``record``: a file to which every run of a training is added, see ``hxloop.record``.
    """

    name: str = "ideal"
    options: dict[str, Any] = Field(default_factory=dict)
    calibration: str | None = None
    twin: bool = False
    record: str | None = None


class LossConfig(Section):
    """Loss by name, with its options."""

    name: str = "time-to-first-spike"
    options: dict[str, Any] = Field(default_factory=dict)


class SilentConfig(Section):
    """See ``hxloop.training.silent_neurons.SilentNeuronPolicy``."""

    hidden: float = SilentNeuronPolicy.hidden
    output: float = SilentNeuronPolicy.output
    bump: float = SilentNeuronPolicy.bump
    per_input: bool = SilentNeuronPolicy.per_input
    layers: str = SilentNeuronPolicy.layers


class OveractiveConfig(Section):
    """See ``OveractiveNeuronPolicy``; without a ``limit`` it is off."""

    limit: float | None = None
    step: float = OveractiveNeuronPolicy.step
    per_input: bool = OveractiveNeuronPolicy.per_input


class SpikePenaltyConfig(Section):
    """See ``SpikeCountPenalty``; without ``high`` there is no upper bound."""

    weight: float = SpikeCountPenalty.weight
    low: float = SpikeCountPenalty.low
    high: float | None = None
    fade: float = SpikeCountPenalty.fade


class TrainingConfig(Section):
    """See ``TrainingOptions``; ``train_neurons``: ``hxloop.training.loop.LoopNetwork``."""

    LATER: ClassVar[frozenset[str]] = frozenset({*LATER_OPTIONS, "train_neurons"})

    epochs: int = TrainingOptions.epochs
    batch_size: int = TrainingOptions.batch_size
    learning_rate: float = TrainingOptions.learning_rate
    delay_rate: float | None = TrainingOptions.delay_rate
    neuron_rate: float | None = TrainingOptions.neuron_rate
    train_neurons: tuple[str, ...] = ()
    relative_rate: bool = TrainingOptions.relative_rate
    beta1: float = TrainingOptions.beta1
    beta2: float = TrainingOptions.beta2
    schedule: str = TrainingOptions.schedule
    step_epochs: int = TrainingOptions.step_epochs
    step_factor: float = TrainingOptions.step_factor
    final_fraction: float = TrainingOptions.final_fraction
    max_dw_norm: float | None = TrainingOptions.max_dw_norm
    silent: SilentConfig = SilentConfig()
    overactive: OveractiveConfig = OveractiveConfig()
    spike_penalty: SpikePenaltyConfig = SpikePenaltyConfig()
    clip_weights: bool = TrainingOptions.clip_weights
    weight_limit: float | None = TrainingOptions.weight_limit
    input_noise: float = TrainingOptions.input_noise
    max_shift: int = TrainingOptions.max_shift
    patience: int | None = TrainingOptions.patience
    select: str = TrainingOptions.select
    retries: int = TrainingOptions.retries
    time_limit: float | None = TrainingOptions.time_limit
    checkpoint_every: int | None = TrainingOptions.checkpoint_every
    optimizer: str = TrainingOptions.optimizer
    optimizer_options: dict[str, Any] = Field(default_factory=dict)
    schedule_options: dict[str, Any] = Field(default_factory=dict)
    average: float | None = TrainingOptions.average


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
