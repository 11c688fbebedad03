"""Folders of killed processes are removed, those of live ones are not; processors and places."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hxloop.files import scratch
from hxloop.files.scratch import ScratchFolder, sweep
from hxloop.machine import cores as machine
from hxloop.machine import usable_cores, user_cache

PREFIX = "hxloop-"
MAKE_AND_WAIT = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from hxloop.files.scratch import ScratchFolder\n"
    "folder = ScratchFolder(Path(sys.argv[1]), 'hxloop-')\n"
    "(folder.path / 'weights').write_bytes(b'1')\n"
    "print(folder.path, flush=True)\n"
    "time.sleep(600)\n"
)


def start(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE_AND_WAIT, str(parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_of_a_killed_process_is_swept_and_that_of_a_live_one_is_not(
    tmp_path: Path,
) -> None:
    process, theirs = start(tmp_path)
    try:
        mine = ScratchFolder(tmp_path, PREFIX)
        assert (theirs / "weights").is_file()
        assert sweep(tmp_path, PREFIX) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert theirs.is_dir()
        other = ScratchFolder(tmp_path, PREFIX)
        assert not theirs.exists() and mine.path.is_dir() and other.path.is_dir()
    finally:
        process.kill()
        process.communicate()
    mine.close()
    other.close()
    mine.close()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_keeps_its_hands_off(tmp_path: Path) -> None:
    folder = ScratchFolder(tmp_path, PREFIX)
    child = os.fork()
    if child == 0:
        try:
            folder.close()
            sweep(tmp_path, PREFIX)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert folder.path.is_dir() and sweep(tmp_path, PREFIX) == []
    folder.close()


def test_a_parent_that_is_killed_leaves_the_folder_to_its_child(tmp_path: Path) -> None:
    code = MAKE_AND_WAIT.replace(
        "time.sleep(600)",
        "import os\nchild = os.fork()\nif child:\n    print(child, flush=True)\ntime.sleep(600)",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path, child = Path(process.stdout.readline().strip()), int(process.stdout.readline())
    assert child > 1
    process.kill()
    process.wait()
    assert sweep(tmp_path, PREFIX) == []
    os.kill(child, signal.SIGKILL)
    process.stdout.read()  # to the end, which comes when the child is gone
    for _ in range(100):
        if sweep(tmp_path, PREFIX) == [path]:
            break
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []
    process.stdout.close()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hxloop-report").mkdir()  # no lock: a user's own
    (tmp_path / "another.lock").touch()
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").touch()
    (tmp_path / "hxloop-link.lock").symlink_to(target / "file")
    (tmp_path / "hxloop-linked").symlink_to(target)
    (tmp_path / "hxloop-linked.lock").touch()
    assert sweep(tmp_path, PREFIX) == []
    assert (target / "file").exists() and (tmp_path / "hxloop-report").is_dir()
    assert (tmp_path / "another.lock").exists()
    assert sweep(tmp_path / "absent", PREFIX) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_folders_of_other_users_are_left_alone(tmp_path: Path) -> None:
    for name in ("hxloop-theirs", "hxloop-mixed"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
        os.chown(tmp_path / name, 12345, 12345)
    os.chown(tmp_path / "hxloop-theirs.lock", 12345, 12345)
    assert sweep(tmp_path, PREFIX) == []
    assert (tmp_path / "hxloop-theirs").is_dir() and (tmp_path / "hxloop-mixed").is_dir()


def test_a_disk_without_locks_still_gives_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(scratch.fcntl, "flock", unsupported)
    folder = ScratchFolder(tmp_path, PREFIX)
    assert folder.path.is_dir() and sweep(tmp_path, PREFIX) == []
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_between_opening_and_holding_a_lock_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, swept = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(True)
            sweep(tmp_path, PREFIX)
        flock(descriptor, how)

    monkeypatch.setattr(scratch.fcntl, "flock", late)
    folder = ScratchFolder(tmp_path, PREFIX)
    assert swept and folder.path.is_dir()
    assert sweep(tmp_path, PREFIX) == [] and folder.path.is_dir()
    folder.close()


# --- processors ---------------------------------------------------------------------------------


def control_groups(root: Path, lines: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("lines", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "300000 100000",
                       "a/b/cpu.max": "max 100000"}, 3),
        ("0::/gone\n", {"cpu.max": "400000 100000"}, 4),
        ("4:cpu,cpuacct:/x\n", {"cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n",
                                "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"}, 2),
        ("4:cpu,cpuacct:/x\n", {"cpu/cpu.cfs_quota_us": "-1\n",
                                "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
        ("0::/\n", {"cpu.max": ""}, 8),
        ("", {}, 8),
    ],
)  # fmt: skip
def test_cores_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cores(control_groups(tmp_path, lines, files)) == cores


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 64), st.integers(-1, 10_000_000), st.integers(0, 200_000))
def test_cores_are_never_none_and_never_more_than_may_be_used(
    tmp_path_factory: pytest.TempPathFactory, affinity: int, quota: int, period: int
) -> None:
    root = control_groups(
        tmp_path_factory.mktemp("machine"), "0::/\n", {"cpu.max": f"{quota} {period}"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(affinity)))
        cores = usable_cores(root)
    limited = quota > 0 and period > 0
    expected = min(affinity, -(-quota // period)) if limited else affinity
    assert cores == max(1, expected)


# --- places -------------------------------------------------------------------------------------


def test_a_user_without_a_home_has_no_cache_of_his_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache() == Path("/somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/house")
    assert user_cache() == Path("/house/.cache")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "")
    assert user_cache() is None
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("posixpath.expanduser", lambda path: path)  # no passwd entry
    assert user_cache() is None
    assert [path.is_absolute() for path in machine.cache_folders("brian2")] == [True]


def test_a_folder_below_the_temporary_one_must_be_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = machine.cache_folders("brian2")[-1]
    machine.make_private(folder)
    assert folder.is_dir() and folder.parent.stat().st_mode & 0o777 == 0o700
    folder.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="of this user alone"):
        machine.make_private(folder)
