"""The trainer: epochs, checkpoints, resume.

All randomness is a function of the seed, the epoch and the batch, and trial noise of the
step, so nothing random has to be stored and a training that was stopped at any moment goes
on bit for bit as if it had not been.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hxloop import checks
from hxloop.errors import ConfigError, FileFormatError, OutputError, RunFailed, TrainingInterrupted
from hxloop.files import write_atomically
from hxloop.training.checkpoint import (
    CHECKPOINT,
    CHECKPOINTS,
    METRICS,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from hxloop.training.evaluation import (
    EVALUATION_TRIAL,
    RunObserver,
    check_data,
    check_loss,
    checked_decisions,
    evaluate,
)
from hxloop.training.inputs import sample_order, training_inputs
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import Loss
from hxloop.training.notes import Note, input_notes, tell, weight_notes
from hxloop.training.options import (
    EvaluationResult,
    ProgressListener,
    SpikeData,
    TrainingOptions,
    TrainingResult,
)
from hxloop.training.progress import TrainingLines
from hxloop.training.state import (
    check_epochs,
    check_same_training,
    describe_training,
    other_threads,
    stopped_early,
)

# Trials of the validation after epoch e: beyond those of any training, below EVALUATION_TRIAL.
VALIDATION_TRIAL = 1 << 40


class Trainer:
    """Trains a ``LoopNetwork``.

    Args:
        network: what to train; its weights are changed, its session is used.
        loss: the objective.
        train, validation: encoded samples.
        options: how.
        run_dir: folder for ``metrics.jsonl`` and ``checkpoints/``; None writes nothing.
        progress: who is told how it goes; True: a line for an epoch on standard error.
        after_epoch: called with the number of epochs done, after the checkpoint of each epoch,
            and again when a training goes on from such a checkpoint. It may run the network
            but not change it.

    Example:
        >>> from hxloop import LoopNetwork, NetworkSpec, get_backend, get_loss
        >>> spec = NetworkSpec.feed_forward(2, 2)
        >>> data = SpikeData(np.array([[0.1, 0.9], [0.9, 0.1]]), np.array([0, 1]))
        >>> with get_backend("ideal").open(spec) as session:
        ...     network = LoopNetwork(session, [np.full((2, 2), 2.0)])
        ...     options = TrainingOptions(epochs=20, batch_size=2, learning_rate=0.05)
        ...     result = Trainer(
        ...         network, get_loss("time-to-first-spike"), data, data, options
        ...     ).fit()
        >>> result.validation_accuracy
        1.0
    """

    def __init__(
        self,
        network: LoopNetwork,
        loss: Loss,
        train: SpikeData,
        validation: SpikeData,
        options: TrainingOptions,
        *,
        run_dir: str | os.PathLike[str] | None = None,
        progress: ProgressListener | bool | None = None,
        after_epoch: Callable[[int], None] | None = None,
    ) -> None:
        check_loss(loss)
        if not isinstance(options, TrainingOptions):
            raise ConfigError(f"options: expected TrainingOptions; got {checks.shown(options)}")
        for where, data in (("train", train), ("validation", validation)):
            check_data(where, data, network)
            if options.max_shift and where == "train" and data.image is None:
                raise ConfigError("training.max_shift: these data are no images; set it to 0")
        self.after_epoch = after_epoch
        self.network, self.loss, self.options = network, loss, options
        self.train_data, self.validation_data = train, validation
        self.run_dir = folder = None if run_dir is None else checks.path("run_dir", run_dir)
        self.progress = _listener(progress)
        network.max_dw_norm, network.retries = options.max_dw_norm, options.retries
        if options.time_limit is not None:
            network.time_limit = options.time_limit
        self._scales = [1.0] * len(network.weights)
        if options.relative_rate:
            self._scales = _relative_scales(network)
        if not any(weights.requires_grad for weights in network.weights):
            raise ConfigError(
                "Trainer: no layer's weights are to be trained; expected at least one with "
                "requires_grad = True"
            )
        self._optimiser = torch.optim.Adam(
            [{"params": [weights]} for weights in network.weights]
            if options.relative_rate
            else network.parameters(),
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            fused=True,
        )
        self._rate = options.learning_rate
        self._stop = False
        self._state: dict[str, Any] = {
            "epoch": 0,
            "batch": 0,
            "step": 0,
            "sums": self._empty_sums(),
            "best_epoch": 0,
            "best_accuracy": -1.0,
            "metrics": [],
            "notes": [],
            "finished": False,
        }
        if forbidden := network.enforce_dale():
            self._note(
                [
                    Note(
                        "weights-against-dale",
                        f"{forbidden} of the initial weights had a sign that Dale's law does not "
                        "allow their neuron (n_inhibitory); they were set to 0 before training",
                        {"weights": forbidden},
                    )
                ]
            )
        self._best = network.weight_arrays()
        if folder is not None:
            try:
                (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot write to {folder}: {error.strerror}") from error

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of an epoch; the last may be smaller."""
        return -(-len(self.train_data) // self.options.batch_size)

    @property
    def epochs_done(self) -> int:
        """How many epochs of training the weights have seen to their end."""
        return int(self._state["epoch"])

    def request_stop(self) -> None:
        """Stop after the current batch with a checkpoint. Safe in a signal handler."""
        self._stop = True

    def fit(self) -> TrainingResult:
        """Train to the end, from where the trainer stands.

        Raises:
            TrainingInterrupted: ``request_stop`` was called; a checkpoint was written.
            RunFailed: the substrate failed for good, or the loss became NaN. The last
                checkpoint is kept.
        """
        state, options = self._state, self.options
        self._note_inputs()
        if self.progress:
            self.progress.on_start(state["epoch"], options.epochs, self.batches_per_epoch)
        if self.after_epoch and state["epoch"] and not state["batch"]:
            # Whoever stopped this training may have stopped it before this was done.
            self.after_epoch(state["epoch"])
        while state["epoch"] < options.epochs and not state["finished"]:
            start = time.perf_counter()
            order = sample_order(len(self.train_data), options.seed, state["epoch"])
            while state["batch"] < self.batches_per_epoch:
                first = state["batch"] * options.batch_size
                self._step(order[first : first + options.batch_size])
                self._between_batches(start)
            self._end_epoch(start)
            if self._stop and state["epoch"] < options.epochs and not state["finished"]:
                self._interrupt()
        return self._result()

    def resume(self) -> None:
        """Go back to the last checkpoint of the run folder; ``fit`` continues from there.

        Raises:
            FileFormatError: there is none, it is damaged, or it is of another network.
            ConfigError: it is of another training, with other options, loss or data; or more
                epochs are done than there are to be.
        """
        if self.run_dir is None:
            raise FileFormatError("resume: this trainer has no run folder to resume from")
        path = self.run_dir / CHECKPOINTS / CHECKPOINT
        checkpoint = load_checkpoint(path)
        sizes = list(self.network.session.network.sizes)
        if checkpoint.state.get("sizes") != sizes:
            raise FileFormatError(
                f"checkpoint {path}: is of a network of sizes {checkpoint.state.get('sizes')}; "
                f"expected {sizes}"
            )
        # Checkpoints of earlier versions do not say what they are of.
        if "training" in checkpoint.state:
            check_same_training(checkpoint.state["training"], self._described, path)
        other_epochs = check_epochs(checkpoint.state, checkpoint.state.get("epochs"), self.options)
        tensors, moments = checkpoint.tensors, {}
        with torch.no_grad():
            for index, weights in enumerate(self.network.weights):
                weights.copy_(tensors[f"weights.{index}"])
                if f"adam.{index}.exp_avg" in tensors:
                    moments[index] = {
                        key: tensors[f"adam.{index}.{key}"]
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }
        optimiser = self._optimiser.state_dict()
        optimiser["state"] = moments
        self._optimiser.load_state_dict(optimiser)
        self._best = tuple(
            tensors[f"best.{index}"].numpy().copy() for index in range(len(self.network.weights))
        )
        # Checkpoints of earlier versions hold no notes.
        self._state = {key: checkpoint.state.get(key, []) for key in self._state}
        self._state["finished"] = stopped_early(self._state, self.options)
        # They hang on the initial weights, which may not be those of this trainer's network.
        self._scales = list(checkpoint.state.get("scales", self._scales))
        others = [other_epochs, other_threads(checkpoint.state.get("threads"))]
        self.note(note for note in others if note is not None)
        self._write_metrics()

    def evaluate(
        self,
        data: SpikeData,
        trial: int = EVALUATION_TRIAL,
        observer: RunObserver | None = None,
        *,
        quiet: bool = False,
    ) -> EvaluationResult:
        """Evaluate the current weights; see ``evaluate``. Nothing is warned of twice."""
        result = evaluate(
            self.network, self.loss, data, self.options.batch_size, trial, observer, quiet=True
        )
        if not quiet:
            tell(note for note in result.notes if note.key not in self._noted)
        return result

    # --- one batch ------------------------------------------------------------------------

    def _step(self, samples: np.ndarray) -> None:
        state, options = self._state, self.options
        labels = self.train_data.labels[samples]
        times = training_inputs(self.train_data, samples, options, state["epoch"], state["batch"])
        rate = self._rate = options.learning_rate_at(
            state["epoch"] + state["batch"] / self.batches_per_epoch
        )
        for group, scale in zip(self._optimiser.param_groups, self._scales, strict=False):
            group["lr"] = rate * scale
        counts = self.network.gradient_counts
        counts.reset()

        output, activity = self.network(times, trial=state["step"])
        if state["step"] == 0:
            session = self.network.session
            limit = session.capabilities.weight_limit
            self._note(weight_notes(activity.info, session.network, limit, initial=True))
        loss = self.loss(output, torch.tensor(labels))
        value = float(loss.detach())
        if not np.isfinite(value):
            raise RunFailed(self._bad_loss(value, activity.output_times))
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        bumped = options.silent.apply(
            list(self.network.weights),
            activity,
            labels,
            [scale * rate / options.learning_rate for scale in self._scales],
            [weights.requires_grad for weights in self.network.weights],
        )
        self.network.enforce_dale()
        if options.clip_weights:
            clipped = self.network.clip_weights(self._weight_limit)
        else:
            clipped = activity.info.clipped_weights or (0,) * len(self.network.weights)

        sums = state["sums"]
        sums["samples"] += len(labels)
        sums["loss"] += value * len(labels)
        sums["correct"] += int((checked_decisions(self.loss, activity) == labels).sum())
        for index, silent in enumerate(activity.silent_fraction()):
            sums["silent"][index] += silent * len(labels)
            sums["clipped"][index] += clipped[index]
        sums["zeroed"] += counts.n_not_rising
        sums["capped"] += counts.n_capped
        sums["bumped"] += bumped
        sums["retries"] += activity.info.retries
        state["batch"] += 1
        state["step"] += 1
        if self.progress:
            self.progress.on_batch(state["epoch"], state["batch"], value)

    def _bad_loss(self, value: float, times: np.ndarray) -> str:
        spikes = times[np.isfinite(times)]
        where = f"epoch {self._state['epoch'] + 1}, batch {self._state['batch']}"
        seen = f"{times.size - spikes.size} of {times.size} output neurons were silent"
        if spikes.size:
            seen += f", the others spiked from {spikes.min():.4g} to {spikes.max():.4g}"
        return (
            f"training: the loss is {value} in {where}; expected a finite number. In "
            f"this batch {seen}: does the loss take silent neurons (inf) and such times without "
            "overflow? The last checkpoint is kept."
        )

    def _between_batches(self, start: float) -> None:
        state, every = self._state, self.options.checkpoint_every
        if state["batch"] == self.batches_per_epoch:
            return  # the end of the epoch follows, with its own checkpoint
        if self._stop:
            state["sums"]["seconds"] += time.perf_counter() - start
            self._interrupt()
        if every is not None and state["batch"] % every == 0:
            self._checkpoint()

    def _interrupt(self) -> None:
        self._checkpoint()
        where = f"resume with: hxloop resume {self.run_dir}" if self.run_dir else "nothing saved"
        raise TrainingInterrupted(
            f"training stopped in epoch {self._state['epoch'] + 1} of {self.options.epochs}, "
            f"after batch {self._state['batch']}; {where}"
        )

    # --- notes ----------------------------------------------------------------------------

    @property
    def _noted(self) -> set[str]:
        return {note["key"] for note in self._state["notes"]}

    def note(self, notes: Iterable[Note]) -> None:
        """Keep notes, in place of earlier ones of their keys, and warn of them."""
        new = [*notes]
        keys = {note.key for note in new}
        kept = [note for note in self._state["notes"] if note["key"] not in keys]
        self._state["notes"] = kept + [note.as_dict() for note in new]
        tell(new)

    def _note(self, notes: Iterable[Note]) -> None:
        """Keep notes, and warn of those that are new; a resumed training has told the others."""
        new = [note for note in notes if note.key not in self._noted]
        self._state["notes"] += [note.as_dict() for note in new]
        tell(new)

    def _note_inputs(self) -> None:
        for split, data in (("training", self.train_data), ("validation", self.validation_data)):
            network = self.network.session.network
            self._note(input_notes(data.input_times, network, split))

    # --- one epoch ------------------------------------------------------------------------

    def _end_epoch(self, start: float) -> None:
        state, sums, options = self._state, self._state["sums"], self.options
        n = sums["samples"]
        trial = VALIDATION_TRIAL + state["epoch"] * (1 << 20)
        result = self.evaluate(self.validation_data, trial, quiet=True)
        metrics = {
            "epoch": state["epoch"] + 1,
            "train_loss": sums["loss"] / n,
            "train_accuracy": sums["correct"] / n,
            "validation_loss": result.loss,
            "validation_accuracy": result.accuracy,
            "learning_rate": self._rate,
            "silent_fraction": [total / n for total in sums["silent"]],
            "clipped_weights": sums["clipped"],
            "zeroed_gradients": sums["zeroed"],
            "capped_gradients": sums["capped"],
            "bumped_neurons": sums["bumped"],
            "retries": sums["retries"],
            "notes": [],
            "seconds": round(sums["seconds"] + time.perf_counter() - start, 3),
        }
        state["metrics"].append(metrics)
        state["epoch"] += 1
        state["batch"] = 0
        state["sums"] = self._empty_sums()
        if result.accuracy >= state["best_accuracy"]:
            state["best_accuracy"], state["best_epoch"] = result.accuracy, state["epoch"]
            self._best = self.network.weight_arrays()
        state["finished"] = stopped_early(state, options)
        last = state["finished"] or state["epoch"] == options.epochs
        # Much is silent or undecided in the first epochs; that nothing spikes at all never mends.
        self._note(n for n in result.notes if last or n.key == "layer-never-spikes")
        written = {note["key"] for earlier in state["metrics"] for note in earlier.get("notes", [])}
        metrics["notes"] = [note for note in state["notes"] if note["key"] not in written]
        # The checkpoint first: it is what counts, and resuming writes the metrics from it.
        self._checkpoint()
        self._append_metrics()
        if self.progress:
            self.progress.on_epoch(metrics)
        if self.after_epoch:
            self.after_epoch(state["epoch"])

    def _result(self) -> TrainingResult:
        state = self._state
        if self.options.select == "best" and state["best_epoch"]:
            epoch, accuracy = state["best_epoch"], state["best_accuracy"]
            with torch.no_grad():
                for weights, best in zip(self.network.weights, self._best, strict=True):
                    weights.copy_(torch.from_numpy(best))
        else:
            epoch = state["epoch"]
            accuracy = state["metrics"][-1]["validation_accuracy"]
        return TrainingResult(
            tuple(state["metrics"]),
            self.network.weight_arrays(),
            epoch,
            accuracy,
            tuple(Note.from_dict(note) for note in state["notes"]),
        )

    def _checkpoint(self) -> None:
        if self.run_dir is None:
            return
        tensors = {}
        for index, weights in enumerate(self.network.weights):
            tensors[f"weights.{index}"] = weights
            tensors[f"best.{index}"] = torch.from_numpy(self._best[index])
            for key, value in self._optimiser.state.get(weights, {}).items():
                tensors[f"adam.{index}.{key}"] = value
        state = {
            **self._state,
            "sizes": list(self.network.session.network.sizes),
            "training": self._described,
            "epochs": self.options.epochs,
            "scales": self._scales,
            "threads": torch.get_num_threads(),
        }
        path = self.run_dir / CHECKPOINTS / CHECKPOINT
        save_checkpoint(path, Checkpoint(tensors, state))

    @cached_property
    def _described(self) -> dict[str, Any]:
        """What the steps hang on, for the checkpoints."""
        data = self.train_data, self.validation_data
        network = self.network.session.network
        return describe_training(network, self.loss, self.options, *data)

    @property
    def _weight_limit(self) -> float | None:
        """The narrower of the substrate's range and the one asked for."""
        limits = (self.network.session.capabilities.weight_limit, self.options.weight_limit)
        return min((limit for limit in limits if limit is not None), default=None)

    def _append_metrics(self) -> None:
        """Add the last epoch to ``metrics.jsonl``; the first one begins the file anew."""
        if self.run_dir is None:
            return
        metrics = self._state["metrics"]
        if len(metrics) == 1:
            self._write_metrics()
            return
        path = self.run_dir / METRICS
        try:
            with path.open("a") as file:
                file.write(json.dumps(metrics[-1]) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error

    def _write_metrics(self) -> None:
        if self.run_dir is not None:
            lines = [json.dumps(metrics) + "\n" for metrics in self._state["metrics"]]
            write_atomically(self.run_dir / METRICS, "".join(lines).encode())

    def _empty_sums(self) -> dict[str, Any]:
        layers = len(self.network.weights)
        numbers = ("samples", "loss", "correct", "zeroed", "capped", "bumped", "retries")
        empty: dict[str, Any] = dict.fromkeys(numbers, 0)
        return {**empty, "seconds": 0.0, "silent": [0.0] * layers, "clipped": [0] * layers}


def _relative_scales(network: LoopNetwork) -> list[float]:
    """Standard deviation of the initial weights of every layer.

    Raises:
        ConfigError: there is none: they are all equal, but for rounding.
    """
    scales = []
    for index, weights in enumerate(network.weights):
        values = weights.detach()
        lowest, highest = (float(end) for end in values.aminmax())
        # A mean of equal numbers is off by rounding, and their standard deviation not quite 0.
        rounding = torch.finfo(values.dtype).eps * max(abs(lowest), abs(highest))
        if weights.requires_grad and not highest - lowest > 16 * rounding:
            raise ConfigError(
                "training.relative_rate: the initial weights of a layer are all equal, so their "
                f"standard deviation is no scale for the learning rate; got {lowest:g} throughout "
                f"layer {index}; expected weights that differ, or relative_rate = false"
            )
        scales.append(float(values.std(correction=0)))
    return scales


def _listener(progress: ProgressListener | bool | None) -> ProgressListener | None:
    if isinstance(progress, bool):
        return TrainingLines() if progress else None
    return progress
