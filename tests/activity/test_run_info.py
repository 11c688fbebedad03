"""What a substrate changes is counted: weights clipped and rounded to 0, ties made by a clock."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import LoopNetwork, NetworkSpec, RunInfo, SpikeData, evaluate, get_backend, get_loss
from hxloop.activity.log.schema import info_from_json, info_to_json
from hxloop.chip.clock import n_tied, truncate
from hxloop.chip.weight_grid import WeightGrid

inf = np.inf
NETWORK = NetworkSpec.feed_forward(3, 2, t_window=6.0)


def chip(**options):
    values = {"solver": "event", "imperfections": "none"} | options
    return get_backend("emulated-chip", **values)


def run(backend, weights, times, network=NETWORK):
    with backend.open(network, seed=1) as session:
        return session.run(weights, times)


def test_a_weight_of_63_4_steps_counts_as_clipped():
    step = 0.05
    weights = np.array([[63.0, -63.0], [63.4, -63.4], [64.0, 0.0]]) * step
    activity = run(chip(weight_lsb=step), [weights], [[inf] * 3])
    assert activity.info.clipped_weights == (3,)
    assert np.abs(activity.weights_used[0]).max() == pytest.approx(63 * step)


def test_weights_rounded_to_0_are_counted():
    step = 1.0
    weights = np.array([[0.4, -0.4], [0.6, 0.0], [0.5, -1e-9]])  # 0.5 rounds to even, to 0
    activity = run(chip(weight_lsb=step), [weights], [[inf] * 3])
    assert activity.info.zeroed_weights == (4,)
    assert np.count_nonzero(activity.weights_used[0]) == 1
    free = run(chip(quantise_weights=False), [weights], [[inf] * 3])
    assert free.info.zeroed_weights == ()


@given(
    steps=st.lists(st.floats(-200, 200), min_size=1, max_size=20),
    step=st.floats(1e-6, 1e3),
    levels=st.integers(1, 127),
)
def test_what_the_weight_grid_counts_is_what_it_did(steps, step, levels):
    weights = np.array(steps) * step
    held = WeightGrid(step, levels).quantise(weights)
    beyond = np.abs(weights) > levels * step * (1 + 1e-9)
    within = np.abs(weights) <= levels * step
    assert (held.clipped | ~beyond).all() and not (held.clipped & within).any()
    assert held.n_zeroed == np.count_nonzero((held.values == 0) & (weights != 0))
    assert (np.abs(held.values - weights)[~held.clipped] <= step * (0.5 + 1e-9)).all()


def test_ties_that_the_clock_makes_are_counted_and_no_others():
    # Sample by sample: two spikes in one cycle; in two cycles; equal before; one silent; three,
    # of which two were equal before.
    exact = np.array(
        [
            [1.01, 1.02, 3.0],
            [1.01, 1.12, 3.0],
            [1.01, 1.01, inf],
            [1.01, inf, inf],
            [1.01, 1.01, 1.02],
        ]
    )
    stamped = truncate(exact, 0.1)
    assert n_tied(stamped, exact) == 2
    assert n_tied(stamped) == 3


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), tick=st.sampled_from([1e-3, 0.1, 0.5]))
def test_a_sample_is_tied_if_two_neurons_share_a_stamp_and_not_a_time(seed, tick):
    rng = np.random.default_rng(seed)
    exact = np.round(rng.uniform(0, 3, (6, 4)), 2)
    exact[rng.random(exact.shape) < 0.3] = inf
    stamped = truncate(exact, tick)
    tied = [
        any(
            a[i] == a[j] < inf and e[i] != e[j]
            for i in range(4)
            for j in range(i)
        )
        for a, e in zip(stamped, exact, strict=True)
    ]  # fmt: skip
    assert n_tied(stamped, exact) == sum(tied)


def test_a_slow_clock_ties_output_spikes_of_the_chip():
    rng = np.random.default_rng(3)
    times = rng.uniform(0, 1, (50, 3))
    weights = [np.array([[2.0, 2.2], [2.0, 2.0], [2.0, 1.8]])]
    counts = {
        tau: run(chip(tau_syn_us=tau, quantise_weights=False), weights, times).info.tied_outputs
        for tau in (6.0, 0.05)
    }
    assert counts[0.05] > 4 * counts[6.0] + 10
    free = run(chip(quantise_times=False, quantise_weights=False), weights, times)
    assert free.info.tied_outputs == 0
    assert run(get_backend("ideal"), weights, times).info.tied_outputs == 0


def test_the_record_of_a_run_comes_back_from_text_and_older_ones_are_read():
    info = RunInfo("chip", clipped_weights=(1, 2), zeroed_weights=(3, 4), tied_outputs=5)
    assert info_from_json(info_to_json(info)) == info
    older = asdict(info)
    del older["zeroed_weights"], older["tied_outputs"]
    read = info_from_json(json.dumps(older).encode())
    assert read == RunInfo("chip", clipped_weights=(1, 2))


def test_an_evaluation_adds_up_what_its_runs_counted():
    backend = chip(tau_syn_us=0.05, weight_lsb=0.5)
    weights = [np.array([[2.0, 2.0], [2.0, 0.1], [40.0, 0.1]])]
    data = SpikeData(np.random.default_rng(0).uniform(0, 1, (10, 3)), np.zeros(10, np.int64))
    with backend.open(NETWORK, seed=0) as session:
        network = LoopNetwork(session, weights)
        result = evaluate(network, get_loss("time-to-first-spike"), data, 4)
        one = session.run(weights, data.input_times)
    info = result.info
    assert info.clipped_weights == result.clipped_weights == one.info.clipped_weights == (1,)
    assert info.zeroed_weights == (2,)
    assert info.rounded_inputs == one.info.rounded_inputs > 20
    assert info.tied_outputs == one.info.tied_outputs
    assert info.chip_id == one.info.chip_id and info.trial is None
    assert len(result.run_seconds) == 3 and info.duration_seconds == sum(result.run_seconds)
