"""``Spikes``: a list and an array of first spikes, of one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.activity.spikes import Spikes
from hxloop.errors import RunInputError

EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 30)), unique=True, max_size=60
)


def made(events) -> Spikes:
    samples, units, times = ([event[i] for event in events] for i in range(3))
    return Spikes.from_events(samples, units, np.array(times) / 4, batch=4, n_units=5)


@given(EVENTS)
def test_a_list_says_what_it_was_made_of(events):
    spikes = made(events)
    rows = list(zip(spikes.samples, spikes.times * 4, spikes.units, strict=True))
    assert rows == sorted((s, t, u) for s, u, t in events)
    assert spikes.n_spikes == len(events) == spikes.count.sum()
    for sample in range(4):
        for unit in range(5):
            own = sorted(t / 4 for s, u, t in events if (s, u) == (sample, unit))
            assert spikes.count[sample, unit] == len(own)
            for k in range(3):
                expected = own[k] if k < len(own) else np.inf
                assert spikes.nth(k)[sample, unit] == expected
    assert (spikes.first == spikes.nth(0)).all()


@given(EVENTS)
def test_first_spikes_and_a_list_are_one_another(events):
    first = made(events).first
    dense = Spikes.from_first(first)
    times, units, _ = dense.events
    again = Spikes.from_events(dense.samples, units, times, batch=4, n_units=5)
    assert again == dense and (again.first == first).all() and again.once
    assert (np.asarray(again) == first).all() and (dense.count == again.count).all()


@given(EVENTS, st.lists(st.integers(0, 3), max_size=5), st.floats(0, 8))
def test_parts_are_parts(events, chosen, end):
    spikes = made(events)
    some = spikes.select(chosen)
    assert some.batch == len(chosen)
    for new, old in enumerate(chosen):
        assert (some.count[new] == spikes.count[old]).all()
        assert (some.times[some.samples == new] == spikes.times[spikes.samples == old]).all()
    early, left_out = spikes.before(end)
    assert left_out == sum(t / 4 > end for _, _, t in events)
    assert early == made([event for event in events if event[2] / 4 <= end])
    dense, late = Spikes.from_first(spikes.first).before(end)
    assert late == int((np.isfinite(spikes.first) & (spikes.first > end)).sum())
    assert not (np.isfinite(dense.first) & (dense.first > end)).any()


def constructed(times=(0.5, 1.0, 0.5), units=(1, 1, 0), offsets=(0, 2, 3), n_units=2):
    return Spikes(times, units, offsets, n_units)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"times": (1.0, 0.5, 0.5)}, r"spike 1 \(sample 0, neuron 1\) is at 0.5, after one of"),
        ({"times": (0.5, 0.5, 0.5)}, "neuron 1 spikes twice at 0.5 in sample 0"),
        ({"times": (0.5, 0.5, 0.5), "units": (1, 0, 0)}, "of equal times by neuron"),
        ({"times": (0.5, 1.0, -0.5)}, r"spike 2 \(sample 1, neuron 0\) is at -0.5; expected a fin"),
        ({"times": (0.5, np.inf, 0.5)}, "spike 1 .* is at inf; expected a finite time"),
        ({"times": (np.nan, 1.0, 0.5)}, "spike 0 .* is at nan; expected a finite time"),
        ({"times": ("a", "b", "c")}, "Spikes: times: expected real numbers; got dtype .*text"),
        ({"times": (0.5, 1.0)}, "Spikes: units: expected 2 whole numbers"),
        ({"times": 0.5}, r"Spikes: times: expected shape \(spikes,\); got"),
        ({"units": (1, 2, 0)}, "Spikes: units: expected 0 to 1; got 2 at spike 1"),
        ({"units": (1, -1, 0)}, "Spikes: units: expected 0 to 1; got -1 at spike 1"),
        ({"units": (1.0, 1.0, 0.0)}, "Spikes: units: expected 3 whole numbers.*float64"),
        ({"units": ([1], [1, 0])}, "Spikes: units: expected a rectangular array"),
        ({"offsets": (0, 2)}, r"offsets: expected .* end with 3, the number of .*got \[0, 2\]"),
        ({"offsets": (1, 2, 3)}, "offsets: expected numbers that begin with 0"),
        ({"offsets": (0, 4, 3)}, "offsets: expected numbers that .* do not go back"),
        ({"offsets": (0.0, 2.0, 3.0)}, "offsets: expected whole numbers, one more than"),
        ({"offsets": ()}, "offsets: expected whole numbers, one more than there are samples"),
        ({"n_units": 2.0}, "Spikes: n_units"),
        ({"n_units": -1}, "Spikes: n_units"),
    ],
)  # fmt: skip
def test_a_constructor_checks_what_it_is_given(wrong, message):
    with pytest.raises(RunInputError, match=message):
        constructed(**wrong)


@given(EVENTS)
def test_what_is_in_order_is_taken_as_it_is(events):
    spikes = made(events)
    times, units, offsets = spikes.events
    assert Spikes(times, units, offsets, 5) == spikes
    assert Spikes(times.tolist(), units.astype(np.uint16), list(offsets), 5) == spikes
    if spikes.once:
        assert Spikes((), (), (0,), 5, dense=spikes.first) == spikes


def test_a_constructor_takes_first_spikes_as_from_first_does():
    for wrong in ([[-1.0]], [[np.nan]], [[1.0, 2.0]], [0.5]):
        with pytest.raises(RunInputError, match="Spikes: dense: "):
            Spikes((), (), (0,), 1, dense=wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [0], [-1.0]), r"spike 0 \(sample 0, neuron 0\) is at -1.0; expected a finite time"),
        (([0], [0], [np.inf]), "A neuron that does not spike has no entry"),
        (([0], [0], [np.nan]), "expected a finite time"),
        (([0], [5], [1.0]), "units: expected 0 to 4; got 5 at spike 0"),
        (([4], [0], [1.0]), "samples: expected 0 to 3; got 4 at spike 0"),
        (([0.0], [0], [1.0]), "samples: expected 1 whole numbers"),
        (([0, 1], [0], [1.0]), "samples: expected 1 whole numbers, one for each spike"),
        (([1, 1], [2, 2], [1.0, 1.0]), "neuron 2 spikes twice at 1 in sample 1"),
    ],
)
def test_bad_lists_are_refused(arguments, message):
    with pytest.raises(RunInputError, match=message):
        Spikes.from_events(*arguments, batch=4, n_units=5)
    with pytest.raises(RunInputError, match="spikes: batch: "):
        Spikes.from_events([], [], [], batch=-1, n_units=5)


def test_what_spikes_twice_is_no_array_of_first_spikes():
    spikes = made([(0, 1, 3), (0, 1, 5)])
    with pytest.raises(RunInputError, match=r"at most one spike of each channel.*spikes\.first"):
        np.asarray(spikes)


def test_first_spikes_are_not_copied_and_not_written_to():
    times = np.array([[0.5, np.inf]])
    assert Spikes.from_first(times).first is times
    with pytest.raises(ValueError, match="read-only"):
        Spikes.from_first(times).read_only().first[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        made([(0, 1, 3)]).read_only().times[0] = 1
    assert times.flags.writeable
