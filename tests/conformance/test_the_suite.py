"""The suite itself: every check notices something, and honest backends of every size pass."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import hxloop.conformance.sharing
import hxloop.training.loop
import hxloop.training.runner
from hxloop.backends.ideal import IdealBackend
from hxloop.conformance import ALL_CHECKS, CHECKS, Subject, run_check, run_checks
from hxloop.errors import CapacityError, ConformanceError, UnknownNameError
from hxloop.network import NetworkSpec
from hxloop.substrate import Capabilities, Session, check_run, get_backend
from tests.conformance import sabotage
from tests.conformance.sabotage import CHIP, NOISY, Backend, as_if, info, inputs, spikes, weights
from tests.conformance.train_sabotage import TRAIN_SABOTAGES

BY_NAME = {check.name: check for check in ALL_CHECKS}
inf = np.inf

# What goes wrong, and which check must notice.
SABOTAGES = [
    ("protocol", Backend(on_open=lambda b, s: setattr(s, "network", None))),
    ("picklable", Backend(run=lambda session, run, w, t: run(w, t))),
    ("shapes", Backend(spikes(lambda s, t: s[:, :-1]))),
    ("shapes", Backend(spikes(lambda s, t: s.astype(np.float32)))),
    ("silent-neurons", Backend(spikes(lambda s, t: np.minimum(s, 4.0)))),
    ("silent-neurons", Backend(spikes(lambda s, t: np.where(s == s, inf, s)))),
    ("no-input", Backend(spikes(lambda s, t: np.where(np.isinf(t).all(), 1.0, s)))),
    ("silent-sample", Backend(spikes(lambda s, t: np.where(np.isinf(s), np.roll(s, 1, 0), s)))),
    ("silent-layer", Backend(spikes(lambda s, t: np.minimum(s, 3.0), layer=-1))),
    ("run-info", Backend(info(backend="another"))),
    ("run-info", Backend(info(versions={}))),
    ("run-info", Backend(info(clipped_weights=()))),
    ("run-info", Backend(info(zeroed_weights=()), inner=CHIP)),
    ("run-info", Backend(info(duration_seconds=0.0))),
    ("run-info", Backend(info(retries=-1))),
    ("arguments-untouched", Backend(sabotage.writes)),
    ("arguments-untouched", Backend(sabotage.views)),
    ("results-independent", Backend(sabotage.one_buffer)),
    ("delivered-inputs", Backend(lambda s, run, w, t: run(w, t + 0.1))),
    ("delivered-inputs", Backend(info(rounded_inputs=0), inner=CHIP)),
    ("input-at-zero", Backend(inputs(lambda t: np.where(t == 0, 0.1, t)))),
    ("input-at-window-end", Backend(inputs(lambda t: np.where(np.isfinite(t), t % 4, t)))),
    ("spikes-near-window-end", Backend(network=sabotage.wider)),
    ("simultaneous-inputs", Backend(inputs(sabotage.first_of_equal))),
    ("causality", Backend(spikes(lambda s, t: 0.1 * s))),
    ("inhibition-delays", Backend(weights(sabotage.without_inhibition))),
    ("inhibition-delays", Backend(weights(np.abs))),
    ("brief-crossing", Backend(inputs(lambda t: np.maximum(t - 0.01, 0)))),
    ("grazing-crossing", Backend(weights(lambda w: w * (1 - 1e-8)))),
    ("grazing-crossing", Backend(weights(lambda w: w * (1 + 1e-8)))),
    ("a-b-a", Backend(sabotage.drifts)),
    ("many-to-one", Backend(sabotage.remembers)),
    ("seeded-noise", Backend(lambda s, run, w, t: s.inner.run(w, t), inner=NOISY)),
    ("neighbours", Backend(spikes(lambda s, t: s + 0.1 * np.isfinite(t).mean()))),
    ("order", Backend(spikes(lambda s, t: s + 0.1 * np.arange(len(s))[:, None]))),
    ("batch-size", Backend(spikes(lambda s, t: s + 0.1 * len(s)))),
    ("input-order", Backend(inputs(lambda t: t + 0.01 * np.arange(t.shape[1])))),
    ("weights-as-held", Backend(lambda s, run, w, t: run([np.round(m, 1) for m in w], t))),
    ("weights-as-held", Backend(declares={"weight_levels": 7, "weight_limit": 0.9})),
    ("weights-at-the-limit",
     Backend(lambda s, run, w, t: run([0.9 * m for m in w], t), inner=CHIP)),
    ("weights-at-the-limit", Backend(info(clipped_weights=(1, 1, 1)), inner=CHIP)),
    ("weights-beyond-the-limit", Backend(info(clipped_weights=(0, 0, 0)), inner=CHIP)),
    ("weights-beyond-the-limit", Backend(sabotage.counts_clipped_codes, inner=CHIP)),
    ("weights-rounded-to-zero", Backend(info(zeroed_weights=(0, 0, 0)), inner=CHIP)),
    ("weights-beyond-the-limit", Backend(declares={"weight_levels": 63, "weight_limit": 0.8})),
    ("weights-beyond-the-limit", Backend(weights(lambda w: np.clip(w, -1, 1)))),
    ("tau-ratio-1", Backend(network=as_if(tau_mem=1.001))),
    ("tau-ratio-1.7", Backend(network=as_if(tau_mem=1.0))),
    ("tau-ratio-2", Backend(network=as_if(tau_mem=1.7))),
    ("tau-ratio-0.5", Backend(network=as_if(tau_mem=0.51))),
    ("tau-ratio-5", Backend(network=as_if(tau_mem=4.9))),
    # A membrane that is 1 % too high, hidden by a coarse resolution and easy neurons.
    ("tau-ratio-5", Backend(weights(lambda w: 1.01 * w), declares={"time_resolution": 0.02})),
    ("potentials", Backend(network=as_if(v_leak=-0.5))),
    ("time-unit", Backend(network=as_if(tau_syn=1.0))),
    ("time-resolution", Backend(spikes(lambda s, t: s + 2e-9))),
    ("time-resolution", Backend(spikes(lambda s, t: np.where(s > 1.2, inf, s)))),
    ("latency", Backend(spikes(lambda s, t: s + 8e-4), declares={"time_resolution": 1e-3})),
    ("latency", Backend(declares={"latency": 0.1})),
    ("gradients", Backend(spikes(lambda s, t: s + 0.2, layer=0))),
    ("gradient-step", Backend(sabotage.stale_weights)),
    ("gradient-step", Backend(sabotage.stale_weights, inner=NOISY)),
    ("reopen", Backend(lambda s, run, w, t: spikes(
        lambda times, t: times + 1e-9 * len(s.backend.sessions))(s, run, w, t))),
    ("closed-session-refuses", Backend(closes=False)),
    ("second-session", Backend(on_open=sabotage.closes_the_others)),
    ("nothing-left-open", Backend(on_open=sabotage.leaves_files_open)),
    ("nothing-left-open", Backend(sabotage.slows_down)),
    ("threads", Backend(sabotage.through_one_place)),
    ("threads", Backend(sabotage.through_one_place, inner=CHIP)),
    ("forked-child", Backend(sabotage.through_one_file)),
    ("forked-child", Backend(sabotage.in_a_folder)),
    ("forked-child", Backend(sabotage.in_the_parent_only(sabotage.refuses_without_names))),
    ("forked-child", Backend(sabotage.in_the_parent_only(threading.Event().wait))),
    ("forked-child", Backend(sabotage.in_the_parent_only(lambda: os.kill(os.getpid(), 9)))),
    ("copies", Backend(on_open=sabotage.is_copied_by(sabotage.without_end))),
    ("copies", Backend(on_open=sabotage.is_copied_by(lambda session: session))),
    ("memory", Backend(sabotage.leaks)),
    ("memory-of-many-runs", Backend(sabotage.leaks)),
    *((name, Backend(sabotage.refuses_nothing)) for name in BY_NAME if name.startswith("bad-")),
    ("unknown-record", Backend(refuses=False)),
    ("unknown-calibration", Backend(refuses=False)),
    ("largest-batch", Backend(declares={"max_batch": 8})),
    ("most-layers", Backend(declares={"max_layers": 4})),
    ("most-neurons", Backend(declares={"max_neurons": 50})),
    ("largest-fan-in", Backend(declares={"max_fan_in": 50})),
    # Statistics see what is grossly wrong.
    ("time-resolution", Backend(weights(lambda w: 0.5 * w), inner=NOISY)),
    ("a-b-a", Backend(lambda s, run, w, t: spikes(
        lambda times, t: times + 0.1 * (len(s.memory) > 5))(
            s, lambda *x: (s.memory.append(0), run(*x))[1], w, t), inner=NOISY)),
    ("order", Backend(spikes(lambda s, t: s + 0.1 * np.arange(len(s))[:, None]), inner=NOISY)),
]  # fmt: skip
IDS = [f"{number}-{name}" for number, (name, _) in enumerate(SABOTAGES)]


@pytest.mark.parametrize(("name", "backend"), SABOTAGES, ids=IDS)
def test_a_broken_promise_is_noticed(
    name: str, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hxloop.conformance.sharing, "CHILD_SECONDS", 5.0)
    try:
        with Subject(backend) as subject:
            result = run_check(BY_NAME[name], subject)
    finally:
        for leaked in sabotage.LEAKED:
            getattr(leaked, "close", lambda: None)()
        sabotage.LEAKED.clear()
    assert result.status == "failed", result


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.startswith("fault-")])
def test_a_loop_that_absorbs_faults_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = hxloop.training.runner
    monkeypatch.setattr(runner, "check_activity", lambda activity, network, asked: None)
    monkeypatch.setattr(runner, "check_physics", lambda activity, *_: activity)
    if name in ("fault-transient", "fault-raised"):
        forward = hxloop.training.loop.LoopNetwork.forward

        def stubborn(self: Any, input_times: Any, trial: Any = None) -> Any:
            try:
                return forward(self, input_times, trial)
            except (Exception, KeyboardInterrupt):  # noqa: BLE001
                return forward(self, input_times, trial)

        monkeypatch.setattr(hxloop.training.loop.LoopNetwork, "forward", stubborn)
    with Subject(get_backend("ideal")) as subject:
        assert run_check(BY_NAME[name], subject).status == "failed"


def test_every_check_has_failed() -> None:
    seen = {name for name, _ in (*SABOTAGES, *TRAIN_SABOTAGES)} | {
        n for n in BY_NAME if n.startswith("fault-")
    }
    assert seen == set(BY_NAME)


# --- honest backends, large and small ---------------------------------------------------------


@dataclass(frozen=True)
class Small:
    """An honest backend with limits: the ideal one behind the checks of its capabilities."""

    max_layers: int | None = None
    max_neurons: int | None = None
    max_fan_in: int | None = None
    max_batch: int | None = None
    tau_ratios: tuple[float, ...] | None = None
    weight_limit: float | None = None
    latency: float = 0.0
    resolution: float = 1e-9
    known: tuple[tuple[str, str], ...] = ()

    name = "ideal"

    @property
    def known_deviations(self) -> dict[str, str]:
        return dict(self.known)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            deterministic=True,
            time_resolution=self.resolution,
            latency=self.latency,
            weight_limit=self.weight_limit,
            max_layers=self.max_layers,
            max_neurons=self.max_neurons,
            max_fan_in=self.max_fan_in,
            max_batch=self.max_batch,
            tau_ratios=self.tau_ratios,
        )

    def open(self, network: NetworkSpec, *, calibration: Any = None, seed: Any = None) -> Session:
        hxloop.substrate.check_network(network, self.capabilities, self.name)
        if self.max_neurons is not None and sum(network.sizes[1:]) > self.max_neurons:
            raise CapacityError("too many neurons")
        if self.max_fan_in is not None and max(network.sizes[:-1]) > self.max_fan_in:
            raise CapacityError("too many inputs")
        inner = IdealBackend().open(network, calibration=calibration)
        return SmallSession(self, inner, network)


class SmallSession(sabotage.Sabotaged):
    def run(self, weights: Any, input_times: Any, *, record: Any = (), trial: Any = None) -> Any:
        matrices, times = check_run(self.network, weights, input_times, self.capabilities, record)
        limit = self.backend.weight_limit or inf
        clipped = tuple(int((np.abs(matrix) > limit).sum()) for matrix in matrices)
        held = tuple(np.clip(matrix, -limit, limit) for matrix in matrices)
        layers, previous = [], times
        for layer, matrix in zip(self.network.layers, held, strict=True):
            network = NetworkSpec(matrix.shape[0], (layer,), self.network.t_window)
            with IdealBackend().open(network) as one:
                late = one.run([matrix], previous).first_spike_times[0] + self.backend.latency
            previous = np.where(late <= self.network.t_window, late, inf)
            layers.append(previous)
        activity = self.inner.run(matrices, times)
        return replace(
            activity,
            first_spike_times=tuple(layers),
            weights_used=held,
            info=replace(activity.info, clipped_weights=clipped),
        )

    def close(self) -> None:
        self.inner.close()
        self.run = self.inner.run  # type: ignore[method-assign]


SMALL = [
    Small(),
    Small(max_layers=1, max_neurons=12, max_fan_in=10, max_batch=1),
    Small(max_layers=2, max_neurons=7, max_fan_in=40, max_batch=5, weight_limit=0.3),
    Small(tau_ratios=(2.0,), weight_limit=5.0),
    Small(latency=0.1, resolution=1e-3),
]


@pytest.mark.parametrize("backend", SMALL, ids=str)
def test_an_honest_backend_passes_whatever_its_limits(backend: Small) -> None:
    # What the limits decide; the rest does not know them.
    checks = [check for check in CHECKS if check.group not in ("faults", "lifecycle", "sharing")]
    report = run_checks(Subject(backend), checks)
    assert [result for result in report.results if not result.good] == []
    names = {result.check for result in report.results if result.status == "passed"}
    for limit in ("max_layers", "max_neurons", "max_fan_in", "max_batch"):
        check = {
            "max_layers": "most-layers",
            "max_neurons": "most-neurons",
            "max_fan_in": "largest-fan-in",
            "max_batch": "largest-batch",
        }[limit]
        assert (check in names) == (getattr(backend, limit) is not None)


def test_a_backend_too_small_for_any_check_is_told() -> None:
    with pytest.raises(CapacityError, match="too small to be checked: 2 neurons"):
        Subject(Small(max_neurons=2))  # type: ignore[arg-type]


def test_known_deviations_are_expected_and_strict() -> None:
    missing = (("largest-batch", "no limit"), ("order", "it never passed"))
    report = run_checks(Subject(Small(known=missing)), [BY_NAME["order"]])
    assert [r.status for r in report.results] == ["unexpected pass"]
    assert not report.good and "it never passed" in report.results[0].detail
    late = Backend(spikes(lambda s, t: s + 0.1 * len(s)), known_deviations={"batch-size": "why"})
    report = run_checks(Subject(late), [BY_NAME["batch-size"], BY_NAME["order"]])
    assert [r.status for r in report.results] == ["expected", "passed"]
    assert report.good and report.results[0].detail.startswith("why (")


def test_a_known_deviation_without_a_check_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no check is named no-such-check"):
        run_checks(Subject(Small(known=(("no-such-check", "why"),))))  # type: ignore[arg-type]


def test_whatever_a_backend_raises_is_a_result() -> None:
    class Strange(Exception):
        pass

    def run(session: Any, run: Any, w: Any, t: Any) -> Any:
        raise Strange("from the simulator")

    with Subject(Backend(run)) as subject:
        result = run_check(BY_NAME["order"], subject)
    assert result.status == "failed" and result.detail == "raised Strange: from the simulator"


def test_a_broken_promise_is_both_an_hxloop_and_an_assertion_error() -> None:
    assert issubclass(ConformanceError, AssertionError)
    assert len({check.name for check in ALL_CHECKS}) == len(ALL_CHECKS)
    assert all(check.description.endswith(".") for check in ALL_CHECKS)
