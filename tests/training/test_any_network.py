"""Training networks that are no chain: who decides, who is woken, what is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxloop import LoopNetwork, NetworkSpec, SilentNeuronPolicy, Trainer, get_backend
from hxloop.network import NeuronSpec, Population, Projection
from hxloop.training.evaluation import evaluate
from tests.training.small_training import LOSS, OPTIONS, TRAIN, VALIDATION

# Projections are not in the order of the populations, and the last population does not decide.
SPEC = NetworkSpec(
    5,
    (
        Population("hidden", 8, NeuronSpec()),
        Population("out", 3, NeuronSpec()),
        Population("reader", 4, NeuronSpec()),
    ),
    projections=(
        Projection("out", "reader"),
        Projection("hidden", "out"),
        Projection("input", "hidden"),
        Projection("input", "out"),
    ),
    output="out",
    t_window=4.0,
)


def opened(weights):
    return LoopNetwork(get_backend("ideal").open(SPEC), weights)


def drawn():
    rng = np.random.default_rng(0)
    return [rng.normal(1.0, 0.5, shape) for shape in SPEC.shapes]


def test_the_population_decides_that_is_named():
    network = opened(drawn())
    result = evaluate(network, LOSS, VALIDATION, 40)
    expected = LOSS.decide(result.first_spike_times[1])
    assert np.array_equal(result.decisions, expected) and result.decisions.max() <= 2
    assert result.accuracy == (expected == VALIDATION.labels).mean()
    off = SilentNeuronPolicy(bump=0)
    options = replace(OPTIONS, epochs=1, learning_rate=1e-12, input_noise=0.0, silent=off)
    metrics = Trainer(network, LOSS, VALIDATION, VALIDATION, options).fit().metrics[0]
    assert metrics["train_accuracy"] == metrics["validation_accuracy"] == result.accuracy
    silent = [np.isinf(times).mean() for times in result.first_spike_times]
    assert np.allclose(metrics["silent_fraction"], silent) and len(metrics["clipped_weights"]) == 4


def test_neurons_are_woken_through_all_that_leads_to_them():
    def bumped(layers, **options):
        network = opened([np.full(shape, 1e-3) for shape in SPEC.shapes])
        policy = SilentNeuronPolicy(hidden=0.3, bump=0.05, layers=layers, **options)
        training = replace(OPTIONS, epochs=1, batch_size=200, learning_rate=1e-9, silent=policy)
        Trainer(network, LOSS, TRAIN, VALIDATION, training).fit()
        return [float(w.mean()) - 1e-3 for w in network.weight_arrays()]

    assert np.allclose(bumped("first"), [0, 0, 0.05, 0], atol=1e-8)
    assert np.allclose(bumped("all"), [0.05, 0.05, 0.05, 0.05], atol=1e-8)
    # The dose is shared by all inputs: 8 hidden neurons and 5 channels into the output.
    assert np.allclose(
        bumped("all", per_input=True), [0.05 / 3, 0.05 / 13, 0.05 / 5, 0.05 / 13], atol=1e-8
    )


def test_the_output_is_judged_by_its_own_class():
    network = opened(drawn())
    _, activity = network(TRAIN.input_times[:6])
    times = [np.zeros_like(t) for t in activity.first_spike_times]
    times[1][:, 0] = np.inf
    seen = replace(activity, first_spike_times=tuple(times))
    labels = np.array([1, 1, 2, 2, 1, 2])  # class 0 is not among them: it may be silent
    policy = SilentNeuronPolicy(hidden=0.3, bump=0.1)
    weights = list(network.weights)
    assert policy.apply(weights, seen, labels, network=SPEC) == 0
    labels[0] = 0
    assert policy.apply(weights, seen, labels, network=SPEC) == 1
