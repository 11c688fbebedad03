"""Trained delays go wherever trained weights go: best epoch, checkpoint, result, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hxloop import HxloopWarning, LoopNetwork, NetworkSpec, Trainer, get_backend
from hxloop.errors import NetworkError, TrainingInterrupted
from hxloop.network import Parameters, Projection
from hxloop.network.weights_file import load_weights, write_weights
from hxloop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hxloop.training.evaluation import evaluate
from tests.training.small_training import LOSS, OPTIONS, TRAIN, VALIDATION, WEIGHTS, same
from tests.training.test_training import StopAt

# The first projection has no delays: places of delays are not those of weights.
PROJECTIONS = (
    Projection("input", "hidden"),
    Projection("hidden", "output", delays="synaptic"),
)
SPEC = replace(NetworkSpec.feed_forward(5, 20, 3, t_window=4.0), projections=PROJECTIONS)
FAST = replace(OPTIONS, epochs=6, learning_rate=0.15, schedule="constant", select="best")


def begun(folder=None, options=FAST):
    rng = np.random.default_rng(1)
    parameters = Parameters(tuple(WEIGHTS), (None, 0.2 + 0.2 * rng.random((20, 3))))
    network = LoopNetwork(get_backend("ideal").open(SPEC), parameters)
    return Trainer(network, LOSS, TRAIN, VALIDATION, options, run_dir=folder)


def arrays(parameters):
    return list(parameters.named().values())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer = begun(folder)
    result = trainer.fit()
    assert 0 < result.epoch < FAST.epochs, "the best epoch must not be the last one"
    return folder, trainer, result


def test_the_best_epoch_is_selected_with_its_delays(whole):
    _, trainer, result = whole
    reported = result.metrics[result.epoch - 1]
    assert result.validation_accuracy == reported["validation_accuracy"]
    assert same(arrays(result.parameters), arrays(trainer.network.parameters_held()))
    network = LoopNetwork(get_backend("ideal").open(SPEC), result.parameters)
    again = evaluate(network, LOSS, VALIDATION, FAST.batch_size)
    assert (again.loss, again.accuracy) == (
        reported["validation_loss"],
        reported["validation_accuracy"],
    )
    last = begun(options=replace(FAST, select="last")).fit()
    assert not np.array_equal(last.parameters.delays[1], result.parameters.delays[1])
    assert result.weights is result.parameters.weights


@pytest.mark.parametrize("epoch", [2, 5])
def test_stopped_and_resumed_bit_for_bit(whole, tmp_path, epoch):
    _, _, expected = whole
    stopped = begun(tmp_path)
    stopped.events.watchers.append(StopAt(stopped, epoch=epoch, batch=2))
    with pytest.raises(TrainingInterrupted):
        stopped.fit()
    resumed = begun(tmp_path)
    resumed.resume()
    result = resumed.fit()
    assert result.epoch == expected.epoch
    assert same(arrays(result.parameters), arrays(expected.parameters))
    assert result.metrics[-1]["train_loss"] == expected.metrics[-1]["train_loss"]


def test_a_finished_training_is_resumed_with_the_best_delays(whole):
    folder, _, expected = whole
    again = begun(folder)
    again.resume()
    assert same(arrays(again.fit().parameters), arrays(expected.parameters))


def test_checkpoints_without_the_best_delays_are_read_and_that_is_told(whole, tmp_path):
    folder, _, expected = whole
    path = tmp_path / "checkpoints" / "last.safetensors"
    path.parent.mkdir()
    now = load_checkpoint(folder / "checkpoints" / "last.safetensors")
    assert {name for name in now.tensors if name.startswith("best.")} == {
        "best.0", "best.1", "best.delays.1",
    }  # fmt: skip
    tensors = {name: each for name, each in now.tensors.items() if name != "best.delays.1"}
    save_checkpoint(path, Checkpoint(tensors, now.state))
    old = begun(tmp_path)
    with pytest.warns(HxloopWarning, match="no delays of the best epoch, number"):
        old.resume()
    result = old.fit()
    assert same(result.weights, expected.weights)
    assert np.array_equal(result.parameters.delays[1], now.tensors["delays.0"].numpy())
    # Of the last epoch nothing is lost, whatever the version.
    begun(tmp_path, replace(FAST, select="last")).resume()


def test_delays_go_through_weights_files_and_are_held(whole, tmp_path):
    _, _, result = whole
    write_weights(tmp_path / "weights.safetensors", result.parameters, {})
    read = load_weights(tmp_path / "weights.safetensors", SPEC)
    other = begun().network
    other.hold(read)
    assert same(arrays(other.parameters_held()), arrays(result.parameters))
    with pytest.raises(NetworkError, match=r"LoopNetwork.hold: delays\[1\].*expected an array"):
        other.hold(read.weights)
    other.delays[0].data += torch.tensor(1.0)  # copies: what was given is not written to
    assert np.array_equal(read.delays[1], result.parameters.delays[1])
