"""The loop and the trainer: gradients, resume bit for bit, silent neurons, faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import (
    LoopNetwork,
    NetworkSpec,
    SilentNeuronPolicy,
    Trainer,
    initial_weights,
)
from hxloop.errors import (
    ConfigError,
    FileFormatError,
    TrainingInterrupted,
)
from hxloop.training.checkpoint import load_checkpoint
from hxloop.training.events import TrainingEvents
from tests.training.small_training import (
    LOSS,
    OPTIONS,
    SPEC,
    TRAIN,
    VALIDATION,
    WEIGHTS,
    same,
    session,
    trainer,
)


def test_gradient_of_the_loop_against_central_differences():
    network = LoopNetwork(session(), WEIGHTS)
    labels = torch.from_numpy(TRAIN.labels[:8])

    def loss():
        return LOSS(network(TRAIN.input_times[:8])[0], labels)

    loss().backward()
    rng = np.random.default_rng(0)
    checked = 0
    for matrix in network.weights:
        for _ in range(12):
            index = tuple(int(rng.integers(n)) for n in matrix.shape)
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    matrix[index] += sign * 1e-6
                    ends.append(float(loss()))
                    matrix[index] -= sign * 1e-6
            central = (ends[0] - ends[1]) / 2e-6
            assert float(matrix.grad[index]) == pytest.approx(central, rel=1e-5, abs=1e-7)
            checked += abs(central) > 1e-6
    assert checked >= 10


def test_learns_yin_yang():
    run = trainer(options=replace(OPTIONS, epochs=25, input_noise=0.0))
    before = run.evaluate(VALIDATION).accuracy
    result = run.fit()
    assert result.metrics[-1]["train_loss"] < 0.8 * result.metrics[0]["train_loss"]
    assert result.validation_accuracy > max(before, 0.6)
    assert run.evaluate(VALIDATION).accuracy == result.validation_accuracy  # best weights


EAGER = SilentNeuronPolicy(hidden=0.1, output=0.0, bump=0.01, layers="all")


class StopAt(TrainingEvents):
    """Stops a training in the middle of an epoch."""

    def __init__(self, trainer, epoch, batch) -> None:
        self.trainer, self.place = trainer, (epoch, batch)
        self.told = []

    def batch(self, epoch, batch, loss):
        if (epoch, batch) == self.place:
            self.trainer.request_stop()

    def stopped(self, epoch, batch):
        self.told.append((epoch, batch))


@pytest.mark.parametrize(
    ("backend", "changes"),
    [
        ("ideal", {}),
        ("emulated-chip", {}),
        # The rates hang on the initial weights, which a resumed trainer no longer holds.
        ("ideal", {"relative_rate": True, "learning_rate": 0.05, "silent": EAGER}),
    ],
)
def test_stop_and_resume_is_bit_for_bit(tmp_path, backend, changes):
    options = replace(OPTIONS, **changes)
    whole = trainer(tmp_path / "whole", options, backend=backend).fit()
    stopped = trainer(tmp_path / "parts", options, backend=backend)
    stopped.events.watchers.append(StopAt(stopped, epoch=1, batch=2))
    with pytest.raises(TrainingInterrupted, match="epoch 2 of 3, after batch 2"):
        stopped.fit()
    assert stopped.events.watchers[-1].told == [(1, 2)]
    resumed = trainer(tmp_path / "parts", options, backend=backend)
    resumed.resume()
    result = resumed.fit()
    assert same(whole.weights, result.weights)
    strip = [{k: v for k, v in m.items() if k != "seconds"} for m in whole.metrics]
    assert strip == [{k: v for k, v in m.items() if k != "seconds"} for m in result.metrics]
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3


def train_to(folder, step, resume=False):
    """Trains on until a step, told on standard output; checkpoints every two epochs."""
    run = trainer(folder, options=replace(OPTIONS, epochs=200, checkpoint_every=2))
    if resume:
        run.resume()

    class Watched(TrainingEvents):
        def batch(self, epoch, batch, loss):
            print(run.state.step, flush=True)
            if run.state.step == step:
                run.request_stop()

    run.events.watchers.append(Watched())
    with pytest.raises(TrainingInterrupted):
        run.fit()


KILLED = """
import sys
from pathlib import Path
from tests.training.test_training import train_to
train_to(Path(sys.argv[1]), 43)
"""


def test_kill_minus_9_and_resume_is_bit_for_bit(tmp_path):
    """What the killed process left is taken up by this one, which ends as if it had done it all."""
    train_to(tmp_path / "whole", 43)
    victim = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in victim.stdout:
        if int(line) == 18:  # epoch 4, batch 3
            os.kill(victim.pid, signal.SIGKILL)
            break
    victim.wait()
    victim.stdout.close()
    last = load_checkpoint(tmp_path / "killed" / "checkpoints" / "last.safetensors")
    assert 16 <= last.state["step"] < 43
    train_to(tmp_path / "killed", 43, resume=True)
    ends = [
        load_checkpoint(tmp_path / name / "checkpoints" / "last.safetensors")
        for name in ("whole", "killed")
    ]
    assert ends[0].state["step"] == ends[1].state["step"] == 43
    assert ends[0].tensors.keys() == ends[1].tensors.keys()
    for name, tensor in ends[0].tensors.items():
        assert torch.equal(tensor, ends[1].tensors[name]), name


def test_damaged_checkpoints_are_refused(tmp_path):
    trainer(tmp_path, options=replace(OPTIONS, epochs=1)).fit()
    path = tmp_path / "checkpoints" / "last.safetensors"
    good = path.read_bytes()
    for content in (good[:100], good[: len(good) // 2], b"", b"x" * 500):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="truncated or corrupt"):
            trainer(tmp_path).resume()
    flipped = bytearray(good)
    flipped[-5] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(FileFormatError, match="digest"):
        trainer(tmp_path).resume()
    path.write_bytes(good)
    other = NetworkSpec.feed_forward(5, 21, 3)
    network = LoopNetwork(session(spec=other), initial_weights(other, [1, 1], [1, 1], 0))
    with pytest.raises(FileFormatError, match=r"sizes \[5, 20, 3\]"):
        Trainer(network, LOSS, TRAIN, VALIDATION, OPTIONS, run_dir=tmp_path).resume()
    path.unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        trainer(tmp_path).resume()


def test_bumping_wakes_a_silent_network():
    asleep = [np.full(shape, 0.01) for shape in SPEC.shapes]
    policy = SilentNeuronPolicy(hidden=0.3, bump=0.05)
    options = replace(OPTIONS, epochs=12, silent=policy, schedule="constant")
    run = trainer(options=options, weights=asleep)
    result = run.fit()
    assert result.metrics[0]["silent_fraction"][0] > 0.3
    assert result.metrics[0]["bumped_neurons"] > 0
    assert result.metrics[-1]["silent_fraction"][0] < 0.35
    assert result.metrics[-1]["silent_fraction"][1] < 1.0
    off = replace(policy, bump=0.0)
    still = trainer(options=replace(OPTIONS, epochs=2, silent=off), weights=asleep).fit()
    assert still.metrics[-1]["silent_fraction"] == [1.0, 1.0]


def test_weights_are_clipped_to_the_substrate_and_counted():
    run = trainer(backend="emulated-chip", options=replace(OPTIONS, epochs=1))
    limit = run.network.session.capabilities.weight_limit
    assert max(np.abs(w).max() for w in WEIGHTS) > limit
    result = run.fit()
    assert max(np.abs(w).max() for w in run.network.weight_arrays()) <= limit
    assert result.metrics[0]["clipped_weights"][0] > 0


def test_all_layers_are_woken_at_once_where_asked():
    deep = NetworkSpec.feed_forward(5, 20, 20, 3, t_window=4.0)
    asleep = [np.full(shape, 0.01) for shape in deep.shapes]

    def silent_neurons_bumped(layers):
        policy = SilentNeuronPolicy(hidden=0.3, output=0.0, bump=0.05, layers=layers)
        network = LoopNetwork(session(spec=deep), asleep)
        options = replace(OPTIONS, epochs=1, learning_rate=1e-9, silent=policy)
        Trainer(network, LOSS, TRAIN, VALIDATION, options).fit()
        return [bool((w > 0.02).any()) for w in network.weight_arrays()]

    assert silent_neurons_bumped("first") == [True, False, False]
    assert silent_neurons_bumped("all") == [True, True, True]
    with pytest.raises(ConfigError, match="'first', 'all'; got 'last'"):
        SilentNeuronPolicy(layers="last")


def test_relative_rate_moves_every_layer_by_the_same_fraction():
    network = LoopNetwork(session(), [10 * WEIGHTS[0], WEIGHTS[1]])
    before = network.weight_arrays()
    options = replace(OPTIONS, epochs=1, batch_size=200, learning_rate=1e-3, relative_rate=True)
    Trainer(network, LOSS, TRAIN, VALIDATION, options).fit()
    for old, new in zip(before, network.weight_arrays(), strict=True):
        # The first step of Adam is the rate, whatever the gradient.
        assert np.abs(new - old).max() == pytest.approx(1e-3 * old.std(), rel=0.2)
    equal = [np.full(shape, 0.5) for shape in SPEC.shapes]
    with pytest.raises(ConfigError, match="relative_rate: the initial weights of a layer"):
        trainer(options=options, weights=equal)


class Told(TrainingEvents):
    """Everything that happens, in its order."""

    def __init__(self) -> None:
        self.events = []

    def started(self, *values):
        self.events.append(("started", *values))

    def batch(self, epoch, batch, loss):
        self.events.append(("batch", epoch, batch))

    def epoch(self, metrics):
        self.events.append(("epoch", metrics["epoch"]))

    def stopped(self, *values):
        self.events.append(("stopped", *values))

    def finished(self, result):
        self.events.append(("finished", result.epoch))


def test_everybody_who_watches_is_told_the_same(tmp_path):
    watchers, done = [Told(), Told()], []
    run = trainer(tmp_path, replace(OPTIONS, epochs=2, select="last"))
    run.events.watchers.extend(watchers)
    run.after_epoch = done.append
    run.fit()
    n = run.batches_per_epoch
    expected = [("started", 0, 2, n, 0)]
    for epoch in range(2):
        expected += [("batch", epoch, batch + 1) for batch in range(n)]
        expected += [("epoch", epoch + 1)]
    assert watchers[0].events == watchers[1].events == [*expected, ("finished", 2)]
    assert done == [1, 2]
