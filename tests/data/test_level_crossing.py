"""Time series to spikes: where a line crosses a level, on which channel, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.data import LevelCrossingEncoding, TimeSeries, get_encoding
from hxloop.errors import ConfigError, RunInputError

PLAIN = LevelCrossingEncoding(t_early=0.0, t_late=2.0, bias_times=(), level_step=1.0)


def events(spikes, sample=0):
    part = slice(spikes.offsets[sample], spikes.offsets[sample + 1])
    return list(zip(spikes.units[part].tolist(), spikes.times[part].tolist(), strict=True))


def test_a_line_crosses_levels_at_exact_times_up_and_down_on_channels_of_their_own():
    # From -0.5 up to 1.5 through the levels 0 and 1, then down again; one value takes time 1.
    assert events(PLAIN.encode([[[-0.5, 1.5, -0.5]]])) == [
        (0, 0.25), (0, 0.75), (1, 1.25), (1, 1.75),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([0.5, 1.0, 0.5], [(0, 1.0), (1, 1.0)]),  # a peak on a level reaches and leaves it
        ([1.5, 1.0, 1.5], []),  # a dip onto a level leaves nothing
        ([0.5, 1.0, 1.5], [(0, 1.0)]),  # through a value on a level: once
        ([1.5, 1.0, 0.5], [(1, 1.0)]),
        ([0.5, 0.5, 0.5], []),
        ([1.0, 1.0, 1.0], []),
    ],
)
def test_values_on_a_level_count_as_above_it(series, expected):
    assert events(PLAIN.encode([[series]])) == expected


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.floats(0.05, 2.0),
    st.floats(-1.0, 1.0),
    st.booleans(),
    st.one_of(st.none(), st.floats(0.01, 1.0)),
)
def test_spikes_are_those_that_levels_one_by_one_give(seed, step, origin, onset, interval):
    """Against the definition: every level and line apart, by ``numpy.interp`` turned round."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, 3)
    values = rng.normal(0, 1, (3, 2, 8))
    encoding = LevelCrossingEncoding(
        0.2, 1.9, (0.7,), level_step=step, level_origin=origin, onset=onset, interval=interval
    )
    spikes = encoding.encode(TimeSeries(values, lengths))
    assert (spikes.n_units, spikes.batch) == (encoding.n_channels(2), 3)
    for sample, length in enumerate(lengths):
        expected = [(4, 0.7)]
        for channel in range(2):
            line = values[sample, channel, :length]
            if onset:
                line = np.concatenate([[origin], line])
            distance = (1.9 - 0.2) / max(len(line) - 1, 1) if interval is None else interval
            for i in range(len(line) - 1):
                low, high = sorted(line[i : i + 2])
                for k in range(math.floor((low - origin) / step), 200):
                    level = origin + k * step
                    if level > high + 1e-12:
                        break
                    # Nobody draws a value on a level but the first of an onset, which is one.
                    on_start = onset and i == 0 and k == 0
                    if (on_start and line[1] >= origin) or (not on_start and level <= low):
                        continue
                    part = abs(level - line[i]) / (high - low)
                    unit = channel + 2 * (line[i + 1] < line[i])
                    expected.append((unit, 0.2 + (i + part) * distance))
        found = events(spikes, sample)
        assert sorted(unit for unit, _ in found) == sorted(unit for unit, _ in expected)
        for unit in range(5):
            # Both compute level and time in another order: some roundings of values below 10.
            np.testing.assert_allclose(
                sorted(t for u, t in found if u == unit),
                sorted(t for u, t in expected if u == unit),
                rtol=0,
                atol=64 * np.finfo(float).eps * 10 / min(step, 1.0),
            )


def test_without_an_interval_every_series_fills_the_window_with_one_it_keeps_its_pace():
    values = np.array([[[0.5, 1.5, 9.0]], [[0.5, 0.6, 1.5]]])
    series = TimeSeries(values, np.array([2, 3]))
    stretched = PLAIN.encode(series)
    np.testing.assert_allclose(stretched.times, [1.0, 1 + 4 / 9], rtol=1e-15)
    paced = LevelCrossingEncoding(0.0, 2.0, (), level_step=1.0, interval=0.5).encode(series)
    np.testing.assert_allclose(paced.times, [0.25, 0.5 + 0.5 * 4 / 9], rtol=1e-15)


def test_an_onset_tells_where_a_series_begins():
    encoding = LevelCrossingEncoding(0.0, 1.0, (), level_step=1.0, onset=True)
    assert events(encoding.encode([[[2.5]], [[-2.5]]])) == [(0, 0.4), (0, 0.8)]
    # Downwards the level that it begins on is left, too.
    spikes = encoding.encode([[[-2.5]]])
    assert events(spikes) == [(1, 0.0), (1, 0.4), (1, 0.8)]


def test_samples_are_not_written_to_and_what_lies_beyond_their_end_is_not_read():
    values = np.array([[[0.5, 1.5, np.nan]]])
    with pytest.raises(RunInputError, match="got nan at sample 0, channel 0, value 2"):
        PLAIN.encode(values)
    series = TimeSeries(values, np.array([2]))
    assert PLAIN.encode(series).n_spikes == 1
    assert np.isnan(values[0, 0, 2]) and not series.values.flags.writeable
    assert series.select(np.array([0, 0])).shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 3)), r"samples: expected shape \(n, channels, time\); got \(2, 3\)"),
        (np.zeros((1, 2, 0)), "expected at least one value of each channel; got none"),
        ([[[0.0, math.inf]]], "got inf at sample 0, channel 0, value 1"),
        ([[[0.0, 1e300]]], "level_step: a step of 1 makes .* spikes .* Take a wider one"),
        ([[[0.0, 2.6e8, 0.0]]], "level_step: a step of 1 makes .* spikes"),
    ],
)
def test_bad_samples_are_refused(samples, message):
    with pytest.raises(RunInputError, match=message):
        PLAIN.encode(samples)


def test_lengths_that_do_not_fit_are_refused():
    for lengths in ([3], [0, 1], [1, 4], [1.5, 2], [[1, 2]]):
        with pytest.raises(RunInputError, match="lengths: expected 2 whole numbers from 1 to 3"):
            TimeSeries(np.zeros((2, 1, 3)), np.array(lengths))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level_step": 0.0}, "level_step: expected .* got 0"),
        ({"level_origin": math.nan}, "level_origin: expected .* got nan"),
        ({"interval": -1.0}, "interval: expected a positive finite time .* got -1"),
        ({"onset": 1}, "onset: expected .* got 1"),
        ({"t_early": 2.0}, "expected t_early < t_late; got 2.0 and 2.0"),
        ({"bias_times": (-1.0,)}, r"bias_times\[0\]"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        get_encoding("level-crossing", **options)
