"""Deep networks: balanced initialisation, Dale's law."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from hxloop import LayerSpec, LoopNetwork, NetworkSpec, SpikeData, Trainer, get_backend, get_loss
from hxloop.errors import ConfigError, HxloopWarning, NetworkError
from hxloop.training.initialisation import balanced_weights, initial_weights
from hxloop.training.options import TrainingOptions
from hxloop.training.silent_neurons import SilentNeuronPolicy

RNG = np.random.default_rng(0)
DENSE = RNG.uniform(0.15, 2.0, (200, 60))


def images():
    """Mostly background, as images are: nine channels of ten late, together."""
    return np.where(RNG.random((200, 400)) < 0.1, RNG.uniform(0.15, 1.0, (200, 400)), 2.0)


@pytest.mark.parametrize("n_inhibitory", [0, 12])
@pytest.mark.parametrize("n_hidden", [1, 4, 8])
@pytest.mark.parametrize("data", ["dense", "images"])
def test_every_layer_is_active_at_any_depth(data, n_hidden, n_inhibitory):
    times = DENSE if data == "dense" else images()
    network = NetworkSpec.feed_forward(
        times.shape[1], *[50] * n_hidden, 5, t_window=8.0, n_inhibitory=n_inhibitory
    )
    weights = balanced_weights(network, times, spread=0.5, active=0.8, seed=1)
    with get_backend("ideal").open(network) as session:
        activity = session.run(weights, times)
    for layer in activity.first_spike_times:
        assert np.isfinite(layer).mean() == pytest.approx(0.8, abs=0.05)
    # Still different from sample to sample at the output, or there is nothing to learn from.
    output = np.where(np.isinf(activity.output_times), 8.0, activity.output_times)
    assert output.std(axis=0).max() > 0.02


def test_the_same_seed_is_the_same_draw_and_bad_input_is_told():
    network = NetworkSpec.feed_forward(60, 20, 5)
    one, two, other = (balanced_weights(network, DENSE, 0.5, 0.9, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])
    with pytest.raises(ConfigError, match="is its input silent"):
        balanced_weights(network, np.full((10, 60), np.inf), 0.5, 0.9, 1)
    for spread, active in ((-1.0, 0.5), (0.5, 0.0), (0.5, 1.0), (np.nan, 0.5)):
        with pytest.raises(ConfigError, match=r"initialisation: (expected )?(spread|active)"):
            balanced_weights(network, DENSE, spread, active, 1)


def signs_hold(network, weights):
    for layer, matrix in zip(network.layers[:-1], weights[1:], strict=True):
        assert (matrix[: layer.n_excitatory] >= 0).all()
        assert (matrix[layer.n_excitatory :] <= 0).all()


@pytest.mark.parametrize("backend", ["ideal", "emulated-chip"])
def test_dales_law_holds_from_the_start_and_after_every_step(backend):
    network = NetworkSpec.feed_forward(60, 30, 30, 3, t_window=6.0, n_inhibitory=10)
    weights = balanced_weights(network, DENSE, 0.5, 0.9, seed=0)
    signs_hold(network, weights)
    assert (weights[0] < 0).any()  # inputs are no neurons, the law does not bind them
    data = SpikeData(DENSE, RNG.integers(3, size=len(DENSE)))
    options = {"solver": "event"} if backend == "emulated-chip" else {}
    with get_backend(backend, **options).open(network, seed=0) as session:
        loop = LoopNetwork(session, weights)
        training = TrainingOptions(epochs=3, batch_size=40, learning_rate=0.05)
        trainer = Trainer(loop, get_loss("time-to-first-spike"), data, data, training)
        trainer.fit()
        trained = loop.weight_arrays()
    signs_hold(network, trained)
    assert any((matrix == 0).any() for matrix in trained[1:])  # the law did have to be enforced
    assert (trained[1][20:] < 0).any() and (trained[2][20:] < 0).any()


@pytest.mark.parametrize("count", [-1, 6, 1.5, True, "2"])
def test_number_of_inhibitory_neurons_is_checked(count):
    with pytest.raises(NetworkError, match="n_inhibitory: expected a whole number from 0 to 5"):
        LayerSpec(5, n_inhibitory=count)


def test_normal_weights_obey_dales_law_before_training():
    # Regression: 72 % of the inhibitory weights were positive in the state "untrained".
    network = NetworkSpec.feed_forward(60, 30, 30, 3, n_inhibitory=10)
    free = NetworkSpec.feed_forward(60, 30, 30, 3)
    weights = initial_weights(network, [0.1, 0.2, 0.2], [0.3, 0.3, 0.3], seed=2)
    drawn = initial_weights(free, [0.1, 0.2, 0.2], [0.3, 0.3, 0.3], seed=2)
    np.testing.assert_array_equal(weights[0], drawn[0])  # inputs are of both kinds
    for matrix, plain in zip(weights[1:], drawn[1:], strict=True):
        assert (matrix[:20] > 0).all() and (matrix[20:] < 0).all()
        np.testing.assert_array_equal(np.abs(matrix), np.abs(plain))


def test_balanced_weights_after_inhibitory_neurons_only_are_refused():
    # Regression: the first of them was made excitatory.
    layers = (LayerSpec(30, n_inhibitory=30), LayerSpec(3))
    with pytest.raises(ConfigError, match=r"all 30 neurons of layer 0 .* nothing excites"):
        balanced_weights(NetworkSpec(60, layers), DENSE, 0.5, 0.9, 1)
    weights = balanced_weights(
        NetworkSpec(60, (LayerSpec(30, n_inhibitory=29), LayerSpec(3))), DENSE, 0.5, 0.5, 1
    )
    assert (weights[1][:1] >= 0).all() and (weights[1][1:] <= 0).all()
    signs = initial_weights(NetworkSpec(60, layers), [0.1, 0.1], [1.0, 1.0], 0)[1]
    assert (signs <= 0).all()


def trainer_of(network, weights, session, **options):
    rng = np.random.default_rng(0)
    data = SpikeData(rng.uniform(0, 1, (20, network.n_inputs)), rng.integers(3, size=20))
    loop = LoopNetwork(session, weights)
    options = TrainingOptions(epochs=1, batch_size=10, learning_rate=0.01, **options)
    return loop, lambda: Trainer(loop, get_loss("time-to-first-spike"), data, data, options)


def test_training_does_not_begin_with_weights_against_dales_law():
    network = NetworkSpec.feed_forward(10, 8, 3, n_inhibitory=4)
    weights = [np.full(shape, 1.0) for shape in network.shapes]
    with get_backend("ideal").open(network) as session:
        loop, make = trainer_of(network, weights, session)
        with pytest.warns(HxloopWarning, match=r"12 of the initial weights .* set to 0"):
            make()
        assert (loop.weight_arrays()[1][4:] == 0).all() and (loop.weight_arrays()[1][:4] == 1).all()


@pytest.mark.parametrize("layers", ["first", "all"])
def test_weights_that_are_not_trained_stay_what_they_are(layers):
    # Regression: bumping, clipping and Dale's law changed them all the same.
    network = NetworkSpec.feed_forward(10, 8, 8, 3, n_inhibitory=4)
    rng = np.random.default_rng(1)
    # Too weak for most spikes, against Dale's law, and beyond the limit.
    weights = [rng.normal(0.05, 0.1, shape) for shape in network.shapes]
    weights[0][0, 0] = weights[1][0, 0] = -5.0
    with get_backend("ideal").open(network) as session:
        loop, make = trainer_of(
            network, weights, session, weight_limit=1.0,
            silent=SilentNeuronPolicy(bump=0.1, layers=layers),
        )  # fmt: skip
        for frozen in list(loop.weights)[:2]:
            frozen.requires_grad_(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HxloopWarning)
            make().fit()
        after = loop.weight_arrays()
        for index in (0, 1):
            np.testing.assert_array_equal(after[index], weights[index])
        # The first layer that may be changed is woken, although earlier ones are silent.
        assert (after[2][:4] > np.maximum(weights[2][:4], 0)).all()
        for weight in loop.weights:
            weight.requires_grad_(False)
        with pytest.raises(ConfigError, match="no layer's weights are to be trained"):
            make()


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-12, 1e9])
def test_equal_weights_are_no_scale_whatever_their_mean_rounds_to(value):
    # Regression: the standard deviation of 10 times 0.1 is 1e-17, not 0.
    network = NetworkSpec.feed_forward(7, 10, 3)
    weights = [np.full(shape, value) for shape in network.shapes]
    with get_backend("ideal").open(network) as session:
        _, make = trainer_of(network, weights, session, relative_rate=True)
        with pytest.raises(
            ConfigError, match=r"relative_rate: the initial weights of a layer are .* layer 0"
        ):
            make()
