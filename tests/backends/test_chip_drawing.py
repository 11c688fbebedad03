"""Families of chips of other packages: what they draw is what runs, what they owe is checked."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from hxloop import NetworkSpec, get_backend
from hxloop import registry as registry_module
from hxloop.backends.emulated.drawing import NormalDrawing, drawing_of
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import TrialNoise
from hxloop.errors import ConfigError, UnknownNameError

NETWORK = NetworkSpec.feed_forward(12, 6, 2, t_window=4.0)
WEIGHTS = [np.full((12, 6), 0.5), np.full((6, 2), 0.5)]
TIMES = np.stack([np.linspace(0.1, 1.0, 12), np.linspace(0.0, 0.7, 12)])


@dataclass(frozen=True)
class Gradual(NormalDrawing):
    """Thresholds that rise from one circuit to the next, and a common shift in every run."""

    slope: float = 0.01
    common: float = 0.0

    def pattern(
        self, imperfections: Imperfections, chip: int, n_circuits: int
    ) -> Mapping[str, Any]:
        drawn = dict(super().pattern(imperfections, chip, n_circuits))
        return drawn | {"v_threshold": self.slope * np.arange(n_circuits)}

    def noise(self, imperfections: Imperfections, seed: int, trial: int) -> TrialNoise:
        return _Common(imperfections, seed, trial, self.common)

    def noisy(self, imperfections: Imperfections) -> bool:
        return self.common > 0 or super().noisy(imperfections)


@dataclass(frozen=True)
class _Common(TrialNoise):
    size: float = 0.0

    def threshold(self, layer: int, post: int) -> np.ndarray:
        return np.full(post, self.size * (self.trial % 2))


@dataclass(frozen=True)
class Broken(NormalDrawing):
    """Draws what it is told to."""

    name: str = "tau_mem"
    value: str = "short"

    def pattern(
        self, imperfections: Imperfections, chip: int, n_circuits: int
    ) -> Mapping[str, Any]:
        drawn = dict(super().pattern(imperfections, chip, n_circuits))
        if self.value == "none":
            del drawn[self.name]
        elif self.value == "short":
            drawn[self.name] = np.ones(3)
        else:
            drawn[self.name] = np.full(n_circuits, float(self.value))
        return drawn


@dataclass(frozen=True)
class NoFamily:
    """Draws nothing."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules["my_chips"] = sys.modules[__name__]
    points = [
        EntryPoint(name, f"my_chips:{name.capitalize()}", "hxloop.chip_models")
        for name in ("gradual", "broken")
    ] + [EntryPoint("no-family", "my_chips:NoFamily", "hxloop.chip_models")]
    found = registry_module.entry_points

    def entry_points(group: str) -> Any:
        return points if group == "hxloop.chip_models" else found(group=group)

    monkeypatch.setattr(registry_module, "entry_points", entry_points)


def chip(**options: Any) -> Any:
    usual = {"chip": 2, "imperfections": "none", "solver": "event"}
    return get_backend("emulated-chip", **usual | options)


def run(backend: Any, trial: int = 0) -> Any:
    with backend.open(NETWORK, seed=1) as session:
        return session.run(WEIGHTS, TIMES, trial=trial)


def test_what_another_package_draws_is_the_chip_that_runs() -> None:
    gradual = chip(drawn_by="gradual")
    pattern = gradual.substrate_parameters(NETWORK)
    assert pattern["v_threshold"] == pytest.approx(0.01 * np.arange(8))
    assert (pattern["tau_mem"] == 1).all()
    plain, other = run(chip()), run(gradual)
    assert np.isfinite(other.first_spike_times[0]).all()
    # Higher thresholds, later spikes; the first circuit is nominal.
    late = other.first_spike_times[0] - plain.first_spike_times[0]
    assert (late[:, 0] == 0).all() and (np.diff(late, axis=1) > 0).all()


def test_noise_is_its_own_and_is_declared() -> None:
    noisy = chip(drawn_by={"name": "gradual", "common": 0.1})
    assert not noisy.capabilities.deterministic
    assert chip(drawn_by="gradual").capabilities.deterministic
    even, odd, again = (run(noisy, trial).first_spike_times[0] for trial in (0, 1, 1))
    assert (odd > even).all() and np.array_equal(odd, again)


def test_families_are_told_apart_and_the_usual_one_is_what_it_was() -> None:
    plain = chip()
    assert plain.chip_id == chip(drawn_by={"name": "normal"}).chip_id
    assert plain.chip_id.count("-") == 2
    ids = {
        chip(drawn_by=drawn).chip_id
        for drawn in ("normal", "gradual", {"name": "gradual", "slope": 0.02})
    }
    assert len(ids) == 3
    assert drawing_of(Gradual(slope=0.02)) == drawing_of({"name": "gradual", "slope": 0.02})
    backend = replace(plain, drawn_by=Gradual())
    assert pickle.loads(pickle.dumps(backend)).chip_id == backend.chip_id


@pytest.mark.parametrize(
    ("drawn_by", "error", "message"),
    [
        ("gradul", UnknownNameError, "did you mean 'gradual'|known: "),
        ({"name": "gradual", "slop": 1}, UnknownNameError, "option of drawn_by 'gradual' 'slop'"),
        ({"slope": 1}, ConfigError, "a table with a name"),
        (3, ConfigError, "an object that draws chips; got 3"),
        ("no-family", ConfigError, "pattern, noise, noisy"),
    ],
)
def test_what_is_no_family_is_refused_when_the_chip_is_described(
    drawn_by: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        chip(drawn_by=drawn_by)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tau_mem", "short", r"tau_mem: expected shape \(512,\)"),
        ("v_leak", "none", "expected tau_mem, tau_syn_exc.*; got"),
        ("strength_inh", "0", "strength_inh: expected factors above 0"),
        ("v_threshold", "nan", "v_threshold: expected finite numbers"),
    ],
)
def test_what_no_circuit_can_be_is_refused(name: str, value: str, message: str) -> None:
    broken = replace(chip(), drawn_by=Broken(name=name, value=value))
    with pytest.raises(ConfigError, match=message):
        broken.open(NETWORK, seed=1)
