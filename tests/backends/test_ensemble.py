"""An ensemble: which chip a batch runs on, and what happens when one fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hxloop import LoopNetwork, NetworkSpec, get_backend
from hxloop.backends.ensemble import EnsembleBackend
from hxloop.backends.ideal import IdealBackend, IdealSession
from hxloop.errors import CapacityError, ConfigError, HxloopWarning, RunFailed

CHIP = {"name": "emulated-chip", "solver": "event", "imperfections": "calibrated"}
NETWORK = NetworkSpec.feed_forward(4, 6, 2, t_window=4.0)
RNG = np.random.default_rng(1)
WEIGHTS = [RNG.normal(0.8, 0.3, shape) for shape in NETWORK.shapes]
TIMES = RNG.uniform(0, 1.5, (5, 4))


def on_chip(number: int, trial: int) -> Any:
    options = {key: value for key, value in CHIP.items() if key != "name"}
    with get_backend("emulated-chip", **options, chip=number).open(NETWORK, seed=2) as session:
        return session.run(WEIGHTS, TIMES, trial=trial)


def same(a: Any, b: Any) -> bool:
    return all(map(np.array_equal, a.first_spike_times, b.first_spike_times))


@pytest.mark.parametrize(
    ("options", "chips"),
    [({"numbers": [5, 7, 9]}, (5, 7, 9, 5)), ({"endless": 20}, (20, 21, 22, 23))],
)
def test_every_trial_has_its_chip_and_every_chip_its_own_answer(
    options: dict[str, Any], chips: tuple[int, ...]
) -> None:
    with EnsembleBackend(over=CHIP, **options).open(NETWORK, seed=2) as session:
        # Not in order: a resumed training sees the chips that it would have seen.
        for trial in (2, 0, 3, 1, 2):
            got = session.run(WEIGHTS, TIMES, trial=trial)
            assert same(got, on_chip(chips[trial], trial))
            assert got.info.chip_id.startswith(f"emulated-{chips[trial]}-")
            assert (got.info.backend, got.info.trial) == ("ensemble", trial)
        following = [session.run(WEIGHTS, TIMES).info.chip_id for _ in chips]
    assert len(set(following)) == len(set(chips))


def test_listed_chips_and_the_gradient_at_what_they_recorded() -> None:
    listed = EnsembleBackend(over=[CHIP, {**CHIP, "chip": 1}])
    with listed.open(NETWORK, seed=2) as session:
        loop = LoopNetwork(session, WEIGHTS)
        times, activity = loop(TIMES, trial=1)
    assert same(activity, on_chip(1, 1))
    times[times.isfinite()].sum().backward()
    assert all(matrix.grad.isfinite().all() and matrix.grad.any() for matrix in loop.weights)


def test_of_endless_chips_a_few_are_open() -> None:
    with EnsembleBackend(over=CHIP, endless=0).open(NETWORK, seed=2) as session:
        for trial in range(20):
            session.run(WEIGHTS, TIMES[:1], trial=trial)
        assert session.n_open == 16


class Broken(IdealSession):
    """Fails as its backend says."""

    def _simulate(self, *given: Any) -> Any:
        error = self.backend.error
        if error is not None:
            raise error
        return super()._simulate(*given)


class BrokenBackend(IdealBackend):
    """An ideal substrate with an error."""

    session = Broken
    error: RunFailed | None = None


def broken(error: RunFailed | None) -> IdealBackend:
    made = BrokenBackend()
    object.__setattr__(made, "error", error)
    return made


def test_what_fails_on_one_chip_is_repeated_whole_on_the_next() -> None:
    stalled, dead = RunFailed("stalled", retryable=True), RunFailed("burnt")
    some = EnsembleBackend(over=[broken(stalled), broken(dead), broken(None)])
    with get_backend("ideal").open(NETWORK) as session:
        expected = session.run(WEIGHTS, TIMES)
    with some.open(NETWORK) as session:
        with pytest.warns(HxloopWarning, match="chip 1 failed and is left out.*burnt"):
            first = session.run(WEIGHTS, TIMES, trial=0)
        second = session.run(WEIGHTS, TIMES, trial=1)  # nobody asks the dead one again
    assert same(first, expected) and same(second, expected)
    assert (first.info.retries, second.info.retries) == (2, 0)


@pytest.mark.filterwarnings("ignore::hxloop.errors.HxloopWarning")
@pytest.mark.parametrize("retryable", [True, False])
def test_if_all_fail_that_is_said_and_whether_it_may_be_tried_again(retryable: bool) -> None:
    chips = [broken(RunFailed("burnt", retryable=retryable))] * 2
    with EnsembleBackend(over=chips).open(NETWORK) as session:
        with pytest.raises(RunFailed, match=r"no chip of 2 ran.*burnt") as raised:
            session.run(WEIGHTS, TIMES)
        assert raised.value.retryable is retryable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": CHIP, "numbers": [1, 1]}, "each chip once"),
        ({"over": CHIP, "numbers": [-1]}, "numbers"),
        ({"over": CHIP, "numbers": 3}, "a list of numbers"),
        ({"over": CHIP, "numbers": [1], "endless": 2}, "got both"),
        ({"over": [CHIP], "numbers": [1]}, "expected one table"),
        ({"over": {}, "numbers": [1]}, "name of a backend"),
        ({"over": [CHIP, {**CHIP, "weight_lsb": 0.1}]}, "one kind.*weight_limit"),
    ],
)
def test_bad_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EnsembleBackend(**options)


def test_a_calibration_is_of_one_chip() -> None:
    with pytest.raises(CapacityError, match="a calibration being of one chip"):
        EnsembleBackend(over=CHIP).open(NETWORK, calibration=object())  # type: ignore[arg-type]
