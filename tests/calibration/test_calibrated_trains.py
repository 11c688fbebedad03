"""A calibration and networks whose neurons spike again: resets, refractory times, scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.errors import CalibrationError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Projection
from tests.backends.chip_trains import assert_same_trains, drawn_inputs, drawn_weights, run_trains
from tests.calibration.calibrated_chip import calibrated, faulty_chip

pytestmark = pytest.mark.xdist_group("calibrated-chip")
SPIKING = NeuronSpec(t_refractory=0.5)
NETWORK = NetworkSpec.feed_forward(6, 40, 5, neuron=SPIKING)


def test_calibrated_neurons_spike_again_like_the_model():
    """Of intervals, which are those of reset and refractory time as well."""
    backend = faulty_chip(quantise_weights=False)
    made, weights, inputs = calibrated(), drawn_weights(NETWORK), drawn_inputs(NETWORK, 20)
    before = backend.substrate_parameters(NETWORK)["v_reset"]
    after = backend.substrate_parameters(NETWORK, made)["v_reset"]
    assert np.std(after) < 0.1 * np.std(before)
    ideal = run_trains(get_backend("ideal"), NETWORK, inputs=inputs, weights=weights).spikes[0]
    errors = {}
    for name, calibration in (("before", None), ("after", made)):
        got = run_trains(
            backend, NETWORK, inputs=inputs, weights=weights, calibration=calibration
        ).spikes[0]
        # From the first spike of a neuron to its second.
        both = np.isfinite(got.nth(1)) & np.isfinite(ideal.nth(1))
        assert both.sum() > 50
        mine, nominal = ((s.nth(1)[both] - s.first[both]) for s in (got, ideal))
        errors[name] = np.median(np.abs(mine - nominal))
    assert errors["after"] < 0.3 * errors["before"] and errors["after"] < 0.05


def test_scales_are_those_of_first_spikes():
    """Inputs, refractory times and delays go to the chip's time, all spikes come back from it."""
    axons = {"delays": "axonal", "min_delay": 1.4}
    names = ("input", "hidden"), ("hidden", "output")
    network = replace(NETWORK, projections=(Projection(*names[0], **axons), Projection(*names[1])))
    longer = replace(SPIKING, t_refractory=1.1 * SPIKING.t_refractory)
    slower = replace(network, layers=tuple(replace(p, neuron=longer) for p in network.layers))
    backend = faulty_chip(quantise_times=False, quantise_weights=False, delay_neurons=True)
    made, inputs = calibrated(), drawn_inputs(network, 10)
    scaled = replace(made, scales=replace(made.scales, time_scale=1.1, spike_offset=0.05))
    plain = replace(made, scales=replace(made.scales, time_scale=1.0, spike_offset=0.0))
    weights, delays = tuple(2 * w for w in drawn_weights(network)), np.linspace(1.5, 2.5, 6)
    got = run_trains(
        backend, network, inputs=inputs, calibration=scaled,
        weights=Parameters(weights, (delays, None)),
    )  # fmt: skip
    late = type(inputs)(1.1 * inputs.times, inputs.units, inputs.offsets, inputs.n_units)
    chips = run_trains(
        backend, slower, inputs=late, calibration=plain,
        weights=Parameters(weights, (1.1 * delays, None)),
    )  # fmt: skip
    back = [
        type(s)(np.maximum(s.times / 1.1 - 0.05, 0), s.units, s.offsets, s.n_units)
        for s in chips.spikes
    ]
    assert_same_trains(got, replace(chips, spike_trains=tuple(back)), 1e-9)
    assert got.spikes[0].n_spikes > 100 and got.spikes[1].n_spikes > 0
    np.testing.assert_array_equal(got.delays_used[0], delays)
    np.testing.assert_allclose(got.inputs.times, inputs.times)


def test_another_reset_than_the_calibration_s_is_refused():
    lower = NetworkSpec.feed_forward(6, 4, neuron=replace(SPIKING, v_reset=-0.2))
    with pytest.raises(CalibrationError, match=r"reset of 80 LSB; .*--target v_reset_lsb=66"):
        faulty_chip().open(lower, calibration=calibrated())
    once = NetworkSpec.feed_forward(6, 4, neuron=NeuronSpec(v_reset=-0.2))
    faulty_chip().open(once, calibration=calibrated()).close()
