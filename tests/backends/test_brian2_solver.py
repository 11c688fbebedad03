"""The Brian2 solver against a brute-force scan of the membrane, and the way it is run."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from hxloop.backends.emulated.brian2 import build as brian2_build
from hxloop.backends.emulated.brian2 import solver as brian2_solver
from hxloop.backends.emulated.brian2.settings import default_preferences
from hxloop.backends.emulated.brian2.solver import Brian2Options, Brian2Solver, LayerDynamics
from hxloop.engine.psp import psp_after
from hxloop.errors import CompilerError, ConfigError, RunInputError, SessionClosedError
from hxloop.machine import child_process
from tests.engine.brute_force import first_spike, membrane

WINDOW = 6.0
SIZES = (4, 6, 3)
BATCH = 8


def _layer(rng, batch, post, spread=0.3, threshold=1.0):
    tau = np.exp(spread * rng.normal(size=(3, post)))
    return LayerDynamics(*tau, threshold=np.full((batch, post), threshold))


def _network(seed, sizes=SIZES, batch=BATCH, threshold=1.0):
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.1, 2.0, (batch, sizes[0]))
    times[0, 0], times[1] = np.inf, np.inf
    weights = [rng.normal(5.0 / pre, 4.0 / pre**0.7, (pre, post)) for pre, post in pairwise(sizes)]
    layers = [_layer(rng, batch, post, threshold=threshold) for post in sizes[1:]]
    return times, weights, layers


def _oracle(times, weights, layers, points=20001):
    """Spike times of every layer, each layer from the oracle's own times."""
    results = []
    for matrix, layer in zip(weights, layers, strict=True):
        spikes = np.array(
            [
                [
                    first_spike(
                        row,
                        matrix[:, j],
                        layer.tau_mem[j],
                        layer.tau_syn_exc[j],
                        layer.tau_syn_inh[j],
                        layer.threshold[b, j],
                        WINDOW,
                        points,
                    )[0]
                    for j in range(matrix.shape[1])
                ]
                for b, row in enumerate(times)
            ]
        )
        results.append(spikes)
        times = spikes
    return results


def _errors(got, expected):
    """Absolute errors where both spike; the number of wrong decisions."""
    both = np.isfinite(got) & np.isfinite(expected)
    return np.abs(got[both] - expected[both]), int(
        (np.isfinite(got) != np.isfinite(expected)).sum()
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("brian2")


@pytest.fixture(scope="session")
def compiled(cache):
    """The compiled model, built for 8 samples of a 4-6-3 network."""
    solver = Brian2Solver(SIZES, WINDOW, Brian2Options(cache_dir=cache))
    solver.run(*_network(0))
    yield solver
    solver.close()


def _numpy_run(sizes, times, weights, layers, dt=1 / 200, earliest=None):
    solver = Brian2Solver(sizes, WINDOW, Brian2Options(dt=dt, target="numpy"), earliest=earliest)
    try:
        return solver.run(times, weights, layers)
    finally:
        solver.close()


def test_own_parameters_of_every_neuron_in_two_layers(compiled):
    network = _network(1)
    got, expected = compiled.run(*network), _oracle(*network)
    for spikes, truth in zip(got, expected, strict=True):
        errors, wrong = _errors(spikes, truth)
        assert errors.size > 5
        assert wrong == 0
        assert np.median(errors) < 1e-9
        assert errors.max() < 1 / 200
    assert np.isinf(got[0][1]).all() and np.isinf(got[1][1]).all()  # the silent sample


def test_numpy_target_agrees_with_the_compiled_model(compiled):
    network = _network(2)
    for a, b in zip(compiled.run(*network), _numpy_run(SIZES, *network), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
        assert np.isfinite(a).any()


def test_padding_and_pieces_change_nothing(compiled):
    times, weights, layers = _network(3, batch=20)
    together = compiled.run(times, weights, layers)
    for part in (slice(0, 1), slice(5, 11), slice(19, 20)):
        some = [replace(layer, threshold=layer.threshold[part]) for layer in layers]
        for a, b in zip(together, compiled.run(times[part], weights, some), strict=True):
            np.testing.assert_array_equal(a[part], b)
    empty = [replace(layer, threshold=layer.threshold[:0]) for layer in layers]
    assert [a.shape for a in compiled.run(times[:0], weights, empty)] == [(0, 6), (0, 3)]


def test_neurons_that_fire_at_once_or_never(compiled):
    times, weights, layers = _network(4)
    threshold = layers[0].threshold.copy()
    threshold[:, 0], threshold[:, 1], threshold[:, 2] = -0.2, 0.0, np.inf
    # Inhibition from the start does not keep a neuron below a threshold it is above of.
    times[2:4, 0] = 0.0
    weights[0][0] = -2.0
    layers[0] = replace(layers[0], threshold=threshold)
    hidden, output = compiled.run(times, weights, layers)
    np.testing.assert_array_equal(hidden[:, :2], 0.0)
    assert np.isinf(hidden[:, 2]).all()
    truth = _oracle(hidden, weights[1:], layers[1:])[0]
    errors, wrong = _errors(output, truth)
    assert errors.size > 3 and wrong == 0 and errors.max() < 1 / 200


def test_spikes_after_the_window_do_not_count(compiled):
    times, weights, layers = _network(5)
    times = np.full_like(times, WINDOW - 0.05)
    weights = [np.full_like(weights[0], 3.0), weights[1]]
    slow = replace(layers[0], threshold=np.full_like(layers[0].threshold, 3.0))
    assert np.isinf(compiled.run(times, weights, [slow, layers[1]])[0]).all()
    fast = replace(layers[0], threshold=np.full_like(layers[0].threshold, 0.2))
    assert np.isfinite(compiled.run(times, weights, [fast, layers[1]])[0]).all()


def test_nothing_is_written_to_and_nothing_is_left_behind(compiled):
    network = _network(6)
    for array in (network[0], *network[1], *(layer.threshold for layer in network[2])):
        array.flags.writeable = False
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    first = compiled.run(*network)
    for _ in range(5):
        for a, b in zip(first, compiled.run(*network), strict=True):
            np.testing.assert_array_equal(a, b)
    assert list(compiled._runners[0]._work.iterdir()) == []
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_cached_model_is_not_compiled_again(compiled, cache, monkeypatch):
    monkeypatch.setattr(brian2_build, "_compile", lambda *a: pytest.fail("compiled again"))
    solver = Brian2Solver(SIZES, WINDOW, Brian2Options(cache_dir=cache))
    network = _network(7)
    for a, b in zip(solver.run(*network), compiled.run(*network), strict=True):
        np.testing.assert_array_equal(a, b)
    folder = solver._runners[0]._work
    solver.close()
    assert not folder.exists()
    with pytest.raises(SessionClosedError):
        solver.run(*network)
    assert [path.name for path in cache.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_share_a_batch_and_change_nothing(cache, compiled, processes, monkeypatch):
    # Models of the fixture's 8 samples, whatever the number of processes.
    monkeypatch.setattr(brian2_solver, "MIN_SAMPLES", 8)
    solver = Brian2Solver(SIZES, WINDOW, Brian2Options(cache_dir=cache, processes=processes))
    small = _network(9)
    solver.run(*small)
    times = np.tile(small[0], (5, 1)) * np.linspace(0.8, 1.2, 40)[:, None]
    layers = [replace(x, threshold=np.tile(x.threshold, (5, 1))) for x in small[2]]
    together = solver.run(times, small[1], layers)
    assert len(solver._runners) == processes
    for start in range(0, 40, 8):
        part = slice(start, start + 8)
        alone = compiled.run(
            times[part], small[1], [replace(x, threshold=x.threshold[part]) for x in layers]
        )
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a, b[part])
    solver.close()


def test_a_child_is_killed_when_the_wait_is_interrupted(tmp_path, monkeypatch):
    started = []

    def interrupted(process, *args, **kwargs):
        started.append(process)
        if len(started) == 1:
            raise KeyboardInterrupt
        return original(process, *args, **kwargs)

    original = child_process.subprocess.Popen.communicate
    monkeypatch.setattr(child_process.subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        child_process.run_child([sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path)
    assert started[0].returncode == -9


@pytest.mark.parametrize("missing", ["g++", "make"])
def test_missing_compiler_names_the_ways_out(missing, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(
        brian2_build.shutil,
        "which",
        lambda name: None if name == missing or name == "c++" else f"/usr/bin/{name}",
    )
    solver = Brian2Solver((2, 2), WINDOW, Brian2Options(cache_dir=tmp_path))
    with pytest.raises(CompilerError) as caught:
        solver.run(*_network(0, sizes=(2, 2)))
    for words in ("apt-get install g++", "codegen='numpy'", "solver='event'"):
        assert words in str(caught.value)


def test_a_compiler_that_fails_shows_its_log(monkeypatch, tmp_path):
    broken = tmp_path / "broken-cxx"
    broken.write_text("#!/bin/sh\necho no such target >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    solver = Brian2Solver((2, 2), WINDOW, Brian2Options(cache_dir=tmp_path / "cache"))
    with pytest.raises(CompilerError, match="no such target"):
        solver.run(*_network(0, sizes=(2, 2)))
    assert list((tmp_path / "cache").iterdir()) == []


def test_wrong_arguments_are_refused(compiled):
    times, weights, layers = _network(9)
    with pytest.raises(RunInputError, match="input_times: expected shape"):
        compiled.run(times[:, :2], weights, layers)
    with pytest.raises(RunInputError, match="layer 1: weights: expected shape"):
        compiled.run(times, [weights[0], weights[1].T], layers)
    with pytest.raises(RunInputError, match="NaN"):
        compiled.run(np.full_like(times, np.nan), weights, layers)
    jitter = replace(layers[0], jitter=np.zeros_like(layers[0].threshold))
    with pytest.raises(RunInputError, match="made without"):
        compiled.run(times, weights, [jitter, layers[1]])
    with pytest.raises(ConfigError, match="target"):
        Brian2Options(target="cuda")
    with pytest.raises(ConfigError, match="processes"):
        Brian2Options(processes=0)
    with pytest.raises(ConfigError, match="t_window"):
        Brian2Solver(SIZES, np.inf, Brian2Options())


def test_nearly_equal_time_constants(compiled):
    times, weights, layers = _network(10)

    def run(gap):
        ones = [np.ones(layer.tau_mem.size) for layer in layers]
        near = [
            LayerDynamics(one, one * (1 + gap), one * (1 - gap), layer.threshold)
            for one, layer in zip(ones, layers, strict=True)
        ]
        return near, compiled.run(times, weights, near)

    equal_layers, equal = run(0.0)
    for spikes, truth in zip(equal, _oracle(times, weights, equal_layers), strict=True):
        errors, wrong = _errors(spikes, truth)
        assert errors.size > 5 and wrong == 0
        assert np.median(errors) < 1e-9 and errors.max() < 1 / 200
    for gap in (1e-15, 1e-12, 1e-6):
        for a, b in zip(run(gap)[1], equal, strict=True):
            errors, wrong = _errors(a, b)
            assert wrong == 0 and errors.max() < 100 * gap + 1e-11


def test_psp_where_the_time_constants_meet():
    tau = 1.0 + np.array([0.0, 1e-15, 1e-12, 1e-6, -1e-9, 0.5])
    for s in (1 / 200, 1.0):
        value = psp_after(s, np.ones(6), tau)
        # First order in the gap: k = s exp(-s) (1 + s gap/2).
        np.testing.assert_allclose(
            value[:5], s * np.exp(-s) * (1 + s * (tau[:5] - 1) / 2), rtol=1e-11
        )
        assert value[5] == pytest.approx((np.exp(-s / 1.5) - np.exp(-s)) / (1 - 1 / 1.5), rel=1e-12)


def test_a_peak_between_two_points_of_the_grid_is_seen():
    """Thresholds a millionth below and above the highest peak, which lasts 1/20 of a step."""
    rng = np.random.default_rng(11)
    n = 12
    fast, slow = rng.uniform(0.3, 0.6, n), rng.uniform(1.0, 2.0, n)
    first = np.arange(n) < n // 2  # excitation faster: peak before the trough; else after it
    tau_exc, tau_inh = np.where(first, fast, slow), np.where(first, slow, fast)
    tau_mem = rng.uniform(0.7, 1.4, n)
    # Three inputs: one excitatory and one inhibitory at once, then a weaker or stronger one.
    times = np.array([0.513, 0.513, 3.207])
    weights = np.stack([np.full(n, 2.0), np.full(n, -1.3), rng.uniform(0.2, 1.5, n)])
    peaks, where = np.empty(n), np.empty(n)
    grid = np.linspace(0, WINDOW, 6001)
    for j in range(n):

        def minus(x, j=j):
            return -membrane(x, times, weights[:, j], tau_mem[j], tau_exc[j], tau_inh[j])

        near = grid[np.argmin(minus(grid))]
        found = minimize_scalar(
            minus, bounds=(near - 2e-3, near + 2e-3), method="bounded", options={"xatol": 1e-10}
        )
        peaks[j], where[j] = -found.fun, found.x
    assert 2 < (where < 3.2).sum() < n - 1  # both humps occur as the highest
    threshold = np.stack([peaks * (1 - 1e-6), peaks * (1 + 1e-6)])
    dynamics = LayerDynamics(tau_mem, tau_exc, tau_inh, threshold)
    (spikes,) = _numpy_run((3, n), np.tile(times, (2, 1)), [weights], [dynamics], dt=1 / 25)
    assert np.isfinite(spikes[0]).all() and np.isinf(spikes[1]).all()
    (truth,) = _oracle(times[None], [weights], [replace(dynamics, threshold=threshold[:1])], 60001)
    np.testing.assert_allclose(spikes[:1], truth, rtol=0, atol=1e-8)


def test_inhibition_that_just_prevents_a_spike(compiled):
    times, weights, _ = _network(12)
    layers = [
        _layer(np.random.default_rng(12), BATCH, 6),
        _layer(np.random.default_rng(3), BATCH, 3),
    ]
    weights[0][:] = 0.0
    weights[0][0], weights[0][1] = 5.0, -8.0
    times = np.full((BATCH, 4), np.inf)
    times[:, 0] = 0.5
    free = compiled.run(times, weights, layers)[0]
    assert np.isfinite(free).all()
    for j in range(6):
        times[0, 1], times[1, 1] = free[0, j] - 0.02, free[0, j] + 0.02
        spikes = compiled.run(times, weights, layers)[0]
        truth = _oracle(times[:2], weights[:1], [replace(layers[0], threshold=np.ones((2, 6)))])[0]
        assert np.isinf(truth[0, j]) and np.isinf(spikes[0, j])
        assert spikes[1, j] == free[1, j]


def test_the_error_falls_with_the_step():
    sizes, batch = (5, 30, 3), 30
    times, weights, layers = _network(13, sizes, batch)
    truth = _oracle(times, weights, layers, points=2001)
    worst, mean = [], []
    for dt in (1 / 25, 1 / 50, 1 / 100, 1 / 200):
        got = _numpy_run(sizes, times, weights, layers, dt=dt)
        pairs = [_errors(a, b) for a, b in zip(got, truth, strict=True)]
        errors = np.concatenate([error for error, _ in pairs])
        assert errors.size > 300
        assert sum(wrong for _, wrong in pairs) <= max(1, 60 * dt)
        assert np.median(errors) < 1e-9
        assert np.quantile(errors, 0.99) < dt
        worst.append(errors.max())
        mean.append(errors.mean())
    assert mean[3] < mean[1] < mean[0] and mean[3] < mean[0] / 4
    assert worst[3] < worst[0]


def test_jitter_is_returned_and_delivered(cache):
    """One neuron drives the next: the shift of the first is seen by the second."""
    sizes = (1, 1, 1)
    shift = np.array([[0.0], [0.3], [0.0071], [-0.004], [-9.0], [20.0]])
    batch = len(shift)
    times, one = np.full((batch, 1), 0.4), np.ones(1)
    hidden = LayerDynamics(one, 0.9 * one, 1.1 * one, np.ones((batch, 1)), shift)
    output = LayerDynamics(0.8 * one, one, one, np.full((batch, 1), 0.4))
    weights = [np.full((1, 1), 5.0), np.full((1, 1), 4.0)]
    (free,) = _oracle(times, weights[:1], [replace(hidden, jitter=None)])
    expected = np.maximum(free + shift, 0.0)
    expected[expected > WINDOW] = np.inf
    got = _numpy_run(sizes, times, weights, [hidden, output], earliest=9.0)
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=1e-9)
    (second,) = _oracle(expected, weights[1:], [output])
    np.testing.assert_allclose(got[1], second, rtol=0, atol=1e-9)
    # Also one that was shifted to before its cause; the last comes after the window.
    assert np.isfinite(got[1][4]) and np.isinf(got[1][5])


def test_jitter_of_any_strength_costs_no_accuracy():
    """With 0.05 spikes were off by 0.0144, with 0.1 by 0.0303, at a step of 0.005."""
    sizes, batch, dt = (10, 12, 5), 30, 1 / 100
    options = Brian2Options(dt=dt, target="numpy")
    solver = Brian2Solver(sizes, WINDOW, options, earliest=0.8)
    for seed, sigma in enumerate((0.05, 0.1)):
        times, weights, (hidden, output) = _network(seed, sizes, batch)
        rng = np.random.default_rng(seed)
        hidden = replace(hidden, jitter=sigma * rng.standard_normal((batch, 12)))
        first, second = solver.run(times, weights, [hidden, replace(output, jitter=None)])
        # The output by what it was really given.
        early, exact, late = (
            _oracle(
                first, weights[1:], [replace(output, threshold=output.threshold + shift)], 2001
            )[0]
            for shift in (-0.2 * dt, 0.0, 0.2 * dt)
        )
        late = np.where(late > WINDOW - 2 * dt, np.inf, late)
        good = (early - 2 * dt <= second) & (second <= late + 2 * dt)
        # Exempt are crossings that inhibition undoes within a step.
        errors, _ = _errors(second, exact)
        assert errors.size > 50 and good.mean() > 0.99
        assert np.median(errors) < 1e-9
    with pytest.raises(RunInputError, match=r"shifts a spike by -0\.9.*down to -0\.8"):
        jitter = np.full((batch, 12), -0.9)
        solver.run(times, weights, [replace(hidden, jitter=jitter), output])
    solver.close()


def test_another_user_of_brian2_is_not_disturbed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brian2

    target, device = brian2.prefs["codegen.target"], brian2.get_device()
    hook = sys.excepthook
    _numpy_run((1, 1), np.ones((1, 1)), [np.ones((1, 1))], [_layer(np.random.default_rng(0), 1, 1)])
    assert brian2.prefs["codegen.target"] == target
    assert brian2.get_device() is device
    assert sys.excepthook is hook


CHANGED = {
    "core.default_float_dtype": np.float32,
    "core.default_integer_dtype": np.int64,
    "codegen.cpp.extra_compile_args": ["-O0", "-ffast-math"],
    "codegen.loop_invariant_optimisations": False,
    "codegen.target": "cython",
}


def test_preferences_of_the_user_change_no_number_and_come_back():
    """A preference in ~/.brian changed the generated code, and the bad model was kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brian2
    network = _network(11, sizes=(2, 3), batch=2)
    expected = _numpy_run((2, 3), *network)
    before = dict(brian2.prefs.items())
    try:
        for name, value in CHANGED.items():
            brian2.prefs[name] = value
        for a, b in zip(expected, _numpy_run((2, 3), *network), strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.isfinite(expected[0]).any()
        assert {name: brian2.prefs[name] for name in CHANGED} == CHANGED
        with pytest.raises(KeyError), default_preferences(codegen__target="numpy"):
            assert brian2.prefs["core.default_float_dtype"] is np.float64
            assert brian2.prefs["codegen.target"] == "numpy"
            raise KeyError
        assert {name: brian2.prefs[name] for name in CHANGED} == CHANGED
    finally:
        for name, value in before.items():
            brian2.prefs[name] = value


def test_preferences_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / ".brian").mkdir()
    (tmp_path / ".brian" / "user_preferences").write_text("nonsense\n")
    code = (
        "from hxloop.backends.emulated.brian2.runners import _numpy_target\n"
        "from hxloop.errors import ConfigError\n"
        "try:\n"
        "    with _numpy_target():\n"
        "        raise SystemExit('it was read')\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert "~/.brian/user_preferences" in done.stdout and "user_preferences" in done.stdout
