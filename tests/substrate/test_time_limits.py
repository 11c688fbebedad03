"""Sessions that hang end in an error; gradients of inputs."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from hxloop import (
    Activity,
    Capabilities,
    LoopNetwork,
    Trainer,
    TrainingOptions,
    get_backend,
    record,
)
from hxloop.errors import RunFailed, RunTimeout
from hxloop.substrate.guard import SessionGuard
from tests.substrate.disturbed_session import DATA, LOSS, SPEC, TIMES, WEIGHTS, Session

# --- a session that hangs ---------------------------------------------------------------------


def test_a_session_that_hangs_ends_in_an_error() -> None:
    release = threading.Event()
    session = Session(before=lambda *_: release.wait(20))
    network = LoopNetwork(session, WEIGHTS, time_limit=0.1, retries=5)
    try:
        with pytest.raises(RunTimeout, match=r"Session: run of 10 samples .* 0.1 s") as caught:
            network.forward(TIMES)
        assert not caught.value.retryable
        with pytest.raises(RunFailed, match="not used any more"):
            network.forward(TIMES)
    finally:
        release.set()


class Guarded(Session):
    """A session that owns something, as those of simulators, chips and recordings do."""

    guard: SessionGuard
    put_away = False

    def run(self, weights, input_times, *, record=(), trial=None) -> Activity:
        with self.guard.alone():
            return super().run(weights, input_times, record=record, trial=trial)

    def close(self) -> None:
        with self.guard.closing() as alone:
            self.put_away = alone


@pytest.mark.parametrize("recorded", [False, True])
def test_a_session_whose_run_hangs_can_be_closed(tmp_path, recorded) -> None:
    # Regression: close() waited for the run that hung, and with it the whole training, for ever.
    release = threading.Event()
    inner = Guarded(before=lambda *_: release.wait(20))
    inner.guard = SessionGuard("backend 'mine'", "its chip")
    session = record(inner, tmp_path / "runs.h5") if recorded else inner
    try:
        with session, pytest.raises(RunTimeout):
            LoopNetwork(session, WEIGHTS, time_limit=0.1).forward(TIMES)
        assert not release.is_set() and not inner.put_away
        with pytest.raises(RunTimeout, match="still at work in this process"), inner.guard.alone():
            pass
    finally:
        release.set()
    with inner.guard.alone():  # the run has come back after all
        pass
    if recorded:
        with record(Session(), tmp_path / "runs.h5", append=True) as again:
            LoopNetwork(again, WEIGHTS).forward(TIMES)
        with get_backend("replay", path=tmp_path / "runs.h5").open(SPEC) as replayed:
            LoopNetwork(replayed, WEIGHTS).forward(TIMES)
            with pytest.raises(RunFailed):  # the run that hung is not in it
                LoopNetwork(replayed, WEIGHTS).forward(TIMES + 0.1)


def test_hardware_says_how_long_a_run_may_take_and_simulators_do_not() -> None:
    release = threading.Event()
    session = Session(before=lambda *_: release.wait(20), time_limit=0.1)
    try:
        with pytest.raises(RunTimeout):
            LoopNetwork(session, WEIGHTS).forward(TIMES)
    finally:
        release.set()
    assert get_backend("pynn-brainscales2").capabilities.time_limit > 10
    assert get_backend("ideal").capabilities.time_limit is None
    slow = Session(before=lambda *_: time.sleep(0.2), time_limit=0.05)
    assert LoopNetwork(slow, WEIGHTS, time_limit=np.inf).forward(TIMES)


def test_errors_of_a_limited_run_arrive_as_they_are() -> None:
    def fails(*_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        LoopNetwork(Session(before=fails), WEIGHTS, time_limit=10).forward(TIMES)
    within = LoopNetwork(Session(), WEIGHTS, time_limit=10).forward(TIMES)[0]
    without = LoopNetwork(Session(), WEIGHTS).forward(TIMES)[0]
    assert torch.equal(within, without)


def test_a_training_takes_the_time_limit_from_its_options() -> None:
    options = TrainingOptions(epochs=1, time_limit=np.float32(5))
    network = LoopNetwork(Session(), WEIGHTS)
    Trainer(network, LOSS, DATA, DATA, options).fit()
    assert network.time_limit == 5.0
    assert Capabilities(deterministic=True, time_resolution=0.0).time_limit is None


# --- gradients of inputs ------------------------------------------------------------------


def test_inputs_that_require_a_gradient_get_one() -> None:
    times = torch.tensor(TIMES, requires_grad=True)
    LoopNetwork(Session(), WEIGHTS).forward(times)[0].sum().backward()
    # Shifting all inputs shifts every spike as much.
    np.testing.assert_allclose(times.grad.sum(dim=1), 2.0, rtol=1e-9)
