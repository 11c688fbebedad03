"""Trainings through faults, on other substrates, with other schedules; what is refused."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import (
    LoopNetwork,
    NetworkSpec,
    SilentNeuronPolicy,
    SpikeData,
    TrainingOptions,
    initial_weights,
)
from hxloop.errors import (
    ConfigError,
    HxloopWarning,
    NetworkError,
    RunFailed,
    RunInputError,
)
from tests.training.small_training import OPTIONS, SPEC, TRAIN, WEIGHTS, same, session, trainer


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

    def fail_from_now_on(epochs):
        run.network.session.left = 1

    run.after_epoch = fail_from_now_on
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


def test_what_is_odd_about_initial_weights_is_told_before_the_first_loss_fails():
    run = trainer(weights=[50 * matrix for matrix in WEIGHTS], backend="emulated-chip")
    run.loss = type("Nan", (), {"__call__": lambda s, o, y: torch.tensor(float("nan"))})()
    with (
        pytest.warns(HxloopWarning, match="initial weights .* beyond the range"),
        pytest.raises(RunFailed, match="the loss is nan in epoch 1, batch 0"),
    ):
        run.fit()


def test_trainer_overhead_is_reported_per_epoch():
    start = time.perf_counter()
    result = trainer(options=replace(OPTIONS, epochs=1)).fit()
    assert 0 < result.metrics[0]["seconds"] <= time.perf_counter() - start
