"""Compiled models that are damaged are compiled anew, and what killed processes left is removed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hxloop.backends.emulated.brian2 import (
    build as brian2_build,
)
from hxloop.backends.emulated.brian2 import (
    cache as brian2_cache,
)
from hxloop.backends.emulated.brian2 import (
    runners as brian2_runners,
)
from hxloop.backends.emulated.brian2.cache import damage, kept_model
from hxloop.backends.emulated.brian2.model import ModelShape
from hxloop.backends.emulated.brian2.runners import BinaryRunner, run_bytes
from hxloop.errors import CompilerError, RunFailed
from hxloop.machine import child_process

SHAPE = ModelShape((2, 3), 2, 0.1, 1.0, jitter=False)
N_SPIKES = SHAPE.batch * 3
# Stands for a compiled model: writes what the real one would, of the first array it was given.
PROGRAM = f"""#!/bin/sh
folder=$2
head -c {8 * N_SPIKES} "${{3#*=}}" > "$folder/spike_times" || exit 3
"""
DATA = {"layer0.th": np.arange(float(N_SPIKES))}

Damage = Callable[[Path], Any]
DAMAGES: dict[str, Damage] = {
    "missing": lambda folder: (folder / "main").unlink(),
    "empty": lambda folder: (folder / "main").write_bytes(b""),
    "truncated": lambda folder: os.truncate(folder / "main", 20),
    "overwritten": lambda folder: (folder / "main").write_bytes(
        b"#" * (folder / "main").stat().st_size
    ),
    "not executable": lambda folder: (folder / "main").chmod(0o644),
    "a folder": lambda folder: ((folder / "main").unlink(), (folder / "main").mkdir()),
    "arrays missing": lambda folder: shutil.rmtree(folder / "static_arrays"),
    "arrays truncated": lambda folder: os.truncate(folder / "static_arrays" / "a", 1),
    "list missing": lambda folder: (folder / "manifest.json").unlink(),
    "list empty": lambda folder: (folder / "manifest.json").write_text(""),
    "list of nothing": lambda folder: (folder / "manifest.json").write_text('{"files": {}}'),
    "list of another kind": lambda folder: (folder / "manifest.json").write_text("[]"),
    "all gone": shutil.rmtree,
    "a file": lambda folder: (shutil.rmtree(folder), folder.write_text("x")),
}


def compile_into(work: Path) -> Path:
    kept = work / "kept"
    (kept / "static_arrays").mkdir(parents=True)
    (kept / "main").write_text(PROGRAM)
    (kept / "main").chmod(0o755)
    (kept / "static_arrays" / "a").write_bytes(b"12345678")
    return kept


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return kept_model("model", [tmp_path], compile_into)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which models were compiled; no compiler is needed."""
    done: list[Path] = []

    def stand_in(shape: ModelShape, compiler: str, work: Path) -> Path:
        done.append(work)
        return compile_into(work)

    monkeypatch.setattr(brian2_build, "compile_model", stand_in)
    return done


def refuse(work: Path) -> Path:
    pytest.fail("compiled again")


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_model_is_compiled_anew(
    model: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert damage(model) is None
    assert kept_model("model", [model.parent], refuse) == model
    DAMAGES[kind](model)
    assert damage(model) is not None
    assert kept_model("model", [model.parent], compile_into) == model
    assert damage(model) is None
    if kind != "all gone":
        assert "is damaged" in caplog.text and "compiled anew" in caplog.text
    assert [path.name for path in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_model_that_breaks_while_it_is_in_use_is_compiled_anew(
    tmp_path: Path, compiled: list[Path], kind: str
) -> None:
    runner = BinaryRunner(SHAPE, tmp_path)
    DAMAGES[kind](runner.folder)
    for _ in range(2):
        np.testing.assert_array_equal(runner.run(DATA)[0], DATA["layer0.th"])
    # What the stand-in never looks at does not stop it.
    assert len(compiled) == (1 if kind.startswith(("list", "arrays")) else 2)
    runner.close()


def test_a_model_that_is_whole_and_fails_is_reported(tmp_path: Path, compiled: list[Path]) -> None:
    runner = BinaryRunner(SHAPE, tmp_path)
    (runner.folder / "main").write_text("#!/bin/sh\necho out of luck >&2\nexit 4\n")
    brian2_cache.seal(runner.folder)
    with pytest.raises(RunFailed, match=r"got 4 and 'out of luck'"):
        runner.run(DATA)
    assert len(compiled) == 1
    runner.close()


def test_a_disk_that_executes_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brian2_cache.os, "access", lambda path, mode: not mode & os.X_OK)
    monkeypatch.setattr(brian2_cache, "make_private", lambda folder: folder.mkdir(exist_ok=True))
    with pytest.raises(CompilerError, match=r"noexec.*cache_dir"):
        kept_model("model", [tmp_path], compile_into)


def test_the_next_place_is_taken_where_the_first_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    places = [tmp_path / "file" / "brian2", tmp_path / "second"]
    assert kept_model("model", places, compile_into) == places[1] / "model"
    assert "is used instead" in caplog.text and "cache_dir" in caplog.text
    assert kept_model("model", places, refuse) == places[1] / "model"
    with pytest.raises(CompilerError, match=r"a folder that can be written; got .*file.*cache_dir"):
        kept_model("model", places[:1], compile_into)


def test_two_processes_that_heal_a_model_end_with_one(model: Path) -> None:
    DAMAGES["empty"](model)
    at_once = threading.Barrier(2, timeout=60)

    def slow(work: Path) -> Path:
        kept = compile_into(work)
        at_once.wait()
        return kept

    def heal() -> None:
        work = brian2_cache.work_folder([model.parent])
        kept = slow(work.path)
        brian2_cache.seal(kept)
        assert brian2_cache.install(kept, model, work.path / "replaced") is None
        work.close()

    threads = [threading.Thread(target=heal) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert damage(model) is None
    assert [path.name for path in model.parent.iterdir()] == ["model"]


# --- what killed processes leave ----------------------------------------------------------------


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_process_leaves_no_compilers(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from hxloop.machine.child_process import run_child\n"
        "run_child(['sh', '-c', f'sleep 600 & echo $! $$ > {sys.argv[1]}; sleep 600'],"
        " cwd=Path('.'), supervised=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(numbers)])
    end = time.monotonic() + 60
    while not (numbers.is_file() and numbers.read_text().strip()):
        assert time.monotonic() < end
        time.sleep(0.05)
    children = [int(word) for word in numbers.read_text().split()]
    assert all(is_running(child) for child in children)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(is_running(child) for child in children):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_supervised_child_tells_what_another_would(tmp_path: Path) -> None:
    for script, status in (("echo out; echo err >&2; exit 5", 5), ("kill -9 $$", 137)):
        got = child_process.run_child(["sh", "-c", script], cwd=tmp_path, supervised=True)
        assert got == (status, "out\nerr\n" if status == 5 else "")
    assert child_process.run_child(["cat"], cwd=tmp_path, supervised=True) == (0, "")


def test_dead_work_folders_are_swept_at_the_next_start(model: Path) -> None:
    dead = model.parent / ".build-0123"
    (dead / "code").mkdir(parents=True)
    (model.parent / ".build-0123.lock").touch()
    kept_model("another", [model.parent], compile_into)
    assert sorted(path.name for path in model.parent.iterdir()) == ["another", "model"]


def test_a_killed_training_leaves_nothing_in_memory(
    tmp_path: Path, compiled: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brian2_runners, "MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from hxloop.backends.emulated.brian2 import runners\n"
        "runners.MEMORY = Path(sys.argv[1])\n"
        "held = [runners.scratch_for(runners.MEMORY, 100) for _ in range(2)]\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "shm")], check=False, timeout=120)
    assert len(list((tmp_path / "shm").iterdir())) == 4  # two folders, two locks
    runner = BinaryRunner(SHAPE, tmp_path / "cache")
    assert sorted((tmp_path / "shm").iterdir()) == sorted(
        [runner.work, Path(f"{runner.work}.lock")]
    )
    runner.close()
    assert list((tmp_path / "shm").iterdir()) == []


# --- a small memory -----------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(brian2_runners, "MEMORY", tmp_path / "shm")
    monkeypatch.setattr(brian2_runners.tempfile, "gettempdir", lambda: str(tmp_path / "disk"))
    (tmp_path / "shm").mkdir()
    return tmp_path / "shm"


def test_a_memory_that_is_too_small_is_not_used(
    memory: Path, compiled: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(memory)
    monkeypatch.setattr(
        brian2_runners.shutil, "disk_usage", lambda path: usage._replace(free=run_bytes(SHAPE))
    )
    runner = BinaryRunner(SHAPE, memory.parent / "cache")
    assert runner.work.parent == memory.parent / "disk"
    np.testing.assert_array_equal(runner.run(DATA)[0], DATA["layer0.th"])
    runner.close()


@pytest.mark.parametrize("when", ["writing", "the result"])
def test_a_memory_that_fills_up_is_left_for_the_disk_once(
    memory: Path,
    compiled: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    when: str,
) -> None:
    runner = BinaryRunner(SHAPE, memory.parent / "cache")
    assert runner.work.parent == memory
    if when == "writing":
        (runner.work / "layer0.th").symlink_to("/dev/full")
    else:
        start = brian2_runners.run_child

        def full(command: list[str], *, cwd: Path) -> tuple[int, str]:
            return (3, "") if str(memory) in command[2] else start(command, cwd=cwd)

        monkeypatch.setattr(brian2_runners, "run_child", full)
    np.testing.assert_array_equal(runner.run(DATA)[0], DATA["layer0.th"])
    assert runner.work.parent == memory.parent / "disk"
    assert list(memory.iterdir()) == []
    assert "--shm-size" in caplog.text
    runner.close()


def test_no_room_anywhere_is_told_with_the_way_out(memory: Path, compiled: list[Path]) -> None:
    runner = BinaryRunner(SHAPE, memory.parent / "cache")
    runner.scratch.close()
    runner.scratch = brian2_runners.scratch_for(None, 1)
    (runner.work / "layer0.th").symlink_to("/dev/full")
    with pytest.raises(RunFailed, match=r"exchanges 0\.0 MB .*(No space|space left).*TMPDIR"):
        runner.run(DATA)
    runner.close()


# --- what the user has set does not reach the model ---------------------------------------------


def test_preferences_and_flags_of_the_user_do_not_reach_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAKEFLAGS", "n")
    seen = []

    def spy(command: list[str], **how: Any) -> tuple[int, str]:
        seen.append((command, how))
        return 1, "stop"

    monkeypatch.setattr(brian2_build, "run_child", spy)
    with pytest.raises(CompilerError, match="stop"):
        brian2_build.compile_model(SHAPE, "g++", tmp_path)
    ((_, how),) = seen
    assert how["environment"]["HOME"] == how["environment"]["TMPDIR"] == str(tmp_path)
    assert "MAKEFLAGS" not in how["environment"] and how["supervised"]
    assert json.loads(seen[0][0][-1])[1]["dt"] == SHAPE.dt
