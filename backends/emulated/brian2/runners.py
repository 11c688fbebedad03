"""Two ways to run the Brian2 model: the compiled one, or numpy code in this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.brian2.build import compiled_model
from hxloop.backends.emulated.brian2.cache import damage
from hxloop.backends.emulated.brian2.model import NEVER, ModelShape
from hxloop.backends.emulated.brian2.results import (
    NOT_WRITTEN,
    RESULT_FILE,
    Shape,
    model_of,
    results_of,
)
from hxloop.backends.emulated.brian2.settings import default_preferences, readable_preferences
from hxloop.errors import RunFailed
from hxloop.files.scratch import ScratchFolder
from hxloop.machine import say_once
from hxloop.machine.child_process import run_child
from hxloop.substrate.guard import SIMULATOR_LOCK

MEMORY = Path("/dev/shm")
SCRATCH_PREFIX = "hxloop-"

Array = NDArray[np.float64]


class BinaryRunner:
    """Starts the compiled model, one process a run; arrays travel through a private folder.

    The folder is in memory, where that has room: the arrays are gone after each run anyway.

    Attributes:
        folder: of the compiled model.
        scratch: the private folder.
    """

    def __init__(self, shape: Shape, cache_dir: Path | None) -> None:
        self._shape, self._cache_dir = shape, cache_dir
        self.folder = compiled_model(shape, cache_dir)
        self.scratch = scratch_for(MEMORY, run_bytes(shape))

    @property
    def work(self) -> Path:
        """Through which arrays travel."""
        return self.scratch.path

    def run(self, data: dict[str, Array]) -> list[Array]:
        """What the model came to; ``data`` by the names of ``Brian2Model`` or ``BlockModel``.

        Returns:
            Spike times of every layer, flat; of a block, which neuron each spike is of, and when.

        Raises:
            RunFailed: the process failed or complained, or there is no room for the arrays.
            CompilerError: the compiled model was damaged and cannot be compiled anew.
        """
        try:
            return self._run(data)
        except _NoRoom as error:
            if self.work.parent != MEMORY:
                raise
            say_once(f"{error} The disk is used instead, which is slower.")
            self.scratch.close()
            self.scratch = scratch_for(None, run_bytes(self._shape))
        except RunFailed:
            what = damage(self.folder)
            if what is None:
                raise
            # Cleared away or broken since it was opened; this says so, and compiles it.
            self.folder = compiled_model(self._shape, self._cache_dir)
        return self._run(data)

    def _run(self, data: dict[str, Array]) -> list[Array]:
        command = ["./main", "--results_dir", f"{self.work}{os.sep}"]
        try:
            for name, values in data.items():
                with (self.work / name).open("wb") as file:
                    file.write(np.ascontiguousarray(values, dtype=np.float64).tobytes())
                command.append(f"{name}={self.work / name}")
            result = self.work / RESULT_FILE
            result.unlink(missing_ok=True)
        except OSError as error:
            raise self._no_room(error.strerror or str(error)) from error
        try:
            status, output = run_child(command, cwd=self.folder)
        except OSError as error:  # no such file, not executable, no program
            status, output = -1, str(error)
        if status == NOT_WRITTEN and not output.strip():
            raise self._no_room("the result could not be written")
        # The model prints only complaints, and some of them do not change its exit status.
        if status != 0 or output.strip() or not result.is_file():
            raise RunFailed(
                f"the compiled Brian2 model {self.folder} failed: expected exit status 0 and no "
                f"output; got {status} and {output.strip()[-2000:]!r}. If the folder is damaged, "
                "delete it and it is built again."
            )
        spikes = np.fromfile(result)
        for used in self.work.iterdir():
            used.unlink()
        counts = self._counts(spikes)
        if spikes.size != sum(counts):
            raise self._no_room(f"{spikes.size} of {sum(counts)} spike times were written")
        return np.split(spikes, np.cumsum(counts)[:-1])

    def _counts(self, written: Array) -> list[int]:
        """How much of each kind there should be in what was written."""
        if isinstance(self._shape, ModelShape):
            return [self._shape.batch * size for size in self._shape.sizes[1:]]
        # All neurons, then all times; their number stands first, so that what is cut off is seen.
        n = int(written[0]) if written.size else 1
        return [1, n, n]

    def _no_room(self, what: str) -> _NoRoom:
        try:
            free = f"{shutil.disk_usage(self.work).free / 1e6:.1f} MB are free"
        except OSError as error:
            free = str(error)
        return _NoRoom(
            f"the compiled Brian2 model exchanges {run_bytes(self._shape) / 1e6:.1f} MB with its "
            f"process through {self.work}: {what} ({free}). Make room there, give a container "
            "more of it (docker run --shm-size), or set TMPDIR to a larger disk."
        )

    def close(self) -> None:
        """Remove the private folder."""
        self.scratch.close()


class _NoRoom(RunFailed):
    """Arrays that do not fit into the folder they travel through."""


def run_bytes(shape: Shape) -> int:
    """What one run writes into its folder: parameters of neurons, weights, times."""
    return shape.n_bytes


def scratch_for(memory: Path | None, n_bytes: int) -> ScratchFolder:
    """A private folder: in memory, if that can be had and has room for twice as much.

    Raises:
        RunFailed: no folder can be written.
    """
    if memory is not None:
        with contextlib.suppress(OSError):
            if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= 2 * n_bytes:
                return ScratchFolder(memory, SCRATCH_PREFIX)
    try:
        return ScratchFolder(Path(tempfile.gettempdir()), SCRATCH_PREFIX)
    except OSError as error:
        raise RunFailed(
            f"the compiled Brian2 model needs a folder for {n_bytes / 1e6:.1f} MB: expected one "
            f"that can be written, {MEMORY} or the temporary folder; got {error}. Set TMPDIR."
        ) from error


@contextlib.contextmanager
def _numpy_target() -> Iterator[None]:
    """Brian2's runtime device and numpy code for a while; the caller's settings come back."""
    with SIMULATOR_LOCK, warnings.catch_warnings(), np.errstate(all="ignore"):
        # Brian2 2.9 calls deprecated names of pyparsing by the hundred.
        warnings.simplefilter("ignore")
        hook = sys.excepthook
        with readable_preferences():
            import brian2 as b2

        sys.excepthook = hook  # the first import of Brian2 puts its own in place
        with default_preferences(codegen__target="numpy"):
            b2.set_device("runtime")
            try:
                yield
            finally:
                b2.devices.reset_device()


class NumpyRunner:
    """One Brian2 network, set back to its start before every run."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        with _numpy_target():
            self._model = model_of(shape)
            self._model.network.store()

    def run(self, data: dict[str, Array]) -> list[Array]:
        """As ``BinaryRunner.run``."""
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
            spikes = results_of(model)
        return [np.where(times >= NEVER, np.inf, times) for times in spikes]

    def close(self) -> None:
        """Nothing to free but memory."""
        del self._model
