"""Numbers that rounding would change on their way through another unit, kept beside it.

``x u / u`` is not always ``x`` in floating point. A node of a graph has its values in the graph's
unit; where these do not lead back to the very bits, ``metadata`` of the node has the value in
model units as well. It is believed only where the node still has the values it was written with,
so that whoever changes a graph changes what is read from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Change = Callable[[Array], Array]
_PREFIX = "hxloop_exact_"


def keep(metadata: dict[str, Any], field: str, exact: Array, there: Change, back: Change) -> Array:
    """The value for a node; notes the exact one in ``metadata`` where it would be lost.

    Args:
        metadata: of the node, written to.
        field: of the node.
        exact: the value, model units.
        there, back: into the unit of the graph, and from it.
    """
    exact = np.asarray(exact, np.float64)
    written = there(exact)
    if not np.array_equal(back(written), exact):
        metadata[_PREFIX + field] = exact
    return written


def restored(
    metadata: Mapping[str, Any], field: str, written: Array, there: Change, back: Change
) -> Array:
    """The value in model units of what a node has; the arguments are those of ``keep``."""
    exact = metadata.get(_PREFIX + field)
    if exact is not None:
        exact = np.asarray(exact, np.float64)
        if exact.shape == np.shape(written) and np.array_equal(there(exact), written):
            return exact
    return back(np.asarray(written, np.float64))
