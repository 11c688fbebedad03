"""Spike times as plain arrays in an ``.npz`` file: anyone's spikes in, ours out.

The layout is that of the spike times published with arXiv 2508.12975. For each state::

    input            (n, n_inputs)      spike times in model time, inf = silent
    hidden           (layers, n, neurons)   or hidden_0, hidden_1, ... (n, neurons) each
    output           (n, n_outputs)
    label            (n,)               index of the right output neuron
    decision         (n,)               optional; -1 = none; else the earliest output neuron
    weights.0, ...   (pre, post)        optional; signed (weights_0, ... in earlier versions)
    class_names      (n_outputs,)       optional; text
    decision_rule    ()                 optional; text: how decisions were made
    decision_reads   ()                 optional; text: "spikes" or "membrane", where it was not of
                                        first spikes

Where neurons or input channels spike more than once, the arrays above hold first spikes, and these
hold all of them, of ``input``, ``hidden_0``, ..., ``output``::

    spikes.output.ends    (n,)          number of spikes up to the end of each sample
    spikes.output.times   (spikes,)     sample after sample, in each by time, of equal ones by
    spikes.output.units   (spikes,)     neuron; which neuron each is of

A network that is more than a chain of nominal neurons that spike once has its description besides;
its ``hidden_0``, ... are the populations in their order, without the one that decides::

    network          ()                 optional; text (JSON), as in activity logs
    delays.0, ...                       optional; of projections that have delays
    neurons.hidden.tau_mem, ...         optional; of neurons with parameters each for itself

Of a state, the file holds neither how its runs went nor which split it is of.
A file with several states has their names behind: ``output_trained``, ``hidden_0_untrained``. An
array without such a name belongs to all states. A file without any has one state, "recorded".
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.formats.npz import load_arrays
from hxloop.activity.log.schema import epoch_of, network_from_json, network_to_json, state_order
from hxloop.activity.ragged import from_ragged
from hxloop.activity.recorded import DECISION_READS, RecordedActivity, first_output
from hxloop.activity.spikes import Spikes
from hxloop.errors import FileFormatError, OutputError, RunInputError
from hxloop.files import reading, replacing
from hxloop.network import Parameters
from hxloop.network.values import DELAYS, NEURONS, named_neurons, weights_name

RECORDED = "recorded"
EARLIEST = "the output neuron that spikes first (the file holds no decisions)"
_WHAT = "spike times as plain arrays (input, hidden, output, label)"


def read_plain(path: str | os.PathLike[str]) -> dict[str, RecordedActivity]:
    """Read spike times from an ``.npz`` file.

    Args:
        path: the file; its layout is told at the top of this module.

    Returns:
        States by name, "untrained" first, "trained" last.

    Raises:
        FileFormatError: no such file, damaged, arrays of Python objects (never unpickled),
            arrays missing or of shapes that do not fit each other, NaN, labels out of range,
            lists of spikes that make no sense (see ``from_ragged``) or are not those of the first
            spikes, or sizes that a file of its size cannot hold.
    """
    path = checks.path("path", path, error=FileFormatError)
    with reading(path, _WHAT):
        arrays = load_arrays(path)
        names = {
            name.removeprefix("output").removeprefix("_")
            for name in arrays
            if name == "output" or name.startswith("output_")
        }
        if not names:
            raise FileFormatError(f"no array 'output'; there are: {', '.join(arrays) or 'none'}")
        if len(names) > 1 and "" in names:
            raise FileFormatError("an array 'output' beside those of named states")
        return {name or RECORDED: _state(arrays, name) for name in sorted(names, key=state_order)}


def write_plain(path: str | os.PathLike[str], states: Iterable[RecordedActivity]) -> None:
    """Write spike times into an ``.npz`` file, as ``read_plain`` reads them.

    Args:
        path: the file; replaced.
        states: what to write.

    Raises:
        OutputError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for state in states:
        end = "" if state.name == RECORDED else f"_{state.name}"
        names = _names(len(state.layer_times), state.output_index)
        # Of further spikes of others, nobody has checked that they came after the first.
        layers = (
            state.layer_times
            if state.further_spikes is None
            else tuple(spikes.first for spikes in state.spikes)
        )
        for name, times in zip(names, (state.input_times, *layers), strict=True):
            arrays[f"{name}{end}"] = times
        for name, spikes in zip(names, (state.inputs, *state.spikes), strict=True):
            if not spikes.once:
                arrays |= {f"{key}{end}": array for key, array in _listed(name, spikes).items()}
        arrays[f"label{end}"], arrays[f"decision{end}"] = state.labels, state.decisions
        named = (state.parameters or Parameters(())).named()
        arrays |= {f"{name}{end}": matrix for name, matrix in named.items()}
        if state.decision_reads != DECISION_READS[0]:
            arrays[f"decision_reads{end}"] = np.array(state.decision_reads, dtype=np.str_)
        if state.network is not None and needs_network(state):
            arrays[f"network{end}"] = np.array(network_to_json(state.network), dtype=np.str_)
        if state.class_names:
            arrays[f"class_names{end}"] = np.array(state.class_names, dtype=np.str_)
        if state.decision_rule is not None:
            arrays[f"decision_rule{end}"] = np.array(state.decision_rule, dtype=np.str_)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    with replacing(checks.path("path", path, error=OutputError)) as new:
        new.write_bytes(content.getbuffer())


def needs_network(state: RecordedActivity) -> bool:
    """Whether the arrays of a state can only be understood with its network, which is written."""
    network = state.network
    return network is not None and bool(not network.is_chain or network.features or state.neurons)


def plain_leaves_out(state: RecordedActivity) -> tuple[str, ...]:
    """What the file has no place for and the state holds."""
    held = {
        "network": state.network is not None and not needs_network(state),
        "runs": bool(state.runs),
        "split": state.split is not None,
    }
    return tuple(name for name, there in held.items() if there)


def _names(n_layers: int, output: int) -> list[str]:
    """Names of the arrays of input and layers."""
    names = [f"hidden_{layer}" for layer in range(n_layers - 1)]
    return ["input", *names[:output], "output", *names[output:]]


def _listed(name: str, spikes: Spikes) -> dict[str, NDArray[Any]]:
    times, units, offsets = spikes.events
    place = f"spikes.{name}"
    return {f"{place}.ends": offsets[1:], f"{place}.times": times, f"{place}.units": units}


class _Arrays:
    """The arrays of one state in a file, by their names without the state's."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], state: str) -> None:
        self._arrays, self._state = arrays, state
        self.names = {name.removesuffix(f"_{state}") for name in arrays} if state else set(arrays)

    def get(self, name: str) -> NDArray[Any] | None:
        own = self._arrays.get(f"{name}_{self._state}") if self._state else None
        return self._arrays.get(name) if own is None else own

    def need(self, name: str) -> NDArray[Any]:
        array = self.get(name)
        if array is None:
            of = f" of the state {self._state!r}" if self._state else ""
            raise FileFormatError(f"no array {name!r}{of}; there are: {', '.join(self._arrays)}")
        return array

    def text(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else _texts(name, found)[0]

    def hidden(self) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = []
        while (array := self.get(f"hidden_{len(found)}")) is not None:
            found.append(_floats("hidden", array))
        stacked = self.get("hidden")
        if stacked is None:
            return found
        if found:
            raise FileFormatError("both 'hidden' and 'hidden_0'; expected one of them")
        if stacked.ndim != 3:
            raise FileFormatError(
                f"'hidden': expected (layers, samples, neurons); got the shape {stacked.shape}"
            )
        return list(_floats("hidden", stacked))

    def weights(self) -> tuple[NDArray[Any], ...] | None:
        found: list[NDArray[Any]] = []
        while (name := weights_name(self.names, len(found))) is not None:
            if (matrix := self.get(name)) is None:
                break
            found.append(_floats("weights", matrix))
        return tuple(found) or None

    def delays(self, n: int) -> tuple[NDArray[Any] | None, ...]:
        arrays = [self.get(f"{DELAYS}.{i}") for i in range(n)]
        if all(array is None for array in arrays):
            return ()
        return tuple(None if a is None else _floats("delays", a) for a in arrays)

    def neurons(self) -> dict[str, dict[str, NDArray[Any]]]:
        found = {name: self.get(name) for name in self.names if name.startswith(f"{NEURONS}.")}
        return named_neurons({n: _floats(n, a) for n, a in found.items() if a is not None})

    def spikes(self, name: str, n_units: int) -> Spikes | None:
        """All spikes, where there are lists of them."""
        place = f"spikes.{name}"
        if self.get(f"{place}.times") is None:
            return None
        times, units, ends = (self.need(f"{place}.{key}") for key in ("times", "units", "ends"))
        return from_ragged(times, units, ends, n_units, repr(place))


def _state(arrays: Mapping[str, NDArray[Any]], state: str) -> RecordedActivity:
    given = _Arrays(arrays, state)
    output = _floats("output", given.need("output"))
    if output.ndim != 2:
        raise FileFormatError(f"'output': expected (samples, outputs); got {output.shape}")
    hidden = given.hidden()
    described = given.text("network")
    network = None if described is None else network_from_json(described)
    n_layers = 1 + len(hidden)
    if network is not None and len(network.layers) != n_layers:
        raise FileFormatError(
            f"'network' has {len(network.layers)} populations; expected {n_layers}, those of "
            "'output' and the hidden ones"
        )
    place = n_layers - 1 if network is None else network.output_index
    layers = (*hidden[:place], output, *hidden[place:])
    inputs = _floats("input", given.need("input"))
    lists = {
        name: given.spikes(name, times.shape[-1] if times.ndim else 0)
        for name, times in zip(_names(n_layers, place), (inputs, *layers), strict=True)
    }
    input_trains, *listed = lists.values()
    decision, weights = given.get("decision"), given.weights()
    names, rule = given.get("class_names"), given.text("decision_rule")
    if decision is None and rule is None:
        rule = EARLIEST
    try:
        return RecordedActivity(
            name=state or RECORDED,
            input_times=inputs,
            layer_times=layers,
            labels=_indices("label", given.need("label")),
            decisions=first_output(output) if decision is None else _indices("decision", decision),
            weights=weights,
            network=network,
            epoch=epoch_of(state),
            decision_rule=rule,
            decision_reads=given.text("decision_reads") or DECISION_READS[0],
            class_names=() if names is None else tuple(_texts("class_names", names)),
            input_trains=input_trains,
            spike_trains=_whole(listed, layers),
            delays=given.delays(len(weights or ())),
            neurons=given.neurons(),
        )
    except RunInputError as error:
        raise FileFormatError(str(error)) from error


def _whole(
    listed: Sequence[Spikes | None], layers: Sequence[NDArray[Any]]
) -> tuple[Spikes, ...] | None:
    """Spikes of all layers, where some have lists of them."""
    if all(spikes is None for spikes in listed):
        return None
    pairs = zip(listed, layers, strict=True)
    return tuple(Spikes.from_first(first) if all_ is None else all_ for all_, first in pairs)


def _floats(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiu":
        raise FileFormatError(f"{name!r}: expected numbers; got {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _texts(name: str, array: NDArray[Any]) -> list[str]:
    if array.dtype.kind != "U" or array.ndim > 1 or not array.size:
        raise FileFormatError(f"{name!r}: expected text; got {array.dtype} {array.shape}")
    return [str(text) for text in array.reshape(-1)]


def _indices(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "fiu":
        raise FileFormatError(f"{name!r}: expected whole numbers; got {array.dtype}")
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array % 1 == 0).all()):
        raise FileFormatError(f"{name!r}: expected whole numbers")
    return array.astype(np.int64)
