"""Values to spike times: the formula, the order of channels, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hxloop.data.encoding import LatencyEncoding
from hxloop.errors import ConfigError, RunInputError


def test_values_become_times_linearly_and_biases_are_appended() -> None:
    encoding = LatencyEncoding(t_early=0.5, t_late=2.5, bias_times=(0.9, 1.1))
    samples = np.array([[0.0, 0.25, 1.0], [1.0, 0.5, 0.0]])
    expected = np.array([[0.5, 1.0, 2.5, 0.9, 1.1], [2.5, 1.5, 0.5, 0.9, 1.1]])
    times = encoding.encode(samples)
    assert times.dtype == np.float64
    np.testing.assert_allclose(times, expected, rtol=1e-15)


def test_channels_are_repeated_as_a_whole() -> None:
    once = LatencyEncoding(bias_times=(0.9,))
    thrice = LatencyEncoding(bias_times=(0.9,), replicate=3)
    samples = np.random.default_rng(0).random((4, 2))
    channels = once.encode(samples)
    assert thrice.n_channels(2) == 9
    np.testing.assert_array_equal(thrice.encode(samples), np.hstack([channels] * 3))


@pytest.mark.parametrize("bias_times", [(), (0.9,), (0.1, 0.2)])
@pytest.mark.parametrize("replicate", [1, 5])
def test_n_channels_is_the_width_of_the_result(
    bias_times: tuple[float, ...], replicate: int
) -> None:
    encoding = LatencyEncoding(bias_times=bias_times, replicate=replicate)
    assert encoding.encode(np.zeros((2, 4))).shape == (2, encoding.n_channels(4))


def test_a_list_of_bias_times_is_as_good_as_a_tuple() -> None:
    encoding = LatencyEncoding(bias_times=[0.9, 1.0])  # type: ignore[arg-type]
    assert encoding == LatencyEncoding(bias_times=(0.9, 1.0))
    assert hash(encoding) == hash(LatencyEncoding(bias_times=(0.9, 1.0)))


def test_samples_are_not_written_to_and_the_result_is_fresh() -> None:
    samples = np.array([[0.0, 0.5]])
    samples.flags.writeable = False
    times = LatencyEncoding(t_early=0.0, t_late=1.0, bias_times=()).encode(samples)
    times += 1
    np.testing.assert_array_equal(samples, [[0.0, 0.5]])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(4), r"expected shape \(n, features\); got \(4,\)"),
        (np.zeros((1, 2, 2)), r"expected shape \(n, features\)"),
        ([[0.1, 1.01]], r"got 1.01 at sample 0, feature 1"),
        ([[0.1, 0.2], [-0.1, 0.5]], "got -0.1 at sample 1, feature 0"),
        ([[math.nan]], "got nan at sample 0"),
        ([[math.inf]], "got inf at sample 0"),
        ([[0.1, 0.2], [0.3]], "rectangular array of numbers"),
        ([["white"]], "expected real numbers; got .* text"),
    ],
)
def test_bad_samples_are_refused(samples: object, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        LatencyEncoding().encode(samples)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t_early": 2.0, "t_late": 2.0}, "expected t_early < t_late"),
        ({"t_early": -0.1}, "t_early: expected a finite time .* >= 0; got -0.1"),
        ({"t_late": math.inf}, "t_late: expected a finite time .* >= 0; got inf"),
        ({"t_late": "late"}, "t_late: expected a finite time .* >= 0; got .late"),
        ({"bias_times": (math.nan,)}, r"bias_times\[0\]: expected a finite time .*; got nan"),
        ({"bias_times": 0.9}, "bias_times: expected a list"),
        ({"bias_times": "none"}, "bias_times: expected a list of numbers; got .none"),
        ({"replicate": 0}, "whole number of at least 1; got 0"),
        ({"replicate": 1.5}, "whole number of at least 1; got 1.5"),
        ({"replicate": True}, "whole number of at least 1; got True"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LatencyEncoding(**options)  # type: ignore[arg-type]
