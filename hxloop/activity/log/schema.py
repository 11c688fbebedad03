"""The layout of an activity log, an HDF5 file: what is called what, versions 1 to 3.

An activity log is plain HDF5 (superblock 0), for any program that reads HDF5::

    /                           attributes: schema = "hxloop-activity", version, time_unit,
                                weight_unit, silent, network (JSON), about (JSON), created_with
    /states/NAME/               one state of the network: "untrained", "epoch-005", "trained";
                                attributes: split, epoch (-1 = not known), complete (0 or 1)
        runs_done               (1,) uint64: how many runs are in the file. THE COUNT: what lies
                                beyond it in the other datasets is not valid
        runs/ends               (runs, 1 + layers) int64: after each run, the number of samples
                                so far, then of spikes of each layer in the lists below
        runs/info               (runs,) JSON text of a fixed width, see ``RunInfo``
        runs/digest             (runs,) of all that was written in the run, see ``digest_of_run``
        labels, decisions       (samples,) int64; decision -1 = none
        input_times             (samples, n_inputs), as delivered; attribute unit
        weights.I               (pre, post), signed, as the substrate held them, of projection I
                                (of a chain: layer I); attribute unit
        delays.I                as the substrate held them; of projections that have delays;
                                attribute unit
        neurons.POPULATION.NAME (post,), of neurons that have a parameter ("tau_mem", "tau_syn",
                                "v_threshold", "v_reset") each for itself; attribute unit
        layers/I/               I = 0 for the first hidden layer, ..., the last is the output,
                                unless ``network`` names another
            first_spike_times   (samples, post), inf = silent; attribute unit
            further_spikes/     samples, neurons (spikes,) int64, times (spikes,) float64: spikes
                                after the first ones; only where they were recorded

Version 2 is written where neurons or input channels may spike more than once, version 1 else: the
file of a network whose neurons spike once is read by every version of hxloop. In version 2 a layer
of neurons that may spike again has, instead of ``first_spike_times``, all of its spikes::

        layers/I/spikes/        ends (samples,) int64: number of spikes up to the end of each
                                sample; times (spikes,) float64, units (spikes,) int64: sample
                                after sample, in each by time, of equal ones by neuron
        input/spikes/           the same of the input, instead of ``input_times``, where channels
                                may spike more than once; runs/ends has one column more, the last

Version 3 is written where neurons have parameters each for itself, which a reader that takes them
for nominal would get wrong; all else is as in version 2, or 1.

``/states`` has an attribute checksum, of the attributes of the whole file; each state has one of
its own attributes (see ``sign``). Files of earlier versions have neither, nor digests of runs, and
have the weights as ``layers/I/weights``.

Times are model time (1 = one synaptic time constant), in the precision of the backend.
Weights are in units in which ``network`` gives the threshold.

How it survives a kill
----------------------
While a state is being written, its datasets are contiguous and larger than needed. Their bytes
are written at their places in the file without the HDF5 library, and ``runs_done`` last, in one
write of 8 bytes: the structure of the file is never touched, so whenever the process is killed,
the file opens and holds every run that was counted. Everything that does change the structure
(beginning a state, making it larger, compressing it when it is complete) makes a new file and
renames it over the old one. A state that was cut off stays, with ``complete`` = 0.

A complete state is compressed: chunks of some samples, HDF5's own filters "shuffle" and
"deflate", so that a part of a layer is read without the rest, by any program.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from numpy.typing import NDArray

from hxloop.activity.recorded import TRAINED, UNTRAINED
from hxloop.activity.types import RunInfo
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import sha256_of
from hxloop.files.json_text import parse_json
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec, Population, Projection
from hxloop.network.values import DELAYS, NEURONS, WEIGHTS

SCHEMA, VERSION = "hxloop-activity", 1
ALL_SPIKES = 2  # the version of a file in which neurons or input channels may spike more than once
OWN_NEURONS = 3  # that of a file in which neurons have parameters each for itself
INPUT_SPIKES = "input/spikes"
CHECKSUM = "checksum"
TIME_UNIT = "tau_syn"
WEIGHT_UNIT = "unit of v_threshold"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_EPOCH = re.compile(r"epoch-(\d+)")


def epoch_name(epoch: int) -> str:
    """The name of the state after so many epochs: "untrained" after 0, then "epoch-001", ..."""
    return f"epoch-{epoch:03d}" if epoch else UNTRAINED


def epoch_of(name: str) -> int | None:
    """The epoch that the name of a state tells; None where it tells none."""
    if epoch := _EPOCH.fullmatch(name):
        return int(epoch[1])
    return 0 if name == UNTRAINED else None


def check_state_name(name: str) -> None:
    """Check that a state may have this name.

    Raises:
        OutputError: it holds more than letters, digits, dots, underscores and hyphens.
    """
    if not _NAME.fullmatch(name):
        raise OutputError(
            f"state {name!r}: expected a name of letters, digits, dots, underscores and hyphens, "
            "for example 'trained'"
        )


def state_order(name: str) -> tuple[int, int, str]:
    """Sort key: "untrained", epochs in their order, "trained", then others by name."""
    if epoch := _EPOCH.fullmatch(name):
        return 1, int(epoch[1]), name
    return {UNTRAINED: 0, TRAINED: 2}.get(name, 3), 0, name


def text_of(value: Any) -> str:
    """An attribute as text, whichever way HDF5 keeps it."""
    return value.decode() if isinstance(value, bytes) else str(value)


def sign(group: Any, owner: Any = None) -> None:
    """Write the digest of attributes into an attribute ``checksum``.

    Args:
        group: an HDF5 group, which gets it.
        owner: whose attributes they are; None: the group's own.
    """
    group.attrs[CHECKSUM] = _digest_of_attributes(group if owner is None else owner)


def check_signed(group: Any, owner: Any = None) -> None:
    """Check what ``sign`` wrote, if it did.

    Raises:
        FileFormatError: the attributes are not those that were signed.
    """
    owner = group if owner is None else owner
    told = group.attrs.get(CHECKSUM)
    if told is not None and told != _digest_of_attributes(owner):
        raise FileFormatError(f"{owner.name}: its attributes are not those that were written")


def _digest_of_attributes(owner: Any) -> str:
    values = {name: owner.attrs[name] for name in owner.attrs if name != CHECKSUM}
    return sha256_of(*(f"{name} = {values[name]}\n" for name in sorted(values)))


def digest_of_run(rows: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of what one run adds to the datasets of a state, by their names.

    Numbers count by their values: tables may be made more precise later.
    """
    parts: list[str | NDArray[Any]] = []
    for name in sorted(rows):
        values = rows[name]
        parts.append(f"{name} {values.shape}\n")
        if values.dtype.kind == "S":  # of a fixed width, which may grow
            parts.extend(text.decode("latin-1") for text in values.reshape(-1).tolist())
        else:
            parts.append(values.astype("<f8" if values.dtype.kind == "f" else "<i8"))
    return sha256_of(*parts)


def is_parameter(name: str) -> bool:
    """Whether a dataset of a state holds what does not change from run to run."""
    kinds = (f"{WEIGHTS}.", f"{DELAYS}.", f"{NEURONS}.")
    return name.startswith(kinds) or name.endswith(f"/{WEIGHTS}")


def spikes_place(layer: int) -> str:
    """Where all spikes of a layer are in a state."""
    return f"layers/{layer}/spikes"


# JSON has no infinity; the threshold of a read-out is one.
_INFINITE = "inf"


def network_to_json(network: NetworkSpec) -> str:
    """A network as JSON text: the fields of ``NetworkSpec``, nested.

    What earlier versions did not know is left out where it is what they took for granted, so that
    they read the files of a network that they can do.
    """
    values = asdict(network)
    for layer in values["layers"]:
        if math.isinf(layer["neuron"]["t_refractory"]):
            del layer["neuron"]["t_refractory"]
        if math.isinf(layer["neuron"]["v_threshold"]):
            layer["neuron"]["v_threshold"] = _INFINITE
    for name in ("projections", "output"):
        if not values[name]:
            del values[name]
    return json.dumps(values, allow_nan=False)


def network_from_json(text: str) -> NetworkSpec:
    """The network that ``network_to_json`` wrote.

    Raises:
        FileFormatError: it is no such text.
    """
    try:
        values = parse_json(text)
        layers = tuple(
            _layer(_neuron(layer.pop("neuron")), **layer) for layer in values.pop("layers")
        )
        projections = tuple(Projection(**each) for each in values.pop("projections", ()))
        return NetworkSpec(layers=layers, projections=projections, **values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(f"the description of the network is damaged: {error}") from error


def _neuron(values: Mapping[str, Any]) -> NeuronSpec:
    return NeuronSpec(**{k: math.inf if v == _INFINITE else v for k, v in values.items()})


def _layer(
    neuron: NeuronSpec, n_neurons: int, n_inhibitory: int, name: str | None = None
) -> LayerSpec:
    if name is None:
        return LayerSpec(n_neurons, neuron, n_inhibitory)
    return Population(name, n_neurons, neuron, n_inhibitory)


def info_to_json(info: RunInfo) -> bytes:
    """How a run went, as JSON text."""
    return json.dumps(asdict(info)).encode("ascii")


def info_from_json(text: bytes) -> RunInfo:
    """What ``info_to_json`` wrote; entries of later versions are left out.

    What an earlier version did not count has the default of ``RunInfo``.

    Raises:
        FileFormatError: it is no such text.
    """
    try:
        values: Mapping[str, Any] = parse_json(text)
        known = {
            field.name: values[field.name] for field in fields(RunInfo) if field.name in values
        }
        for name, value in known.items():
            if name in ("clipped_weights", "zeroed_weights"):
                known[name] = tuple(value)
            numbers = known[name] if isinstance(known[name], tuple) else (value,)
            if any(isinstance(n, int | float) and not 0 <= n < math.inf for n in numbers):
                raise ValueError(f"{name} is {value}")
        return RunInfo(**known)
    except (ValueError, TypeError, AttributeError) as error:
        raise FileFormatError(f"the record of a run is damaged: {error}") from error
