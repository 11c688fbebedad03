"""Model time to physical time and back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hxloop.errors import HxloopError, NetworkError
from hxloop.units import TimeBase


def test_one_unit_of_model_time_is_one_synaptic_time_constant() -> None:
    base = TimeBase(6e-6)
    assert base.to_us(1.0) == pytest.approx(6.0)
    assert base.to_ms(1.0) == pytest.approx(6e-3)
    assert base.tick(8e-9) == pytest.approx(8e-9 / 6e-6)
    assert base.tick(6e-6) == pytest.approx(1.0)


@pytest.mark.parametrize("tau", [6e-6, 1e-3, 10e-3])
@pytest.mark.parametrize("unit", ["us", "ms"])
def test_back_and_forth_is_the_identity_and_silence_stays(tau: float, unit: str) -> None:
    base = TimeBase(tau)
    times = np.array([[0.0, 0.15, 2.0], [1e3, np.inf, 1e-9]])
    times.flags.writeable = False
    there = getattr(base, f"to_{unit}")(times)
    back = getattr(base, f"from_{unit}")(there)
    assert there.shape == times.shape
    assert there.dtype == np.float64
    assert np.isposinf(there[1, 1])
    np.testing.assert_allclose(back, times, rtol=1e-15)


def test_micro_and_milliseconds_agree() -> None:
    base = TimeBase(2e-3)
    np.testing.assert_allclose(base.to_us([0.5, 3.0]), 1e3 * base.to_ms([0.5, 3.0]), rtol=1e-15)


@pytest.mark.parametrize("tau", [0, -1e-6, math.nan, math.inf, "6us", None])
def test_time_constant_has_to_be_positive_and_finite(tau: object) -> None:
    with pytest.raises(NetworkError, match="positive finite time in seconds") as caught:
        TimeBase(tau)  # type: ignore[arg-type]
    assert isinstance(caught.value, HxloopError)
    assert isinstance(caught.value, ValueError)
