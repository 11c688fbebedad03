"""Files as a whole or not at all, one writer at a time, digests."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.errors import OutputError
from hxloop.files import (
    digest_of,
    remove_leftovers,
    remove_leftovers_in,
    replacing,
    sha256_of,
    write_atomically,
)
from hxloop.files import lock as file_lock
from hxloop.files.lock import FileLock
from hxloop.runs.folder import RunDirectory

# --- whole or not at all ------------------------------------------------------------------


def test_a_file_is_replaced_or_left(tmp_path):
    path = tmp_path / "a.h5"
    write_atomically(path, b"old")
    with pytest.raises(KeyError), replacing(path) as new:
        new.write_bytes(b"half")
        assert new.suffix == ".h5"
        raise KeyError
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_writers_of_one_process_do_not_share_a_temporary_file(tmp_path):
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as two:
        one.write_bytes(b"1")
        two.write_bytes(b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_leftovers_of_dead_processes_are_swept_and_of_living_ones_left(tmp_path):
    path = tmp_path / "a[1].h5"  # no pattern
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with replacing(path) as living:
        living.write_bytes(b"x")
        start, _, end = living.name.rpartition(f"-{os.getpid()}-")
        gone = [f"{start}-{dead.pid}-{end}", f".a[1].h5.{dead.pid}.tmp.h5", ".a[1].h5.zzz.tmp"]
        stays = [f".a[1].h5.00000000-{dead.pid}-0.tmp.h5", ".other.1.tmp", living.name]
        for name in (*gone, *stays):
            (tmp_path / name).touch()
        old = time.time() - 2 * 86_400
        os.utime(tmp_path / gone[-1], (old, old))
        remove_leftovers(path)
        assert sorted(os.listdir(tmp_path)) == sorted(stays)
    remove_leftovers(tmp_path / "missing" / "a")


def test_what_a_killed_run_was_writing_is_gone_at_its_next_start(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with replacing(tmp_path / "living.json") as living:
        living.write_bytes(b"x")
        owner = living.name.removeprefix(".living.json.").removesuffix(".tmp.json")
        theirs = owner.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
        mine = [".notes.tmp", "a.1.tmp.json", f".gitignore.{theirs}", living.name]
        leftovers = [f".metrics.jsonl.{theirs}.tmp.jsonl", f".config.toml.{dead.pid}.tmp"]
        for name in (*mine, *leftovers):
            (tmp_path / name).touch()
        write_atomically(tmp_path / "metrics.jsonl", b"new")
        assert leftovers[0] not in os.listdir(tmp_path)
        remove_leftovers_in(tmp_path)
        assert sorted(os.listdir(tmp_path)) == sorted([*mine, "metrics.jsonl"])
    (tmp_path / leftovers[1]).touch()
    (tmp_path / "config.toml").touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / f".epoch.safetensors.{theirs}.tmp.safetensors").touch()
    RunDirectory.open(tmp_path)
    assert leftovers[1] not in os.listdir(tmp_path)
    assert os.listdir(tmp_path / "checkpoints") == []


# --- one writer at a time -----------------------------------------------------------------


def holder(path, fork=False):
    """A process that takes the lock and then waits, and a forked child of it."""
    reads, writes = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            lock = FileLock.beside(path).acquire()
            child = os.fork() if fork else -1
            if child:
                os.write(writes, f"{child}\n".encode())
            time.sleep(60)
        finally:
            os._exit(not lock.held)
    told = os.read(reads, 100)
    os.close(reads)
    os.close(writes)
    return process, int(told)


def end(process):
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_the_second_writer_is_refused_with_who_is_first(tmp_path):
    path = tmp_path / "a.h5"
    process, _ = holder(path)
    try:
        told = rf"a\.h5: process {process} \(since \d{{4}}-.*\) is writing it"
        with pytest.raises(OutputError, match=told):
            FileLock.beside(path).acquire()
    finally:
        end(process)
    # Killed: nothing is left locked, though its file is still there.
    assert os.listdir(tmp_path) == [".a.h5.lock"]
    with FileLock.beside(path) as lock:
        assert lock.held
        with pytest.raises(OutputError, match="this process"):
            FileLock.beside(path).acquire()
    assert os.listdir(tmp_path) == [] and not lock.held
    lock.release()


def test_a_forked_child_neither_holds_nor_removes_what_its_parent_holds(tmp_path):
    process, child = holder(tmp_path / "a", fork=True)
    end(process)
    try:
        os.kill(child, 0)  # it lives
        FileLock.beside(tmp_path / "a").acquire().release()
    finally:
        os.kill(child, signal.SIGKILL)
    with FileLock.beside(tmp_path / "a") as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(lock.held)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(OutputError):
            FileLock.beside(tmp_path / "a").acquire()


def test_links_to_a_file_have_its_lock(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "folder").symlink_to(tmp_path)
    with FileLock.beside(tmp_path / "a"):
        for path in (tmp_path / "link", tmp_path / "folder" / "a"):
            with pytest.raises(OutputError, match="only one can"):
                FileLock.beside(path).acquire()
    with FileLock.inside(tmp_path), pytest.raises(OutputError, match="only one can"):
        FileLock.inside(tmp_path / "folder").acquire()


def test_a_lock_file_removed_under_the_writer_is_made_anew(tmp_path, monkeypatch):
    # Between opening and locking, the holder lets go and removes the file.
    first = FileLock.beside(tmp_path / "a").acquire()
    real, calls = fcntl.flock, []

    def flock(file, how):
        if not calls:
            first.release()
        calls.append(how)
        return real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with FileLock.beside(tmp_path / "a"):
        assert len(calls) == 2
        with pytest.raises(OutputError):
            FileLock.beside(tmp_path / "a").acquire()


def test_what_a_lock_file_says_is_not_trusted(tmp_path):
    path = tmp_path / "a"
    with FileLock.beside(path) as lock:
        for text in (b"", b"\xff", b"[]", b'{"process": "x"}', b"{" * 5000):
            lock.path.write_bytes(text)
            with pytest.raises(OutputError, match="another process is writing it"):
                FileLock.beside(path).acquire()
        lock.path.write_text(
            '{"process": 7, "host": "\\u001b]0;x\\u0007", "since": "2026-01-02T03:04:05"}'
        )
        with pytest.raises(OutputError, match="process 7 on ") as caught:
            FileLock.beside(path).acquire()
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, code):
    def flock(file, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OutputError, match=r"its file system has no locks .*HXLOOP_NO_LOCKS=1"):
        FileLock.beside(tmp_path / "a").acquire()
    monkeypatch.setenv(file_lock.NO_LOCKS, "1")
    with FileLock.beside(tmp_path / "a") as lock:
        assert lock.held
    assert not lock.held


def test_folders_that_cannot_be_written_are_told(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"cannot write .*missing/a: No such file"):
        FileLock.beside(tmp_path / "missing" / "a").acquire()

    def read_only(*args, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OutputError, match="Read-only file system"):
        FileLock.beside(tmp_path / "a").acquire()


def test_a_folder_of_somebody_else_is_told_as_what_it_is(tmp_path, monkeypatch):
    # Regression: "No such file or directory", of a folder that is there and may not be written.
    def refuse(path, flags, *more):
        number = errno.EACCES if flags & os.O_CREAT else errno.ENOENT
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        FileLock.inside(tmp_path).acquire()


def test_the_lock_says_which_machine(tmp_path, monkeypatch):
    with FileLock.beside(tmp_path / "a"):
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        with pytest.raises(OutputError, match=rf"process {os.getpid()} on '.*'"):
            FileLock.beside(tmp_path / "a").acquire()


# --- digests ------------------------------------------------------------------------------


@given(
    kind=st.sampled_from(["<f8", "<f4", "<i8", "|u1", "|b1", "|S3"]),
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple),
    seed=st.integers(0, 9),
)
def test_digests_are_of_values_in_their_order(kind, shape, seed):
    array = np.random.default_rng(seed).integers(0, 2, shape).astype(kind)
    expected = hashlib.sha256(b"a" + array.tobytes() + b"\xc3\xa4").hexdigest()
    assert sha256_of("a", array, b"\xc3", b"\xa4") == expected
    # However it lies in memory.
    assert sha256_of("a", np.asfortranarray(array), "ä".encode()) == expected
    assert sha256_of("a", array[::-1][::-1], "ä") == expected


def test_a_digest_tells_type_shape_and_values_but_not_the_sign_of_zero():
    arrays = [
        np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3), np.float32), np.ones((2, 3)),
    ]  # fmt: skip
    assert len({digest_of(array) for array in arrays}) == 4
    assert digest_of(-arrays[0]) == digest_of(arrays[0])
    assert digest_of(arrays[0]) == hashlib.sha256(b"<f8 (2, 3)" + bytes(48)).hexdigest()


def test_no_other_module_digests_arrays_or_renames_files():
    root = Path(file_lock.__file__).parents[2]
    found = [
        str(path.relative_to(root))
        for folder in ("hxloop", "backends", "calibration", "experiments")
        for path in sorted((root / folder).rglob("*.py"))
        if "hashlib.sha" in (text := path.read_text(encoding="utf-8")) or "os.fsync" in text
    ]
    others = {path for path in found if not path.endswith("hxloop/files/atomic.py")}
    # Digests of program text and of compiled models are no digests of arrays.
    programs = {
        "backends/emulated/brian2/build.py",
        "backends/emulated/brian2/cache.py",
        "hxloop/machine/jit.py",
    }
    assert others <= programs | {f"hxloop/{path}" for path in programs}
