"""Two ways to run the Brian2 model: the compiled one, or numpy code in this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.brian2_build import RESULT_FILE, compiled_model, run_child
from hxloop.backends.brian2_model import NEVER, ModelShape, build_model
from hxloop.errors import RunFailed

Array = NDArray[np.float64]


class BinaryRunner:
    """Starts the compiled model, one process a run; arrays travel through a private folder."""

    def __init__(self, shape: ModelShape, cache_dir: Path | None) -> None:
        self._folder = compiled_model(shape, cache_dir)
        self._counts = [shape.batch * size for size in shape.sizes[1:]]
        # Memory, where there is such a file system: the arrays are gone after each run anyway.
        memory = Path("/dev/shm")
        usable = memory.is_dir() and os.access(memory, os.W_OK)
        self._work = Path(tempfile.mkdtemp(prefix="hxloop-", dir=memory if usable else None))
        self._cleanup = weakref.finalize(self, shutil.rmtree, self._work, ignore_errors=True)

    def run(self, data: dict[str, Array]) -> list[Array]:
        """Spike times of every layer, flat; ``data`` by the names of ``Brian2Model``.

        Raises:
            RunFailed: the process failed or complained.
        """
        command = ["./main", "--results_dir", f"{self._work}{os.sep}"]
        for name, values in data.items():
            np.ascontiguousarray(values, dtype=np.float64).tofile(self._work / name)
            command.append(f"{name}={self._work / name}")
        result = self._work / RESULT_FILE
        result.unlink(missing_ok=True)
        status, output = run_child(command, cwd=self._folder)
        # The model prints only complaints, and some of them do not change its exit status.
        if status != 0 or output.strip() or not result.is_file():
            raise RunFailed(
                f"the compiled Brian2 model {self._folder} failed: expected exit status 0 and no "
                f"output; got {status} and {output.strip()[-2000:]!r}. If the folder is damaged, "
                "delete it and it is built again."
            )
        spikes = np.fromfile(result)
        for file in self._work.iterdir():
            file.unlink()
        if spikes.size != sum(self._counts):
            raise RunFailed(
                f"the compiled Brian2 model {self._folder}: expected {sum(self._counts)} spike "
                f"times; got {spikes.size}"
            )
        return np.split(spikes, np.cumsum(self._counts)[:-1])

    def close(self) -> None:
        """Remove the private folder."""
        self._cleanup()


@contextlib.contextmanager
def _numpy_target() -> Iterator[None]:
    """Brian2's runtime device and numpy code for a while; the caller's settings come back."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Brian2 2.9 calls deprecated names of pyparsing by the hundred.
        warnings.simplefilter("ignore")
        hook = sys.excepthook
        import brian2 as b2

        sys.excepthook = hook  # the first import of Brian2 puts its own in place
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
        """Spike times of every layer, flat; ``data`` by the names of ``Brian2Model``."""
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
