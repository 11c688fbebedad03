"""The weight grid, and the circuits that merged neurons are made of."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import (
    ChipModel,
    circuits_needed,
    merged_circuits,
)
from hxloop.chip.weight_grid import ROUNDING, WeightGrid
from hxloop.errors import ConfigError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec

# --- the weight grid ----------------------------------------------------------------------

STEPS = st.floats(1e-4, 10.0)


BINARY_STEPS = st.integers(-8, 2).map(lambda power: 2.0**power)


def test_the_grid_has_six_bits_and_a_sign():
    grid = WeightGrid(1 / 78)
    assert grid.levels == 63
    assert grid.limit == pytest.approx(63 / 78, rel=1e-15)
    held = grid.quantise(np.linspace(-2, 2, 100_001))
    np.testing.assert_array_equal(np.unique(held.codes), np.arange(-63, 64))
    np.testing.assert_array_equal(held.values, held.codes * (1 / 78))
    assert held.codes.dtype == np.int64


@given(
    step=BINARY_STEPS, weights=st.lists(st.floats(-100, 100) | st.integers(-140, 140), min_size=1)
)
@example(step=1.0, weights=[63.25, -63.0, 63.5])
@settings(max_examples=200, deadline=None)
def test_weights_are_rounded_half_to_even_then_clipped(step, weights):
    # Half-integer codes are meant to occur; with a power of two the division is exact.
    values = np.array([w * step / 2 if isinstance(w, int) else w for w in weights])
    held = WeightGrid(step).quantise(values)
    exact = [round(Fraction(float(w)) / Fraction(step)) for w in values]  # half to even
    np.testing.assert_array_equal(held.codes, [max(-63, min(63, code)) for code in exact])
    np.testing.assert_array_equal(held.values, held.codes * step)
    # What lies beyond the limit, whatever rounding would have done.
    beyond = np.abs(values) > 63 * step * (1 + ROUNDING)
    np.testing.assert_array_equal(held.clipped, beyond)
    assert held.n_clipped == beyond.sum()


@given(step=STEPS, parts=st.lists(st.floats(-1, 1), min_size=1), levels=st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_a_weight_in_range_moves_by_at_most_half_a_step(step, parts, levels):
    grid = WeightGrid(step, levels)
    weights = np.array(parts) * grid.limit
    held = grid.quantise(weights)
    assert np.abs(held.values - weights).max() <= step / 2 * (1 + 1e-12)
    assert held.n_clipped == 0
    assert np.abs(held.codes).max() <= levels


@given(step=STEPS, weights=st.lists(st.floats(-1e4, 1e4), min_size=1))
@settings(max_examples=200, deadline=None)
def test_the_grid_is_idempotent_and_odd(step, weights):
    grid = WeightGrid(step)
    values = np.array(weights)
    held, again = grid.quantise(values), grid.quantise(grid.quantise(values).values)
    np.testing.assert_array_equal(again.values, held.values)
    np.testing.assert_array_equal(again.codes, held.codes)
    assert again.n_clipped == 0
    mirrored = grid.quantise(-values)
    np.testing.assert_array_equal(mirrored.codes, -held.codes)
    np.testing.assert_array_equal(mirrored.clipped, held.clipped)


def test_the_grid_does_not_write_into_the_weights():
    weights = np.array([[0.3, -7.0], [0.51, 0.0]])
    weights.flags.writeable = False
    held = WeightGrid(1.0, levels=2).quantise(weights)
    np.testing.assert_array_equal(held.values, [[0.0, -2.0], [1.0, 0.0]])
    np.testing.assert_array_equal(held.clipped, [[False, True], [False, False]])
    assert not np.shares_memory(held.values, weights)


@pytest.mark.parametrize("step", [0.0, -0.1, float("nan"), float("inf")])
def test_a_step_that_is_none_is_refused(step):
    with pytest.raises(
        ConfigError, match=r"WeightGrid\.step: expected a positive finite number; got"
    ):
        WeightGrid(step)
    with pytest.raises(
        ConfigError, match=r"WeightGrid\.levels: expected a whole number of at least 1; got 0"
    ):
        WeightGrid(1.0, levels=0)


# --- placement ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fan_in", "circuits"), [(1, 1), (127, 1), (128, 1), (129, 2), (256, 2), (257, 3), (1024, 8)]
)
def test_one_circuit_for_every_128_inputs(fan_in, circuits):
    network = NetworkSpec.feed_forward(fan_in, 3, 2)
    assert merged_circuits(network) == (circuits, 1)
    assert circuits_needed(network) == 3 * circuits + 2
    hidden, output = ChipModel.draw(Imperfections(), 0).place(network)
    assert hidden.circuits.shape == (3, circuits) and output.circuits.shape == (2, 1)
    # Every circuit is used once, in order.
    used = np.concatenate([hidden.circuits.ravel(), output.circuits.ravel()])
    np.testing.assert_array_equal(used, np.arange(3 * circuits + 2))


def test_parameters_of_a_neuron_are_those_of_its_circuit():
    nominal = NeuronSpec(tau_mem=2.0, tau_syn=0.5, v_threshold=2.6, v_leak=0.6)
    network = NetworkSpec(3, (LayerSpec(4), LayerSpec(2, nominal)))
    chip = ChipModel.draw(Imperfections(), 12)
    layer = chip.place(network)[1]
    own = slice(4, 6)  # the first layer takes circuits 0 to 3
    assert layer.scale == pytest.approx(2.0)
    np.testing.assert_allclose(layer.parameters.tau_mem, 2.0 * chip.tau_mem[own], rtol=1e-14)
    np.testing.assert_allclose(layer.parameters.tau_syn_exc, 0.5 * chip.tau_syn_exc[own])
    np.testing.assert_allclose(layer.parameters.tau_syn_inh, 0.5 * chip.tau_syn_inh[own])
    np.testing.assert_allclose(layer.parameters.v_threshold, 2.6 + 2.0 * chip.v_threshold[own])
    np.testing.assert_allclose(layer.parameters.v_leak, 0.6 + 2.0 * chip.v_leak[own])


def test_weights_are_felt_by_the_strength_of_their_sign():
    chip = ChipModel.draw(Imperfections(), 13)
    layer = chip.place(NetworkSpec.feed_forward(5, 4))[0]
    weights = np.random.default_rng(0).normal(size=(5, 4))
    weights[2, 1] = 0.0
    before = weights.copy()
    felt = layer.effective_weights(weights)
    for pre, post in np.ndindex(5, 4):
        strength = (chip.strength_exc if weights[pre, post] > 0 else chip.strength_inh)[post]
        assert felt[pre, post] == pytest.approx(weights[pre, post] * strength, rel=1e-15)
    np.testing.assert_array_equal(weights, before)
    assert (weights > 0).any() and (weights < 0).any()


def test_a_merged_neuron_averages_its_circuits_by_conductance():
    fan_in, neurons = 300, 5
    nominal = NeuronSpec(tau_mem=1.5, v_threshold=2.2, v_leak=0.2)
    chip = ChipModel.draw(Imperfections(), 14)
    (layer,) = chip.place(NetworkSpec.feed_forward(fan_in, neurons, neuron=nominal))
    assert layer.circuits.shape == (neurons, 3)
    felt_exc = layer.effective_weights(np.ones((fan_in, neurons)))
    felt_inh = -layer.effective_weights(-np.ones((fan_in, neurons)))
    for j in range(neurons):
        own = [3 * j, 3 * j + 1, 3 * j + 2]
        # Each circuit brings capacitance 1 and leak conductance 1/tau_mem onto one membrane.
        conductances = [1 / (1.5 * chip.tau_mem[c]) for c in own]
        leaks = [0.2 + 2.0 * chip.v_leak[c] for c in own]
        rest = sum(g * v for g, v in zip(conductances, leaks, strict=True)) / sum(conductances)
        got = layer.parameters
        assert got.tau_mem[j] == pytest.approx(3 / sum(conductances), rel=1e-13)
        assert got.v_leak[j] == pytest.approx(rest, rel=1e-13)
        assert got.tau_syn_exc[j] == pytest.approx(np.mean(chip.tau_syn_exc[own]), rel=1e-13)
        assert got.tau_syn_inh[j] == pytest.approx(np.mean(chip.tau_syn_inh[own]), rel=1e-13)
        assert got.v_threshold[j] == pytest.approx(2.2 + 2.0 * chip.v_threshold[own[0]], rel=1e-13)
        for pre in range(fan_in):
            circuit = own[pre // 128]
            assert felt_exc[pre, j] == chip.strength_exc[circuit]
            assert felt_inh[pre, j] == chip.strength_inh[circuit]


def test_the_first_circuit_of_a_merged_neuron_decides_whether_it_is_dead():
    chip = ChipModel.draw(Imperfections(dead=0.5), 15)
    (layer,) = chip.place(NetworkSpec.feed_forward(200, 40))
    silenced = np.isinf(layer.parameters.v_threshold)
    np.testing.assert_array_equal(silenced, chip.dead[0:80:2])
    assert (chip.dead[0:80:2] != chip.dead[1:80:2]).any()
