"""What the kernels of a chip rest on, and input at the edge of what they take."""

from __future__ import annotations

import gzip
import hashlib
import struct

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch
from numba import njit

from hxloop import NetworkSpec, NeuronParameters, get_backend
from hxloop.bench import engine as bench
from hxloop.chip.weight_grid import WeightGrid
from hxloop.data import mnist_files as mnist
from hxloop.engine import reference
from hxloop.engine.compiled import forward_unequal
from hxloop.engine.compiled import interface as kernels
from hxloop.engine.compiled.vectors import widest_vectors
from hxloop.errors import FileFormatError, RunInputError

PLATFORMS = [
    ("ideal", {}),
    ("ideal", {"precision": "single"}),
    ("emulated-chip", {"solver": "event"}),
    ("emulated-chip", {"solver": "event", "precision": "single"}),
]


@pytest.mark.parametrize("spread", [1e-6, 0.01, 0.03, 0.1])
@pytest.mark.parametrize("tick", [1e-3, 0.02, 0.5])
def test_unequal_neurons_on_a_clock_are_the_reference(spread, tick):
    """Simultaneous inputs, and intervals that need series of every degree."""
    rng = np.random.default_rng([int(1 / spread), int(1 / tick)])
    times = np.floor(rng.uniform(0.0, 2.5, (4, 120)) / tick) * tick
    times[rng.random(times.shape) < 0.05] = np.inf
    weights = rng.normal(3 / 120, 2 / np.sqrt(120), (120, 90))
    layer = NeuronParameters(
        *np.exp(spread * rng.standard_normal((3, 90))), 1 + spread * rng.random(90), np.zeros(90)
    )
    expected = reference.first_spike_times(
        torch.from_numpy(times), torch.from_numpy(weights), layer, 6.0
    ).numpy()
    found = kernels.first_spike_times_cpu(times, weights, layer, 6.0)
    assert 0.2 < np.isfinite(expected).mean() < 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    single = kernels.first_spike_times_cpu(times, weights.astype(np.float32), layer, 6.0)
    both = np.isfinite(single) & np.isfinite(expected)
    assert np.median(np.abs(single[both] - expected[both])) < 1e-6
    assert (np.isfinite(single) != np.isfinite(expected)).mean() < 0.01


@pytest.mark.parametrize("spread", [1e-3, 0.07, 0.5])
@pytest.mark.parametrize(("lowest", "left_out"), [(3, 4e-15), (2, 3e-9)])
def test_a_series_leaves_out_no_more_than_it_may(spread, lowest, left_out):
    y = np.linspace(-1.0, 1.0, 201).astype(np.longdouble)
    for length in np.logspace(-5, 2, 200):
        degree = forward_unequal.series_degree(length, spread, lowest, left_out)
        assert degree >= lowest
        if degree > forward_unequal.HIGHEST:
            assert length * spread > 1.0
            continue
        x, term, partial = y * length * spread, np.ones_like(y), np.ones_like(y)
        for n in range(1, degree + 1):
            term = term * x / n
            partial += term
        # The next term and those after it, which for x < 4 are smaller by a factor of 5 each.
        assert np.abs(partial - np.exp(x)).max() <= 2 * left_out + 1e-18


def test_loops_use_the_widest_vectors_there_are():
    @njit(fastmath=True)
    def add(a, b):
        widest_vectors()
        for i in range(a.shape[0]):
            a[i] += 2.0 * b[i]

    add(np.zeros(64), np.ones(64))
    (assembly,) = add.inspect_asm().values()
    assert ("zmm" in assembly) == bool(llvm.get_host_cpu_features().get("avx512f"))


@pytest.mark.parametrize(("name", "options"), PLATFORMS)
def test_input_of_every_layout_type_and_size_gives_the_same_spikes(name, options):
    network = NetworkSpec.feed_forward(12, 20, 3, t_window=4.0)
    rng = np.random.default_rng(5)
    weights = [rng.normal(4 / pre, 2 / pre**0.5, (pre, post)) for pre, post in network.shapes]
    # Numbers that float16 holds exactly.
    times = np.round(rng.uniform(0.0, 2.0, (6, 12)) * 64) / 64
    strided = [np.repeat(matrix, 2, axis=0)[::2] for matrix in weights]
    for array in (*strided, *weights):
        array.flags.writeable = False
    with get_backend(name, **options).open(network, seed=3) as session:
        expected = session.run(weights, times, trial=1).first_spike_times
        for matrices, inputs in (
            (strided, np.asfortranarray(times)),
            ([np.asfortranarray(matrix) for matrix in weights], times[:, ::-1][:, ::-1]),
            (weights, times.astype(np.float16)),
        ):
            found = session.run(matrices, inputs, trial=1).first_spike_times
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
        # A batch of one: the noise of the first sample, and so its spikes, are the same.
        one = session.run(weights, times[:1], trial=1).first_spike_times
        for a, b in zip(one, expected, strict=True):
            np.testing.assert_array_equal(a, b[:1])
        for wrong in (np.nan, -np.inf):
            bad = times.copy()
            bad[2, 3] = wrong
            with pytest.raises(RunInputError, match=r"sample 2|\[2, 3\]"):
                session.run(weights, bad)
        with pytest.raises(RunInputError, match="empty batch"):
            session.run(weights, times[:0])


def test_layers_without_neurons():
    none = NeuronParameters(*np.empty((5, 0)))
    spikes = kernels.first_spike_times_cpu(np.ones((2, 4)), np.empty((4, 0)), none, 4.0)
    assert spikes.shape == (2, 0)
    grads = kernels.gradients_cpu(
        np.ones((2, 4)), np.empty((4, 0)), spikes, spikes, none, 1e-6, np.inf
    )
    assert grads[0].shape == (4, 0) and (grads[1] == 0).all() and grads[2] == (0, 0, 0)


def test_rounding_to_the_grid_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    grid = WeightGrid(1 / 78)
    weights = np.concatenate([rng.normal(0, 0.6, 5000), np.arange(-140, 141) / 156])
    held = grid.quantise(weights)
    codes = np.rint(weights / grid.step)
    # A weight between 63 and 63.5 steps is held as 63: beyond the range all the same.
    np.testing.assert_array_equal(held.clipped, np.abs(weights) > 63 * grid.step)
    np.testing.assert_array_equal(held.values, np.clip(codes, -63, 63) * grid.step)
    np.testing.assert_array_equal(held.codes, np.clip(codes, -63, 63))


def test_mnist_images_of_another_size(tmp_path, monkeypatch):
    data = struct.pack(">IIII", 2051, 2, 27, 27) + bytes(2 * 27 * 27)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(FileFormatError, match="expected the official"):
        mnist.read_images(path)
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(mnist.FILES, "t10k-images-idx3-ubyte", digest)
    with pytest.raises(FileFormatError, match="expected images of 28 x 28; got 27 x 27"):
        mnist.read_images(path)


@pytest.mark.parametrize("spread", [0.0, bench.CHIP_SPREAD])
def test_profile_of_a_layer_adds_up(spread):
    threads = torch.get_num_threads()
    profile = bench.layer_profile(spread, 1)
    assert set(profile) == {"sorting", "propagation", "crossings", "host"}
    assert sum(profile.values()) == pytest.approx(1.0, abs=0.003)
    assert min(profile.values()) >= 0 and profile["propagation"] > 0
    assert torch.get_num_threads() == threads
