"""Weights and delays of projections, from what lies between the neurons of a NIR graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import FileFormatError
from hxloop.network.neuron import Projection
from hxloop.network.nir.convention import Convention
from hxloop.network.nir.exact import restored
from hxloop.network.nir.neurons import Neurons
from hxloop.network.nir.paths import Path

Array = NDArray[Any]


def parameters_of(
    nodes: Mapping[str, Any],
    found: Sequence[Path],
    names: Mapping[str, str],
    neurons: Mapping[str, Neurons],
    made: Convention,
    notes: list[str],
) -> dict[tuple[str, str], tuple[Projection, Array, Array | None]]:
    """For each pair of populations the projection, its weights ``(pre, post)`` and its delays.

    Args:
        nodes: of the graph.
        found: the paths in it.
        names: of populations, and of the input, by the names of their nodes.
        neurons: of each population.
        made: what numbers mean.
        notes: what is put together is added.

    Raises:
        FileFormatError: two paths between the same populations whose delays differ, or delays
            before and behind the weights of one.
    """
    joined: dict[tuple[str, str], tuple[Projection, Array, Array | None]] = {}
    for path in found:
        pair = names[path.pre], names[path.post]
        weight = _weight(nodes, path, neurons[path.post], made)
        kind, delay = _delay(nodes, path, made)
        projection = Projection(*pair, kind)
        if pair not in joined:
            joined[pair] = projection, weight, delay
            continue
        other, others, others_delay = joined[pair]
        equal = (delay is None) == (others_delay is None) and (
            delay is None or others_delay is None or np.array_equal(delay, others_delay)
        )
        if other.delays != kind or not equal:
            raise FileFormatError(
                f"{projection.name}: several connections with delays that differ; expected one"
            )
        joined[pair] = projection, others + weight, delay
        notes.append(f"{projection.name}: several connections, whose weights are added")
    return joined


def _weight(nodes: Mapping[str, Any], path: Path, post: Neurons, made: Convention) -> Array:
    weight = np.eye(post.size) if path.weight is None else path.weight
    weighty = [name for name in path.links if type(nodes[name]).__name__ != "Delay"]
    metadata = nodes[weighty[0]].metadata if len(weighty) == 1 else {}
    drive = post.tau_mem, post.tau_syn, post.r, post.w_in
    model = restored(
        metadata, "weight", weight,
        lambda w: made.weights(w, post.tau_mem), lambda w: made.model_weights(w, *drive),
    )  # fmt: skip
    return np.ascontiguousarray(model.T)


def _delay(
    nodes: Mapping[str, Any], path: Path, made: Convention
) -> tuple[str | None, Array | None]:
    if path.before is not None and path.behind is not None:
        raise FileFormatError(
            f"{path.pre} -> {path.post}: delays before and behind its weights; expected one"
        )
    given = path.before if path.before is not None else path.behind
    if given is None:
        return None, None
    delays = [nodes[name] for name in path.links if type(nodes[name]).__name__ == "Delay"]
    metadata = delays[0].metadata if len(delays) == 1 else {}
    model = restored(metadata, "delay", given, made.times, made.model_times)
    return "axonal" if path.before is not None else "dendritic", model
