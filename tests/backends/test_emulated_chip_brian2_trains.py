"""All spikes on the emulated chip, integrated by Brian2: against the ideal and the exact solver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.activity import Spikes
from hxloop.backends.emulated.brian2.block_parts import BlockShape
from hxloop.errors import RunFailed
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from tests.backends.chip_trains import (
    BURSTING,
    LOOP,
    NETWORKS,
    assert_same_trains,
    drawn_inputs,
    drawn_weights,
    run_trains,
)
from tests.backends.emulated_chip_examples import EXACT, chip

pytestmark = pytest.mark.xdist_group("compiled-brian2")
both_kinds = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
ON_NUMPY = {"solver": "brian2", "codegen": "numpy", "dt": 1 / 100, **EXACT}


@both_kinds
def test_a_perfect_chip_on_brian2_is_the_ideal_substrate_within_its_resolution(network):
    backend = chip(imperfections="none", **ON_NUMPY)
    got = run_trains(backend, network)
    assert_same_trains(got, run_trains(get_backend("ideal"), network), 0.02)
    assert backend.capabilities.time_resolution == 0.02
    assert got.spikes[0].n_spikes > 100


@both_kinds
def test_noise_and_fixed_pattern_are_those_of_the_exact_solver(network):
    """Of jitter within a loop as well: what leaves later than it happened arrives later."""
    values = {"preset": "uncalibrated", "spike_jitter": 0.02, "spike_loss": 0.1}
    exact = run_trains(chip(imperfections=values, **EXACT), network)
    got = run_trains(chip(imperfections=values, **ON_NUMPY), network)
    assert_same_trains(got, exact, 0.02)
    assert got.info.lost_spikes == exact.info.lost_spikes > 10


def test_neurons_of_a_bad_chip():
    """At rest above threshold, reset above it, let go within a step, once among many; bursts."""
    kinds = (BURSTING, NeuronSpec(t_refractory=0.012), NeuronSpec(tau_mem=0.4), NeuronSpec(
        t_refractory=0.5, v_reset=0.9))  # fmt: skip
    network = NetworkSpec(
        6,
        tuple(Population(f"p{i}", 8, kind) for i, kind in enumerate(kinds)),
        projections=tuple(Projection("input", f"p{i}") for i in range(4)),
        t_window=3.0,
    )
    values = {"preset": "none", "v_leak": 0.6, "v_reset": 0.5, "v_threshold": 0.2, "tau_syn": 0.3}
    burst = np.array([0.5, 0.502, 0.504, 0.506, 0.6, 1.0, 1.001, 2.0])
    inputs = Spikes.from_events(
        np.repeat(np.arange(3), 16), np.tile([0] * 8 + [1] * 8, 3),
        np.tile(np.concatenate([burst, burst + 0.003]), 3), batch=3, n_units=6,
    )  # fmt: skip
    weights = [0.5 * matrix for matrix in drawn_weights(network)]
    given = {"inputs": inputs, "weights": weights}
    bad = {"imperfections": values, "chip": 1}
    exact = run_trains(chip(**bad, **EXACT), network, **given)
    got = run_trains(chip(**bad, **(ON_NUMPY | {"dt": 1 / 200})), network, **given)
    true = chip(**bad, **EXACT).substrate_parameters(network)
    for name in ("v_leak", "v_reset"):
        assert (true[name] > 1 + true["v_threshold"]).any()
    for one, other in zip(got.spikes, exact.spikes, strict=True):
        # A grid may decide differently about a spike that grazes, or one at the end of the window.
        same = one.count == other.count
        assert same.mean() > 0.9 and np.abs(one.count - other.count).max() <= 2
        for k in range(int(other.count.max())):
            a, b = one.nth(k)[same], other.nth(k)[same]
            fired = np.isfinite(b)
            assert np.abs(a[fired] - b[fired]).max(initial=0) < 0.01 * (1 + k)


def test_a_compiled_model_computes_the_same(tmp_path):
    """Of a loop with noise and delay neurons in it: all that a model may have."""
    axons = Projection("hidden", "hidden", delays="axonal", min_delay=1.4)
    projections = tuple(axons if p.pre == p.post else p for p in LOOP.projections)
    network, inputs = replace(LOOP, projections=projections), drawn_inputs(LOOP, batch=5)
    delays = tuple(None if shape is None else np.full(shape, 1.5) for shape in network.delay_shapes)
    weights = Parameters(tuple(drawn_weights(network)), delays)
    values = {"preset": "calibrated", "spike_jitter": 0.01, "spike_loss": 0.05}
    options = {"imperfections": values, "delay_neurons": True, **ON_NUMPY, "dt": 1 / 50}
    expected = run_trains(chip(**options), network, inputs=inputs, weights=weights)
    compiled = chip(**options | {"codegen": "cpp_standalone", "cache_dir": str(tmp_path)})
    with compiled.open(network, seed=1) as session:
        got = session.run(weights, inputs, trial=0)
        assert_same_trains(got, expected, 1e-9)
        fewer = session.run(weights, inputs.select(slice(2)), trial=0)
        for a, b in zip(got.spikes, fewer.spikes, strict=True):
            assert a.select(slice(2)) == b
    assert len(list(tmp_path.iterdir())) == 1  # one block, one model


def test_samples_and_spikes_beyond_what_a_model_was_made_for():
    with chip(imperfections="calibrated", **ON_NUMPY).open(LOOP, seed=1) as session:
        weights, few, many = drawn_weights(LOOP), drawn_inputs(LOOP, 3), drawn_inputs(LOOP, 40)
        first = session.run(weights, few, trial=0)
        more = session.run(weights, many, trial=0)
        dense = Spikes.from_events(
            np.zeros(20, int), np.zeros(20, int), 0.1 * np.arange(20), batch=1, n_units=6
        )
        session.run(weights, dense, trial=0)
        again = session.run(weights, few, trial=0)
        for a, b in zip(first.spikes, again.spikes, strict=True):
            assert a == b
    exact = run_trains(
        chip(imperfections="calibrated", **EXACT), LOOP, inputs=many, weights=weights
    )
    assert_same_trains(more, exact, 0.02)


def test_a_result_that_is_no_number_is_a_failed_run(monkeypatch):
    from hxloop.backends.emulated.brian2 import fleet

    class Broken:
        def __init__(self, shape: BlockShape) -> None:
            pass

        def run(self, data):
            return [np.array([1.0]), np.array([0.0]), np.array([np.nan])]

        def close(self):
            pass

    monkeypatch.setattr(fleet, "NumpyRunner", Broken)
    with pytest.raises(RunFailed, match="NaN as a spike time"):
        run_trains(chip(imperfections="none", **ON_NUMPY), LOOP)
