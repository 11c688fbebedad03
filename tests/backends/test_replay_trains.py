"""Recordings of networks whose neurons spike again, with loops and delays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hxloop import get_backend, record
from hxloop.activity import Spikes
from hxloop.errors import FileFormatError, RunFailed
from hxloop.network import Feature, NetworkSpec, NeuronSpec, Parameters, Population, Projection
from hxloop.substrate.recording.file import SessionFile
from hxloop.substrate.recording.trains import train_array, train_of
from hxloop.training.loop import LoopNetwork

AGAIN = NeuronSpec(t_refractory=0.3, v_reset=-0.2)
LOOP = NetworkSpec(
    3,
    (Population("a", 4, AGAIN), Population("b", 2)),
    t_window=4.0,
    projections=(
        Projection("input", "a"),
        Projection("a", "a", delays="axonal", min_delay=0.1),
        Projection("a", "b", delays="synaptic"),
    ),
)
CHAIN = NetworkSpec.feed_forward(3, 4, 2, t_window=4.0)
RNG = np.random.default_rng(5)
DELAYS = (None, 0.1 + RNG.random(4), RNG.random((4, 2)))
PARAMETERS = Parameters(
    (np.full((3, 4), 4.0), RNG.normal(0, 0.3, (4, 4)), np.full((4, 2), 0.8)), DELAYS
)
INPUTS = Spikes.from_events(
    [0, 0, 0, 1, 1, 2], [0, 1, 0, 2, 2, 1], RNG.random(6) * 3, batch=4, n_units=3
)


def replay(path: Path, network: NetworkSpec = LOOP, **options: Any) -> Any:
    return get_backend("replay", path=str(path), **options).open(network)


def assert_same(a: Any, b: Any) -> None:
    assert a.inputs == b.inputs
    assert all(x == y for x, y in zip(a.spikes, b.spikes, strict=True))
    pairs = zip(a.parameters.named().values(), b.parameters.named().values(), strict=True)
    for x, y in pairs:
        assert x.dtype == y.dtype and np.array_equal(x, y)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list[Any]]:
    path = tmp_path / "loop.h5"
    other = Parameters(PARAMETERS.weights, (None, DELAYS[1] + 0.5, DELAYS[2]))
    with record(get_backend("ideal").open(LOOP), path) as session:
        runs = [session.run(PARAMETERS, INPUTS), session.run(other, INPUTS)]
    return path, runs


def test_trains_and_delays_are_replayed(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    assert runs[0].spikes[0].count.max() > 1
    with h5py.File(path) as file:
        assert file.attrs["version"] == 2
    with replay(path) as session:
        assert session.capabilities.features >= LOOP.features
        assert_same(session.run(PARAMETERS, INPUTS), runs[0])
        late = Parameters(PARAMETERS.weights, (None, DELAYS[1] + 0.5, DELAYS[2]))
        assert_same(session.run(late, INPUTS), runs[1])
        off = Parameters(PARAMETERS.weights, (None, DELAYS[1] + 1e-7, DELAYS[2]))
        with pytest.raises(RunFailed, match="differ by up to 1e-07"):
            session.run(off, INPUTS)
        with pytest.raises(RunFailed, match="and other inputs"):
            session.run(PARAMETERS, INPUTS.select([0, 1]))
    with replay(path, tolerance=1e-6) as session:
        assert_same(session.run(off, INPUTS), runs[0])


def test_the_loop_trains_on_a_recording(recorded: tuple[Path, list[Any]]) -> None:
    found = []
    for session in (get_backend("ideal").open(LOOP), replay(recorded[0])):
        with session:
            loop = LoopNetwork(session, PARAMETERS)
            trains, _ = loop.trains(INPUTS)
            sum(train.times.sum() for train in trains).backward()
            found.append([np.asarray(each.grad) for each in (*loop.weights, *loop.delays)])
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b) and np.isfinite(a).all()


def test_single_precision_and_a_chip(tmp_path: Path) -> None:
    again = NetworkSpec.feed_forward(3, 4, 2, neuron=AGAIN, t_window=4.0)
    weights = [np.full((3, 4), 1.5), np.full((4, 2), 0.7)]
    for name, options in (
        ("ideal", {"precision": "single"}),
        ("emulated-chip", {"solver": "event", "chip": 2}),
    ):
        path = tmp_path / f"{name}.h5"
        with record(get_backend(name, **options).open(again, seed=3), path) as session:
            runs = [session.run(weights, INPUTS) for _ in range(2)]
        with replay(path, again) as session:
            for run in runs:
                assert_same(session.run(weights, INPUTS), run)


def test_inputs_that_spike_again_go_with_a_chain(tmp_path: Path) -> None:
    """The file is of version 1 until there are some, so that others can read it."""
    path, weights = tmp_path / "chain.h5", [np.full((3, 4), 1.5), np.full((4, 2), 0.7)]
    with record(get_backend("ideal").open(CHAIN), path) as session:
        once = session.run(weights, INPUTS.first)
    with h5py.File(path) as file:
        assert file.attrs["version"] == 1
        assert "trains" not in file["runs"]["00000000"].asstr()[()]
    with record(get_backend("ideal").open(CHAIN), path, append=True) as session:
        several = session.run(weights, INPUTS)
    with h5py.File(path) as file:
        assert file.attrs["version"] == 2
    with replay(path, CHAIN) as session:
        assert Feature.MULTI_SPIKE in session.capabilities.features
        assert_same(session.run(weights, INPUTS), several)
        assert_same(session.run(weights, INPUTS.first), once)


def test_damage_is_noticed(recorded: tuple[Path, list[Any]]) -> None:
    path, _ = recorded
    with SessionFile(path) as file:
        (digest, *_) = file.runs[0].spikes
    with h5py.File(path, "r+") as file:
        text = file["runs"]["00000000"].asstr()[()]
        file["arrays"][digest][-1, 2] = 0.0
    with replay(path) as session, pytest.raises(FileFormatError, match="damaged"):
        session.run(PARAMETERS, INPUTS)
    for broken in (
        text.replace('"trains": true', '"trains": false'),
        text.replace('"asked_delays": [null', '"asked_delays": [7'),
        text.replace('"held_delays": [null', '"held_delays": ["' + "a" * 64 + '"'),
        text.replace('"held_delays"', '"other_delays"'),
    ):
        assert broken != text
        with h5py.File(path, "r+") as file:
            del file["runs"]["00000000"]
            file["runs"].create_dataset("00000000", data=broken, dtype=h5py.string_dtype())
        with pytest.raises(FileFormatError, match="recorded session"):
            replay(path)


def test_a_train_is_an_array() -> None:
    array = train_array(INPUTS)
    assert array.shape == (7, 3) and train_of(array, "x") == INPUTS
    nothing = Spikes.from_first(np.full((2, 3), np.inf))
    assert train_of(train_array(nothing), "x") == nothing
    for place, value, match in (
        ((0, 0), 0.5, "whole numbers"),
        ((0, 2), 9.0, "expected 9 spikes"),
        ((0, 1), 1.0, "expected 0 to 0"),
        ((1, 0), -1.0, "whole numbers"),
        ((1, 0), 3.0, "sorted"),
        ((1, 2), 9.0, "sorted"),
        ((6, 2), np.inf, "finite time"),
        ((6, 2), np.nan, "finite time"),
    ):
        bad = array.copy()
        bad[place] = value
        with pytest.raises(FileFormatError, match=f"file: .*{match}|file: {match}|{match}"):
            train_of(bad, "file")
    with pytest.raises(FileFormatError, match="float64"):
        train_of(array[:, :2], "file")
