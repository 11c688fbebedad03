"""Deep networks: balanced initialisation, Dale's law."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import LayerSpec, LoopNetwork, NetworkSpec, SpikeData, Trainer, get_backend, get_loss
from hxloop.errors import ConfigError, NetworkError
from hxloop.initialisation import balanced_weights
from hxloop.training_options import TrainingOptions

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
