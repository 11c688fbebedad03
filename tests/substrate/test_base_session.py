"""What a session inherits, and a third party's backend of one method."""

from __future__ import annotations

import copy
import pickle
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

import hxloop.registry
from hxloop import LoopNetwork, NetworkSpec, get_backend
from hxloop.conformance import CHECKS, Subject, run_check
from hxloop.errors import (
    CapacityError,
    RunInputError,
    SessionClosedError,
    SessionCopyError,
    UnknownNameError,
)
from hxloop.substrate import (
    Backend,
    BaseBackend,
    BaseSession,
    Capabilities,
    OwnedSession,
    Session,
    Simulated,
)
from hxloop.substrate.optional import circuits_of, description, known_deviations

NETWORK = NetworkSpec.feed_forward(3, 4, 2, t_window=6.0)
WEIGHTS = [np.full(shape, 1.5) for shape in NETWORK.shapes]
TIMES = np.array([[0.1, np.inf, 0.2], [1.0, 2.0, 3.0]])


class EchoSession(BaseSession["EchoBackend"]):
    """Neurons spike with the first input of their sample; keeps what it was called with."""

    said: ClassVar[dict[str, Any]] = {}

    def _simulate(self, weights: Any, input_times: Any, trial: int | None) -> Simulated:
        self.seen = (weights, input_times, trial)
        first = np.min(input_times, axis=1, keepdims=True)
        spikes = [np.repeat(first, matrix.shape[1], axis=1) for matrix in weights]
        return Simulated(first_spike_times=spikes, **self.said)

    def streams(self, *trials: int | None) -> list[int]:
        return [self._stream(trial) for trial in trials]


@dataclass(frozen=True)
class EchoBackend(BaseBackend):
    """Options: none of weight."""

    loud: bool = False

    name: ClassVar[str] = "echo"
    session: ClassVar[type[EchoSession]] = EchoSession
    capabilities = Capabilities(deterministic=True, time_resolution=0.0, max_batch=2, max_layers=2)


class OwnedEcho(OwnedSession["EchoBackend"]):
    freed = 0

    def _simulate(self, weights: Any, input_times: Any, trial: int | None) -> Simulated:
        return Simulated(first_spike_times=[np.zeros((len(input_times), 4)), input_times[:, :2]])

    def _free(self) -> None:
        self.freed += 1


def test_what_inherits_fulfils_the_protocols() -> None:
    backend = EchoBackend(loud=True)
    assert isinstance(backend, Backend) and pickle.loads(pickle.dumps(backend)) == backend
    assert description(backend) == "" and known_deviations(backend) == {}
    with backend.open(NETWORK, seed=3) as session:
        assert isinstance(session, Session) and session.backend is backend and session.seed == 3
        assert circuits_of(session) is None


def test_what_is_opened_is_checked() -> None:
    wrong: Any = object()
    with pytest.raises(CapacityError, match=r"'echo': takes no calibration.*nothing to calibrate"):
        EchoBackend().open(NETWORK, calibration=wrong)
    with pytest.raises(RunInputError, match="seed"):
        EchoBackend().open(NETWORK, seed=-1)
    with pytest.raises(CapacityError, match="at most 2 layers"):
        EchoBackend().open(NetworkSpec.feed_forward(3, 4, 4, 2))


def test_a_run_is_checked_before_the_substrate_sees_it() -> None:
    with EchoBackend().open(NETWORK) as session:
        for weights, times, options in (
            (WEIGHTS[:1], TIMES, {}),
            (WEIGHTS, TIMES[:, :2], {}),
            (WEIGHTS, np.zeros((3, 3)), {}),
            (WEIGHTS, TIMES, {"trial": -1}),
            (WEIGHTS, TIMES, {"record": ["voltages"]}),
        ):
            with pytest.raises(RunInputError):
                session.run(weights, times, **options)
        assert not hasattr(session, "seen")


def test_a_run_is_answered_in_memory_of_its_own_timed_and_told() -> None:
    with EchoBackend().open(NETWORK, seed=3) as session:
        before = time.perf_counter()
        activity = session.run(WEIGHTS, TIMES.tolist(), trial=5)
        passed = time.perf_counter() - before
        weights, times, trial = session.seen
        assert trial == 5 and times.dtype == np.float64
        assert not times.flags.writeable and not weights[0].flags.writeable
    np.testing.assert_array_equal(activity.input_times, TIMES)
    np.testing.assert_array_equal(activity.first_spike_times[1], [[0.1, 0.1], [1.0, 1.0]])
    for got, asked in zip(activity.weights_used, WEIGHTS, strict=True):
        np.testing.assert_array_equal(got, asked)
        assert not np.shares_memory(got, asked) and got.flags.writeable
    info = activity.info
    assert info.backend == "echo" and info.versions["hxloop"] and info.clipped_weights == (0, 0)
    assert 0 < info.duration_seconds < passed
    assert info.seed is None and info.trial is None  # no noise was used


def test_what_the_substrate_changed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "clipped_weights": (1, 2), "zeroed_weights": (3, 4), "rounded_inputs": 5,
        "tied_outputs": 6, "discarded_spikes": 7, "lost_spikes": 8, "trial": 9,
        "repeated_spikes": 10,
    }  # fmt: skip
    held = [0.5 * matrix for matrix in WEIGHTS]
    changed = {**said, "weights_used": held, "input_times": TIMES + 0.01}
    monkeypatch.setattr(EchoSession, "said", changed)
    with EchoBackend().open(NETWORK, seed=3) as session:
        activity = session.run(WEIGHTS, TIMES)
    assert {name: getattr(activity.info, name) for name in said} == said
    assert activity.info.seed == 3
    assert activity.weights_used == tuple(held)
    np.testing.assert_array_equal(activity.input_times, TIMES + 0.01)
    made = replace(activity.info, chip_id="elsewhere", duration_seconds=1e3)
    monkeypatch.setattr(EchoSession, "said", {"info": made})
    with EchoBackend().open(NETWORK) as session:
        assert session.run(WEIGHTS, TIMES).info == made


def test_streams_of_noise_are_counted() -> None:
    with EchoBackend().open(NETWORK) as session:
        assert session.streams(None, 7, None, None) == [0, 7, 1, 2]


def test_a_closed_session_says_so_and_closes_once() -> None:
    session = EchoBackend().open(NETWORK)
    session.close()
    session.close()
    with pytest.raises(SessionClosedError, match="backend 'echo': this session is closed"):
        session.run(WEIGHTS, TIMES)
    owned = OwnedEcho(EchoBackend(), NETWORK, behind="a thing")
    owned.run(WEIGHTS, TIMES)
    owned.close()
    owned.close()
    assert owned.freed == 1
    with pytest.raises(SessionClosedError):
        owned.run(WEIGHTS, TIMES)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_has_nothing_behind_it_is_copied_and_what_has_is_not(make: Any) -> None:
    with EchoBackend().open(NETWORK) as session:
        made = make(session)
        other = pickle.loads(made) if isinstance(made, bytes) else made
        assert other.run(WEIGHTS, TIMES).batch == 2
    with (
        OwnedEcho(EchoBackend(), NETWORK, behind="a thing") as owned,
        pytest.raises(SessionCopyError, match="OwnedEcho"),
    ):
        make(owned)


# --- what CONTRIBUTING shows ----------------------------------------------------------------


@pytest.fixture(scope="module")
def shown() -> Iterator[ModuleType]:
    """The backend of one method in CONTRIBUTING, as a module."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from dataclasses.*?)```", text, re.DOTALL)
    module = ModuleType("my_package")
    sys.modules["my_package"] = module
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    yield module
    del sys.modules["my_package"]


def test_a_backend_of_one_method_trains_by_its_name(
    shown: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("my-chip", "my_package:MyChipBackend", hxloop.substrate.ENTRY_POINT_GROUP)
    monkeypatch.setattr(hxloop.registry, "entry_points", lambda group: [point])
    with pytest.raises(UnknownNameError, match="'tock'; known: tick"):
        get_backend("my-chip", tock=1.0)
    written = [name for name in vars(shown.MyChipSession) if not name.startswith("__")]
    assert [name for name in written if callable(getattr(shown.MyChipSession, name))] == [
        "_simulate"
    ]
    with get_backend("my-chip", tick=0.01).open(NETWORK) as session:
        loop = LoopNetwork(session, WEIGHTS)
        spikes, activity = loop.forward(TIMES)
        spikes[spikes.isfinite()].sum().backward()
    fired = activity.output_times[np.isfinite(activity.output_times)]
    assert fired.size
    np.testing.assert_allclose(fired, np.rint(fired / 0.01) * 0.01, rtol=1e-12)
    assert float(loop.weights[0].grad.abs().sum()) > 0


@pytest.fixture(scope="module")
def subject(shown: ModuleType) -> Iterator[Subject]:
    with Subject(shown.MyChipBackend()) as subject:
        yield subject


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_a_backend_of_one_method_keeps_what_all_promise(check: Any, subject: Subject) -> None:
    result = run_check(check, subject)
    assert result.good, result.detail
