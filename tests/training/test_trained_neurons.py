"""Time constants, thresholds and resets are trained: gradients, bounds, wherever weights go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import (
    HxloopWarning,
    LoopNetwork,
    SpikeData,
    Spikes,
    Trainer,
    TrainingOptions,
    get_backend,
    get_loss,
)
from hxloop.errors import CapacityError, ConfigError, NetworkError, TrainingInterrupted
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.network.weights_file import load_weights, write_weights
from hxloop.training.checkpoint import load_checkpoint
from hxloop.training.evaluation import evaluate
from tests.training.small_training import LOSS, OPTIONS, SPEC, TRAIN, VALIDATION, WEIGHTS, same
from tests.training.test_training import StopAt

AGAIN = NeuronSpec(t_refractory=0.4, v_reset=-0.3, tau_mem=1.3)
LOOP = NetworkSpec(
    2,
    (
        Population("memory", 4, AGAIN),
        Population("output", 2, NeuronSpec(tau_mem=1.7)),
        Population("readout", 3, NeuronSpec(v_threshold=np.inf, tau_mem=2.5)),
    ),
    t_window=4.0,
    output="readout",
    projections=(
        Projection("input", "memory"),
        Projection("memory", "memory", delays="axonal", min_delay=0.1),
        Projection("memory", "output"),
        Projection("memory", "readout"),
        Projection("output", "readout"),
    ),
)
INPUTS = np.array([[0.1, 0.4], [0.3, 0.2], [0.0, 0.9]])
ALL = ("tau_mem", "tau_syn", "v_threshold", "v_reset")
FAST = replace(OPTIONS, epochs=4, learning_rate=0.05, neuron_rate=0.1, schedule="constant")
TRAINED = ["tau_mem", "hidden/v_threshold"]


def loop(train=ALL):
    rng = np.random.default_rng(2)
    means = (2.0, 0.3, 1.0, 0.5, -0.5)
    weights = tuple(rng.normal(m, 0.3, s) for m, s in zip(means, LOOP.shapes, strict=True))
    delays = (None, np.array([0.3, 0.5, 0.2, 0.7]), None, None, None)
    own = {"memory": {"tau_mem": np.array([1.0, 1.3, 1.5, 0.8])}}
    session = get_backend("ideal").open(LOOP)
    return LoopNetwork(session, Parameters(weights, delays, own), train_neurons=train)


def objective(network):
    """Something of every spike of two populations, and of the membranes of the third."""
    trains, activity = network.trains(INPUTS)
    total = network.read(trains, activity, INPUTS, "membrane").square().sum()
    for k, train in enumerate(trains[:2]):
        assert train.spikes.n_spikes >= 6
        total = total + (torch.sin(torch.arange(len(train.times)) + 1.0 + k) * train.times).sum()
    return total


def test_the_gradient_is_that_of_what_runs():
    network, moved, h = loop(), loop(), 1e-6
    objective(network).backward()
    assert len(network.neurons) == 9  # all four of memory, three of output, two of the read-out
    for key, values in network.neurons.items():
        slopes = []
        for neuron in range(len(values)):
            ends = []
            for step in (h, -h):
                with torch.no_grad():
                    moved.neurons[key].copy_(values)
                    moved.neurons[key][neuron] += step
                    ends.append(float(objective(moved)))
                    moved.neurons[key].copy_(values)
            slopes.append((ends[0] - ends[1]) / (2 * h))
        # Times are exact to some 1e-14, which h makes 1e-8; what h leaves out is of its square.
        assert values.grad.numpy() == pytest.approx(np.array(slopes), rel=1e-6, abs=1e-6), key


def test_what_is_not_trained_gets_no_gradient():
    network = loop(train=["readout/tau_mem"])
    objective(network).backward()
    assert list(network.neurons) == ["memory/tau_mem", "readout/tau_mem"]
    assert network.neurons["memory/tau_mem"].grad is None
    assert network.neurons["readout/tau_mem"].grad.abs().min() > 0
    before = network.neurons["memory/tau_mem"].detach().clone()
    with torch.no_grad():
        network.neurons["memory/tau_mem"].fill_(0.01)
    assert network.enforce_neurons() == 0 and not torch.equal(before, network.neurons[
        "memory/tau_mem"])  # fmt: skip


def gaps(n):
    """Two spikes of one channel; the class is whether they are far apart."""
    rng = np.random.default_rng(n)
    labels = np.arange(n) % 2
    apart = rng.uniform(0.2, 0.8, n) + 2.5 * labels
    times = np.stack([np.zeros(n), apart], axis=1).ravel()
    return SpikeData(
        Spikes.from_events(
            np.repeat(np.arange(n), 2), np.zeros(2 * n, int), times, batch=n, n_units=1
        ),
        labels,
    )


def test_what_no_weights_can_tell_apart_time_constants_can():
    """Read-outs with one input and equal time constants differ by a factor: one always wins."""
    spec = NetworkSpec.feed_forward(1, 2, neuron=NeuronSpec(v_threshold=np.inf), t_window=6.0)
    data, loss, found = gaps(40), get_loss("max-membrane"), []
    for train, epochs in (((), 4), (("tau_mem", "tau_syn"), 20)):
        options = TrainingOptions(
            epochs=epochs, batch_size=40, learning_rate=0.05, schedule="constant", select="last"
        )
        session = get_backend("ideal").open(spec)
        network = LoopNetwork(session, [np.array([[1.0, 1.0]])], train_neurons=train)
        found.append(Trainer(network, loss, data, data, options).fit().validation_accuracy)
    assert found == [0.5, 1.0]


def test_bounds_are_kept_and_counted():
    network = loop()
    with torch.no_grad():
        network.neurons["memory/tau_mem"][1] = -0.2
        network.neurons["readout/tau_syn"][2] = 0.01
        network.neurons["output/v_threshold"][0] = -1.0
        network.neurons["memory/v_threshold"][3] = 0.001
        network.neurons["memory/v_reset"][2] = 5.0
    assert network.enforce_neurons() == 5
    own = network.parameters_held().neurons
    assert own["memory"]["tau_mem"][1] == 0.05 == own["readout"]["tau_syn"][2]
    assert own["output"]["v_threshold"][0] == own["memory"]["v_threshold"][3] == 0.05
    assert own["memory"]["v_reset"][2] == own["memory"]["v_threshold"][2] - 0.05
    Parameters.of(LOOP, network.parameters_held())
    assert network.enforce_neurons() == 0


def test_state_dict_holds_them_by_name():
    one, other = loop(), loop()
    with torch.no_grad():
        for values in one.neurons.values():
            values.mul_(1.25)
    other.load_state_dict(one.state_dict())
    assert other.parameters_held().digest == one.parameters_held().digest
    assert "neurons.memory/tau_mem" in one.state_dict()
    with pytest.raises(RuntimeError, match="memory/v_reset"):
        loop(train=["tau_mem"]).load_state_dict(one.state_dict())
    assert not [key for key in chain(()).state_dict() if "neurons" in key]


def test_refused_by_name():
    with pytest.raises(ConfigError, match=r"expected names among .* 'memory/tau_mem'; got 'tau'"):
        loop(train=["tau"])
    with pytest.raises(ConfigError, match="got 'readout/v_threshold'"):
        loop(train=["readout/v_threshold"])
    with pytest.raises(ConfigError, match="got 'v_reset'"):  # of neurons that spike once
        chain(["v_reset"])
    over = {"name": "emulated-chip", "solver": "event"}
    chip = get_backend("partitioned", over=over).open(SPEC)
    with chip, pytest.raises(CapacityError, match=r"LoopNetwork: .*hidden/tau_mem.*neuron-param"):
        LoopNetwork(chip, WEIGHTS, train_neurons=["tau_mem"])
    with chip, pytest.raises(CapacityError, match="neuron-parameters"):
        chain(["tau_mem"]).with_session(chip)
    with pytest.raises(NetworkError, match=r"hold: expected weights\.0, .*neurons\.memory\.tau_m"):
        loop().hold(Parameters(loop().weight_arrays(), loop().parameters_held().delays))


# --- a training ----------------------------------------------------------------------------------


def chain(train=TRAINED):
    return LoopNetwork(get_backend("ideal").open(SPEC), WEIGHTS, train_neurons=train)


def begun(folder=None, options=FAST, train=TRAINED):
    return Trainer(chain(train), LOSS, TRAIN, VALIDATION, options, run_dir=folder)


def arrays(parameters):
    return list(parameters.named().values())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer = begun(folder)
    return folder, trainer, trainer.fit()


def test_they_are_in_result_metrics_and_best_epoch(whole):
    _, trainer, result = whole
    own = result.parameters.neurons
    assert {name: list(each) for name, each in own.items()} == {
        "hidden": ["tau_mem", "v_threshold"],
        "output": ["tau_mem"],
    }
    assert np.abs(own["hidden"]["tau_mem"] - 1).max() > 0.1
    last = trainer.state.metrics[-1]["neurons"]["output/tau_mem"]
    assert last[0] < last[1] < last[2] and trainer.state.metrics[-1]["clipped_neurons"] == 0
    again = evaluate(
        LoopNetwork(get_backend("ideal").open(SPEC), result.parameters), LOSS, VALIDATION, 40
    )
    reported = result.metrics[result.epoch - 1]
    assert again.loss == reported["validation_loss"]
    assert again.accuracy == reported["validation_accuracy"]


def test_stopped_and_resumed_bit_for_bit(whole, tmp_path):
    _, _, expected = whole
    stopped = begun(tmp_path)
    stopped.events.watchers.append(StopAt(stopped, epoch=2, batch=2))
    with pytest.raises(TrainingInterrupted):
        stopped.fit()
    resumed = begun(tmp_path)
    resumed.resume()
    result = resumed.fit()
    assert same(arrays(result.parameters), arrays(expected.parameters))
    assert result.metrics[-1]["neurons"] == expected.metrics[-1]["neurons"]
    assert result.metrics[-1]["train_loss"] == expected.metrics[-1]["train_loss"]


def test_a_training_of_other_neurons_is_not_gone_on_with(whole):
    folder, _, _ = whole
    for train in ((), ["tau_mem"]):
        with pytest.raises(ConfigError, match=r"train_neurons was .*hidden/v_threshold"):
            begun(folder, train=train).resume()
    options = replace(FAST, neuron_rate=0.2)
    with pytest.raises(ConfigError, match=r"neuron_rate was 0\.1, is 0\.2"):
        begun(folder, options=options).resume()


def test_a_training_without_them_is_what_it_was(tmp_path):
    options = replace(FAST, epochs=1, neuron_rate=None)
    trainer = begun(tmp_path, options=options, train=())
    metrics = trainer.fit().metrics[0]
    assert not {"neurons", "clipped_neurons"} & metrics.keys()
    held = load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")
    assert not [name for name in held.tensors if "neurons" in name]
    assert not {"train_neurons", "neuron_rate", "clipped_neurons"} & set(str(held.state).split("'"))


def test_their_rate_is_their_own():
    def moved(**rates):
        trainer = begun(options=replace(FAST, epochs=1, batch_size=200, **rates))
        parameters = trainer.fit().parameters
        return [
            np.abs(parameters[0] - WEIGHTS[0]).max(),
            np.abs(parameters.neurons["output"]["tau_mem"] - 1).max(),
        ]

    # The first step of Adam is as long as its rate where there is a gradient, but for its epsilon.
    assert moved(neuron_rate=0.1) == pytest.approx([0.05, 0.1], rel=1e-3)
    assert moved(neuron_rate=None) == pytest.approx([0.05, 0.05], rel=1e-3)


def test_clipped_values_are_counted_and_told():
    fast = replace(FAST, epochs=1, neuron_rate=1.5, select="last")
    with pytest.warns(HxloopWarning, match=r"In epoch 1 \d+ times a step led a time constant"):
        result = begun(options=fast).fit()
    assert result.metrics[0]["clipped_neurons"] > 0
    assert [note.values["values"] for note in result.notes if note.key == "neurons-clipped"] == [
        result.metrics[0]["clipped_neurons"]
    ]
    assert result.parameters.neurons["hidden"]["tau_mem"].min() >= 0.05


def test_a_weights_file_keeps_them(whole, tmp_path):
    trained = whole[2].parameters
    write_weights(tmp_path / "weights.safetensors", trained, {})
    assert load_weights(tmp_path / "weights.safetensors", SPEC).digest == trained.digest
