"""Leaky read-outs on the emulated chip: what the host computes from what it recorded and holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hxloop import LoopNetwork, get_backend
from hxloop.chip.operating_point import OperatingPoint
from hxloop.engine.membrane_peaks import membrane_peaks
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection

SPIKING = NeuronSpec(t_refractory=0.5)
NETWORK = NetworkSpec(
    6,
    (
        Population("hidden", 10, SPIKING),
        Population("output", 3, NeuronSpec(v_threshold=math.inf, t_refractory=0.5)),
    ),
    projections=(
        Projection("input", "hidden"),
        Projection("hidden", "hidden"),
        Projection("hidden", "output"),
    ),
    t_window=4.0,
)


@pytest.mark.parametrize("imperfections", ["none", "uncalibrated"])
@pytest.mark.parametrize(
    "options",
    [{"solver": "event"}, {"solver": "brian2", "codegen": "numpy", "dt": 0.01}],
    ids=["event", "brian2"],
)
def test_a_read_out_never_spikes_and_is_read_from_recorded_spikes(options, imperfections):
    rng = np.random.default_rng(0)
    weights = [
        rng.normal(mean, 0.2, shape)
        for mean, shape in zip((0.5, 0.02, 0.3), NETWORK.shapes, strict=True)
    ]
    times = rng.uniform(0, 2, (4, 6))
    backend = get_backend("emulated-chip", chip=1, imperfections=imperfections, **options)
    with backend.open(NETWORK, seed=0) as session:
        loop = LoopNetwork(session, weights)
        highest, activity = loop.output(times, 0, reads="membrane")
    assert activity.spikes[0].n_spikes > 10 and activity.spikes[1].n_spikes == 0
    held = activity.parameters
    assert not np.array_equal(held.weights[2], weights[2])  # on the grid of the chip
    sources = (activity.inputs, *activity.spikes)
    expected = membrane_peaks(NETWORK, Parameters(held.weights), sources, 1).values
    np.testing.assert_array_equal(highest.numpy(force=True), expected)
    assert expected.max() > 0.05


def test_a_calibration_asks_nothing_of_the_reset_of_a_read_out():
    """It has none, whatever its refractory time says."""
    OperatingPoint().check_network(NETWORK, 6.0)
