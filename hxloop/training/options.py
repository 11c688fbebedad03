"""How to train: options, results, and who is told about progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import RunInfo, Spikes
from hxloop.errors import ConfigError
from hxloop.network import Parameters
from hxloop.text import Brief
from hxloop.training.notes import Note
from hxloop.training.overactive_neurons import OveractiveNeuronPolicy, SpikeCountPenalty
from hxloop.training.samples import ImageChannels as ImageChannels
from hxloop.training.samples import SpikeData as SpikeData
from hxloop.training.silent_neurons import SilentNeuronPolicy

# Options that earlier versions did not have: what has them at their default is what it was.
LATER_OPTIONS = (
    "overactive", "spike_penalty", "delay_rate", "neuron_rate", "optimizer", "optimizer_options",
    "schedule_options", "average",
)  # fmt: skip
SCHEDULES = ("constant", "step", "cosine")
# Of torch, made in ``torch_optimisers``: named here as well, since whoever reads a configuration
# need not wait for torch.
OPTIMIZERS = (
    "adam", "adadelta", "adagrad", "adamax", "adamw", "asgd", "nadam", "radam", "rmsprop", "rprop",
    "sgd",
)  # fmt: skip
TORCH_SCHEDULES = (
    "cosine-warm-restarts", "exponential", "linear", "multi-step", "one-cycle", "polynomial",
    "reduce-on-plateau",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training.

    Args:
        epochs: passes over the training data.
        batch_size: samples of one run.
        learning_rate: of the optimizer, at the start.
        delay_rate: that of delays, in model time; None: ``learning_rate``.
        neuron_rate: that of time constants, thresholds and resets that are trained
            (``LoopNetwork``: ``train_neurons``), in their units; None: ``learning_rate``.
        relative_rate: the learning rate of a layer, and the step of the silent-neuron policy,
            are in units of the standard deviation of its initial weights instead of thresholds:
            the same relative change in layers of every width and depth.
        beta1, beta2: of Adam and its relatives.
        schedule: "constant"; "step": times ``step_factor`` every ``step_epochs`` epochs;
            "cosine": from ``learning_rate`` down to ``final_fraction`` of it; or one of torch's:
            "exponential", "multi-step", "linear", "polynomial", "cosine-warm-restarts",
            "one-cycle" (after every batch), "reduce-on-plateau" (of the validation accuracy).
        step_epochs, step_factor, final_fraction: of the first three schedules.
        max_dw_norm: gradient cap, see ``recorded_spike_times``; None = off.
        silent: what is done about silent neurons.
        overactive: what is done about neurons that spike too often.
        spike_penalty: a term of the objective that asks for so many spikes.
        clip_weights: keep the trained weights within the substrate's range.
        weight_limit: keep them within this narrower range; None = the substrate's alone. For
            training in software what is to run on a chip later.
        input_noise: standard deviation of noise added to the input times in training.
        max_shift: images are shifted by up to so many pixels, in both directions, in training.
        patience: stop after so many epochs without a better validation accuracy; None = off.
        select: which parameters count in the end: those of the "best" epoch by
            validation accuracy (of equals the later), or the "last".
        retries: how often a run is repeated after a transient fault.
        time_limit: seconds after which a run counts as hung, and the training stops; None: as the
            substrate says (never, for simulators), ``inf``: never.
        checkpoint_every: batches between checkpoints within an epoch; None = at its end only.
        seed: of the sample order and the input noise.
        optimizer: of torch, by name: "adam", "adamw", "sgd", "rmsprop", "rprop", "adagrad",
            "adadelta", "adamax", "nadam", "radam", "asgd".
        optimizer_options: its further options, as torch calls them: ``{"momentum": 0.9}``.
        schedule_options: options of a schedule of torch, as torch calls them: ``{"gamma": 0.95}``.
        average: validation, selection and result are of the exponential moving average of the
            weights, which keeps so much of itself in every step: 0.99, say; None = of the weights.

    Raises:
        ConfigError: an option out of range.
    """

    epochs: int = 100
    batch_size: int = 150
    learning_rate: float = 0.005
    relative_rate: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    schedule: str = "cosine"
    step_epochs: int = 20
    step_factor: float = 0.95
    final_fraction: float = 0.01
    max_dw_norm: float | None = None
    silent: SilentNeuronPolicy = field(default_factory=SilentNeuronPolicy)
    overactive: OveractiveNeuronPolicy = field(default_factory=OveractiveNeuronPolicy)
    spike_penalty: SpikeCountPenalty = field(default_factory=SpikeCountPenalty)
    clip_weights: bool = True
    weight_limit: float | None = None
    input_noise: float = 0.0
    max_shift: int = 0
    patience: int | None = None
    select: str = "best"
    retries: int = 3
    time_limit: float | None = None
    checkpoint_every: int | None = None
    seed: int = 0
    delay_rate: float | None = None
    neuron_rate: float | None = None
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    average: float | None = None

    def __post_init__(self) -> None:
        def checked(name: str, check: Callable[..., Any], **bounds: Any) -> Any:
            return check(f"training.{name}", getattr(self, name), **bounds)

        for name in ("epochs", "batch_size", "step_epochs"):
            checks.settle(self, **{name: checked(name, checks.whole, low=1)})
        for name in ("max_shift", "retries", "seed"):
            checks.settle(self, **{name: checked(name, checks.whole, low=0)})
        for name in ("patience", "checkpoint_every"):
            if getattr(self, name) is not None:
                checks.settle(self, **{name: checked(name, checks.whole, low=1)})
        for name in ("max_dw_norm", "weight_limit", "delay_rate", "neuron_rate"):
            if getattr(self, name) is not None:
                checks.settle(self, **{name: checked(name, checks.number, above=0)})
        if self.time_limit is not None:
            checks.settle(
                self, time_limit=checked("time_limit", checks.number, above=0, finite=False)
            )
        for name in ("relative_rate", "clip_weights"):
            checks.settle(self, **{name: checked(name, checks.flag)})
        checks.settle(
            self,
            learning_rate=checked("learning_rate", checks.number, above=0),
            step_factor=checked("step_factor", checks.number, above=0),
            beta1=checked("beta1", checks.number, low=0, below=1),
            beta2=checked("beta2", checks.number, low=0, below=1),
            final_fraction=checked("final_fraction", checks.probability),
            input_noise=checked("input_noise", checks.number, low=0),
            schedule=checked("schedule", checks.choice, known=(*SCHEDULES, *TORCH_SCHEDULES)),
            optimizer=checked("optimizer", checks.choice, known=OPTIMIZERS),
            select=checked("select", checks.choice, known=("best", "last")),
        )
        for name, kind in (
            ("silent", SilentNeuronPolicy),
            ("overactive", OveractiveNeuronPolicy),
            ("spike_penalty", SpikeCountPenalty),
        ):
            if not isinstance(got := getattr(self, name), kind):
                expected = f"{'an' if name == 'overactive' else 'a'} {kind.__name__}"
                raise ConfigError(f"training.{name}: expected {expected}; got {checks.shown(got)}")
        if self.average is not None:
            checks.settle(self, average=checked("average", checks.number, above=0, below=1))
        for name in ("optimizer_options", "schedule_options"):
            if not isinstance(got := getattr(self, name), Mapping):
                raise ConfigError(f"training.{name}: expected a table; got {checks.shown(got)}")
        if self.schedule_options and self.schedule in SCHEDULES:
            raise ConfigError(
                f"training.schedule_options: are for schedules of torch, {self.schedule!r} has "
                "keys of its own; leave them out"
            )
        if self.weight_limit is not None and not self.clip_weights:
            raise ConfigError("training.weight_limit: has no effect with clip_weights = false")

    def told(self) -> dict[str, Any]:
        """The options as plain values; those of later versions if they are not as they were."""
        values, before = asdict(self), TrainingOptions()
        for name in LATER_OPTIONS:
            if getattr(self, name) == getattr(before, name):
                del values[name]
        return values

    def learning_rate_at(self, epoch: float, epochs: int | None = None) -> float:
        """Learning rate at a (fractional) epoch of so many; None: ``self.epochs``.

        Of a schedule of torch that at the start: what follows hangs on what is seen.
        """
        if self.schedule == "constant" or self.schedule in TORCH_SCHEDULES:
            return self.learning_rate
        if self.schedule == "step":
            return self.learning_rate * self.step_factor ** (int(epoch) // self.step_epochs)
        cosine = 0.5 * (1 + math.cos(math.pi * min(epoch / (epochs or self.epochs), 1.0)))
        return self.learning_rate * (self.final_fraction + (1 - self.final_fraction) * cosine)


@dataclass(frozen=True, repr=False)
class EvaluationResult(Brief):
    """What a network did with a set of samples.

    Attributes:
        loss, accuracy: means over the samples; no decision is a wrong one.
        decisions, labels: ``(n,)``; -1 = no decision.
        input_times: ``(n, n_inputs)``, as delivered.
        first_spike_times: one array ``(n, post)`` for each layer.
        info: of all runs together, see ``RunInfo.of_all``: which substrate it was, and what it
            clipped, rounded, discarded and lost.
        run_seconds: wall-clock time of every run.
        ties: samples in which two output neurons were equally good; the lower index was taken.
        spikes_per_neuron: mean number of spikes of a neuron in a sample, for each population.
        first_sample: all spikes of the first sample: of the input, and of each population.
        notes: what is odd about inputs, weights and spikes, see ``hxloop.training.notes``.
    """

    loss: float
    accuracy: float
    decisions: NDArray[np.int64]
    labels: NDArray[np.int64]
    input_times: NDArray[np.float64]
    first_spike_times: tuple[NDArray[np.float64], ...]
    info: RunInfo
    run_seconds: tuple[float, ...]
    ties: int = 0
    notes: tuple[Note, ...] = ()
    spikes_per_neuron: tuple[float, ...] = ()
    first_sample: tuple[Spikes, ...] = ()

    @property
    def clipped_weights(self) -> tuple[int, ...]:
        """Weights beyond the substrate's range, for each layer."""
        return self.info.clipped_weights


@dataclass(frozen=True, repr=False)
class TrainingResult(Brief):
    """What training led to.

    Attributes:
        metrics: one mapping for each epoch, as in ``metrics.jsonl``.
        parameters: the selected weights, delays and neurons.
        epoch: which epoch they are from, counted from 1.
        validation_accuracy: of these in that epoch.
        notes: what was odd, see ``hxloop.training.notes``; also in the metrics, in the epoch in
            which it was seen.
    """

    metrics: tuple[Mapping[str, Any], ...]
    parameters: Parameters
    epoch: int
    validation_accuracy: float
    notes: tuple[Note, ...] = ()

    @property
    def weights(self) -> tuple[NDArray[np.float64], ...]:
        """The selected weights, ``(pre, post)`` each."""
        return self.parameters.weights


class ProgressListener(Protocol):
    """Is told how training goes. The library itself prints nothing."""

    def on_start(self, epoch: int, epochs: int, batches: int) -> None:
        """Training starts, or goes on, with epoch ``epoch`` (from 0) of ``epochs``."""
        ...

    def on_batch(self, epoch: int, batch: int, loss: float) -> None:
        """A batch was done."""
        ...

    def on_epoch(self, metrics: Mapping[str, Any]) -> None:
        """An epoch was done."""
        ...
