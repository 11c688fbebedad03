"""Samples as the encodings of values take them: numbers in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.series import TimeSeries
from hxloop.errors import RunInputError


def unit_values(samples: ArrayLike | TimeSeries | Spikes) -> NDArray[Any]:
    """``(n, features)`` in [0, 1]; float32 stays float32.

    Raises:
        RunInputError: wrong shape, NaN, or values outside [0, 1]; time series and spikes, which
            take another encoding.
    """
    if isinstance(samples, TimeSeries | Spikes):
        kind, other = (
            ("time series", "level-crossing")
            if isinstance(samples, TimeSeries)
            else ("spikes", "spike-trains")
        )
        raise RunInputError(
            f"samples: expected values in [0, 1], (n, features); got {kind}, which the encoding "
            f"{other!r} takes: encoding.name"
        )
    values = checks.real_array("samples", samples, shape=("n", "features"), keep_single=True)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        sample, feature = (int(i) for i in np.argwhere(wrong)[0])
        hint = "Scale the data first."
        if np.isnan(values[sample, feature]):
            hint = "A value is missing: fill it, or leave the sample out."
        raise RunInputError(
            f"samples: expected values in [0, 1]; got {values[sample, feature]} at sample "
            f"{sample}, feature {feature}. {hint}"
        )
    return values
