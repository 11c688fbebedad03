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
from hxloop.activity.log.schema import epoch_of, state_order
from hxloop.activity.recorded import RecordedActivity, first_output
from hxloop.errors import FileFormatError, OutputError, RunInputError
from hxloop.files import reading, replacing
from hxloop.network import Parameters
from hxloop.network.values import weights_name

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
            arrays missing or of shapes that do not fit each other, NaN, labels out of range, or
            sizes that a file of its size cannot hold.
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
        arrays[f"input{end}"] = state.input_times
        for layer, times in enumerate(state.layer_times[:-1]):
            arrays[f"hidden_{layer}{end}"] = times
        arrays[f"output{end}"] = state.output_times
        arrays[f"label{end}"], arrays[f"decision{end}"] = state.labels, state.decisions
        named = Parameters(state.weights or ()).named()
        arrays |= {f"{name}{end}": matrix for name, matrix in named.items()}
        if state.class_names:
            arrays[f"class_names{end}"] = np.array(state.class_names, dtype=np.str_)
        if state.decision_rule is not None:
            arrays[f"decision_rule{end}"] = np.array(state.decision_rule, dtype=np.str_)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    with replacing(checks.path("path", path, error=OutputError)) as new:
        new.write_bytes(content.getbuffer())


def _state(arrays: Mapping[str, NDArray[Any]], state: str) -> RecordedActivity:
    def get(name: str) -> NDArray[Any] | None:
        own = arrays.get(f"{name}_{state}") if state else None
        return arrays.get(name) if own is None else own

    def need(name: str) -> NDArray[Any]:
        array = get(name)
        if array is None:
            of = f" of the state {state!r}" if state else ""
            raise FileFormatError(f"no array {name!r}{of}; there are: {', '.join(arrays)}")
        return array

    def numbered(name: str) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = []
        while (array := get(f"{name}_{len(found)}")) is not None:
            found.append(array)
        return found

    hidden: Sequence[NDArray[Any]] = numbered("hidden")
    stacked = get("hidden")
    if stacked is not None:
        if hidden:
            raise FileFormatError("both 'hidden' and 'hidden_0'; expected one of them")
        if stacked.ndim != 3:
            raise FileFormatError(
                f"'hidden': expected (layers, samples, neurons); got the shape {stacked.shape}"
            )
        hidden = list(stacked)
    output = _floats("output", need("output"))
    if output.ndim != 2:
        raise FileFormatError(f"'output': expected (samples, outputs); got {output.shape}")
    decision = get("decision")
    weights: list[NDArray[Any]] = []
    known = {name.removesuffix(f"_{state}") for name in arrays} if state else set(arrays)
    while (name := weights_name(known, len(weights))) and (matrix := get(name)) is not None:
        weights.append(matrix)
    names = [] if (found := get("class_names")) is None else _texts("class_names", found)
    rule = None if (found := get("decision_rule")) is None else _texts("decision_rule", found)[0]
    if decision is None and rule is None:
        rule = EARLIEST
    try:
        return RecordedActivity(
            name=state or RECORDED,
            input_times=_floats("input", need("input")),
            layer_times=(*(_floats("hidden", times) for times in hidden), output),
            labels=_indices("label", need("label")),
            decisions=_indices("decision", decision)
            if decision is not None
            else first_output(output),
            weights=tuple(_floats("weights", matrix) for matrix in weights) or None,
            epoch=epoch_of(state),
            decision_rule=rule,
            class_names=tuple(names),
        )
    except RunInputError as error:
        raise FileFormatError(str(error)) from error


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
