"""The Brian2 solver against a brute-force scan of the membrane, and the way it is run."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from hxloop.backends.emulated.brian2 import build as brian2_build
from hxloop.backends.emulated.brian2 import solver as brian2_solver
from hxloop.backends.emulated.brian2.settings import default_preferences
from hxloop.backends.emulated.brian2.solver import Brian2Options, Brian2Solver
from hxloop.errors import CompilerError, ConfigError, RunInputError, SessionClosedError
from hxloop.machine import child_process
from tests.backends.brian2_networks import (
    SIZES,
    WINDOW,
    numpy_run,
    oracle,
    random_layer,
    random_network,
    spike_errors,
)

pytestmark = pytest.mark.xdist_group("compiled-brian2")


def test_own_parameters_of_every_neuron_in_two_layers(compiled):
    network = random_network(1)
    got, expected = compiled.run(*network), oracle(*network)
    for spikes, truth in zip(got, expected, strict=True):
        errors, wrong = spike_errors(spikes, truth)
        assert errors.size > 5
        assert wrong == 0
        assert np.median(errors) < 1e-9
        assert errors.max() < 1 / 200
    assert np.isinf(got[0][1]).all() and np.isinf(got[1][1]).all()  # the silent sample


def test_numpy_target_agrees_with_the_compiled_model(compiled):
    network = random_network(2)
    for a, b in zip(compiled.run(*network), numpy_run(SIZES, *network), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
        assert np.isfinite(a).any()


def test_padding_and_pieces_change_nothing(compiled):
    times, weights, layers = random_network(3, batch=20)
    together = compiled.run(times, weights, layers)
    for part in (slice(0, 1), slice(5, 11), slice(19, 20)):
        some = [replace(layer, threshold=layer.threshold[part]) for layer in layers]
        for a, b in zip(together, compiled.run(times[part], weights, some), strict=True):
            np.testing.assert_array_equal(a[part], b)
    empty = [replace(layer, threshold=layer.threshold[:0]) for layer in layers]
    assert [a.shape for a in compiled.run(times[:0], weights, empty)] == [(0, 6), (0, 3)]


def test_neurons_that_fire_at_once_or_never(compiled):
    times, weights, layers = random_network(4)
    threshold = layers[0].threshold.copy()
    threshold[:, 0], threshold[:, 1], threshold[:, 2] = -0.2, 0.0, np.inf
    # Inhibition from the start does not keep a neuron below a threshold it is above of.
    times[2:4, 0] = 0.0
    weights[0][0] = -2.0
    layers[0] = replace(layers[0], threshold=threshold)
    hidden, output = compiled.run(times, weights, layers)
    np.testing.assert_array_equal(hidden[:, :2], 0.0)
    assert np.isinf(hidden[:, 2]).all()
    truth = oracle(hidden, weights[1:], layers[1:])[0]
    errors, wrong = spike_errors(output, truth)
    assert errors.size > 3 and wrong == 0 and errors.max() < 1 / 200


def test_spikes_after_the_window_do_not_count(compiled):
    times, weights, layers = random_network(5)
    times = np.full_like(times, WINDOW - 0.05)
    weights = [np.full_like(weights[0], 3.0), weights[1]]
    slow = replace(layers[0], threshold=np.full_like(layers[0].threshold, 3.0))
    assert np.isinf(compiled.run(times, weights, [slow, layers[1]])[0]).all()
    fast = replace(layers[0], threshold=np.full_like(layers[0].threshold, 0.2))
    assert np.isfinite(compiled.run(times, weights, [fast, layers[1]])[0]).all()


def test_nothing_is_written_to_and_nothing_is_left_behind(compiled):
    network = random_network(6)
    for array in (network[0], *network[1], *(layer.threshold for layer in network[2])):
        array.flags.writeable = False
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    first = compiled.run(*network)
    for _ in range(5):
        for a, b in zip(first, compiled.run(*network), strict=True):
            np.testing.assert_array_equal(a, b)
    assert list(compiled.runners[0].work.iterdir()) == []
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_cached_model_is_not_compiled_again(compiled, cache, monkeypatch):
    monkeypatch.setattr(brian2_build, "compile_model", lambda *a: pytest.fail("compiled again"))
    solver = Brian2Solver(SIZES, WINDOW, Brian2Options(cache_dir=cache))
    network = random_network(7)
    for a, b in zip(solver.run(*network), compiled.run(*network), strict=True):
        np.testing.assert_array_equal(a, b)
    folder = solver.runners[0].work
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
    small = random_network(9)
    solver.run(*small)
    times = np.tile(small[0], (5, 1)) * np.linspace(0.8, 1.2, 40)[:, None]
    layers = [replace(x, threshold=np.tile(x.threshold, (5, 1))) for x in small[2]]
    together = solver.run(times, small[1], layers)
    assert len(solver.runners) == processes
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
        solver.run(*random_network(0, sizes=(2, 2)))
    for words in ("apt-get install g++", "codegen='numpy'", "solver='event'"):
        assert words in str(caught.value)


def test_a_compiler_that_fails_shows_its_log(monkeypatch, tmp_path):
    broken = tmp_path / "broken-cxx"
    broken.write_text("#!/bin/sh\necho no such target >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    solver = Brian2Solver((2, 2), WINDOW, Brian2Options(cache_dir=tmp_path / "cache"))
    with pytest.raises(CompilerError, match="no such target"):
        solver.run(*random_network(0, sizes=(2, 2)))
    assert list((tmp_path / "cache").iterdir()) == []


def test_wrong_arguments_are_refused(compiled):
    times, weights, layers = random_network(9)
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


def test_another_user_of_brian2_is_not_disturbed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brian2

    target, device = brian2.prefs["codegen.target"], brian2.get_device()
    hook = sys.excepthook
    numpy_run(
        (1, 1), np.ones((1, 1)), [np.ones((1, 1))], [random_layer(np.random.default_rng(0), 1, 1)]
    )
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
    network = random_network(11, sizes=(2, 3), batch=2)
    expected = numpy_run((2, 3), *network)
    before = dict(brian2.prefs.items())
    try:
        for name, value in CHANGED.items():
            brian2.prefs[name] = value
        for a, b in zip(expected, numpy_run((2, 3), *network), strict=True):
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
