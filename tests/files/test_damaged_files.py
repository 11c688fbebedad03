"""Whatever is read: of a damaged file comes an error or what was written, and soon."""

from __future__ import annotations

import os
import subprocess

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hxloop.activity import ActivityWriter, read_activity, write_plain
from hxloop.calibration import (
    CalibrationOptions,
    CalibrationResult,
    CalibrationTarget,
    load_calibration,
    save_calibration,
)
from hxloop.calibration.result import Scales, StepRecord
from hxloop.errors import FileFormatError
from hxloop.files import digest_of, hdf5
from hxloop.runs.folder import RunDirectory
from hxloop.substrate.recording.file import SessionFile
from hxloop.substrate.recording.record import RecordingSession
from hxloop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.activity.activity_examples import NETWORK, run, weights

# --- one file of every kind, and what is read from it, as text ------------------------------


def told(value):
    """A value as text; arrays by their digests."""
    if isinstance(value, np.ndarray | np.generic):
        return digest_of(np.asarray(value))
    if isinstance(value, torch.Tensor):
        return digest_of(value.numpy())
    if isinstance(value, dict):
        return {name: told(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [told(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: told(getattr(value, name)) for name in value.__dataclass_fields__}
    return repr(value)


def make_log(path, compress=True, complete=True):
    with ActivityWriter(path, NETWORK, about={"seed": 1}, compress=compress) as log:
        with log.state("untrained", epoch=0) as state:
            state.append(*run(5))
        state = log.state("trained", epoch=3, split="test")
        for i in range(2):
            state.append(*run(i))
        if complete:
            state.close()


class Substrate:
    """A session that answers with made-up activity."""

    network = NETWORK
    n = 0

    def __init__(self):
        from hxloop import get_backend

        self.capabilities = get_backend("ideal").capabilities

    def run(self, weights, input_times, *, record=(), trial=None):
        self.n += 1
        return run(self.n)[0]

    def close(self):
        pass


def make_session(path, close=True):
    session = RecordingSession(Substrate(), path, False)
    for i in range(3):
        session.run(weights(i), np.zeros((20, 7)) + i / 8, trial=i)
    if close:
        session.close()


def read_session(path):
    with SessionFile(path) as file:
        runs = [
            (recorded, file.activity(recorded), [file.array(d) for d in recorded.asked_weights])
            for recorded in file.runs
        ]
        return [told((file.network, file.capabilities)), *(told(run) for run in runs)]


def make_calibration(path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=6) for name in ("v_leak", "tau_mem")}
    result = CalibrationResult(
        target=CalibrationTarget(), options=CalibrationOptions(), chip_id="a",
        codes={"v_leak": rng.integers(0, 9, 6)}, before=arrays, estimates=arrays,
        errors_of_estimates=arrays, failures={2: "dead"}, scales=Scales(), runs=9, seconds=1.5,
        steps=(StepRecord("s", "v_leak", "LSB", rng.normal(size=6), rng.normal(size=6) > 0,
                          rng.normal(size=(3, 2)), 4, 0.5),), made="now",
    )  # fmt: skip
    save_calibration(path, result)


def make_checkpoint(path):
    rng = torch.Generator().manual_seed(0)
    tensors = {f"layer.{i}": torch.rand(4, 5, generator=rng) for i in range(3)}
    save_checkpoint(path, Checkpoint(tensors, {"epoch": 3, "loss": [0.5]}))


def make_weights(path):
    RunDirectory(path.parent).write_weights(weights(), {"weight_lsb": "0.05"})
    (path.parent / "weights.safetensors").replace(path)


def read_weights(path):
    path = path.rename(path.with_name("weights.safetensors"))
    try:
        return told(RunDirectory(path.parent).weights(NETWORK))
    finally:
        path.rename(path.with_name("file"))


def read_states(path):
    return told(read_activity(path))


def make_npz(path):
    log = path.with_name("log.h5")
    make_log(log)
    write_plain(path.with_name("a.npz"), read_activity(log).values())
    path.with_name("a.npz").replace(path)


KINDS = {
    "log": (make_log, read_states),
    "uncompressed log": (lambda path: make_log(path, compress=False), read_states),
    "log cut off": (lambda path: make_log(path, complete=False), read_states),
    "session": (make_session, read_session),
    "session cut off": (lambda path: make_session(path, close=False), read_session),
    "calibration": (make_calibration, lambda path: told(load_calibration(path))),
    "checkpoint": (make_checkpoint, lambda path: told(load_checkpoint(path))),
    "weights": (make_weights, read_weights),
    "npz": (make_npz, read_states),
}  # fmt: skip


class Files(dict):
    """By kind, the content of a file and what is read from it; short when it is told."""

    __repr__ = object.__repr__


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of all kinds, and a folder."""
    folder, made = tmp_path_factory.mktemp("damaged"), Files()
    for kind, (make, read) in KINDS.items():
        path = folder / "file"
        make(path)
        made[kind] = path.read_bytes(), read(path)
        path.unlink()
    return made, folder


def damaged(content, how, where, amount):
    place = int(where * len(content))
    if how == "cut":
        return content[:place]
    changed = bytearray(content)
    if how == "flip":
        changed[min(place, len(content) - 1)] ^= 1 << amount % 8
    else:
        part = changed[place : place + amount]
        changed[place : place + amount] = (
            bytes(len(part)) if how == "zero" else bytes((7 * byte + 13) % 256 for byte in part)
        )
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    how=st.sampled_from(["zero", "flip", "flip", "change", "cut"]),
    where=st.one_of(st.floats(0, 1), st.floats(0, 0.05), st.floats(0.95, 1)),
    amount=st.sampled_from([1, 8, 206, 3000]),
)
@example(how="flip", where=40.5 / 309_684, amount=3)
@example(how="cut", where=0.0, amount=1)
@example(how="cut", where=1.0, amount=1)
def test_damage_ends_in_an_error_or_in_what_was_written(kind, files, how, where, amount):
    (content, expected), path = files[0][kind], files[1] / "file"
    path.write_bytes(damaged(content, how, where, amount))
    try:
        got = KINDS[kind][1](path)
    except FileFormatError as error:
        assert "file" in str(error) or "weights" in str(error)
        return
    if kind == "session cut off" and how == "cut":
        assert got == expected[: len(got)]  # as if it had been killed earlier
    else:
        assert got == expected


# --- bounds of time and memory --------------------------------------------------------------


def foreign(path):
    """As earlier versions recorded sessions: arrays and texts in turn, without a seal."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = "hxloop-session"
        arrays, runs = file.create_group("arrays"), file.create_group("runs")
        file.flush()
        for n in range(6):
            for k in range(5):
                arrays.create_dataset(f"{n:032x}{k:032x}", data=rng.random((7, 5)))
            runs.create_dataset(f"{n:08d}", data="x" * 900, dtype=h5py.string_dtype())
            file.flush()


def test_zeros_that_make_the_hdf5_library_run_forever(tmp_path, monkeypatch):
    # 206 zero bytes: opening this file took all processor time for ever.
    monkeypatch.setattr(hdf5, "LOOK_SECONDS", 1)
    path = tmp_path / "old.h5"
    foreign(path)
    content = path.read_bytes()
    hdf5.open_checked(path, "a session").close()
    for start in (2864, 3902):
        path.write_bytes(content[:start] + bytes(206) + content[start + 206 :])
        with pytest.raises(FileFormatError, match=r"old\.h5: expected a session; it is damaged"):
            hdf5.open_checked(path, "a session")


PROGRAMS = {
    "while True: pass": "took more than 3 s",
    "import resource; b = bytearray(1)\nwhile True: b += b": "looking through it took more than",
    "import os; os.abort()": "looking through it took more than",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_library_does_to_a_process_is_told(tmp_path, monkeypatch, program):
    foreign(tmp_path / "a.h5")
    (tmp_path / "rules.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\n" + program
    )
    monkeypatch.setattr(hdf5.hdf5_rules, "__file__", str(tmp_path / "rules.py"))
    monkeypatch.setattr(hdf5, "LOOK_WALL_SECONDS", 3)
    with pytest.raises(FileFormatError, match=PROGRAMS[program]):
        hdf5.open_checked(tmp_path / "a.h5", "a file")


def test_a_sound_file_is_looked_through_once(tmp_path, monkeypatch):
    foreign(tmp_path / "a.h5")
    hdf5.open_checked(tmp_path / "a.h5", "a file").close()

    def never(*arguments, **options):
        raise AssertionError("looked through again")

    monkeypatch.setattr(subprocess, "run", never)
    hdf5.open_checked(tmp_path / "a.h5", "a file").close()
    os.utime(tmp_path / "a.h5", ns=(1, 1))
    with pytest.raises(AssertionError):
        hdf5.open_checked(tmp_path / "a.h5", "a file")


def test_what_hxloop_wrote_needs_no_other_process(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    for kind in ("log", "log cut off", "session", "session cut off", "calibration"):
        make, read = KINDS[kind]
        make(tmp_path / kind)
        read(tmp_path / kind)
