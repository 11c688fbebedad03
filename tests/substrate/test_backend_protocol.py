"""The checks before a run, and the registry."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

import hxloop.registry
import hxloop.substrate.protocol
from hxloop.activity import Activity, RunInfo
from hxloop.errors import (
    CapacityError,
    HxloopError,
    MissingDependencyError,
    RunFailed,
    RunInputError,
    UnknownNameError,
    unknown_name,
)
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import (
    Backend,
    Capabilities,
    Session,
    backend_class,
    backend_names,
    check_network,
    check_run,
    get_backend,
)

NETWORK = NetworkSpec.feed_forward(3, 4, 2)
CAPABLE = Capabilities(
    deterministic=True, time_resolution=1e-9, records=frozenset({"voltages"}), max_batch=4
)


def good() -> tuple[list[Any], Any]:
    return [np.ones((3, 4)), np.ones((4, 2))], np.array([[0.1, np.inf, 0.2], [1.0, 2.0, 3.0]])


def with_entry(array: Any, index: tuple[int, int], value: float) -> Any:
    changed = np.array(array, dtype=np.float64)
    changed[index] = value
    return changed


# --- check_run ----------------------------------------------------------------------------


def test_good_input_passes_unchanged_and_uncopied() -> None:
    weights, times = good()
    for array in (*weights, times):
        array.flags.writeable = False
    checked_weights, checked_times = check_run(NETWORK, weights, times, CAPABLE, ("voltages",))
    assert checked_times is times
    assert all(got is given for got, given in zip(checked_weights, weights, strict=True))


def test_lists_integers_and_float32_become_float64() -> None:
    weights, times = check_run(
        NETWORK, [[[1] * 4] * 3, np.ones((4, 2), np.float32)], [[0, 1, 2]], CAPABLE
    )
    assert [array.dtype for array in (*weights, times)] == [np.float64] * 3
    np.testing.assert_array_equal(times, [[0.0, 1.0, 2.0]])


BAD_RUNS: list[tuple[str, Callable[[list[Any], Any], tuple[Any, Any]], str]] = [
    ("too few matrices", lambda w, t: (w[:1], t), "sequence of 2 matrices.*3-4-2; got 1"),
    ("too many matrices", lambda w, t: ([*w, w[0]], t), "sequence of 2 matrices.*got 3"),
    ("one array", lambda w, t: (w[0], t), r"got one array of shape \(3, 4\)"),
    ("transposed", lambda w, t: ([w[0].T, w[1]], t), r"weights\[0\].*\(4, 3\) \(transposed\?\)"),
    ("wrong shape", lambda w, t: ([w[0], w[1][:3]], t), r"weights\[1\].*\(4, 2\).*got \(3, 2\)"),
    (
        "NaN weight",
        lambda w, t: ([w[0], with_entry(w[1], (2, 1), math.nan)], t),
        r"weights\[1\].*got nan from neuron 2 to neuron 1",
    ),
    (
        "infinite weight",
        lambda w, t: ([with_entry(w[0], (0, 3), -math.inf), w[1]], t),
        r"weights\[0\].*got -inf from neuron 0 to neuron 3",
    ),
    ("text weights", lambda w, t: ([[["a"] * 4] * 3, w[1]], t), "expected real numbers; got dty"),
    ("complex weights", lambda w, t: ([w[0] * 1j, w[1]], t), "expected real numbers"),
    ("ragged weights", lambda w, t: ([[[1, 2], [3]], w[1]], t), r"weights\[0\].*rectangular"),
    ("one sample flat", lambda w, t: (w, t[0]), r"shape \(batch, 3\).*got \(3,\)"),
    ("wrong inputs", lambda w, t: (w, t[:, :2]), r"shape \(batch, 3\).*got \(2, 2\)"),
    ("empty batch", lambda w, t: (w, t[:0]), "at least one sample; got an empty batch"),
    ("large batch", lambda w, t: (w, np.tile(t, (3, 1))), "at most 4 samples.*got 6"),
    (
        "NaN time",
        lambda w, t: (w, with_entry(t, (1, 2), math.nan)),
        "input_times: NaN at sample 1, channel 2",
    ),
    (
        "negative time",
        lambda w, t: (w, with_entry(t, (0, 1), -0.25)),
        "times >= 0.*got -0.25 at sample 0, channel 1",
    ),
    (
        "minus infinity",
        lambda w, t: (w, with_entry(t, (1, 0), -math.inf)),
        "got -inf at sample 1, channel 0",
    ),
    ("boolean times", lambda w, t: (w, t > 1), "input_times: expected real numbers; got dtype bo"),
]


@pytest.mark.parametrize(
    ("change", "message"), [case[1:] for case in BAD_RUNS], ids=[case[0] for case in BAD_RUNS]
)
def test_bad_run_is_refused(
    change: Callable[[list[Any], Any], tuple[Any, Any]], message: str
) -> None:
    weights, times = change(*good())
    with pytest.raises(RunInputError, match=message):
        check_run(NETWORK, weights, times, CAPABLE)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("voltages", "expected a sequence of names; got the string 'voltages'"),
        (("voltages", "colours"), "this backend records voltages; got colours"),
    ],
)
def test_bad_recording_is_refused(record: Any, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        check_run(NETWORK, *good(), CAPABLE, record)


def test_a_backend_that_records_nothing_says_so() -> None:
    bare = Capabilities(deterministic=True, time_resolution=0.0)
    with pytest.raises(RunInputError, match="nothing beyond the first spikes; got voltages"):
        check_run(NETWORK, *good(), bare, ["voltages"])


# --- check_network ------------------------------------------------------------------------


def test_network_beyond_the_capabilities_is_refused() -> None:
    flat = Capabilities(deterministic=True, time_resolution=0.0, max_layers=1)
    with pytest.raises(CapacityError, match=r"backend 'small': at most 1 layers.*3-4-2 has 2"):
        check_network(NETWORK, flat, "small")
    fixed = Capabilities(deterministic=True, time_resolution=0.0, tau_ratios=(1.0, 2.0))
    check_network(NETWORK, fixed, "small")
    check_network(NetworkSpec.feed_forward(3, 2, neuron=NeuronSpec(2.0)), fixed, "small")
    with pytest.raises(CapacityError, match=r"one of \(1.0, 2.0\); layer 0 has 1.5"):
        check_network(NetworkSpec.feed_forward(3, 2, neuron=NeuronSpec(1.5)), fixed, "small")


# --- registry -----------------------------------------------------------------------------


def test_the_shipped_backends_are_found() -> None:
    assert {"ideal", "emulated-chip"} <= set(backend_names())
    assert list(backend_names()) == sorted(backend_names())
    assert get_backend("ideal").name == "ideal"


def test_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'idael'; known: .*ideal.*mean 'ideal'\?") as got:
        get_backend("idael")
    assert isinstance(got.value, LookupError)


def test_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"option of backend 'ideal' 'speed'; known"):
        get_backend("ideal", speed=3)
    with pytest.raises(UnknownNameError, match=r"'chips'; known: .*Did you mean 'chip'\?"):
        get_backend("emulated-chip", chips=3)


def test_backend_with_a_missing_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("broken", "chipware.backend:Chip", hxloop.substrate.ENTRY_POINT_GROUP)
    monkeypatch.setattr(hxloop.registry, "entry_points", lambda group: [point])
    with pytest.raises(MissingDependencyError, match="needs the package 'chipware'") as caught:
        backend_class("broken")
    assert isinstance(caught.value, ImportError)


def test_a_third_party_backend_is_found_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint(
        "mine", "hxloop.backends.ideal:IdealBackend", hxloop.substrate.ENTRY_POINT_GROUP
    )
    monkeypatch.setattr(hxloop.registry, "entry_points", lambda group: [point])
    assert backend_names() == ("mine",)
    assert isinstance(get_backend("mine"), Backend)


def test_the_template_fulfils_the_protocols() -> None:
    backend = get_backend("ideal")
    assert isinstance(backend, Backend)
    assert pickle.loads(pickle.dumps(backend)) == backend
    with backend.open(NETWORK) as session:
        assert isinstance(session, Session)


def test_unknown_name_without_anything_close() -> None:
    assert unknown_name("thing", "zzz", ["b", "a"]) == "unknown thing 'zzz'; known: a, b."
    assert unknown_name("thing", "x", []) == "unknown thing 'x'; known: (none)."


# --- activity and errors ------------------------------------------------------------------


def test_activity_counts_silence_for_every_layer() -> None:
    inf = np.inf
    hidden, output = np.array([[1.0, inf], [inf, inf]]), np.array([[2.0, 3.0, inf, inf]] * 2)
    activity = Activity(np.zeros((2, 1)), (hidden, output), (), RunInfo("ideal"))
    assert activity.batch == 2
    assert activity.output_times is output
    assert activity.silent_fraction() == (0.75, 0.5)


def test_failed_run_is_not_retryable_unless_it_says_so() -> None:
    assert not RunFailed("lost").retryable
    assert RunFailed("stalled", retryable=True).retryable
    assert issubclass(RunFailed, HxloopError)
