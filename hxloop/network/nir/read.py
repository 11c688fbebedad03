"""A network from a NIR graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError, NetworkError
from hxloop.network.neuron import INPUT, Population, Projection
from hxloop.network.nir.convention import Convention
from hxloop.network.nir.neurons import neurons_of
from hxloop.network.nir.paths import INPUTS, NEURONS, OUTPUTS, Path, check_known, flat, paths
from hxloop.network.nir.weights import parameters_of
from hxloop.network.nir.write import FORMAT, METADATA
from hxloop.network.spec import DEFAULT_T_WINDOW, NetworkSpec
from hxloop.network.values import Parameters

if TYPE_CHECKING:
    import nir

Array = NDArray[Any]


@dataclass(frozen=True)
class FromNir:
    """What was found in a graph.

    Attributes:
        network: the network.
        parameters: its weights, and delays and neurons where it has some.
        convention: by which the numbers were read.
        notes: what was assumed, or is not as the graph says; sentences.
        configuration: TOML of what it was trained with; None: the graph does not say.
    """

    network: NetworkSpec
    parameters: Parameters
    convention: Convention
    notes: tuple[str, ...] = ()
    configuration: str | None = None


def from_nir(
    graph: nir.NIRGraph, convention: Convention | None = None, *, t_window: float | None = None
) -> FromNir:
    """The network of a NIR graph.

    ``CubaLIF`` nodes are populations, ``CubaLI`` nodes read-outs; ``Linear``, ``Affine`` without a
    bias, ``Scale`` and ``Delay`` what lies between them, multiplied out to one matrix and at most
    one delay for a pre- or a postsynaptic neuron. Graphs in the graph are opened. A graph that
    ``to_nir`` made gives the same network to the bit.

    Args:
        graph: a ``nir.NIRGraph``, as ``nir.read`` gives it.
        convention: what its numbers mean; None: as the graph says that ``to_nir`` made, else
            seconds, Dirac pulses, and the synaptic time constant of the first population.
        t_window: how long a sample is observed, model time; None: as the graph says, else 6.

    Raises:
        FileFormatError: nodes or paths that no network here can have, several inputs or outputs.
        NetworkError: a network that makes no sense.
    """
    nodes, edges = flat(graph)
    check_known(nodes)
    about = _about(graph, nodes)
    notes: list[str] = [about.note] if about.note else []
    made = convention or about.convention or _guessed(nodes, notes)
    found = paths(nodes, edges)
    entry = _only(nodes, INPUTS, "input")
    output = _decides(nodes, edges)
    order = about.order or _order(nodes, found, entry)
    read = {name: neurons_of(name, nodes[name], made, about.of(name), notes) for name in order}
    names = _names(order)
    window = t_window or about.t_window or DEFAULT_T_WINDOW
    if t_window is None and about.t_window is None:
        notes.append(
            f"samples are observed for {window:g} tau_syn, of which the graph says nothing; "
            "another window with t_window"
        )
    joined = parameters_of(nodes, found, {**names, entry: INPUT}, read, made, notes)
    projections, values = _in_order(joined, about.projections, [INPUT, *names.values()])
    network = NetworkSpec(
        int(np.prod(nodes[entry].input_type["input"])),
        tuple(
            Population(names[name], each.size, each.nominal, each.n_inhibitory)
            for name, each in read.items()
        ),
        window,
        projections,
        names[output],
    )
    own = {names[name]: each.own for name, each in read.items() if each.own}
    weights, delays = zip(*values, strict=True)
    parameters = Parameters.of(network, Parameters(weights, delays, own), error=NetworkError)
    return FromNir(network, parameters, made, tuple(notes), about.configuration)


@dataclass(frozen=True, kw_only=True)
class _About:
    """What the metadata of a graph say that ``to_nir`` made; empty for others."""

    convention: Convention | None = None
    t_window: float | None = None
    order: tuple[str, ...] = ()
    populations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    projections: Sequence[Mapping[str, Any]] = ()
    configuration: str | None = None
    note: str = ""

    def of(self, name: str) -> Mapping[str, Any]:
        return self.populations.get(name, {})


def _about(graph: Any, nodes: Mapping[str, Any]) -> _About:
    text = graph.metadata.get(METADATA) if isinstance(graph.metadata, Mapping) else None
    if text is None:
        return _About()
    try:
        told = json.loads(text)
        if told["format"] > FORMAT:
            raise FileFormatError(
                f"the graph was written by a newer hxloop (format {told['format']}); expected "
                f"{FORMAT} or less"
            )
        convention = Convention(
            spikes=told["spikes"], unit=told["unit"], dt=told["dt"], tau_syn_ms=told["tau_syn_ms"]
        )
        populations = {each["name"]: each for each in told["populations"]}
        there = {name for name, node in nodes.items() if type(node).__name__ in NEURONS}
        if set(populations) != there:
            return _About(
                convention=convention, t_window=float(told["t_window"]),
                note=f"the graph was changed: it has the neurons {', '.join(sorted(there))}, its "
                f"metadata know {', '.join(populations)}; of these only units are believed",
            )  # fmt: skip
        return _About(
            convention=convention,
            t_window=float(told["t_window"]),
            order=tuple(populations),
            populations=populations,
            projections=tuple(told["projections"]),
            configuration=told["configuration"],
        )
    except (ValueError, LookupError, TypeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"the graph's metadata {METADATA!r} are damaged: {error}") from error


def _guessed(nodes: Mapping[str, Any], notes: list[str]) -> Convention:
    first = next((n for n in nodes.values() if type(n).__name__ in NEURONS), None)
    if first is None:
        raise FileFormatError(f"no neurons; expected nodes {' or '.join(NEURONS)}")
    unit = float(np.asarray(first.tau_syn, np.float64).reshape(-1)[0])
    notes.append(
        f"times are taken for seconds and spikes for Dirac pulses, as NIR's equations have them; a "
        f"unit of model time is {1e3 * unit:g} ms, the first synaptic time constant"
    )
    return Convention(tau_syn_ms=1e3 * unit)


def _only(nodes: Mapping[str, Any], kinds: Sequence[str], what: str) -> str:
    found = [name for name, node in nodes.items() if type(node).__name__ in kinds]
    if len(found) != 1:
        raise FileFormatError(f"expected one {what}; got {len(found)}: {', '.join(found)}")
    return found[0]


def _decides(nodes: Mapping[str, Any], edges: Sequence[tuple[str, str]]) -> str:
    """The population that the output is."""
    end = _only(nodes, OUTPUTS, "output")
    before = [pre for pre, post in edges if post == end]
    kinds = [type(nodes[name]).__name__ for name in before]
    if len(before) != 1 or kinds[0] not in NEURONS:
        got = ", ".join(f"{n!r} ({kind})" for n, kind in zip(before, kinds, strict=True))
        raise FileFormatError(
            f"output {end!r}: expected it behind one node of neurons ({', '.join(NEURONS)}); got "
            f"{got or 'none'}"
        )
    return before[0]


def _order(nodes: Mapping[str, Any], found: Sequence[Path], entry: str) -> tuple[str, ...]:
    """Populations by how far they are from the input."""
    order = [entry]
    for name in order:
        order += sorted({p.post for p in found if p.pre == name} - set(order))
    left = [n for n, x in nodes.items() if type(x).__name__ in NEURONS and n not in order]
    return (*order[1:], *left)


def _names(order: Sequence[str]) -> dict[str, str]:
    """Names that a population may have, for those of nodes."""
    names: dict[str, str] = {}
    for node in order:
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in node)
        while name == INPUT or name in names.values():
            name += "_"
        names[node] = name
    return names


def _in_order(
    joined: Mapping[tuple[str, str], tuple[Projection, Array, Array | None]],
    told: Sequence[Mapping[str, Any]],
    order: Sequence[str],
) -> tuple[tuple[Projection, ...], list[tuple[Array, Array | None]]]:
    """Projections in the order they had, or by what they lead to."""
    known = [(each["pre"], each["post"]) for each in told]
    shortest = {(each["pre"], each["post"]): float(each["min_delay"]) for each in told}

    def place(pair: tuple[str, str]) -> tuple[int, int, int]:
        told_at = known.index(pair) if pair in known else len(known)
        return told_at, order.index(pair[1]), order.index(pair[0])

    projections, values = [], []
    for pair in sorted(joined, key=place):
        projection, weight, delay = joined[pair]
        low = shortest.get(pair, 0.0) if delay is not None else 0.0
        if delay is not None and (delay < low).any():  # the graph was changed
            low = 0.0
        projections.append(Projection(*pair, projection.delays, low))
        values.append((weight, delay))
    return tuple(projections), values
