"""Sessions in threads, forked children and copies, where the conformance suite does not reach."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.optim.swa_utils import AveragedModel

from hxloop import LoopNetwork, NetworkSpec, get_backend, record
from hxloop.activity import Activity
from hxloop.conformance import ALL_CHECKS, Subject, run_check
from hxloop.errors import HxloopError, SessionClosedError, SessionCopyError, SessionOwnerError
from hxloop.substrate.guard import ForkSafeLock, SessionGuard

NETWORK = NetworkSpec.feed_forward(4, 6, 3, t_window=4.0)
RNG = np.random.default_rng(5)
WEIGHTS = [RNG.uniform(0.2, 2.0, shape) for shape in NETWORK.shapes]
INPUTS = RNG.uniform(0.0, 2.0, (5, 4))
OTHERS = [1.3 * weights for weights in WEIGHTS]
EVENT: dict[str, Any] = {"solver": "event", "imperfections": "none"}
SHARING = [check for check in ALL_CHECKS if check.group == "sharing"]


def in_child(work: Any) -> Any:
    """What a function returns, or the error it raises, in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                told = work()
            except BaseException as error:  # noqa: BLE001
                told = error
            with os.fdopen(writing, "wb") as file:
                pickle.dump(told, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        told = pickle.load(file)
    os.waitpid(child, 0)
    return told


def same(a: Activity, b: Activity) -> bool:
    return all(map(np.array_equal, a.first_spike_times, b.first_spike_times))


class Recorded:
    """A backend whose sessions are recorded, for the checks of the suite."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inner, self.n = folder, get_backend("ideal"), 0
        self.name, self.capabilities = "ideal", self.inner.capabilities

    def open(self, network: NetworkSpec, *, calibration: Any = None, seed: Any = None) -> Any:
        self.n += 1
        return record(self.inner.open(network), self.folder / f"{self.n}.h5")


@pytest.mark.parametrize("check", SHARING, ids=str)
def test_a_recording_is_shared_as_any_session(tmp_path: Path, check: Any) -> None:
    with Subject(Recorded(tmp_path)) as subject:  # type: ignore[arg-type]
        result = run_check(check, subject)
    assert result.good, result.detail
    if check.name == "forked-child":
        assert result.figures == {"works_in_child": 0}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "chip.h5"
    with record(get_backend("ideal").open(NETWORK), path) as session:
        for factor in range(1, 4):
            session.run([factor * weights for weights in WEIGHTS], INPUTS)
    return path


def test_a_replay_is_shared_by_threads_and_refused_to_children(recording: Path) -> None:
    with get_backend("replay", path=str(recording)).open(NETWORK) as session:

        def ask(factor: int) -> Activity:
            return session.run([factor * weights for weights in WEIGHTS], INPUTS)

        alone = [ask(factor) for factor in range(1, 4)]
        with ThreadPoolExecutor(3) as pool:
            for _ in range(10):
                assert all(map(same, alone, pool.map(ask, range(1, 4))))
        error = in_child(lambda: ask(1))
        assert isinstance(error, SessionOwnerError) and isinstance(error, SessionClosedError)
        assert str(os.getpid()) in str(error) and "'replay'" in str(error)
        in_child(session.close)
        assert same(ask(1), alone[0])


def test_a_child_that_ends_normally_leaves_the_recording_whole(tmp_path: Path) -> None:
    path = tmp_path / "chip.h5"
    code = (
        "import os, sys, numpy as np\n"
        "from hxloop import NetworkSpec, get_backend, record\n"
        "network = NetworkSpec.feed_forward(3, 2)\n"
        "def run(n):\n"
        "    return session.run([np.full((3, 2), 1.0 + n)], np.full((50, 3), n / 10))\n"
        "session = record(get_backend('ideal').open(network), sys.argv[1])\n"
        "run(0)\n"
        "if os.fork() == 0:\n"
        "    session.close()\n"
        "    sys.exit()\n"  # with all that is done at the end of a program
        "os.wait()\n"
        "run(1)\n"
        "session.close()\n"
        "with get_backend('replay', path=sys.argv[1]).open(network) as session:\n"
        "    run(0), run(1)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120)


@pytest.mark.parametrize("options", [EVENT, {**EVENT, "imperfections": "calibrated"}], ids=str)
def test_event_sessions_go_on_in_threads_children_and_copies(options: dict[str, Any]) -> None:
    with get_backend("emulated-chip", **options).open(NETWORK, seed=3) as session:
        alone = [session.run(w, INPUTS, trial=t) for t, w in enumerate((WEIGHTS, OTHERS))]

        def ask(trial: int) -> Activity:
            return session.run((WEIGHTS, OTHERS)[trial], INPUTS, trial=trial)

        with ThreadPoolExecutor(2) as pool:
            for _ in range(10):
                assert all(map(same, alone, pool.map(ask, range(2))))
        assert same(in_child(lambda: ask(1)), alone[1])
        assert same(copy.deepcopy(session).run(WEIGHTS, INPUTS, trial=0), alone[0])
        assert same(pickle.loads(pickle.dumps(session)).run(OTHERS, INPUTS, trial=1), alone[1])


def test_threads_take_trials_of_their_own() -> None:
    with get_backend("emulated-chip", solver="event").open(NETWORK, seed=3) as session:
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: session.run(WEIGHTS, INPUTS).info.trial, range(40)))
        assert sorted(done) == list(range(40))  # type: ignore[type-var]


def test_a_child_is_not_stopped_by_a_lock_that_another_thread_held_at_the_fork() -> None:
    lock = ForkSafeLock()
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def enter() -> bool:
        with lock, lock:
            return True

    assert in_child(enter) is True
    free.set()
    thread.join()


def test_a_fork_by_the_thread_that_holds_a_lock_is_no_error_in_the_child() -> None:
    # Regression: the child let go of its new lock, which it had not taken.
    lock = ForkSafeLock()

    def leave_and_enter() -> bool:
        lock.__exit__(None, None, None)
        with lock, lock:
            return True

    with lock:
        assert in_child(leave_and_enter) is True


def test_a_guard_names_both_processes() -> None:
    guard = SessionGuard("backend 'mine'", "its chip")
    with guard.alone(), guard.alone():
        pass
    error = in_child(lambda: guard.alone().__enter__())
    assert isinstance(error, SessionOwnerError)
    for words in ("backend 'mine'", "its chip", f"process {os.getpid()}", "a forked child"):
        assert words in str(error)


# --- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_recording_is_not_copied(tmp_path: Path, make: Any) -> None:
    """copy.copy(record(...)) was a RecursionError."""
    with record(get_backend("ideal").open(NETWORK), tmp_path / "chip.h5") as session:
        with pytest.raises(SessionCopyError, match="RecordingSession cannot be copied or pickled"):
            make(session)
        with pytest.raises(AttributeError, match="no_such_thing"):
            _ = session.no_such_thing
        session.run(WEIGHTS, INPUTS)


def test_a_copied_network_shares_its_session_and_has_weights_of_its_own(tmp_path: Path) -> None:
    with record(get_backend("ideal").open(NETWORK), tmp_path / "chip.h5") as session:
        network = LoopNetwork(session, WEIGHTS)
        for other in (copy.deepcopy(network), AveragedModel(network).module):
            assert other.session is session
            other.weights[0].data.mul_(1.3)
            assert not np.array_equal(other.weight_arrays()[0], network.weight_arrays()[0])
            times, _ = other.forward(INPUTS)
            assert times.requires_grad
        np.testing.assert_array_equal(network.weight_arrays()[0], WEIGHTS[0])
        averaged = AveragedModel(network)
        network.weights[0].data.mul_(3.0)
        averaged.update_parameters(network)  # the first update copies
        np.testing.assert_array_equal(
            averaged.module.weight_arrays()[0], network.weight_arrays()[0]
        )


# --- simulators ---------------------------------------------------------------------------------


def test_a_chip_in_a_child_of_an_open_brian2_session() -> None:
    options = {"solver": "brian2", "codegen": "numpy", "dt": 0.02, "imperfections": "none"}
    backend = get_backend("emulated-chip", **options)
    with backend.open(NETWORK) as session:
        alone = session.run(WEIGHTS, INPUTS)
        error = in_child(lambda: session.run(WEIGHTS, INPUTS))
        assert isinstance(error, SessionOwnerError) and "solver 'brian2'" in str(error)
        with backend.open(NETWORK) as second, ThreadPoolExecutor(2) as pool:
            # Two sessions, one global Brian2.
            jobs = [(session, WEIGHTS), (second, OTHERS)] * 2
            done = list(pool.map(lambda job: job[0].run(job[1], INPUTS), jobs))
        assert same(done[0], alone) and same(done[2], alone) and same(done[1], done[3])
        assert not same(done[0], done[1])

        def anew() -> Activity:
            with backend.open(NETWORK) as own:
                return own.run(WEIGHTS, INPUTS)

        assert same(in_child(anew), alone)
        with pytest.raises(SessionCopyError):
            copy.deepcopy(session)


def test_nest_is_refused_to_other_threads_and_to_children() -> None:
    pytest.importorskip("nest")
    backend = get_backend("pynn-nest")
    with backend.open(NETWORK) as session:
        alone = session.run(WEIGHTS, INPUTS)
        with ThreadPoolExecutor(1, thread_name_prefix="elsewhere") as pool:
            for work in (lambda: session.run(WEIGHTS, INPUTS), lambda: backend.open(NETWORK)):
                with pytest.raises(SessionOwnerError, match=r"one thread.*'elsewhere_0'"):
                    pool.submit(work).result()
        refused = in_child(lambda: backend.open(NETWORK))
        assert isinstance(refused, HxloopError) and str(os.getpid()) in str(refused)
        in_child(session.close)
        assert same(session.run(WEIGHTS, INPUTS), alone)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(session.close).result()
    with backend.open(NETWORK) as session:
        assert same(session.run(WEIGHTS, INPUTS), alone)
