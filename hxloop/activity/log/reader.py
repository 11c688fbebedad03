"""Reading activity logs, all of one or a part."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.further import FurtherSpikes
from hxloop.activity.log.rows import Samples, read_further, read_rows, read_spikes
from hxloop.activity.log.schema import (
    INPUT_SPIKES,
    check_signed,
    info_from_json,
    network_from_json,
    spikes_place,
    state_order,
    text_of,
)
from hxloop.activity.log.soundness import check_header, check_state, dataset_of, runs_done
from hxloop.activity.recorded import DECISION_READS, RecordedActivity
from hxloop.activity.spikes import Spikes
from hxloop.activity.types import RunInfo
from hxloop.errors import FileFormatError, UnknownNameError
from hxloop.files import reading
from hxloop.files.hdf5 import open_checked
from hxloop.files.json_text import parse_json
from hxloop.network import NetworkSpec
from hxloop.network.values import DELAYS, NEURONS, WEIGHTS, Parameters, named_neurons, weights_name

_WHAT = "an activity log of hxloop"


class ActivityLog:
    """An activity log, open for reading. Nothing is read before it is asked for.

    Args:
        path: the file; its layout is told in ``hxloop.activity.log.schema``.

    Raises:
        FileFormatError: no such file, truncated, of another program or of another version.

    Attributes:
        path: the file.
        network: the network whose activity it is.
        about: what the writer told about its origin (experiment, seed, ...), by name.

    Example:
        >>> with ActivityLog.open(Path("activity.h5")) as log:  # doctest: +SKIP
        ...     times = log.layer_times("trained", 2, samples=slice(0, 100))
    """

    def __init__(self, path: Path) -> None:
        self.path = checks.path("path", path, error=FileFormatError)
        self._sound: set[str] = set()  # states whose runs have been checked
        self._file = open_checked(self.path, _WHAT)
        try:
            with reading(self.path, _WHAT):
                check_header(self._file, self.path, _WHAT)
                self.network: NetworkSpec = network_from_json(text_of(self._file.attrs["network"]))
                self.about: dict[str, Any] = parse_json(text_of(self._file.attrs["about"]))
                check_signed(self._file["states"], self._file)
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def open(cls, path: Path | str) -> ActivityLog:
        """Open a log; see the class."""
        return cls(checks.path("path", path, error=FileFormatError))

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states: "untrained", epochs in their order, "trained", others."""
        with reading(self.path, _WHAT):
            states = self._file["states"]
            begun = (name for name in states if runs_done(states[name], self.path))
            return tuple(sorted(begun, key=state_order))

    def is_complete(self, state: str) -> bool:
        """Whether the state was written to its end; False: its writer was cut off."""
        group = self._state(state)
        with reading(self.path, _WHAT):
            return bool(group.attrs["complete"])

    def n_samples(self, state: str) -> int:
        """How many samples of a state there are."""
        return int(self._ends(state)[0])

    def input_times(self, state: str, samples: Samples = None) -> NDArray[Any]:
        """First input spike times as delivered, ``(n, n_inputs)``.

        Args:
            state: its name.
            samples: which samples, a slice or indices; None = all.

        Raises:
            UnknownNameError: no such state.
            FileFormatError: the file is damaged.
        """
        if self._has_all(state, INPUT_SPIKES):
            return self.inputs(state, samples).first
        return self._rows(state, "input_times", samples)

    def inputs(self, state: str, samples: Samples = None) -> Spikes:
        """All input spikes as delivered; args and errors as of ``input_times``."""
        return self._spikes(state, INPUT_SPIKES, "input_times", samples, self.network.n_inputs)

    def layer_times(self, state: str, layer: int, samples: Samples = None) -> NDArray[Any]:
        """First spike times of a layer, ``(n, post)``; layer 0 is the first after the input.

        Args and errors as of ``input_times``.
        """
        layer = self._layer(layer)
        if self._has_all(state, spikes_place(layer)):
            return self.spikes(state, layer, samples).first
        return self._rows(state, _first(layer), samples)

    def spikes(self, state: str, layer: int, samples: Samples = None) -> Spikes:
        """All spikes of a layer, as far as they are recorded without ``further_spikes``.

        Args and errors as of ``layer_times``.
        """
        layer = self._layer(layer)
        size = self.network.layers[layer].n_neurons
        return self._spikes(state, spikes_place(layer), _first(layer), samples, size)

    def weights(self, state: str) -> tuple[NDArray[Any], ...]:
        """Weights as held, one matrix ``(pre, post)`` for each projection (of a chain: layer)."""
        group = self._state(state)
        with reading(self.path, _WHAT):
            return tuple(
                dataset_of(group, weights_name(group, index) or f"{WEIGHTS}.{index}", self.path)[()]
                for index in range(len(self.network.shapes))
            )

    def parameters(self, state: str) -> Parameters:
        """Weights, delays and neurons as held; without what earlier versions did not write."""
        group, kinds = self._state(state), (f"{DELAYS}.", f"{NEURONS}.")
        with reading(self.path, _WHAT):
            names = [name for name in group if name.startswith(kinds)]
            named = {name: dataset_of(group, name, self.path)[()] for name in names}
        delays = tuple(named.get(f"{DELAYS}.{i}") for i in range(len(self.network.shapes)))
        return Parameters(self.weights(state), delays, named_neurons(named))

    def labels(self, state: str, samples: Samples = None) -> NDArray[np.int64]:
        """Index of the right output neuron, ``(n,)``."""
        return self._rows(state, "labels", samples)

    def decisions(self, state: str, samples: Samples = None) -> NDArray[np.int64]:
        """Index of the output neuron decided for, ``(n,)``; -1 = none."""
        return self._rows(state, "decisions", samples)

    def runs(self, state: str) -> tuple[RunInfo, ...]:
        """How each run went, in the order of the samples."""
        group = self._state(state)
        with reading(self.path, _WHAT):
            texts = dataset_of(group, "runs/info", self.path)[: runs_done(group, self.path)]
            return tuple(info_from_json(text) for text in texts)

    def further_spikes(
        self, state: str, samples: Samples = None
    ) -> tuple[FurtherSpikes, ...] | None:
        """Spikes after the first ones, for each layer; None where they were not recorded so.

        What ``spikes`` gives are all of them.
        """
        group, ends = self._state(state), self._ends(state)
        with reading(self.path, _WHAT):
            return read_further(group, ends, samples, self.path)

    def read(self, state: str, samples: Samples = None) -> RecordedActivity:
        """A state, or some samples of it.

        Args:
            state: its name.
            samples: which samples, a slice or indices; None = all, with how each run went.

        Raises:
            UnknownNameError: no such state.
            FileFormatError: the file is damaged, or holds what makes no sense (NaN, labels out
                of range, ...).
        """
        group = self._state(state)
        layers = range(len(self.network.layers))
        held, epoch = self.parameters(state), int(group.attrs.get("epoch", -1))
        listed = [layer for layer in layers if self._has_all(state, spikes_place(layer))]
        with reading(self.path, _WHAT):
            inputs = self.inputs(state, samples) if self._has_all(state, INPUT_SPIKES) else None
            spikes = {layer: self.spikes(state, layer, samples) for layer in listed}
            times = [
                spikes[layer].first
                if layer in spikes
                else self._rows(state, _first(layer), samples)
                for layer in layers
            ]
            return RecordedActivity(
                name=state,
                input_times=self.input_times(state, samples) if inputs is None else inputs.first,
                layer_times=tuple(times),
                labels=self.labels(state, samples),
                decisions=self.decisions(state, samples),
                weights=held.weights,
                network=self.network,
                epoch=None if epoch < 0 else epoch,
                split=text_of(group.attrs.get("split", "")) or None,
                runs=self.runs(state) if samples is None else (),
                further_spikes=self.further_spikes(state, samples),
                decision_rule=self._about_text("decision_rule"),
                decision_reads=self._about_text("decision_reads") or DECISION_READS[0],
                class_names=self._class_names(),
                input_trains=inputs,
                spike_trains=tuple(spikes.get(i) or Spikes.from_first(times[i]) for i in layers)
                if spikes
                else None,
                delays=held.delays,
                neurons=held.neurons,
            )

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- below -----------------------------------------------------------------------------

    def _about_text(self, key: str) -> str | None:
        value = self.about.get(key)
        return value if isinstance(value, str) else None

    def _class_names(self) -> tuple[str, ...]:
        """As the log tells them; logs of earlier versions tell none."""
        names = self.about.get("class_names") or ()
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise FileFormatError(f"{self.path}: about.class_names: expected a list of names")
        return tuple(names)

    def _state(self, name: str) -> h5py.Group:
        if name not in self.states:
            known = ", ".join(self.states) or "none"
            raise UnknownNameError(f"{self.path}: no state {name!r}; there are: {known}")
        group = self._file["states"][name]
        if name not in self._sound:
            with reading(self.path, _WHAT):
                check_state(group, len(self.network.layers), self.path)
            self._sound.add(name)
        return group

    def _ends(self, state: str) -> NDArray[np.int64]:
        group = self._state(state)
        with reading(self.path, _WHAT):
            ends, runs = dataset_of(group, "runs/ends", self.path), runs_done(group, self.path)
            if runs == 0:
                return np.zeros(ends.shape[1], np.int64)
            return np.asarray(ends[runs - 1], dtype=np.int64)

    def _layer(self, layer: int) -> int:
        n_layers = len(self.network.layers)
        if not -n_layers <= layer < n_layers:
            raise UnknownNameError(
                f"{self.path}: expected a layer from 0 to {n_layers - 1}; got {layer}"
            )
        return layer % n_layers

    def _has_all(self, state: str, place: str) -> bool:
        group = self._state(state)
        with reading(self.path, _WHAT):
            return place in group

    def _spikes(self, state: str, place: str, first: str, samples: Samples, n_units: int) -> Spikes:
        """All spikes, from their lists or from the table of the first ones."""
        group, n = self._state(state), self.n_samples(state)
        with reading(self.path, _WHAT):
            if place in group:
                return read_spikes(group, place, n, samples, n_units, self.path)
            return Spikes.from_first(self._rows(state, first, samples), where=f"{state}, {first}")

    def _rows(self, state: str, name: str, samples: Samples) -> NDArray[Any]:
        n = self.n_samples(state)
        with reading(self.path, _WHAT):
            return read_rows(self._state(state), name, n, samples, self.path)


def _first(layer: int) -> str:
    return f"layers/{layer}/first_spike_times"
