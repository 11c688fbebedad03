"""Recorded activity as NIRData, the companion of NIR graphs: what was recorded of their nodes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.formats.spike_lists import window
from hxloop.activity.recorded import RecordedActivity, first_output
from hxloop.activity.spikes import Spikes
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import reading, replacing
from hxloop.network import INPUT, NetworkSpec
from hxloop.network.nir.convention import AS_WRITTEN, Convention
from hxloop.network.nir.write import package

if TYPE_CHECKING:
    import nir

SPIKES, EXACT, LABEL, DECISION = "spikes", "model_time", "label", "decision"
_WHAT = "recorded activity as NIRData (HDF5)"
_NONE = -1  # the index of an event that is none


def to_nir_data(state: RecordedActivity, convention: Convention = AS_WRITTEN) -> nir.NIRGraphData:
    """All spikes of input and populations, under the names that their nodes have in a NIR graph.

    Each has the observable "spikes" (``EventData``, in the unit of the convention); where rounding
    would change a time on its way back also "model_time", the same events with their time in
    ``tau_syn`` as a value. The output has "label" and "decision", one step of a grid in which the
    neuron is set (no decision: none is). Weights and the network are in the graph, not here.

    Args:
        state: what to convert.
        convention: its unit and ``tau_syn_ms`` count.

    Raises:
        MissingDependencyError: the package nir is not installed.
    """
    made = package()
    t_max = float(convention.times(np.array(window(state))))
    nodes: dict[str, Any] = {}
    trains = (state.inputs, *state.spikes)
    for name, spikes in zip(_node_names(state), trains, strict=True):
        nodes[name] = made.NIRNodeData(_observables(made, spikes, convention, t_max))
    output = list(nodes.values())[1 + state.output_index]
    for name, values in ((LABEL, state.labels), (DECISION, state.decisions)):
        grid = np.arange(state.n_outputs)[None, None, :] == values[:, None, None]
        output.observables[name] = made.TimeGriddedData(grid, t_max)
    return made.NIRGraphData(nodes)


def from_nir_data(
    data: nir.NIRGraphData,
    network: NetworkSpec,
    convention: Convention = AS_WRITTEN,
    *,
    labels: Any = None,
    name: str = "recorded",
) -> RecordedActivity:
    """Recorded activity from NIRData, also of other programs.

    What ``to_nir_data`` made comes back bit for bit: spikes, labels and decisions.

    Args:
        data: with an observable "spikes" for the input and every population.
        network: whose activity it is; its populations have the names of the nodes.
        convention: its unit and ``tau_syn_ms`` count.
        labels: ``(samples,)``, the right output neurons, where the data do not say.
        name: of the state.

    Raises:
        FileFormatError: a node or an observable is missing, sizes that do not fit the network, or
            spikes that make no sense.
        RunInputError: labels that do not fit.
    """
    names = (INPUT, *(population.name for population in network.populations))
    found = [
        _spikes(data, node, n, convention) for node, n in zip(names, network.sizes, strict=True)
    ]
    if len({len(spikes) for spikes in found}) != 1:
        counts = ", ".join(f"{n}: {len(s)}" for n, s in zip(names, found, strict=True))
        raise FileFormatError(f"nodes with as many samples each were expected; got {counts}")
    inputs, *layers = found
    observables = data.nodes[names[1 + network.output_index]].observables
    output = layers[network.output_index]
    noted = {key: _marked(observables[key].data) for key in (LABEL, DECISION) if key in observables}
    right = labels if labels is not None else noted.get(LABEL)
    if right is None:
        raise FileFormatError(
            f"node {names[1 + network.output_index]!r}: no observable {LABEL!r}; expected it, or "
            "the right output neurons as labels"
        )
    return RecordedActivity(
        name=name,
        input_times=inputs.first,
        layer_times=tuple(spikes.first for spikes in layers),
        labels=right,
        decisions=noted.get(DECISION, first_output(output.first)),
        network=network,
        input_trains=None if inputs.once else inputs,
        spike_trains=None if all(spikes.once for spikes in layers) else tuple(layers),
    )


def write_nir_data(
    path: str | os.PathLike[str], state: RecordedActivity, convention: Convention = AS_WRITTEN
) -> None:
    """Write ``to_nir_data`` to a file; one that is there is replaced.

    Raises:
        MissingDependencyError: the package nir is not installed.
        OutputError: the file cannot be written.
    """
    path = checks.path("path", path, error=OutputError)
    data = to_nir_data(state, convention)
    with replacing(path) as new:
        package().write_data(new, data)


def read_nir_data(path: str | os.PathLike[str]) -> nir.NIRGraphData:
    """Read NIRData from a file, for ``from_nir_data``.

    Raises:
        MissingDependencyError: the package nir is not installed.
        FileFormatError: there is none, or it is damaged.
    """
    path = checks.path("path", path, error=FileFormatError)
    if not path.is_file():
        raise FileFormatError(f"{path}: expected {_WHAT}; there is no such file")
    with reading(path, _WHAT):
        return package().read_data(path)


def _node_names(state: RecordedActivity) -> tuple[str, ...]:
    # Where only its spikes are known, it is a chain.
    network = state.network or NetworkSpec.feed_forward(*state.sizes)
    return (INPUT, *(population.name for population in network.populations))


def _observables(nir: Any, spikes: Spikes, made: Convention, t_max: float) -> dict[str, Any]:
    counts = np.diff(spikes.offsets)
    # At least one place, because HDF5 compresses no array without any.
    shape = (len(spikes), max(1, int(counts.max(initial=0))))
    rows = spikes.samples
    columns = np.arange(spikes.n_spikes) - np.repeat(spikes.offsets[:-1], counts)
    idx = np.full(shape, _NONE, np.int64)
    model = np.full(shape, np.inf)
    idx[rows, columns], model[rows, columns] = spikes.units, spikes.times
    time = made.times(model)
    events = {SPIKES: nir.EventData(idx, time, spikes.n_units, t_max)}
    if not np.array_equal(made.model_times(time), model):
        events[EXACT] = nir.ValuedEventData(idx, time, spikes.n_units, t_max, model)
    return events


def _spikes(data: nir.NIRGraphData, name: str, n_units: int, made: Convention) -> Spikes:
    if name not in data.nodes:
        raise FileFormatError(f"no node {name!r}; there are: {', '.join(data.nodes)}")
    observables: dict[str, Any] = vars(data.nodes[name]).get("observables", {})
    if SPIKES not in observables:
        got = ", ".join(observables) or "none"
        raise FileFormatError(f"node {name!r}: expected the observable {SPIKES!r}; got {got}")
    events = observables[SPIKES]
    if events.n_neurons != n_units:
        raise FileFormatError(
            f"node {name!r}: expected {n_units} neurons, those of the network; got "
            f"{events.n_neurons}"
        )
    idx, time = np.asarray(events.idx), np.asarray(events.time, np.float64)
    there = idx >= 0
    times = made.model_times(time)
    exact = observables.get(EXACT)
    # Only where nobody has moved the events since.
    if (
        exact is not None
        and np.array_equal(exact.time, time)
        and np.array_equal(exact.idx, idx)
        and np.array_equal(made.times(exact.value)[there], time[there])
    ):
        times = exact.value
    samples = np.nonzero(there)[0]
    return Spikes.from_events(
        samples, idx[there], times[there], batch=len(idx), n_units=n_units,
        where=f"node {name!r}", error=FileFormatError,
    )  # fmt: skip


def _marked(grid: NDArray[Any]) -> NDArray[np.int64]:
    """The neuron that is set in each sample; -1: none is."""
    flat: NDArray[np.bool_] = np.any(np.asarray(grid, bool), axis=1)
    return np.where(flat.any(axis=1), flat.argmax(axis=1), -1).astype(np.int64)
