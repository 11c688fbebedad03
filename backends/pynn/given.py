"""What a substrate makes of what it is given: weights as held, inputs as delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hxloop.backends.pynn.schedule import Array
from hxloop.network import NeuronSpec


@dataclass(frozen=True)
class HeldLayer:
    """The weights of one layer as the substrate holds them.

    Attributes:
        values: ``(pre, post)``, in model units.
        native: the same in the substrate's unit, signed: what ``Projection.set`` is given.
        n_clipped: how many lay beyond the substrate's range.
        n_zeroed: how many other than 0 became 0; None where weights are continuous.
    """

    values: Array
    native: Array
    n_clipped: int = 0
    n_zeroed: int | None = None


@dataclass(frozen=True)
class HeldNetwork:
    """Weights and delays of a network as the substrate holds them.

    Attributes:
        layers: the weights, of each projection.
        delays: of each projection, as ``Parameters.delays``; model time.
        neurons: of each population, one by one: nominal, or with parameters of their own.
    """

    layers: tuple[HeldLayer, ...]
    delays: tuple[Array | None, ...]
    neurons: tuple[tuple[NeuronSpec, ...], ...]

    def each_delay(self, projection: int, kind: str | None) -> Array:
        """Delays of a projection, of each pre and post.

        Args:
            projection: which.
            kind: what shares a delay, see ``hxloop.network.Projection``; None: it has none.
        """
        shape = self.layers[projection].values.shape
        late = self.delays[projection]
        if late is None:
            return np.zeros(shape)
        return np.broadcast_to(late[:, None] if kind == "axonal" else late, shape)


@dataclass(frozen=True)
class Delivered:
    """Input spikes as the substrate plays them.

    Attributes:
        times: ``(batch, n_inputs)``, model time.
        n_rounded: how many were moved onto the substrate's time grid.
    """

    times: Array
    n_rounded: int = 0


def give_spikes(population: Any, trains_ms: Sequence[Array]) -> None:
    """Give an input population its spikes (ms), a train for each cell."""
    from pyNN.parameters import Sequence as Train

    population.set(spike_times=[Train(train) for train in trains_ms])
