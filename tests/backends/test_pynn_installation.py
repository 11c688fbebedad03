"""What is missing, what cannot be written, what would be printed: PyNN around the runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hxloop import NetworkSpec, NeuronSpec, get_backend
from hxloop.backends.pynn import neuron_mechanisms
from hxloop.backends.pynn import packages as pynn_packages
from hxloop.backends.pynn.grid import time_step
from hxloop.backends.pynn.neuron_mechanisms import (
    compile_mechanisms,
    find_nrnivmodl,
    is_compiled,
    library_of,
    misfit,
)
from hxloop.errors import (
    CapacityError,
    CompilerError,
    ConfigError,
    MissingDependencyError,
    UnknownNameError,
)

NETWORK = NetworkSpec.feed_forward(2, 3, 2)
NAMES = ["pynn-brian2", "pynn-nest", "pynn-neuron"]
every = pytest.mark.parametrize("name", NAMES)


@every
def test_backends_are_small_picklable_and_honest(name):
    backend = get_backend(name, dt=0.02, weight_limit=3)
    assert pickle.loads(pickle.dumps(backend)) == backend
    assert backend.capabilities.deterministic
    assert backend.capabilities.weight_limit == 3
    assert backend.capabilities.latency == 0


@pytest.mark.parametrize(
    "option",
    [
        {"dt": 0},
        {"dt": 0.2},
        {"dt": np.nan},
        {"dt": "0.01"},
        {"dt": True},
        {"weight_limit": 0},
        {"weight_limit": np.inf},
        {"weight_limit": "3"},
        {"clip_weights": 1},
    ],
)
@every
def test_options_out_of_range_are_refused(name, option):
    with pytest.raises(ConfigError, match=f"{name}: {next(iter(option))}: expected"):
        get_backend(name, **option)


def test_an_unknown_way_to_generate_code_is_refused():
    with pytest.raises(UnknownNameError, match="numpy"):
        get_backend("pynn-brian2", codegen="cpp_standalone")


SHORT = NetworkSpec.feed_forward(2, 3, neuron=NeuronSpec(tau_mem=0.1))


def test_time_constants_that_the_step_does_not_resolve_are_refused():
    with pytest.raises(CapacityError, match=r"layer 0 has tau_mem = 0.1.*dt <= 0.02"):
        get_backend("pynn-nest", dt=0.03).open(SHORT)


def test_on_a_time_grid_the_step_follows_the_shortest_time_constant():
    assert time_step(0.03, SHORT) == pytest.approx(0.003)
    assert time_step(0.03, NETWORK) == 0.03


@every
def test_a_calibration_is_refused(name):
    with pytest.raises(CapacityError, match="nothing to calibrate"):
        get_backend(name).open(NETWORK, calibration="c")


# --- what is not installed ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("pynn-nest", "hxloop[nest]"),
        ("pynn-neuron", "hxloop[neuron]"),
        ("pynn-brian2", "hxloop[brian2,pynn]"),
    ],
)
def test_a_missing_simulator_says_what_to_install(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyNN." + name.partition("-")[2], None)
    monkeypatch.setattr(neuron_mechanisms, "is_compiled", lambda folder: True)
    with pytest.raises(MissingDependencyError) as caught:
        get_backend(name).open(NETWORK)
    assert f'pip install "{package}"' in str(caught.value)
    # The failed opening holds nothing.
    with pytest.raises(MissingDependencyError):
        get_backend(name).open(NETWORK)


def test_neuron_is_looked_for_before_anything_is_compiled(monkeypatch):
    monkeypatch.setattr(neuron_mechanisms, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"hxloop\[neuron\]"):
        compile_mechanisms()


@every
def test_another_version_of_pynn_is_refused(name, monkeypatch):
    monkeypatch.setattr(pynn_packages, "version", lambda package: "0.14.1")
    with pytest.raises(MissingDependencyError, match=r"PyNN 0.13.*found 0.14.1"):
        get_backend(name).open(NETWORK)


# --- NEURON's mechanisms ------------------------------------------------------------------

MECHANISM = """NEURON { POINT_PROCESS Tiny RANGE a }
PARAMETER { a = 1 }
"""


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "tiny.mod").write_text(MECHANISM)
    return tmp_path


def test_mechanisms_are_compiled_once_with_a_message(sources, caplog):
    assert not is_compiled(sources)
    assert compile_mechanisms(sources)
    assert is_compiled(sources)
    assert "Compiling PyNN's mechanisms for NEURON" in caplog.text
    assert str(sources) in caplog.text
    caplog.clear()
    assert not compile_mechanisms(sources)
    assert caplog.text == ""
    assert {path.name for path in sources.iterdir()} == {
        "tiny.mod",
        next(path.name for path in sources.iterdir() if path.is_dir()),
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "tiny.mod").write_text(MECHANISM)
    compile_mechanisms(folder)
    return folder


def _claim(folder, **changes):
    listed = library_of(folder).parent / "hxloop.json"
    listed.write_text(json.dumps({**json.loads(listed.read_text()), **changes}))


MISFITS = {
    "empty": lambda folder: library_of(folder).write_bytes(b""),
    "of another machine": lambda folder: _claim(folder, machine="aarch64"),
    "of another version": lambda folder: _claim(folder, NEURON="8.2.6"),
    "of other sources": lambda folder: (folder / "tiny.mod").write_text(MECHANISM + ": new"),
    "of more sources": lambda folder: (folder / "tiny2.mod").write_text(MECHANISM),
    "with a damaged list": lambda folder: (library_of(folder).parent / "hxloop.json").write_text(
        "["
    ),
    "with a list of another kind": lambda folder: (
        library_of(folder).parent / "hxloop.json"
    ).write_text("[]"),
    "gone": lambda folder: shutil.rmtree(library_of(folder).parent),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_library_that_does_not_fit_is_compiled_anew(compiled, tmp_path, kind, monkeypatch):
    """A foreign or old libnrnmech was accepted."""
    folder = tmp_path / "copy"
    shutil.copytree(compiled, folder)
    assert not compile_mechanisms(folder)
    MISFITS[kind](folder)
    assert misfit(folder) is not None

    def stand_in(driver, sources, work):
        made = library_of(compiled).parent
        shutil.copytree(made, work / made.name)
        for source in sources.glob("*.mod"):
            shutil.copy(source, work)
        neuron_mechanisms.remember(work)

    monkeypatch.setattr(neuron_mechanisms, "compile_sources", stand_in)
    assert compile_mechanisms(folder)
    assert misfit(folder) is None
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == sorted(
        path.suffix for path in folder.glob("*.mod")
    )
    (folder / "tiny.mod").write_text("other")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CompilerError, match=r"compiled once \(.*sources is"):
        compile_mechanisms(folder)


def test_a_library_that_somebody_else_compiled_is_tried(compiled, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(compiled, folder)
    manifest = library_of(folder).parent / "hxloop.json"
    manifest.unlink()
    assert misfit(folder) is None and manifest.is_file()
    manifest.unlink()
    (folder / "more.mod").write_text(MECHANISM.replace("Tiny", "Missing"))
    os.utime(folder / "more.mod", (0, 0))
    assert "lacks Missing" in misfit(folder)
    (folder / "more.mod").touch()
    assert "older than its sources" in misfit(folder)
    (folder / "more.mod").unlink()
    library_of(folder).write_bytes(b"no library")
    assert "cannot be loaded" in misfit(folder)


def test_a_mechanism_that_does_not_compile_shows_the_log_and_leaves_nothing(sources):
    (sources / "tiny.mod").write_text("NEURON { POINT_PROCESS }")
    with pytest.raises(CompilerError, match="exit status") as caught:
        compile_mechanisms(sources)
    assert "POINT_PROCESS" in str(caught.value)
    assert [path.name for path in sources.iterdir()] == ["tiny.mod"]


def test_no_compiler_is_said_in_words(sources, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CompilerError, match=r"compiler and make on PATH.*pynn-nest"):
        compile_mechanisms(sources)


def test_no_nrnivmodl_is_said_in_words(sources, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(sources / "python"))
    with pytest.raises(CompilerError, match="nrnivmodl"):
        compile_mechanisms(sources)


def test_nrnivmodl_beside_python_is_found_without_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert find_nrnivmodl() == Path(sys.executable).parent / "nrnivmodl"


def test_a_folder_that_cannot_be_written_is_said_in_words(sources, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", str(sources))

    monkeypatch.setattr(neuron_mechanisms, "ScratchFolder", refuse)
    with pytest.raises(CompilerError, match=r"can be written.*hxloop.backends.pynn.neuron_"):
        compile_mechanisms(sources)


# --- standard output ----------------------------------------------------------------------

SCRIPT = """
import warnings
warnings.simplefilter("error")
import json
from hxloop import NetworkSpec, get_backend
network = NetworkSpec.feed_forward(1, 1)
found = []
for name in ("pynn-nest", "pynn-neuron"):
    with get_backend(name).open(network) as session:
        found.append(session.run([[[4.0]]], [[0.5]]).output_times[0, 0])
print(json.dumps(found))
"""


def test_nothing_but_the_answer_on_standard_output():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    nest, neuron = json.loads(done.stdout)
    with get_backend("ideal").open(NetworkSpec.feed_forward(1, 1)) as session:
        exact = session.run([[[4.0]]], [[0.5]]).output_times[0, 0]
    assert nest == pytest.approx(exact, abs=1e-6)
    assert neuron == pytest.approx(
        exact, abs=get_backend("pynn-neuron").capabilities.time_resolution
    )
    assert done.stderr == ""
