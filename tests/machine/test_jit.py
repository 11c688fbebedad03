"""Compiled functions are kept where that is possible, and run in any case."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numba.core import caching

import hxloop
from hxloop.machine import cores as machine
from hxloop.machine import jit

SOURCE = """
from hxloop.jit import njit

@njit(cache=True, nogil=True)
def add(a, b):
    return a + b
"""
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def said_anew() -> Iterator[None]:
    machine.say_once.cache_clear()
    jit.file_digest.cache_clear()
    yield
    jit.file_digest.cache_clear()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    path = tmp_path / "sums.py"
    path.write_text(SOURCE)
    return path


def load(path: Path) -> Any:
    """The function as a new process would find it."""
    spec = importlib.util.spec_from_file_location(f"sums{next(_numbers)}", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.add


def was_kept(add: Any) -> bool:
    assert add(2, 3) == 5
    return bool(sum(add.stats.cache_hits.values()))


def test_what_was_compiled_is_found_again(module: Path) -> None:
    assert [was_kept(load(module)) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "nonsense", "gone", "a folder"])
def test_a_damaged_file_is_made_anew(module: Path, ending: str, damage: str) -> None:
    assert not was_kept(load(module))
    (file,) = (module.parent / "__pycache__").glob(f"*.{ending}")
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        short = {"empty": b"", "truncated": content[: len(content) // 2], "nonsense": b"\x80\x05x"}
        file.write_bytes(short[damage])
    assert not was_kept(load(module))
    if damage != "a folder":  # which numba does not replace; it is lived with
        assert was_kept(load(module))


def test_a_function_is_compiled_anew_when_what_it_calls_has_changed(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not was_kept(load(module))
    monkeypatch.setattr(jit, "file_digest", lambda file: "after an upgrade")
    assert [was_kept(load(module)) for _ in range(2)] == [False, True]


def test_what_is_compiled_into_others_is_looked_at(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a move of the kernels the folder was empty, and old machine code was used for new."""
    kernels = Path(hxloop.__file__).parent / "engine" / "compiled"
    assert {kernels / "membrane.py", kernels / "psp.py"} <= set(jit.inlined_sources())
    before = jit.file_digest(str(module))
    monkeypatch.setattr(jit, "inlined_sources", lambda: [module])
    jit.file_digest.cache_clear()
    assert jit.file_digest(str(module)) != before


def test_a_full_disk_is_said_once(
    module: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    add = load(module)
    assert add(2, 3) == 5 and add(2.5, 3.0) == 5.5
    assert len(caplog.records) == 1 and "NUMBA_CACHE_DIR" in caplog.text
    assert "No space left" in caplog.text


def test_without_a_place_it_runs_and_says_so_once() -> None:
    """`import hxloop` and `hxloop --version` failed for a user without a writable cache."""
    code = (
        "import sys\nfrom numba.core import caching\n"
        "for value in vars(caching).values():\n"
        "    if isinstance(value, type) and hasattr(value, '_locator_classes'):\n"
        "        value._locator_classes = []\n"
        "import hxloop.chip.placement, hxloop.analysis.measures.pathway_kernels\n"
        "from hxloop.cli.entry import main\n"
        "main(['--version'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == f"hxloop {hxloop.__version__}\n"
    assert done.stderr.count("Compiled functions cannot be kept") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_user_without_a_home_gets_no_folder_named_tilde(
    module: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    access = os.access
    monkeypatch.setattr("posixpath.expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.chdir(module.parent)
    monkeypatch.setattr(
        jit.os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode)
    )
    add = load(module)
    assert add(2, 3) == 5
    assert [path.name for path in module.parent.iterdir() if path.suffix != ".py"] in (
        [],
        ["__pycache__"],
    )
    assert "has no home" in caplog.text


def test_every_compiled_function_goes_through_here() -> None:
    """One `from numba import njit` with `cache=True` is enough, and hxloop cannot be imported."""
    package = Path(hxloop.__file__).parent
    assert (package / "engine" / "compiled").is_dir()
    found = [
        path.name
        for path in package.rglob("*.py")
        if "from numba import njit" in path.read_text(encoding="utf-8")
        or ("numba.njit" in path.read_text(encoding="utf-8") and path.name != "jit.py")
    ]
    assert found == []
