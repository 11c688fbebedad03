"""Single or double precision, as backends that solve with the exact engine offer it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hxloop.errors import ConfigError

PRECISIONS: dict[str, type[np.floating[Any]]] = {"double": np.float64, "single": np.float32}

# Largest error of a spike time of one layer: rounding, or that of a spike that grazes the
# threshold, where the digits halve (measured, see the tests of the kernels).
RESOLUTION = {"double": 1e-9, "single": 5e-3}


def check_precision(backend: str, precision: object) -> None:
    """Refuse what is no precision.

    Raises:
        ConfigError: neither "double" nor "single".
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            f"backend {backend!r}: precision is 'double' or 'single'; got {precision!r}"
        )
