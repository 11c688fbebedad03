"""The loop and the trainer: gradients, resume bit for bit, silent neurons, faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import (
    LatencyEncoding,
    LoopNetwork,
    NetworkSpec,
    SilentNeuronPolicy,
    SpikeData,
    Trainer,
    TrainingOptions,
    get_backend,
    get_loss,
    initial_weights,
    yin_yang,
)
from hxloop.errors import (
    ConfigError,
    FileFormatError,
    NetworkError,
    RunFailed,
    RunInputError,
    TrainingInterrupted,
)
from hxloop.training.checkpoint import load_checkpoint

SPEC = NetworkSpec.feed_forward(5, 20, 3, t_window=4.0)
LOSS = get_loss("time-to-first-spike")
OPTIONS = TrainingOptions(epochs=3, batch_size=40, input_noise=0.01, learning_rate=0.01)


def data(size, seed):
    samples = yin_yang(size, seed)
    return SpikeData(LatencyEncoding().encode(samples.samples), samples.labels)


TRAIN, VALIDATION = data(200, 42), data(60, 41)
WEIGHTS = initial_weights(SPEC, [1.5, 0.5], [0.8, 0.8], seed=0)


def session(name="ideal", spec=SPEC, **options):
    return get_backend(name, **options).open(spec, seed=3)


def trainer(tmp_path=None, options=OPTIONS, weights=WEIGHTS, backend="ideal", **keywords):
    chip = {"solver": "event", "weight_lsb": 0.04} if backend == "emulated-chip" else {}
    network = LoopNetwork(session(backend, **chip), weights)
    return Trainer(network, LOSS, TRAIN, VALIDATION, options, run_dir=tmp_path, **keywords)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


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
    step, calls = stopped._step, []

    def counting_step(samples):
        step(samples)
        calls.append(1)
        if len(calls) == 7:  # in the middle of the second epoch
            stopped.request_stop()

    stopped._step = counting_step
    with pytest.raises(TrainingInterrupted, match="epoch 2 of 3, after batch 2"):
        stopped.fit()
    resumed = trainer(tmp_path / "parts", options, backend=backend)
    resumed.resume()
    result = resumed.fit()
    assert same(whole.weights, result.weights)
    strip = [{k: v for k, v in m.items() if k != "seconds"} for m in whole.metrics]
    assert strip == [{k: v for k, v in m.items() if k != "seconds"} for m in result.metrics]
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3


KILLED = """
import sys
from pathlib import Path
from dataclasses import replace
from tests.training.test_training import OPTIONS, trainer
run = trainer(Path(sys.argv[1]), options=replace(OPTIONS, epochs=200, checkpoint_every=2))
if sys.argv[2] == "resume":
    run.resume()
    run._state["stop_at"] = None
step = run._step
def slow_step(samples):
    step(samples)
    print(run._state["step"], flush=True)
    if run._state["step"] == int(sys.argv[3]):
        run.request_stop()
run._step = slow_step
try:
    run.fit()
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def test_kill_minus_9_and_resume_is_bit_for_bit(tmp_path):
    def start(folder, mode):
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / folder), mode, "43"],
            stdout=subprocess.PIPE,
            text=True,
        )

    whole = start("whole", "fresh")
    out, _ = whole.communicate(timeout=120)
    assert out.endswith("TrainingInterrupted\n")
    victim = start("killed", "fresh")
    for line in victim.stdout:
        if int(line) == 18:  # epoch 4, batch 3
            os.kill(victim.pid, signal.SIGKILL)
            break
    victim.wait()
    victim.stdout.close()
    last = load_checkpoint(tmp_path / "killed" / "checkpoints" / "last.safetensors")
    assert 16 <= last.state["step"] < 43
    again = start("killed", "resume")
    out, _ = again.communicate(timeout=120)
    assert out.endswith("TrainingInterrupted\n")
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


class Flaky:
    """A session that fails a given number of times before each success."""

    def __init__(self, inner, failures, retryable=True, damage=None):
        self.inner, self.failures, self.retryable, self.damage = inner, failures, retryable, damage
        self.network, self.capabilities = inner.network, inner.capabilities
        self.left = failures

    def run(self, *args, **keywords):
        if self.left:
            self.left -= 1
            raise RunFailed("stalled", retryable=self.retryable)
        self.left = self.failures
        activity = self.inner.run(*args, **keywords)
        return self.damage(activity) if self.damage else activity


def test_transient_faults_are_retried_and_counted():
    network = LoopNetwork(Flaky(session(), 2), WEIGHTS, retries=2)
    assert network(TRAIN.input_times[:4])[1].info.retries == 2
    network.retries = 1
    with pytest.raises(RunFailed, match="stalled"):
        network(TRAIN.input_times[:4])
    permanent = LoopNetwork(Flaky(session(), 1, retryable=False), WEIGHTS, retries=5)
    with pytest.raises(RunFailed, match="stalled"):
        permanent(TRAIN.input_times[:4])


@pytest.mark.parametrize(
    ("value", "match"), [(np.nan, "nan"), (-0.1, "-0.1"), (5.0, "t_window = 4")]
)
def test_impossible_activity_is_refused(value, match):
    def damage(activity):
        layers = [layer.copy() for layer in activity.first_spike_times]
        layers[1][2, 1] = value
        return replace(activity, first_spike_times=tuple(layers))

    network = LoopNetwork(Flaky(session(), 0, damage=damage), WEIGHTS)
    with pytest.raises(RunFailed, match=f"{match}.*") as caught:
        network(TRAIN.input_times[:4])
    assert "layer 1, sample 2, neuron 1" in str(caught.value)
    short = Flaky(
        session(), 0, damage=lambda a: replace(a, first_spike_times=a.first_spike_times[:1])
    )
    with pytest.raises(RunFailed, match="shapes"):
        LoopNetwork(short, WEIGHTS)(TRAIN.input_times[:4])


def test_a_failure_keeps_the_checkpoint(tmp_path):
    run = trainer(tmp_path, options=replace(OPTIONS, epochs=2, retries=0))
    run.network.session = Flaky(run.network.session, 0)
    evaluate_epoch = run._end_epoch

    def fail_afterwards(start):
        evaluate_epoch(start)
        run.network.session.left = 1

    run._end_epoch = fail_afterwards
    with pytest.raises(RunFailed):
        run.fit()
    resumed = trainer(tmp_path, options=replace(OPTIONS, epochs=2, retries=0))
    resumed.resume()
    whole = trainer(options=replace(OPTIONS, epochs=2, retries=0)).fit()
    assert same(resumed.fit().weights, whole.weights)


def test_same_weights_on_another_substrate():
    network = LoopNetwork(session(), WEIGHTS)
    chip = network.with_session(session("emulated-chip", solver="event", chip=5))
    assert same(network.weight_arrays(), chip.weight_arrays())
    assert chip(TRAIN.input_times[:4])[1].info.chip_id.startswith("emulated-5-")
    with pytest.raises(NetworkError, match="5-9-3"):
        network.with_session(session(spec=NetworkSpec.feed_forward(5, 9, 3)))


def test_early_stop_and_selection():
    options = replace(OPTIONS, epochs=50, learning_rate=1e-12, patience=2, input_noise=0.0,
                      silent=SilentNeuronPolicy(bump=0))  # fmt: skip
    run = trainer(options=options)
    accuracies = iter([0.5, 0.7, 0.7, 0.6, 0.6, 0.9])
    real = run.evaluate
    run.evaluate = lambda *a, **k: replace(real(*a, **k), accuracy=next(accuracies))
    result = run.fit()
    assert len(result.metrics) == 5  # best in epoch 3 (the later of equals), then two worse ones
    assert (result.epoch, result.validation_accuracy) == (3, 0.7)


def test_learning_rate_schedules():
    constant = TrainingOptions(schedule="constant", learning_rate=0.1)
    assert constant.learning_rate_at(50) == 0.1
    step = TrainingOptions(schedule="step", learning_rate=0.1, step_epochs=10, step_factor=0.5)
    assert [step.learning_rate_at(e) for e in (0, 9.9, 10, 25)] == [0.1, 0.1, 0.05, 0.025]
    cosine = TrainingOptions(learning_rate=0.1, epochs=100, final_fraction=0.1)
    assert cosine.learning_rate_at(0) == pytest.approx(0.1)
    assert cosine.learning_rate_at(50) == pytest.approx(0.055)
    assert cosine.learning_rate_at(100) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "bad",
    [{"epochs": 0}, {"batch_size": 0}, {"schedule": "x"}, {"learning_rate": 0}, {"beta2": 1.0},
     {"select": "x"}, {"input_noise": -1}, {"max_dw_norm": 0}, {"patience": 0}, {"retries": -1}],
)  # fmt: skip
def test_bad_options_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        TrainingOptions(**bad)


def test_bad_data_and_weights_are_refused():
    with pytest.raises(RunInputError, match="labels"):
        SpikeData(np.ones((3, 2)), np.zeros(2, dtype=np.int64))
    with pytest.raises(RunInputError, match="at least one"):
        SpikeData(np.ones((0, 2)), np.zeros(0, dtype=np.int64))
    with pytest.raises(NetworkError, match="shapes"):
        LoopNetwork(session(), WEIGHTS[::-1])
    with pytest.raises(ConfigError, match="2 means"):
        initial_weights(SPEC, [1.0], [1.0], 0)


def test_a_diverged_training_says_so():
    run = trainer()
    run.loss = type("Nan", (), {"__call__": lambda s, o, y: torch.tensor(float("nan"))})()
    with pytest.raises(RunFailed, match="the loss is nan in epoch 1, batch 0"):
        run.fit()


def test_trainer_overhead_is_reported_per_epoch():
    start = time.perf_counter()
    result = trainer(options=replace(OPTIONS, epochs=1)).fit()
    assert 0 < result.metrics[0]["seconds"] <= time.perf_counter() - start
