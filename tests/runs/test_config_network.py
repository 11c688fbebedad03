"""Networks of configurations: hidden layers or populations, read-outs, delays, what is refused."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import ConfigError, NetworkError
from hxloop.experiments.registry import load_experiment
from hxloop.network import (
    Feature,
    NetworkSpec,
    NeuronSpec,
    Parameters,
    Population,
    Projection,
)
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.evaluate import evaluate_run
from hxloop.runs.plan import prepare
from hxloop.runs.run import train
from hxloop.training.initialisation import get_initialisation, initial_delays

LOOP = """
[dataset]
name = "yin-yang"
train_size = 30
validation_size = 15
test_size = 15

[network]
output = "out"
neuron = {t_refractory = 0.5}

[[network.populations]]
name = "hidden"
size = 6
n_inhibitory = 2

[[network.populations]]
name = "out"
neuron = {tau_mem = 2.0}
readout = true

[[network.projections]]
pre = "input"
post = "hidden"
delays = "synaptic"

[[network.projections]]
pre = "hidden"
post = "hidden"
delays = "axonal"
min_delay = 0.1

[[network.projections]]
pre = "hidden"
post = "out"

[initialisation]
method = "balanced"
delays = [0.0, 0.5]

[loss]
name = "max-membrane"

[training]
epochs = 2
batch_size = 15
delay_rate = 0.01
overactive = {limit = 5.0}
spike_penalty = {weight = 0.1, high = 3.0}
"""


def config_of(text: str) -> ExperimentConfig:
    return ExperimentConfig.from_mapping(tomllib.loads(text), "here")


def test_populations_and_projections_make_the_network():
    network = config_of(LOOP).network_spec(4, 3)
    spiking = NeuronSpec(t_refractory=0.5)
    assert network == NetworkSpec(
        5,
        (
            Population("hidden", 6, spiking, 2),
            Population("out", 3, NeuronSpec(tau_mem=2.0, v_threshold=math.inf)),
        ),
        projections=(
            Projection("input", "hidden", "synaptic"),
            Projection("hidden", "hidden", "axonal", 0.1),
            Projection("hidden", "out"),
        ),
        output="out",
    )
    assert network.features == {
        Feature.MULTI_SPIKE, Feature.RECURRENT, Feature.DELAYS, Feature.READOUT
    }  # fmt: skip


def test_a_configuration_is_written_as_it_is_read():
    config = config_of(LOOP)
    again = config_of(config.to_toml())
    assert again == config
    assert again.digest == config.digest
    options = config.training_options()
    assert (options.overactive.limit, options.spike_penalty.high) == (5.0, 3.0)
    assert options.delay_rate == 0.01


def test_what_is_not_used_is_not_written():
    text = load_experiment("yin-yang").to_toml()
    for key in ("populations", "projections", "delays", "readout", "t_refractory", "overactive",
                "spike_penalty", "delay_rate", "neuron_rate", "train_neurons"):  # fmt: skip
        assert key not in text


def test_the_short_form_has_delays_and_readouts_too():
    config = load_experiment(
        "yin-yang",
        ["network.hidden=[4]", "network.delays=axonal", "network.readout=true",
         "network.neuron.t_refractory=1.0"],
    )  # fmt: skip
    network = config.network_spec(4, 3)
    assert [p.delays for p in network.projections] == ["axonal", "axonal"]
    assert network.layers[-1].neuron.never_spikes
    assert network.layers[0].neuron.t_refractory == 1.0


def test_a_run_from_such_a_file_is_trained_and_evaluated(tmp_path):
    config = config_of(LOOP)
    whole = train(config, tmp_path / "run")
    assert not whole.problems
    assert set(whole.training.metrics[0]) >= {"spikes_per_neuron", "lowered_neurons"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "hidden: 4 exc., 2 inh. neurons, " in page
    learned = whole.training.parameters
    drawn = initial_delays(prepare(config).network, 0.0, 0.5, config.seed)
    assert not np.array_equal(learned.delays[0], drawn[0])
    assert (learned.delays[1] >= 0.1).all()
    assert learned.delays[2] is None
    again = evaluate_run(tmp_path / "run")
    assert again.test.accuracy == whole.test.accuracy
    assert again.test.loss == whole.test.loss
    assert len(again.test.spikes_per_neuron) == 2
    assert again.test.spikes_per_neuron[1] == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("size = 6", ""), ConfigError, "'hidden': size: expected a number of neurons; got none"),
        (('output = "out"', "hidden = [3]"), ConfigError, r"network.hidden: expected it left out"),
        (("size = 6", 'size = "6"'), ConfigError, r"populations\[0\].size: expected a whole"),
        (("size = 6", "siez = 6"), ConfigError, r"unknown key in \[network.populations\] 'siez'"),
        (('post = "out"', 'post = "aut"'), ConfigError, "expected post one of hidden, out; got"),
        (('delays = "axonal"', 'delays = "axon"'), ConfigError, "expected delays one of axonal"),
        (("t_refractory = 0.5", "t_refractory = -1"), ConfigError, "t_refractory: expected"),
        (("delays = [0.0, 0.5]", "delays = [0.5, 0.0]"), ConfigError, "shortest, longest"),
        (("high = 3.0", "high = 3.0, low = 4.0"), ConfigError, "spike_penalty: expected low up"),
        (("limit = 5.0", "limit = 0.0"), ConfigError, "training.overactive.limit: expected"),
    ],
)
def test_what_makes_no_network_is_refused_where_it_was_written(change, error, message):
    with pytest.raises(error, match=message):
        prepare(config_of(LOOP.replace(*change)))


def test_sizes_other_than_the_classes_are_refused():
    text = LOOP.replace("readout = true", "readout = true\nsize = 4")
    with pytest.raises(ConfigError, match=r"it decides, and the data have 3 classes.*got 4"):
        prepare(config_of(text))


def test_projections_without_populations_are_refused():
    with pytest.raises(ConfigError, match=r"network\.output: names populations"):
        config_of('[network]\noutput = "x"')


def test_a_network_of_spiking_neurons_has_no_membranes_to_read():
    with pytest.raises(NetworkError, match="expected a leaky read-out"):
        train(config_of(LOOP.replace("readout = true", "")))


@pytest.mark.parametrize("active", [0.5, 0.9])
def test_balanced_populations_are_as_active_as_asked(active):
    text = LOOP.replace("size = 6", "size = 30").replace("n_inhibitory = 2", "n_inhibitory = 6")
    network = config_of(text).network_spec(4, 3)
    rng = np.random.default_rng(0)
    times = rng.random((200, 5))
    drawn_by = get_initialisation("balanced", spread=0.3, active=active)
    weights = drawn_by(network, times, 1)
    assert [w.shape for w in weights] == list(network.shapes)
    alone = NetworkSpec(5, (network.populations[0],), network.t_window)
    found = spike_trains(alone, Parameters(weights[:1], (None,)), Spikes.from_first(times))[0]
    assert abs(np.isfinite(found.first).mean() - active) < 0.03
    # Dale's law, in the loop and to the output.
    for matrix in weights[1:]:
        assert (matrix[:24] >= 0).all() and (matrix[24:] <= 0).all()
    assert all((a == b).all() for a, b in zip(weights, drawn_by(network, times, 1), strict=True))


def network_of(*projections, law=0, sizes=(20, 20, 3)):
    names = ("first", "second", "out")
    spiking = NeuronSpec(t_refractory=0.5)
    out = NeuronSpec(v_threshold=math.inf, v_leak=-3.0)
    populations = (
        Population(names[0], sizes[0], spiking),
        Population(names[1], sizes[1], spiking, n_inhibitory=law),
        Population(names[2], sizes[2], out),
    )
    return NetworkSpec(5, populations, projections=tuple(Projection(*ends) for ends in projections))


@pytest.mark.parametrize(
    "projections",
    [
        # The first of the loop hears of the input through the second only.
        (("input", "second"), ("second", "first"), ("first", "second"), ("first", "out")),
        (("input", "first"), ("first", "second"), ("second", "first"), ("second", "out")),
    ],
    ids=["second before first", "first before second"],
)
def test_balanced_weights_reach_every_population_of_a_loop(projections):
    network = network_of(*projections)
    inputs = Spikes.from_first(np.random.default_rng(0).random((200, 5)))
    weights = get_initialisation("balanced", spread=0.3, active=0.9)(network, inputs.first, 1)
    found = spike_trains(network, Parameters(weights, (None,) * len(weights)), inputs)
    for spikes in found[:2]:
        assert np.isfinite(spikes.first).mean() > 0.8
    # A read-out below the threshold of all others is driven as well, from its own leak.
    assert weights[-1].mean() > 0.01


def test_a_population_that_only_inhibits_may_stand_beside_one_that_excites():
    ends = (("input", "first"), ("first", "second"), ("second", "first"),
            ("first", "out"), ("second", "out"))  # fmt: skip
    network = network_of(*ends, law=20)
    times = np.random.default_rng(0).random((50, 5))
    weights = get_initialisation("balanced")(network, times, 1)
    assert (weights[2] <= 0).all() and (weights[4] < 0).all() and weights[3].mean() > 0
    alone = network_of(("input", "first"), ("first", "second"), ("second", "out"), law=20)
    with pytest.raises(ConfigError, match="all neurons of 'second' are inhibitory"):
        get_initialisation("balanced")(alone, times, 1)
