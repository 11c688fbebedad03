"""Writing one state of an activity log, run by run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop.activity.further import FurtherSpikes
from hxloop.activity.log.run_rows import rows_of
from hxloop.activity.log.schema import (
    ALL_SPIKES,
    INPUT_SPIKES,
    OWN_NEURONS,
    digest_of_run,
    info_to_json,
    sign,
)
from hxloop.activity.log.tables import (
    RUNS_DONE,
    OpenTables,
    lay_out,
    n_used,
    pack,
    roomy,
    write_parameters,
)
from hxloop.activity.recorded import RecordedActivity
from hxloop.activity.types import Activity
from hxloop.errors import RunInputError
from hxloop.files import replacing, writing
from hxloop.files.hdf5 import opened
from hxloop.network import Feature, NetworkSpec, Parameters


class Log(Protocol):
    """What a state needs of the log it is written into."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def network(self) -> NetworkSpec:
        """The network whose activity it is."""
        ...

    @property
    def compress(self) -> bool:
        """Whether complete states are compressed."""
        ...

    def check_open(self) -> None:
        """Check that it is this process's turn to write."""
        ...

    def copy(self, new: Path, without: Collection[str]) -> AbstractContextManager[h5py.File]:
        """A new file, open, with all states but some."""
        ...


class StateWriter:
    """Writes one state, run by run. A context manager: leaving it completes the state.

    Left by an exception, the state stays as it is, with all runs so far, and incomplete.
    """

    def __init__(
        self,
        log: Log,
        name: str,
        epoch: int | None,
        split: str | None,
        n_samples: int | None,
        input_trains: bool | None = None,
    ) -> None:
        self._log, self._name, self._epoch, self._split = log, name, epoch, split
        self._planned = n_samples or 0
        self._parameters = Parameters(())
        self._open: OpenTables | None = None
        self._runs = 0
        # Whether all input spikes are written; None: the first run tells.
        self._again = Feature.MULTI_SPIKE in log.network.features
        self._input_trains = True if self._again else input_trains
        # Samples, then listed spikes of each layer and of the input, see the schema.
        self._ends = np.zeros(1 + len(log.network.layers), np.int64)

    def append(
        self,
        activity: Activity,
        labels: NDArray[np.int64],
        decisions: NDArray[np.int64],
        further_spikes: Sequence[FurtherSpikes] | None = None,
    ) -> None:
        """Write a run. When this returns, the run is in the file.

        Args:
            activity: what the substrate did. Of neurons that may spike again (their
                ``t_refractory`` is finite) all spikes are written.
            labels: ``(batch,)``, index of the right output neuron.
            decisions: ``(batch,)``, index of the output neuron decided for; -1 = none.
            further_spikes: for each layer, spikes after the first ones; samples count from
                the start of this run. For networks whose neurons spike once, on a substrate
                on which they do not; else all spikes are in ``activity``.

        Raises:
            RunInputError: the activity does not fit the network, holds NaN, or its weights,
                delays or neurons are not those of the state's first run; a neuron whose
                ``t_refractory`` is inf spikes more than once, or an input channel where none did in
                the first run.
            OutputError: the file cannot be written, or its log is closed; it still holds all
                runs before.
        """
        self._log.check_open()
        checked = RecordedActivity(
            self._name,
            activity.input_times,
            activity.first_spike_times,
            labels,
            decisions,
            activity.weights_used,
            self._log.network,
            further_spikes=None if further_spikes is None else tuple(further_spikes),
            input_trains=activity.input_trains,
            spike_trains=activity.spike_trains,
            delays=activity.delays_used,
            neurons=activity.neurons_used,
        )
        listed = not checked.inputs.once if self._input_trains is None else self._input_trains
        before = self._ends if self._runs else np.zeros(len(self._ends) + listed, np.int64)
        rows, after = rows_of(checked, self._log.network, before, input_trains=listed)
        rows["runs/ends"] = after[None]
        rows["runs/info"] = np.array([info_to_json(activity.info)])
        rows["runs/digest"] = np.array([digest_of_run(rows).encode()])
        self._check_parameters(activity.parameters)
        self._input_trains, self._ends = listed, before
        with writing(self._log.path):
            tables = self._with_room(rows)
            for name, values in rows.items():
                tables.write(name, self._used(name), values)
            # The run counts from here on.
            tables.write(RUNS_DONE, 0, np.array([self._runs + 1], np.uint64))
        self._runs += 1
        self._ends = after

    def close(self) -> None:
        """Complete the state: compress it and mark it.

        Raises:
            OutputError: the file cannot be written; the state stays as it was.
        """
        if self._open is None:
            return
        log = self._log
        log.check_open()
        with writing(log.path):
            self._open.check_place(log.path)
        with (
            replacing(log.path) as new,
            log.copy(new, without=[self._name]) as file,
            opened(log.path, "an activity log") as old,
        ):
            group = file["states"].create_group(self._name)
            pack(old["states"][self._name], group, log.compress)
            group.attrs["complete"] = 1
            sign(group)
        self.abandon()

    def abandon(self) -> None:
        """Stop writing. Unless it was closed, the state stays incomplete, with all runs so far."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    # --- below -----------------------------------------------------------------------------

    def _check_parameters(self, held: Parameters) -> None:
        if not self._parameters:
            self._parameters = held.copy()
        first, now = self._parameters.named(), held.named()
        for name in first | now:  # in their order
            if name not in first or name not in now or not np.array_equal(first[name], now[name]):
                kind, _, of = name.partition(".")
                of = f"layer {of}" if of.isdigit() else of
                raise RunInputError(
                    f"state {self._name!r}: the {kind} of {of} are not those of its "
                    f"first run; begin another state when {kind} change"
                )

    def _used(self, name: str) -> int:
        return n_used(name, self._runs, self._ends)

    def _with_room(self, rows: Mapping[str, NDArray[Any]]) -> OpenTables:
        """The tables, with room for some more rows; in a larger file if need be."""
        needed = {name: self._used(name) + len(values) for name, values in rows.items()}
        before = self._open.tables if self._open else {}
        if before and before.keys() != {*rows, RUNS_DONE}:
            raise RunInputError(
                f"state {self._name!r}: expected further spikes in all runs or in none"
            )
        if self._open and all(before[k].holds(needed[k], values) for k, values in rows.items()):
            return self._open
        counter = np.array([self._runs], np.uint64)
        wanted = {
            name: roomy(name, values, needed.get(name, 1), before.get(name), self._planned)
            for name, values in {RUNS_DONE: counter, **rows}.items()
        }
        log = self._log
        if self._open:
            self._open.check_place(log.path)
        tables: OpenTables | None = None
        try:
            with replacing(log.path) as new:
                with log.copy(new, without=[self._name]) as file:
                    again = INPUT_SPIKES + "/ends" in rows or self._again
                    version = OWN_NEURONS if self._parameters.neurons else ALL_SPIKES * again
                    if version > file.attrs["version"]:
                        file.attrs["version"] = version
                        sign(file["states"], file)
                    group = file["states"].create_group(self._name)
                    group.attrs["complete"] = 0
                    group.attrs["epoch"] = -1 if self._epoch is None else self._epoch
                    group.attrs["split"] = self._split or ""
                    sign(group)
                    write_parameters(group, self._parameters)
                    placed = lay_out(group, wanted)
                tables = OpenTables(new, placed)
                if self._open:
                    self._open.copy_to(tables, self._used)
                tables.write(RUNS_DONE, 0, counter)
        except BaseException:
            if tables is not None:
                tables.close()
            raise
        self.abandon()
        self._open = tables
        return tables
