"""What feeds what: the order in which the populations of a network can be computed."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def components(n: int, arrows: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Strongly connected components of a directed graph, in topological order.

    Of components that could come next, the one with the first node does, so that a chain stays a
    chain.

    Args:
        n: number of nodes.
        arrows: (from, to), of nodes 0 to n - 1.

    Returns:
        The nodes of every component, ascending.

    Example:
        >>> components(4, [(0, 1), (1, 2), (2, 1), (2, 3)])
        ((0,), (1, 2), (3,))
    """
    # A chain needs none of it, and it takes long to import.
    from scipy.sparse.csgraph import connected_components

    of_node = connected_components(_matrix(n, arrows), directed=True, connection="strong")[1]
    nodes = {part: tuple(np.flatnonzero(of_node == part).tolist()) for part in set(of_node)}
    order: TopologicalSorter[int] = TopologicalSorter({part: () for part in nodes})
    for start, end in arrows:
        if of_node[start] != of_node[end]:
            order.add(of_node[end], of_node[start])
    order.prepare()
    found: list[tuple[int, ...]] = []
    ready: list[tuple[tuple[int, ...], int]] = []
    while order.is_active():
        for part in order.get_ready():
            heapq.heappush(ready, (nodes[part], part))
        members, part = heapq.heappop(ready)
        found.append(members)
        order.done(part)
    return tuple(found)


def reachable(n: int, arrows: Sequence[tuple[int, int]], start: int) -> frozenset[int]:
    """Nodes to which a path leads from one, itself included."""
    from scipy.sparse.csgraph import breadth_first_order

    found = breadth_first_order(_matrix(n, arrows), start, return_predecessors=False)
    return frozenset(int(node) for node in found)


def _matrix(n: int, arrows: Sequence[tuple[int, int]]) -> csr_array:
    from scipy.sparse import coo_array

    pairs = np.array(arrows, dtype=np.int64).reshape(-1, 2)
    return coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
