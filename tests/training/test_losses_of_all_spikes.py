"""Losses of all spikes and of membranes: values, gradients, decisions, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hxloop import LoopNetwork, get_backend, get_loss
from hxloop.activity import Spikes
from hxloop.errors import ConfigError, NetworkError, RunInputError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.training.decisions import checked_decisions, highest_of_equals, what_decides
from hxloop.training.evaluation import evaluate
from hxloop.training.identity import describe_loss
from hxloop.training.losses import fading_counts, reads_of
from hxloop.training.options import SpikeData, TrainingOptions
from hxloop.training.trainer import Trainer
from hxloop.training.trains import SpikeTrain

SPIKING = NeuronSpec(t_refractory=0.2)
ALL = ("spike-count", "time-weighted-spikes")
# Two samples of three neurons: 2, 1 and 0 spikes; 1, 1 and 0.
SAMPLES, UNITS, TIMES = [0, 0, 0, 1, 1], [0, 0, 1, 0, 1], [1.0, 3.5, 0.5, 2.0, 1.5]
SPIKES = Spikes.from_events(SAMPLES, UNITS, TIMES, batch=2, n_units=3)
LABELS = torch.tensor([0, 2])


def train(times=None) -> SpikeTrain:
    found = torch.tensor(SPIKES.times) if times is None else times
    return SpikeTrain(found, SPIKES, 4.0)


def test_counts_fade_towards_the_end_of_the_window():
    found = fading_counts(train(), 2.0).numpy()
    one = [1 - math.exp(-(4 - t) / 2) for t in TIMES]
    expected = [[one[0] + one[1], one[2], 0], [one[3], one[4], 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert (np.rint(fading_counts(train(), 1e-3).numpy()) == SPIKES.count).all()


@pytest.mark.parametrize("name", ALL)
def test_gradients_pass_gradcheck_and_a_silent_label_has_a_finite_loss(name):
    loss = get_loss(name)
    times = torch.tensor(SPIKES.times, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: loss(train(t), LABELS), (times,))
    value = loss(train(times), LABELS)
    value.backward()
    assert math.isfinite(float(value.detach()))
    # The spikes of the right neuron are to come earlier, those of wrong ones later.
    grads = dict(zip(zip(SPIKES.samples, SPIKES.units, strict=True), times.grad, strict=True))
    assert grads[0, 0] > 0 > grads[0, 1]
    assert grads[1, 0] < 0 and grads[1, 1] < 0


def test_the_value_of_the_count_loss():
    counts = fading_counts(train(), 6.0).numpy()
    wanted = [np.log(np.exp(c).sum()) - c[k] for c, k in zip(counts, LABELS.tolist(), strict=True)]
    value = float(get_loss("spike-count")(train(), LABELS))
    np.testing.assert_allclose(value, np.mean(wanted), rtol=1e-14)


def test_decisions_by_count_are_broken_by_the_earlier_spike():
    loss = get_loss("spike-count")
    assert loss.decide(SPIKES).tolist() == [0, 1]
    assert (highest_of_equals(loss, SPIKES) == loss.decide(SPIKES)).all()
    nothing = Spikes.from_events([], [], [], batch=1, n_units=3)
    assert loss.decide(nothing).tolist() == [-1]
    even = Spikes.from_events([0, 0], [2, 1], [1.0, 1.0], batch=1, n_units=3)
    assert loss.decide(even).tolist() == [1]
    assert highest_of_equals(loss, even).tolist() == [2]


def test_decisions_by_time_weighted_spikes():
    loss = get_loss("time-weighted-spikes", tau=1.0)
    assert loss.decide(SPIKES).tolist() == [1, 1]
    slow = get_loss("time-weighted-spikes", tau=100.0)
    assert slow.decide(SPIKES).tolist() == [0, 1]
    late = Spikes.from_events([0], [2], [5000.0], batch=1, n_units=3)
    assert loss.decide(late).tolist() == [2]
    nothing = Spikes.from_events([], [], [], batch=1, n_units=3)
    assert loss.decide(nothing).tolist() == [-1]


def test_membranes_decide_by_the_highest():
    loss = get_loss("max-membrane", scale=2.0)
    membranes = torch.tensor([[0.5, 1.5, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert loss.decide(membranes).tolist() == [1, -1]
    expected = np.log(np.exp(1.0) + np.exp(3.0) + 1) - 1.0, np.log(3)
    np.testing.assert_allclose(float(loss(membranes, LABELS)), np.mean(expected), rtol=1e-14)


def network_for(name: str, sizes=(4, 12, 3)) -> NetworkSpec:
    n_inputs, hidden, outputs = sizes
    output = NeuronSpec(v_threshold=math.inf) if name == "max-membrane" else SPIKING
    return NetworkSpec(
        n_inputs,
        (Population("hidden", hidden, SPIKING), Population("output", outputs, output)),
        t_window=4.0,
    )


@pytest.mark.parametrize("name", [*ALL, "max-membrane", "time-to-first-spike"])
def test_gradients_through_a_network_are_differences(name):
    """The whole way from weights, delays and input times to the loss."""
    loss, spec = get_loss(name), network_for(name, (4, 5, 3))
    spec = NetworkSpec(
        4, spec.layers, 4.0,
        (Projection("input", "hidden", "synaptic"), Projection("hidden", "output", "dendritic"),
         Projection("input", "output")),
    )  # fmt: skip
    rng = np.random.default_rng(5)
    weights = tuple(rng.normal(1.5, 0.5, shape) for shape in spec.shapes)
    delays = tuple(None if s is None else rng.random(s) for s in spec.delay_shapes)
    inputs, labels = rng.random((3, 4)), torch.tensor([0, 1, 2])
    loop = LoopNetwork(get_backend("ideal").open(spec), Parameters(weights, delays))
    times = torch.tensor(inputs, requires_grad=True)
    output, activity = loop.output(times, reads=reads_of(loss))
    counts = [spikes.count for spikes in activity.spikes]
    loss(output, labels).backward()

    def value(change) -> float:
        moved = [loop.weights[0].clone(), loop.delays[0].clone(), torch.tensor(inputs)]
        change(moved)
        own = Parameters((moved[0].detach().numpy(), *weights[1:]),
                         (moved[1].detach().numpy(), *delays[1:]))  # fmt: skip
        other = LoopNetwork(loop.session, own)
        found, seen = other.output(moved[2], reads=reads_of(loss))
        assert all((a.count == b).all() for a, b in zip(seen.spikes, counts, strict=True))
        return float(loss(found, labels).detach())

    for which, grad in enumerate((loop.weights[0].grad, loop.delays[0].grad, times.grad)):
        for at in [(0, 1), (2, 3), (1, 0)]:

            def move(moved, step, which=which, at=at):
                moved[which].data[at] += step

            ends = [value(lambda moved, s=s: move(moved, s * 1e-6)) for s in (1, -1)]
            assert abs((ends[0] - ends[1]) / 2e-6 - float(grad[at])) < 1e-7


def task(n=90, seed=0) -> SpikeData:
    """Which of three channels spikes first."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    times = 0.6 + 0.6 * rng.random((n, 4))
    times[np.arange(n), labels] = 0.3 * rng.random(n)
    return SpikeData(times, labels)


@pytest.mark.parametrize("name", [*ALL, "max-membrane"])
def test_a_training_with_each_loss_learns(name):
    spec, loss = network_for(name), get_loss(name)
    rng = np.random.default_rng(1)
    weights = [rng.normal(0.8, 0.5, shape) for shape in spec.shapes]
    with get_backend("ideal").open(spec) as session:
        loop = LoopNetwork(session, weights)
        options = TrainingOptions(epochs=60, batch_size=15, learning_rate=0.03)
        result = Trainer(loop, loss, task(), task(seed=1), options).fit()
        after = evaluate(loop, loss, task(seed=1), 30, quiet=True)
    losses = [metrics["train_loss"] for metrics in result.metrics]
    assert min(losses) < 0.9 * losses[0]
    assert after.accuracy == result.validation_accuracy >= 0.9


def test_all_spikes_of_inputs_are_trained_with():
    """Two channels begin at the same time; the one that goes on tells the class."""
    rng = np.random.default_rng(2)
    n = 60
    labels = np.arange(n) % 2
    samples, units, times = [], [], []
    for sample, label in enumerate(labels):
        for unit in range(2):
            for rank in range(4 if unit == label else 1):
                samples.append(sample)
                units.append(unit)
                times.append(0.2 + 0.4 * rank + 0.05 * rng.random() * (rank > 0))
    data = SpikeData(Spikes.from_events(samples, units, times, batch=n, n_units=2), labels)
    assert (data.input_times.first == 0.2).all()
    spec = network_for("max-membrane", (2, 10, 2))
    loss = get_loss("max-membrane")
    with get_backend("ideal").open(spec) as session:
        loop = LoopNetwork(session, [rng.normal(0.8, 0.3, shape) for shape in spec.shapes])
        options = TrainingOptions(epochs=15, batch_size=15, learning_rate=0.02, input_noise=0.01)
        result = Trainer(loop, loss, data, data, options).fit()
    assert result.validation_accuracy == 1.0


def test_what_a_loss_cannot_read_is_refused_by_name():
    with get_backend("ideal").open(network_for("spike-count")) as session:
        loop = LoopNetwork(session, [np.ones(shape) for shape in session.network.shapes])
        with pytest.raises(NetworkError, match=r"'output' .* expected a leaky read-out"):
            evaluate(loop, get_loss("max-membrane"), task(), 30)
        with pytest.raises(ConfigError, match=r"reads: expected .*first.*got 'all'"):
            loop.output(task().input_times, reads="all")
    with get_backend("ideal").open(network_for("max-membrane")) as session:
        loop = LoopNetwork(session, [np.ones(shape) for shape in session.network.shapes])
        with pytest.raises(NetworkError, match="never spikes, but loss 'spike-count' reads"):
            evaluate(loop, get_loss("spike-count"), task(), 30)
        with pytest.raises(NetworkError, match="never spikes, but loss 'time-to-first-spike'"):
            evaluate(loop, get_loss("time-to-first-spike"), task(), 30)


def test_membranes_are_read_from_a_time_on():
    """In training, in evaluating and by name; what was highest before does not decide."""
    spec = NetworkSpec(2, (Population("out", 2, NeuronSpec(v_threshold=math.inf)),), 6.0)
    times = np.array([[0.5, 4.0], [0.5, math.inf]])
    weights = [np.array([[3.0, 2.9], [0.0, 1.0]])]
    late = get_loss("max-membrane", begin=4.0)
    assert late.decision_rule == "the output neuron whose membrane rises highest from 4 on"
    assert "from" not in get_loss("max-membrane").decision_rule
    with get_backend("ideal").open(spec) as session:
        loop = LoopNetwork(session, weights)
        highest, activity = loop.output(times, reads="membrane", begin=4.0)
        assert (what_decides(late, spec, activity) == highest.detach().numpy()).all()
        # Of the first spike what has not decayed after 3.5, of the one at 4 the whole kernel.
        left = 3.5 * math.exp(-3.5)
        np.testing.assert_allclose(highest[1].tolist(), [3 * left, 2.9 * left], rtol=1e-13)
        assert highest[0, 1] > highest[0, 0] == highest[1, 0]
        labels = np.array([1, 0])
        found = evaluate(loop, late, SpikeData(times, labels), 2)
        assert found.accuracy == 1.0
        assert found.loss == float(late(highest.detach(), torch.tensor(labels)))
        whole = evaluate(loop, get_loss("max-membrane"), SpikeData(times, labels), 2)
        assert whole.decisions.tolist() == [0, 0]
        with pytest.raises(NetworkError, match=r"before the window ends .*= 6\); got begin = 6"):
            evaluate(loop, get_loss("max-membrane", begin=6), SpikeData(times, labels), 2)
        before = loop.weight_arrays()[0]
        Trainer(loop, late, SpikeData(times, labels), SpikeData(times, labels),
                TrainingOptions(epochs=1, batch_size=2, learning_rate=0.1)).fit()  # fmt: skip
        moved = loop.weight_arrays()[0] - before
    # What is late is to lift the neuron of the only label it comes with, whose membrane was highest
    # early. The other one's highest is that at 4, before it.
    assert moved[1, 1] > 0 == moved[1, 0]
    with pytest.raises(ConfigError, match="loss 'max-membrane': begin"):
        get_loss("max-membrane", begin=-1.0)
    # Trainings of earlier versions, which had no begin, go on.
    assert describe_loss(get_loss("max-membrane")) == {"class": "MaxMembraneLoss", "scale": 4.0}
    assert describe_loss(late)["begin"] == 4.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda loss: loss(torch.ones(2, 3), LABELS), "expected a SpikeTrain"),
        (lambda loss: loss(train(), LABELS[:1]), r"labels \(batch,\); got 2 samples"),
        (lambda loss: loss(train(), LABELS + 1), "labels: expected 0 to 2"),
        (lambda loss: loss.decide(np.ones((2, 3))), "expected Spikes"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_bad_input_is_refused(name, call, message):
    with pytest.raises(RunInputError, match=message):
        call(get_loss(name))


@pytest.mark.parametrize(("name", "option"), [("spike-count", "fade"), ("spike-count", "scale"),
                                              ("time-weighted-spikes", "tau"),
                                              ("max-membrane", "scale")])  # fmt: skip
def test_options_out_of_range_are_refused(name, option):
    with pytest.raises(ConfigError, match=f"loss '{name}': {option}"):
        get_loss(name, **{option: 0})


def test_decisions_are_those_of_the_population_that_decides():
    """It need not be the last one."""
    spec = NetworkSpec(
        2, (Population("a", 2, SPIKING), Population("b", 3, SPIKING)), 4.0,
        (Projection("input", "a"), Projection("a", "b"), Projection("input", "b")), output="a",
    )  # fmt: skip
    with get_backend("ideal").open(spec) as session:
        loop = LoopNetwork(session, [np.full(s, 3.0) for s in spec.shapes])
        loop.weights[0].data[:, 0] = 0
        output, activity = loop.output(np.array([[0.1, 0.2]]))
        assert output.shape == (1, 2)
        assert (activity.output_times == activity.spikes[0].first).all()
        loss = get_loss("spike-count")
        assert checked_decisions(loss, what_decides(loss, spec, activity)).tolist() == [1]
