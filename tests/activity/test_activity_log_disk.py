"""Activity logs on full disks, in folders of others, under two writers and after an exception."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager

import h5py
import pytest

from hxloop.activity import ActivityLog, ActivityWriter, read_activity
from hxloop.errors import FileFormatError, OutputError
from hxloop.network import NetworkSpec
from tests.activity.activity_examples import BATCH, NETWORK, assert_holds, run
from tests.activity.activity_files import write

# --- full disks ---------------------------------------------------------------------------


@contextmanager
def largest_file(n_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [100, 20_000, 70_000, 150_000, 250_000])
def test_no_room_is_told_and_what_was_there_stays(path, limit):
    before = read_activity(path)
    with (
        pytest.raises(OutputError, match=r"cannot write .*activity\.h5: File too large"),
        largest_file(limit),
        ActivityWriter(path, NETWORK) as log,
        log.state("later", n_samples=2000) as state,
    ):
        for i in range(100):
            state.append(*run(i))
    after = read_activity(path)
    assert set(before) <= set(after)
    assert_holds(after["trained"], range(3))
    if "later" in after:
        assert_holds(after["later"], range(len(after["later"].runs)))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_folders_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("missing", "file"):
        with pytest.raises(OutputError, match="cannot write"):
            ActivityWriter(tmp_path / folder / "a.h5", NETWORK)


def test_a_file_replaced_by_another_program_is_not_written_over(path):
    with ActivityWriter(path, NETWORK) as log:
        state = log.state("mine")
        state.append(*run(0))
        theirs = path.with_name("theirs.h5")
        write(theirs, ["theirs"])
        os.replace(theirs, path)
        with pytest.raises(OutputError, match="another program has replaced the file"):
            state.close()
        state.abandon()
    assert "theirs" in read_activity(path)


def test_two_writers_of_one_log_lose_no_state(path):
    # Each used to copy the file as it was before the other's state, and the last one won.
    with ActivityWriter(path, NETWORK) as log, log.state("mine") as state:
        state.append(*run(0))
        with pytest.raises(OutputError, match=r"activity\.h5: this process .* only one can"):
            ActivityWriter(path, NETWORK)
        assert "trained" in read_activity(path)  # reading needs no lock
        state.append(*run(1))
    write(path, ["theirs"])
    assert {"trained", "mine", "theirs"} <= set(read_activity(path))
    assert_holds(read_activity(path)["mine"], range(2))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_closed_log_is_not_written(path):
    with ActivityWriter(path, NETWORK) as log:
        state = log.state("late")
        state.append(*run(0))
    for write_on in (lambda: state.append(*run(1)), state.close, lambda: log.state("more"),
                     lambda: log.drop(["trained"])):  # fmt: skip
        with pytest.raises(OutputError, match="this writer is closed"):
            write_on()
    with ActivityWriter(path, NETWORK) as log:
        state = log.state("parent")
        state.append(*run(0))
        child = os.fork()
        if child == 0:
            try:
                state.append(*run(1))
            except OutputError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        state.append(*run(1))
        state.close()
    assert_holds(read_activity(path)["parent"], range(2))


def test_a_writer_that_cannot_begin_holds_nothing(path):
    with pytest.raises(FileFormatError):
        ActivityWriter(path, NetworkSpec.feed_forward(7, 6, 5, 3))
    ActivityWriter(path, NETWORK).close()


def test_an_exception_leaves_the_state_incomplete_with_its_runs(path):
    with (
        pytest.raises(KeyboardInterrupt),
        ActivityWriter(path, NETWORK) as log,
        log.state("epoch-003") as state,
    ):
        state.append(*run(0))
        state.append(*run(1))
        raise KeyboardInterrupt
    with ActivityLog.open(path) as log:
        assert not log.is_complete("epoch-003")
        assert_holds(log.read("epoch-003"), range(2))
    # The next writer keeps it, and gives it no more room than it needs.
    write(path, ["epoch-004"])
    with ActivityLog.open(path) as log:
        assert_holds(log.read("epoch-003"), range(2))
    with h5py.File(path) as file:
        assert len(file["states/epoch-003/labels"]) == 2 * BATCH


def test_a_state_without_runs_is_none(path):
    with ActivityWriter(path, NETWORK) as log, log.state("empty"):
        pass
    assert "empty" not in read_activity(path)
