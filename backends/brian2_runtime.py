"""Runs the Brian2 model in this process, without a compiler."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.brian2_model import NEVER, ModelShape, build_model

Array = NDArray[np.float64]


@contextlib.contextmanager
def _numpy_target() -> Iterator[None]:
    """Brian2's runtime device and numpy code for a while; the caller's settings come back."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Brian2 2.9 calls deprecated names of pyparsing by the hundred.
        warnings.simplefilter("ignore")
        import brian2 as b2

        target = b2.prefs["codegen.target"]
        b2.set_device("runtime")
        b2.prefs["codegen.target"] = "numpy"
        try:
            yield
        finally:
            b2.prefs["codegen.target"] = target
            b2.devices.reset_device()


class NumpyRunner:
    """One Brian2 network, set back to its start before every run."""

    def __init__(self, shape: ModelShape) -> None:
        self._shape = shape
        with _numpy_target():
            self._model = build_model(shape)
            self._model.network.store()

    def run(self, data: dict[str, Array]) -> list[Array]:
        """Spike times of every layer, flat; ``data`` by the names of the compiled model."""
        import brian2 as b2

        model = self._model
        with _numpy_target():
            model.network.restore()
            groups = {group.name: group for group in (model.inputs, *model.layers)}
            tables = {table.name: table for table in model.weights}
            for name, values in data.items():
                owner, variable = name.split(".")
                if owner in tables:
                    tables[owner].values[...] = values
                else:
                    groups[owner].variables[variable].set_value(values.ravel())
            model.network.run(self._shape.n_steps * self._shape.dt * b2.second, namespace={})
            spikes = [np.array(layer.tsp[:]) for layer in model.layers]
        return [np.where(times >= NEVER, np.inf, times) for times in spikes]

    def close(self) -> None:
        """Nothing to free but memory."""
        del self._model
