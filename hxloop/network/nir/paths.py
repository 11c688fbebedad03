"""What leads from neurons to neurons in a NIR graph: weights and delays, multiplied out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError

Array = NDArray[Any]
Edges = Sequence[tuple[str, str]]
NEURONS = ("CubaLIF", "CubaLI")
INPUTS, OUTPUTS = ("Input",), ("Output",)
_LINKS = ("Linear", "Affine", "Scale", "Delay")
_WHY_NOT = {
    "LIF": "its inputs move the membrane at once; neurons here have a synaptic current (CubaLIF)",
    "LI": "its inputs move the membrane at once; neurons here have a synaptic current (CubaLI)",
    "IF": "its membrane does not leak; neurons here do (CubaLIF)",
    "I": "its membrane does not leak; neurons here do (CubaLI)",
}


@dataclass(frozen=True)
class Path:
    """All that lies between two populations, or the input and one.

    Attributes:
        pre, post: names of nodes.
        weight: ``(post, pre)``, in the units of the graph; None: every neuron leads to its like.
        links: names of the nodes in between, from pre to post.
        before, behind: the delay of every presynaptic and postsynaptic neuron, in the unit of the
            graph; None: there is none.
    """

    pre: str
    post: str
    weight: Array | None = None
    links: tuple[str, ...] = ()
    before: Array | None = None
    behind: Array | None = None


def flat(graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges of a graph with the graphs in it opened; theirs are called "outer.inner"."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    first: dict[str, list[str]] = {}
    last: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        if type(node).__name__ != "NIRGraph":
            nodes[prefix + name] = node
            continue
        inner, within = flat(node, f"{prefix}{name}.")
        ends = {n for n, each in inner.items() if type(each).__name__ in (*INPUTS, *OUTPUTS)}
        nodes |= {n: each for n, each in inner.items() if n not in ends}
        edges += [edge for edge in within if not ends & set(edge)]
        first[prefix + name] = [b for a, b in within if a in ends]
        last[prefix + name] = [a for a, b in within if b in ends]
    for a, b in graph.edges:
        a, b = prefix + a, prefix + b
        edges += [(x, y) for x in last.get(a, [a]) for y in first.get(b, [b])]
    return nodes, edges


def paths(nodes: Mapping[str, Any], edges: Edges) -> list[Path]:
    """Every path that ends at neurons and begins at neurons or at the input.

    Args:
        nodes, edges: of a graph, see ``flat``; of kinds that are known, see ``check_known``.

    Raises:
        FileFormatError: a loop without neurons, or delays between two matrices of weights.
    """
    into: dict[str, list[str]] = {name: [] for name in nodes}
    for pre, post in edges:
        into[post].append(pre)
    found = []
    for name, node in nodes.items():
        if type(node).__name__ in NEURONS:
            for pre in into[name]:
                found += _back(nodes, into, pre, Path("", name))
    return found


def check_known(nodes: Mapping[str, Any]) -> None:
    """Refuse nodes that no network here can have.

    Raises:
        FileFormatError: there is one, with the reason.
    """
    known = (*NEURONS, *_LINKS, *INPUTS, *OUTPUTS)
    for name, node in nodes.items():
        kind = type(node).__name__
        if kind not in known:
            why = _WHY_NOT.get(kind, "no network of hxloop has such a node")
            raise FileFormatError(f"node {name!r} is a {kind}: {why}; expected {', '.join(known)}")
        if kind == "Affine" and np.any(node.bias):
            raise FileFormatError(
                f"node {name!r} is an Affine with a bias up to {np.abs(node.bias).max():g}: "
                "neurons here have no constant current; expected a bias of 0"
            )


def _back(
    nodes: Mapping[str, Any], into: Mapping[str, Sequence[str]], name: str, path: Path
) -> list[Path]:
    """What leads to ``path``, through the node ``name``."""
    node, kind = nodes[name], type(nodes[name]).__name__
    if kind in (*NEURONS, *INPUTS):
        return [Path(name, path.post, path.weight, path.links, path.before, path.behind)]
    if name in path.links:
        raise FileFormatError(f"node {name!r} lies in a loop without neurons; expected none")
    weight, before, behind = path.weight, path.before, path.behind
    weighted = any(type(nodes[n]).__name__ in ("Linear", "Affine") for n in path.links)
    if kind == "Delay":
        delay = np.asarray(node.delay, np.float64).reshape(-1)
        if weighted:
            before = delay if before is None else before + delay
        else:
            behind = delay if behind is None else behind + delay
    elif before is not None:
        raise FileFormatError(
            f"node {name!r}: weights before and behind a delay; expected a delay at one end of "
            "what lies between two populations"
        )
    elif kind == "Scale":
        scale = np.asarray(node.scale, np.float64).reshape(-1)
        weight = np.diag(scale) if weight is None else weight * scale
    else:
        matrix = np.asarray(node.weight, np.float64)
        if matrix.ndim != 2:
            raise FileFormatError(
                f"node {name!r}: expected weights (post, pre); got the shape {matrix.shape}"
            )
        weight = matrix if weight is None else weight @ matrix
    further = Path("", path.post, weight, (name, *path.links), before, behind)
    return [found for pre in into[name] for found in _back(nodes, into, pre, further)]
