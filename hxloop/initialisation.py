"""Initial weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec


def initial_weights(
    network: NetworkSpec, means: Sequence[float], stdevs: Sequence[float], seed: int
) -> tuple[NDArray[np.float64], ...]:
    """Normally distributed weights, with a mean and a standard deviation for each layer.

    Args:
        network: whose weights.
        means: one for each layer, in units of the threshold.
        stdevs: one for each layer.
        seed: of the draw.

    Returns:
        One ``(pre, post)`` array for each layer.

    Raises:
        ConfigError: not one mean and one standard deviation for each layer, or a negative one.
    """
    n = len(network.layers)
    if len(means) != n or len(stdevs) != n:
        raise ConfigError(
            f"initialisation: expected {n} means and {n} stdevs, one for each layer of {network}; "
            f"got {len(means)} and {len(stdevs)}"
        )
    if not np.isfinite([*means, *stdevs]).all() or min(stdevs) < 0:
        raise ConfigError(
            f"initialisation: expected finite means and stdevs >= 0; got {list(means)} and "
            f"{list(stdevs)}"
        )
    return tuple(
        np.random.default_rng([seed, 0, index]).normal(mean, stdev, shape)
        for index, (shape, mean, stdev) in enumerate(
            zip(network.shapes, means, stdevs, strict=True)
        )
    )
