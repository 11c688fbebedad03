"""A recorded session survives kill -9 at every write, with all runs that were done."""

from __future__ import annotations

import os
import signal
from io import FileIO
from pathlib import Path

import h5py
import numpy as np
import pytest

from hxloop import get_backend, record
from hxloop.errors import HxloopError, OutputError
from hxloop.files import digest_of
from hxloop.network import NetworkSpec
from hxloop.substrate.recording.file import SessionFile

NETWORK = NetworkSpec.feed_forward(3, 2)
BEFORE, RUNS = 2, 3


def asked(n):
    return [np.full((3, 2), 1.0 + n)], np.full((4, 3), n / 100)


def record_runs(path, numbers, append, done=None):
    with record(get_backend("ideal").open(NETWORK), path, append=append) as session:
        for n in numbers:
            session.run(*asked(n))
            if done:
                os.write(done, b".")


class DyingFile(FileIO):
    """What new HDF5 files are written with."""

    count = None

    def write(self, data):
        if type(self).count():
            super().write(memoryview(data).cast("B")[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(data)


def die_after(n):
    """End this process in its n-th change of a file, in the middle of it if that is a write."""
    left = n

    def count():
        nonlocal left
        left -= 1
        return left < 0

    def dying(real, half=False):
        def call(*arguments, **options):
            if count():
                if half:
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2], *arguments[2:])
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if not half and count():
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    os.pwrite, os.ftruncate = dying(os.pwrite, half=True), dying(os.ftruncate)
    Path.replace, Path.unlink = dying(Path.replace), dying(Path.unlink)
    DyingFile.count = staticmethod(count)
    import hxloop.files.hdf5_new_file

    hxloop.files.hdf5_new_file.FileIO = DyingFile


@pytest.mark.parametrize("append", [False, True])
def test_at_every_write(tmp_path, append, step):
    n, seen = 0, set()
    while True:
        path = tmp_path / f"{n}.h5"
        if append:
            record_runs(path, range(BEFORE), False)
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            code = 3
            try:
                die_after(n)
                record_runs(path, range(BEFORE, BEFORE + RUNS), append, writes)
                code = 0
            finally:
                os._exit(code)
        os.close(writes)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL)
        done = len(os.read(reads, 100))
        os.close(reads)
        if not path.exists():
            assert not append and not done
        else:
            with h5py.File(path):
                pass  # any program opens it
            first = 0 if append else BEFORE
            with SessionFile(path) as file:
                kept = len(file.runs) - (BEFORE if append else 0)
                assert done <= kept <= min(done + 1, RUNS)
                for number, run in enumerate(file.runs, first):
                    weights, times = asked(number)
                    assert file.array(run.asked_weights[0]).tolist() == weights[0].tolist()
                    assert file.array(run.asked_inputs).tolist() == times.tolist()
                    file.activity(run)
            seen.add(kept)
            # The next recording goes on, and sweeps what the kill left.
            record_runs(path, [9], True)
            with SessionFile(path) as file:
                assert len(file.runs) == kept + 1 + (BEFORE if append else 0)
            with h5py.File(path) as file:  # all in their places, for any program
                assert len(file["runs"]) == kept + 1 + (BEFORE if append else 0)
                assert digest_of(asked(9)[1]) in file["arrays"]
            assert sorted(os.listdir(tmp_path)) == [path.name]
            path.unlink()
        for left in tmp_path.iterdir():
            left.unlink()
        if not status:
            break
        n += step
    assert n > 15 and seen <= set(range(RUNS + 1))
    assert len(seen) > (1 if step > 1 else RUNS)


def test_runs_are_read_while_they_are_recorded(tmp_path):
    path = tmp_path / "a.h5"
    with record(get_backend("ideal").open(NETWORK), path) as session:
        for n in range(3):
            session.run(*asked(n))
            with get_backend("replay", path=str(path)).open(NETWORK) as replayed:
                replayed.run(*asked(n))
        with pytest.raises(OutputError, match=r"this process .* only one can at a time"):
            record(get_backend("ideal").open(NETWORK), path, append=True)
        child = os.fork()
        if child == 0:
            try:
                session.run(*asked(5))
            except HxloopError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with SessionFile(path) as file:
        assert len(file.runs) == 3


def test_a_recording_of_an_earlier_version_is_read_and_added_to(tmp_path):
    path, old = tmp_path / "new.h5", tmp_path / "old.h5"
    record_runs(path, range(2), False)
    with h5py.File(path) as new, h5py.File(old, "w") as file:
        for name, value in new.attrs.items():
            file.attrs[name] = value
        for group in ("arrays", "runs"):
            for name, item in new[group].items():
                file.create_dataset(f"{group}/{name}", data=item[()], dtype=item.dtype)
    with old.open("ab") as file:
        file.write(bytes(5000))  # room that was taken ahead and not used
    with SessionFile(old) as one, SessionFile(path) as two:
        assert one.runs == two.runs
    record_runs(old, [7], True)
    with SessionFile(old) as file:
        assert len(file.runs) == 3
        for run in file.runs:
            file.activity(run)


def test_a_file_replaced_or_removed_under_a_recording_is_told(tmp_path):
    for how in ("removed", "replaced"):
        path = tmp_path / f"{how}.h5"
        session = record(get_backend("ideal").open(NETWORK), path)
        session.run(*asked(0))
        path.unlink()
        if how == "replaced":
            path.write_text("notes")
        with pytest.raises(OutputError, match="has removed or replaced the file"):
            session.run(*asked(1))
        with pytest.raises(OutputError, match="has removed or replaced the file"):
            session.close()
        assert how == "removed" or path.read_text() == "notes"
        session.close()
