"""Optimizers and schedules of torch by name and as objects, and averages of weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, Trainer
from hxloop.errors import ConfigError, TrainingInterrupted, UnknownNameError
from hxloop.experiments.registry import load_experiment
from hxloop.training import torch_optimisers
from hxloop.training.events import TrainingEvents
from hxloop.training.inputs import sample_order
from hxloop.training.options import OPTIMIZERS, TORCH_SCHEDULES, TrainingOptions
from tests.training.small_training import (
    LOSS,
    OPTIONS,
    TRAIN,
    VALIDATION,
    WEIGHTS,
    same,
    session,
    trainer,
)

# A weight that is stepped alone: three steps of each rule, whose state is then not empty.
SCHEDULE_OPTIONS = {
    "exponential": {"gamma": 0.5},
    "multi-step": {"milestones": [1, 2], "gamma": 0.1},  # before the stop, and after it
    "linear": {"start_factor": 0.5, "total_iters": 2},
    "polynomial": {"total_iters": 2},
    "cosine-warm-restarts": {"T_0": 2},
    "one-cycle": {},
    "reduce-on-plateau": {"patience": 0, "factor": 0.5},
}


def test_names_are_those_that_are_made():
    assert set(OPTIMIZERS) == set(torch_optimisers.OPTIMIZERS)
    assert set(TORCH_SCHEDULES) == set(torch_optimisers.SCHEDULERS) == set(SCHEDULE_OPTIONS)


class StopAfter(TrainingEvents):
    def __init__(self, batches):
        self.left = batches

    def batch(self, epoch, batch, loss):
        self.left -= 1

    def wants_stop(self):
        return self.left <= 0


def stopped_and_resumed(tmp_path, options, batches=7, **keywords):
    """The same training at once, and stopped after so many batches, five an epoch."""
    whole = trainer(None, options, **keywords).fit()
    first = trainer(tmp_path, options, **keywords)

    first.events.watchers.append(StopAfter(batches))
    with pytest.raises(TrainingInterrupted):
        first.fit()
    second = trainer(tmp_path, options, **keywords)
    second.resume()
    return whole, second.fit()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_as_torch_does_and_goes_on_bit_for_bit(name, tmp_path):
    options = replace(OPTIONS, optimizer=name, schedule="constant", epochs=2, learning_rate=0.002)
    whole, resumed = stopped_and_resumed(tmp_path, options)
    assert same(whole.weights, resumed.weights)
    assert not same(whole.weights, WEIGHTS)


@pytest.mark.parametrize("batches", [2, 7])
@pytest.mark.parametrize("name", TORCH_SCHEDULES)
def test_every_schedule_goes_on_bit_for_bit(name, batches, tmp_path):
    options = replace(
        OPTIONS, schedule=name, schedule_options=SCHEDULE_OPTIONS[name], epochs=3, optimizer="sgd",
        optimizer_options={"momentum": 0.9}, learning_rate=1e-3,
    )  # fmt: skip
    whole, resumed = stopped_and_resumed(tmp_path, options, batches)
    assert same(whole.weights, resumed.weights)
    rates = [metrics["learning_rate"] for metrics in whole.metrics]
    assert rates == [metrics["learning_rate"] for metrics in resumed.metrics]
    if name != "reduce-on-plateau":
        assert len(set(rates)) > 1


def test_schedules_that_torch_would_break_off_are_refused(tmp_path):
    one_cycle = replace(OPTIONS, schedule="one-cycle", epochs=2)
    with pytest.raises(ConfigError, match=r"total_steps = 9;.* 10 batches"):
        trainer(None, replace(one_cycle, schedule_options={"total_steps": 9}))
    trainer(tmp_path, one_cycle).fit()
    longer = trainer(tmp_path, replace(one_cycle, epochs=3))
    with pytest.raises(ConfigError, match=r"total_steps = 10;.* 15 batches"):
        longer.resume()


def test_a_schedule_that_no_checkpoint_holds_is_refused_before_anything_runs(tmp_path):
    class Odd(torch.optim.lr_scheduler.ConstantLR):
        def state_dict(self):
            return super().state_dict() | {"of": object()}

    with pytest.raises(ConfigError, match="no checkpoint holds"):
        trainer(tmp_path, OPTIONS, scheduler=Odd)
    assert trainer(None, OPTIONS, scheduler=Odd).fit().epoch


def test_sgd_with_momentum_is_that_of_torch():
    """One batch an epoch, no policy: three steps by hand."""
    options = TrainingOptions(
        epochs=3, batch_size=len(TRAIN), learning_rate=0.01, schedule="exponential",
        schedule_options={"gamma": 0.5}, optimizer="sgd", optimizer_options={"momentum": 0.9},
        silent=replace(OPTIONS.silent, bump=0.0), select="last", clip_weights=False,
    )  # fmt: skip
    result = trainer(None, options).fit()
    network = LoopNetwork(session(), WEIGHTS)
    by_hand = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(3):
        by_hand.param_groups[0]["lr"] = 0.01 * 0.5**epoch
        by_hand.zero_grad()
        order = sample_order(len(TRAIN), 0, epoch)
        LOSS(network(TRAIN.input_times[order])[0], torch.tensor(TRAIN.labels[order])).backward()
        by_hand.step()
    for ours, theirs in zip(result.weights, network.weight_arrays(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    rates = [metrics["learning_rate"] for metrics in result.metrics]
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.0025])


def test_relative_rates_of_layers_hold_for_every_optimizer():
    options = replace(OPTIONS, optimizer="sgd", relative_rate=True, schedule="exponential",
                      schedule_options={"gamma": 0.5}, epochs=2)  # fmt: skip
    result = trainer(None, options).fit()
    rates = [metrics["learning_rate"] for metrics in result.metrics]
    np.testing.assert_allclose(rates, [0.01, 0.005])


def fit_with(network, options=OPTIONS, **objects):
    return Trainer(network, LOSS, TRAIN, VALIDATION, options, **objects).fit()


def test_objects_do_what_their_names_do():
    named = replace(OPTIONS, optimizer="adamw", optimizer_options={"weight_decay": 0.1},
                    schedule="exponential", schedule_options={"gamma": 0.5})  # fmt: skip
    expected = fit_with(LoopNetwork(session(), WEIGHTS), named)
    made = fit_with(
        LoopNetwork(session(), WEIGHTS),
        optimizer=partial(torch.optim.AdamW, weight_decay=0.1),
        scheduler=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
    )
    network = LoopNetwork(session(), WEIGHTS)
    own = torch.optim.AdamW(network.parameters(), lr=OPTIONS.learning_rate, weight_decay=0.1)
    object_ = fit_with(
        network,
        optimizer=own,
        scheduler=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
    )
    assert same(made.weights, expected.weights)
    assert same(object_.weights, expected.weights)


def test_what_is_held_fixed_need_not_be_of_the_optimizer(tmp_path):
    def made():
        network = LoopNetwork(session(), WEIGHTS)
        network.weights[0].requires_grad_(False)
        own = torch.optim.SGD([network.weights[1]], lr=0.003, momentum=0.9)
        return Trainer(network, LOSS, TRAIN, VALIDATION, OPTIONS, optimizer=own, run_dir=tmp_path)

    result = made().fit()
    assert np.array_equal(result.weights[0], WEIGHTS[0])
    again = made()
    again.resume()
    assert same(again.fit().weights, result.weights)


def test_a_schedule_as_an_object():
    network = LoopNetwork(session(), WEIGHTS)
    own = torch.optim.SGD(network.parameters(), lr=0.004)
    halved = torch.optim.lr_scheduler.ExponentialLR(own, gamma=0.5)
    result = fit_with(network, optimizer=own, scheduler=halved)
    assert [metrics["learning_rate"] for metrics in result.metrics] == [0.004, 0.002, 0.001]
    with pytest.raises(ConfigError, match="of another optimizer"):
        fit_with(network, scheduler=halved)
    for wrong in (3, lambda optimizer: 3):
        with pytest.raises(ConfigError, match=r"expected a schedule of torch.*int"):
            fit_with(network, scheduler=wrong)


def test_an_optimizer_object_keeps_its_own_rate():
    network = LoopNetwork(session(), WEIGHTS)
    own = torch.optim.SGD(network.parameters(), lr=0.003)
    result = fit_with(network, optimizer=own)
    assert [metrics["learning_rate"] for metrics in result.metrics] == [0.003] * 3


def test_another_optimizer_is_another_training(tmp_path):
    kept = {"optimizer": partial(torch.optim.SGD, momentum=0.9)}
    trainer(tmp_path, OPTIONS, **kept).fit()
    other = trainer(tmp_path, OPTIONS, optimizer=partial(torch.optim.SGD, momentum=0.8))
    with pytest.raises(ConfigError, match="of another training"):
        other.resume()
    with pytest.raises(ConfigError, match="of another training"):
        trainer(tmp_path, replace(OPTIONS, optimizer="sgd")).resume()
    again = trainer(tmp_path, OPTIONS, **kept)
    again.resume()
    assert again.epochs_done == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": "sgdd"}, "optimizer.*sgdd"),
        ({"schedule": "cos"}, "schedule.*cos"),
        ({"schedule_options": {"gamma": 1}}, "'cosine' has keys of its own"),
        ({"optimizer_options": [1]}, "expected a table"),
        ({"average": 1.0}, "average"),
    ],
)
def test_options_that_are_none(options, said):
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        TrainingOptions(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": "sgd", "optimizer_options": {"momentun": 0.9}}, "momentun.*momentum"),
        ({"optimizer": "sgd", "optimizer_options": {"lr": 0.9}}, "training.learning_rate"),
        ({"optimizer_options": {"betas": [0, 0]}}, "beta1 and beta2"),
        ({"optimizer": "sgd", "optimizer_options": {"momentum": -1}}, "does not take these"),
        ({"schedule": "exponential"}, "does not take these.*gamma"),
        ({"schedule": "exponential", "schedule_options": {"gama": 1}}, "gama.*gamma"),
    ],
)
def test_options_of_torch_that_are_none(options, said):
    with pytest.raises(ConfigError, match=said):
        trainer(None, replace(OPTIONS, **options))


def test_optimizers_that_cannot_train_this_network():
    network = LoopNetwork(session(), WEIGHTS)
    parameters = list(network.parameters())
    for optimizer, said in [
        (torch.optim.SGD(parameters[:1], lr=1), "1 of the network's parameters"),
        (torch.optim.LBFGS(parameters), "LBFGS"),
        (lambda groups: groups, "got list"),
    ]:
        with pytest.raises(ConfigError, match=said):
            fit_with(network, optimizer=optimizer)
    with pytest.raises(ConfigError, match="rates of its own"):
        own = torch.optim.SGD(parameters, lr=1)
        fit_with(network, replace(OPTIONS, relative_rate=True), optimizer=own)


class Steps(TrainingEvents):
    def __init__(self, network, steps):
        self.network, self.steps = network, steps

    def batch(self, epoch, batch, loss):
        self.steps.append(self.network.weight_arrays())


def test_the_average_is_what_is_judged_and_kept(tmp_path):
    options = replace(OPTIONS, average=0.9, select="last", schedule="constant")
    seen = []

    def note(epoch):
        seen.append([each.detach().clone() for each in first.network.parameters()])

    first = trainer(None, options)
    first.after_epoch = note
    plain = trainer(None, replace(options, average=None))
    steps = []
    plain.events.watchers.append(Steps(plain.network, steps))
    raw = plain.fit()
    result = first.fit()
    # Training itself is the same, and the average is that of its steps.
    assert same([each.numpy() for each in seen[-1]], raw.weights)
    average = WEIGHTS
    for n, weights in enumerate(steps, 1):
        decay = min(0.9, n / (n + 9))
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    for ours, expected in zip(result.weights, average, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
    whole, resumed = stopped_and_resumed(tmp_path, options)
    assert same(whole.weights, resumed.weights) and same(whole.weights, result.weights)


def test_in_a_configuration():
    config = load_experiment(
        "yin-yang",
        [
            "training.optimizer=adamw",
            "training.optimizer_options={weight_decay = 0.01}",
            "training.schedule=exponential",
            "training.schedule_options={gamma = 0.9}",
            "training.average=0.99",
        ],
    )
    again = type(config).from_mapping(config.model_dump(), "again")
    options = again.training_options()
    assert options.optimizer_options == {"weight_decay": 0.01}
    assert (options.schedule_options, options.average) == ({"gamma": 0.9}, 0.99)
    assert "optimizer" not in load_experiment("yin-yang").to_toml()
