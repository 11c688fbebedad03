"""Balanced weights start no loop that keeps itself going, and what does is told early."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.data.datasets import yin_yang
from hxloop.data.encoding import LatencyEncoding
from hxloop.engine import spike_trains as engine
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.training.initialisation import BalancedInitialisation

INPUTS = LatencyEncoding().encode(np.asarray(yin_yang(24, 0).samples))


def looped(t_refractory: float) -> NetworkSpec:
    spiking = NeuronSpec(t_refractory=t_refractory)
    return NetworkSpec(
        5,
        (Population("memory", 30, spiking), Population("output", 3, spiking)),
        t_window=20.0,
        projections=(
            Projection("input", "memory"),
            Projection("memory", "memory"),
            Projection("memory", "output"),
        ),
    )


@pytest.mark.parametrize("t_refractory", [0.0, 0.2])
def test_a_loop_spikes_no_more_than_half_as_often_again_as_its_input_makes_it(t_refractory):
    network = looped(t_refractory)
    weights = BalancedInitialisation()(network, INPUTS, 0)
    given = Spikes.from_first(INPUTS)
    ours = engine.spike_trains(network, Parameters(tuple(weights)), given)
    without = [weights[0], np.zeros_like(weights[1]), weights[2]]
    alone = engine.spike_trains(network, Parameters(tuple(without)), given)
    assert np.any(weights[1] != 0) and ours[0].n_spikes > 0
    assert ours[0].n_spikes <= 2 * alone[0].n_spikes  # looked for with some of the samples
    assert np.isfinite(ours[1].first).mean() >= 0.9, "the outputs are balanced to what is there"


def test_one_sample_tells_that_a_network_does_not_stop(monkeypatch):
    """All 24 would: only the first is followed up to the limit."""
    network = looped(0.0)
    asked = []
    block = engine.loop_block
    monkeypatch.setattr(
        engine,
        "loop_block",
        lambda *given: (asked.append((given[1], given[-3].shape)), block(*given)),
    )
    weights = (np.full((5, 30), 2.0), np.full((30, 30), 2.0), np.zeros((30, 3)))
    with pytest.raises(RunInputError, match=r"does not stop; more than 40 spikes .* sample 0 "):
        engine.spike_trains(network, Parameters(weights), Spikes.from_first(INPUTS), max_spikes=40)
    assert [shape[0] for _, shape in asked if shape[1] == 40 * 30] == [1]
