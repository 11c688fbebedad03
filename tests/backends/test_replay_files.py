"""Files of recordings: refused if they are none, and left whole by whatever ends a program."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hxloop import (
    NetworkSpec,
    get_backend,
    record,
)
from hxloop.errors import (
    FileFormatError,
    OutputError,
    RunInputError,
    SessionClosedError,
)
from hxloop.files import digest_of
from hxloop.substrate.recording.file import SessionFile
from tests.backends.recordings import INPUTS, NETWORK, WEIGHTS, chip, replay, same

# --- files ----------------------------------------------------------------------------------


def test_files_that_are_no_recording(recorded: tuple[Path, list[Any]], tmp_path: Path) -> None:
    whole = recorded[0].read_bytes()
    (tmp_path / "truncated.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("spikes")
    (tmp_path / "empty.h5").write_bytes(b"")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file.attrs["schema"] = "hxloop-activity"
    for name in ("absent.h5", "truncated.h5", "text.h5", "empty.h5", "foreign.h5"):
        with pytest.raises(FileFormatError, match=rf"{name}: expected a recorded session"):
            replay(tmp_path / name)


def test_a_newer_version(recorded: tuple[Path, list[Any]]) -> None:
    with h5py.File(recorded[0], "r+") as file:
        file.attrs["version"] = 3
    with pytest.raises(FileFormatError, match="newer"):
        replay(recorded[0])


def test_damage_is_noticed(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    with h5py.File(path, "r+") as file:
        file["arrays"][digest_of(runs[0].output_times)][0, 0] = 1.5
        text = file["runs"]["00000001"].asstr()[()]
    with replay(path) as session, pytest.raises(FileFormatError, match="damaged"):
        session.run(WEIGHTS, INPUTS)
    for broken in ("", text[:-9], text.replace("asked_weights", "weights"), "[]"):
        with h5py.File(path, "r+") as file:
            file["runs"]["00000001"][()] = broken
        with pytest.raises(FileFormatError, match=path.name):
            replay(path)


def test_recordings_are_added_to_or_left_alone(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    before = path.read_bytes()
    with pytest.raises(OutputError, match="append=True"), chip() as session:
        record(session, path)
    other = get_backend("emulated-chip", solver="event", weight_lsb=0.1).open(NETWORK)
    with pytest.raises(OutputError, match="Give another file"):
        record(other, path, append=True)
    with pytest.raises(OutputError, match="Give another file"):
        record(get_backend("ideal").open(NetworkSpec.feed_forward(5, 3)), path, append=True)
    assert path.read_bytes() == before
    with record(chip(seed=10), path, append=True) as session:
        late = session.run(WEIGHTS, INPUTS[:2])
    with replay(path) as session:
        assert same(session.run(WEIGHTS, INPUTS[:2]), late)
        assert same(session.run(WEIGHTS, INPUTS), runs[0])


def test_a_folder_that_is_not_there_is_noticed_before_the_first_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent"), chip() as session:
        record(session, tmp_path / "absent" / "chip.h5")


def test_closing_closes_the_session_and_a_failed_run_leaves_no_trace(tmp_path: Path) -> None:
    inner = chip()
    with record(inner, tmp_path / "chip.h5") as session:
        with pytest.raises(RunInputError):
            session.run(WEIGHTS, INPUTS[:, :2])
        session.run(WEIGHTS, INPUTS)
    session.close()
    for closed in (session, inner):
        with pytest.raises(SessionClosedError):
            closed.run(WEIGHTS, INPUTS)
    with SessionFile(tmp_path / "chip.h5") as file:
        assert len(file.runs) == 1


def test_a_full_disk_and_a_killed_process_leave_what_was_recorded(tmp_path: Path) -> None:
    # In one process, for importing takes long.
    code = (
        "import os, resource, signal, sys, numpy as np\n"
        "from hxloop import NetworkSpec, get_backend, record\n"
        "from hxloop.errors import OutputError\n"
        "session = get_backend('ideal').open(NetworkSpec.feed_forward(3, 2))\n"
        "def run(s, n):\n"
        "    s.run([np.full((3, 2), 1.0 + n)], np.full((500, 3), n / 100))\n"
        "killed = record(session, sys.argv[1])\n"
        "for n in range(4):\n"
        "    run(killed, n)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "done = 0\n"
        "with record(session, sys.argv[2]) as s:\n"
        "    for n in range(40):\n"
        "        try:\n"
        "            run(s, n)\n"
        "            done += 1\n"
        "        except OutputError as error:\n"
        "            assert 'too large' in str(error), error\n"
        "print(done, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed, full = tmp_path / "killed.h5", tmp_path / "full.h5"
    finished = subprocess.run(
        [sys.executable, "-c", code, str(killed), str(full)],
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == -signal.SIGKILL, finished.stderr
    done = int(finished.stdout)
    # 12 kB of inputs and 8 kB of spikes a run, and the room that is wanted beside.
    assert 8 <= done < 40
    for path, count in ((killed, 4), (full, done)):
        with get_backend("replay", path=str(path)).open(NetworkSpec.feed_forward(3, 2)) as session:
            for n in range(count):
                session.run([np.full((3, 2), 1.0 + n)], np.full((500, 3), n / 100))
    with record(
        get_backend("ideal").open(NetworkSpec.feed_forward(3, 2)), killed, append=True
    ) as s:
        s.run([np.full((3, 2), 0.5)], np.zeros((1, 3)))
    with SessionFile(killed) as file:
        assert len(file.runs) == 5
