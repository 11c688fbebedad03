"""The compiled kernels against the readable reference, on random layers of every shape."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import NetworkSpec, NeuronParameters, NeuronSpec, first_spike_times, get_backend
from hxloop.engine import gradient, reference
from hxloop.engine.compiled import interface as kernels
from hxloop.engine.compiled import threads
from hxloop.errors import ConfigError, RunInputError

# float32 carries seven digits; a crossing that is nearly grazing loses half of them.
FLOAT32 = {"median": 1e-6, "largest": 5e-3}


def drawn(seed, batch, pre, post, kind, spread=0.3, silent=0.1):
    """A layer with inputs in [0, 2), some of them silent or simultaneous."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.0, 2.0, (batch, pre))
    times[:, : pre // 3] = np.round(times[:, : pre // 3], 1)
    times[rng.random(times.shape) < silent] = np.inf
    weights = rng.normal(3 / pre, 2 / np.sqrt(pre), (pre, post))

    def around(value):
        return value * np.exp(spread * rng.standard_normal(post))

    if kind == "unequal":
        layer = NeuronParameters(
            around(1.0), around(1.0), around(1.0), 1 + 0.1 * rng.random(post), np.zeros(post)
        )
    else:
        ratio = {"equal": 1.0, "double": 2.0, "near": 1.0 + 1e-5, "other": 1.37, "fast": 0.4}[kind]
        layer = NeuronParameters.uniform(NeuronSpec(tau_mem=ratio), post)
    return times, weights, layer


def both(times, weights, layer, window):
    found = kernels.first_spike_times_cpu(times, weights, layer, window)
    expected = reference.first_spike_times(
        torch.from_numpy(times), torch.from_numpy(weights.astype(np.float64)), layer, window
    ).numpy()
    return found, expected


KINDS = ["equal", "double", "near", "other", "fast", "unequal"]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 5),
    pre=st.integers(1, 60),
    post=st.integers(1, 130),
    kind=st.sampled_from(KINDS),
    window=st.sampled_from([1.5, 4.0, 500.0]),
)
def test_forward_is_the_reference(seed, batch, pre, post, kind, window):
    found, expected = both(*drawn(seed, batch, pre, post, kind), window)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    spiked = np.isfinite(expected)
    np.testing.assert_allclose(found[spiked], expected[spiked], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_long_windows_do_not_find_a_spike_twice(kind, precision):
    """Regression: an infinite bound at the last interval overwrote earlier spikes."""
    times, weights, layer = drawn(148, 3, 25, 76, kind)
    found, expected = both(times, weights.astype(precision), layer, 500.0)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    both_spiked = np.isfinite(expected)
    tolerance = 1e-10 if precision == np.float64 else FLOAT32["largest"]
    np.testing.assert_allclose(found[both_spiked], expected[both_spiked], rtol=0, atol=tolerance)


@pytest.mark.parametrize("ratio", [0.05, 20.0])
def test_time_constants_far_apart(ratio):
    times, weights, _ = drawn(5, 3, 25, 40, "equal")
    layer = NeuronParameters.uniform(NeuronSpec(tau_mem=ratio), 40)
    found, expected = both(times, weights / min(ratio, 1.0), layer, 300.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert np.isfinite(found).any()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    pre=st.integers(1, 40),
    post=st.integers(1, 130),
    kind=st.sampled_from(KINDS),
    cap=st.sampled_from([np.inf, 1.0]),
    stretch=st.sampled_from([0.0, 400.0]),
)
def test_backward_is_the_reference(seed, pre, post, kind, cap, stretch):
    times, weights, layer = drawn(seed, 4, pre, post, kind)
    # The second half of the samples much later: exponentials of a common time would overflow.
    times[2:] += stretch
    recorded = kernels.first_spike_times_cpu(times, weights, layer, 1000.0)
    if stretch:
        recorded[0, 0] = 1.0
        recorded[0, -1] = 900.0
    grad = np.random.default_rng(seed).normal(size=recorded.shape)
    d_weights, d_times, counted = kernels.gradients_cpu(
        times, weights, recorded, grad, layer, 1e-6, cap
    )

    class Context:
        min_slope, max_dw_norm = 1e-6, cap

    Context.layer = layer
    counts = gradient.GradientCounts()
    tensors = [torch.from_numpy(a) for a in (times, weights, recorded, grad)]
    e_weights, e_times = gradient.chunk_gradient(*tensors, len(times), Context, counts)
    assert counted == (counts.n_spikes, counts.n_not_rising, counts.n_capped)
    scale = max(1.0, float(e_weights.abs().max()), float(e_times.abs().max()))
    np.testing.assert_allclose(d_weights, e_weights.numpy(), rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(d_times, e_times.numpy(), rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("kind", ["equal", "other"])
def test_float32_is_as_good_as_float32_can_be(kind):
    times, weights, layer = drawn(0, 40, 300, 200, kind)
    exact = kernels.first_spike_times_cpu(times, weights, layer, 4.0)
    single = kernels.first_spike_times_cpu(times, weights.astype(np.float32), layer, 4.0)
    assert (np.isinf(exact) != np.isinf(single)).mean() < 1e-3
    spiked = np.isfinite(exact) & np.isfinite(single)
    error = np.abs(exact[spiked] - single[spiked])
    assert np.median(error) < FLOAT32["median"] and error.max() < FLOAT32["largest"]
    assert error.max() > 0  # it is computed in float32
    grad = np.random.default_rng(1).normal(size=exact.shape)
    wide = kernels.gradients_cpu(times, weights, exact, grad, layer, 1e-2, np.inf)
    narrow = kernels.gradients_cpu(
        times, weights.astype(np.float32), exact, grad, layer, 1e-2, np.inf
    )
    assert narrow[0].dtype == np.float32
    for a, b in zip(wide[:2], narrow[:2], strict=True):
        assert np.abs(a - b).max() < 1e-3 * np.abs(a).max()


@pytest.mark.parametrize("kind", ["equal", "unequal"])
def test_threads_change_nothing_and_two_runs_are_the_same(kind):
    times, weights, layer = drawn(3, 30, 120, 150, kind)
    grad = np.random.default_rng(0).normal(size=(30, 150))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3, 3, 64):
            torch.set_num_threads(threads)
            spikes = kernels.first_spike_times_cpu(times, weights, layer, 4.0)
            results.append(
                (spikes, *kernels.gradients_cpu(times, weights, spikes, grad, layer, 1e-6, 1e9)[:2])
            )
        with pytest.raises(RuntimeError, match="positive"):
            torch.set_num_threads(0)
    finally:
        torch.set_num_threads(before)
    for result in results:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_allclose(result[1], results[0][1], rtol=0, atol=1e-10)
        np.testing.assert_array_equal(result[2], results[0][2])
    np.testing.assert_array_equal(results[1][1], results[2][1])


def test_arrays_of_every_layout_are_taken_and_left_alone():
    times, weights, layer = drawn(4, 6, 20, 10, "equal")
    expected = kernels.first_spike_times_cpu(times, weights, layer, 4.0)
    layouts = [
        (np.asfortranarray(times), np.asfortranarray(weights)),
        (np.repeat(times, 2, axis=1)[:, ::2], np.repeat(weights, 2, axis=0)[::2]),
        (times[::-1][::-1], weights[:, ::-1][:, ::-1]),
    ]
    for a, b in layouts:
        a.flags.writeable = b.flags.writeable = False
        np.testing.assert_array_equal(kernels.first_spike_times_cpu(a, b, layer, 4.0), expected)
        grads = kernels.gradients_cpu(a, b, expected, np.ones(expected.shape), layer, 1e-6, np.inf)
        assert np.isfinite(grads[0]).all()


def test_odd_sizes():
    layer = NeuronParameters.uniform(NeuronSpec(), 3)
    silent = np.full((2, 4), np.inf)
    assert np.isinf(kernels.first_spike_times_cpu(silent, np.ones((4, 3)), layer, 4.0)).all()
    empty = kernels.first_spike_times_cpu(np.empty((0, 4)), np.ones((4, 3)), layer, 4.0)
    assert empty.shape == (0, 3)
    none = kernels.first_spike_times_cpu(np.empty((2, 0)), np.ones((0, 3)), layer, 4.0)
    assert none.shape == (2, 3) and np.isinf(none).all()
    grads = kernels.gradients_cpu(
        np.empty((0, 4)), np.ones((4, 3)), np.empty((0, 3)), np.empty((0, 3)), layer, 0.0, 1.0
    )
    assert (grads[0] == 0).all() and grads[2] == (0, 0, 0)


def test_what_is_no_number_is_refused_before_it_gets_here():
    good = torch.ones(2, 3, dtype=torch.float64), torch.ones(3, 4, dtype=torch.float64)
    spec = NeuronSpec()
    with pytest.raises(RunInputError, match="NaN"):
        first_spike_times(good[0] * torch.nan, good[1], spec)
    with pytest.raises(RunInputError, match="finite numbers"):
        first_spike_times(good[0], good[1] * torch.nan, spec)
    with pytest.raises(RunInputError, match="float16"):
        first_spike_times(good[0], good[1].half(), spec)


def test_the_chip_solves_events_with_the_same_kernels():
    network = NetworkSpec.feed_forward(30, 110, 20, t_window=4.0)
    rng = np.random.default_rng(0)
    weights = [rng.normal(3 / pre, 2 / np.sqrt(pre), (pre, post)) for pre, post in network.shapes]
    times = rng.uniform(0, 2, (10, 30))
    options = {"solver": "event", "quantise_weights": False, "quantise_times": False}
    perfect = get_backend("emulated-chip", imperfections="none", **options)
    with perfect.open(network) as chip, get_backend("ideal").open(network) as ideal:
        pairs = zip(
            chip.run(weights, times).first_spike_times,
            ideal.run(weights, times).first_spike_times,
            strict=True,
        )
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "options"),
    [("ideal", {}), ("emulated-chip", {"solver": "event", "imperfections": "none"})],
)
def test_single_precision_is_single_all_the_way(name, options):
    network = NetworkSpec.feed_forward(30, 110, 20, t_window=4.0)
    rng = np.random.default_rng(0)
    weights = [rng.normal(3 / pre, 2 / np.sqrt(pre), (pre, post)) for pre, post in network.shapes]
    times = rng.uniform(0, 2, (10, 30))
    single, double = (
        get_backend(name, precision=precision, **options) for precision in ("single", "double")
    )
    assert single.capabilities.time_resolution > double.capabilities.time_resolution
    with single.open(network) as narrow, double.open(network) as wide:
        activity, expected = narrow.run(weights, times), wide.run(weights, times)
    assert {w.dtype for w in activity.weights_used} == {np.dtype(np.float32)}
    pair = activity.first_spike_times[0], expected.first_spike_times[0]
    np.testing.assert_array_equal(np.isinf(pair[0]), np.isinf(pair[1]))
    spiked = np.isfinite(pair[0])
    error = np.abs(pair[0][spiked] - pair[1][spiked]).max()
    assert error <= single.capabilities.time_resolution
    with pytest.raises(ConfigError, match="'double' or 'single'; got 'half'"):
        get_backend(name, **options, precision="half")


def test_brian2_has_one_precision():
    with pytest.raises(ConfigError, match="precision='single' is for solver='event'"):
        get_backend("emulated-chip", precision="single")


def test_compiled_kernels_are_found_in_the_cache_by_the_next_process():
    """Regression: those of unequal neurons were compiled anew in every process."""
    code = """
import subprocess
import sys

import numpy as np
from hxloop import NeuronParameters
from hxloop.engine.compiled import interface as kernels
from hxloop.engine.compiled import backward, forward, forward_unequal
rng = np.random.default_rng(0)
for post in (3, 40):
    for spread in (0.0, 0.1):
        values = [1 + spread * rng.random(post) for _ in range(4)]
        layer = NeuronParameters(*values, np.zeros(post))
        spikes = kernels.first_spike_times_cpu(rng.random((2, 5)), np.ones((5, post)), layer, 4.0)
        kernels.gradients_cpu(
            rng.random((2, 5)), np.ones((5, post)), spikes, spikes * 0, layer, 0.0, 1.0
        )
used = [
    forward._narrow, forward._wide, forward_unequal._narrow, forward_unequal._wide,
    backward._narrow, backward._wide, backward.backward_unequal,
]
print([sum(f.stats.cache_misses.values()) for f in used if f.signatures])
"""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
    assert done.stdout.strip() == "[0, 0, 0, 0, 0, 0, 0]"


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_no_more_threads_than_processors_that_may_be_used(monkeypatch, cores):
    # Regression: as many threads as torch counts, which counts those of the machine.
    # Both are looked up once in a process: this is one that was not there before.
    monkeypatch.setattr(threads.os, "getpid", lambda: -cores)
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    parts = threads.samples_of_parts(80, 10**6)
    seen, at_work, most, lock = [], 0, 0, threading.Lock()

    def part(samples):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.005)
        with lock:
            at_work -= 1
            seen.extend(range(samples.start, samples.stop))

    threads.run_parts(parts, part)
    # The parts decide on the last digits: they stay those of torch.
    assert len(parts) == 8
    assert sorted(seen) == list(range(80)) and 1 <= most <= cores
