"""The runs of a network in parts, joined to the activity of one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity, RunInfo, Spikes
from hxloop.backends.over import info_of
from hxloop.chip.clock import n_tied
from hxloop.chip.hop import Hop
from hxloop.chip.run_plan import Part, Plan

Array = NDArray[np.float64]


class Joined:
    """A batch on its way through the parts of a network.

    Args:
        plan: the parts.
        weights: of the whole network, as asked for.
        inputs: of the whole network, as asked for.
        hop: between two runs.

    Attributes:
        inputs: as delivered, once the first stage has run.
    """

    def __init__(self, plan: Plan, weights: Sequence[Array], inputs: Spikes, hop: Hop) -> None:
        self.inputs = inputs
        self._plan, self._asked, self._given, self._hop = plan, weights, inputs, hop
        self._held: list[NDArray[Any] | None] = [None] * len(weights)
        # Of each population: spikes of its neurons so far, by first neuron; then all of them.
        self._pieces: dict[int, list[tuple[int, Spikes]]] = {}
        self._spikes: dict[int, Spikes] = {-1: inputs}
        self._infos: list[RunInfo] = []
        self._first: RunInfo | None = None
        self._ties: dict[int, int] = {}
        self._zeroed, self._late = False, 0

    # --- what a part is given -----------------------------------------------------------------

    def weights_of(self, part: Part) -> list[Array]:
        """For each projection of a part its weights, those of all sources one below the other."""
        return [
            np.concatenate([self._block(source, target, part) for source in froms])
            for froms, target in self._ends(part)
        ]

    def _block(self, source: int, target: int, part: Part) -> Array:
        """Weights from a source; 0 where it feeds another population of the same loop."""
        number, columns = self._number(source, target), part.neurons(part.populations.index(target))
        if number is not None:
            return self._asked[number][:, columns]
        return np.zeros((self._plan.network.sizes[1 + source], columns.stop - columns.start))

    def inputs_of(self, part: Part) -> Spikes | Array:
        """What a part is played: all spikes of its sources, side by side."""
        spikes = side_by_side([self._spikes_of(source) for source in part.sources])
        return np.asarray(spikes) if spikes.once else spikes

    def _spikes_of(self, source: int) -> Spikes:
        return self._given if source < 0 else self._spikes[source]

    def _ends(self, part: Part) -> list[tuple[tuple[int, ...], int]]:
        """For each projection of a part, from which populations of the whole network, and to which.

        -1 is the input.
        """
        return [
            (part.sources if pre < 0 else (part.populations[pre],), part.populations[post])
            for pre, post in part.network.ends
        ]

    def _number(self, source: int, target: int) -> int | None:
        """Of a projection of the whole network; None: there is none."""
        ends = self._plan.network.ends
        return ends.index((source, target)) if (source, target) in ends else None

    # --- what it did --------------------------------------------------------------------------

    def add(self, part: Part, activity: Activity) -> None:
        """Take what a part did."""
        info = activity.info
        self._infos.append(info)
        self._zeroed |= bool(info.zeroed_weights)
        for position, index in enumerate(part.populations):
            piece = part.neurons(position).start, activity.spikes[position]
            self._pieces.setdefault(index, []).append(piece)
        decides = self._plan.network.output_index
        if decides in part.populations:
            self._ties[part.first] = info.tied_outputs
        if part.sources == (-1,) and self._first is None:
            self._first, self.inputs = info, activity.inputs
        for (froms, target), used in zip(self._ends(part), activity.weights_used, strict=True):
            row = 0
            for source in froms:
                rows = slice(row, row + self._plan.network.sizes[1 + source])
                if (number := self._number(source, target)) is not None:
                    self._hold(number, part, used[rows])
                row = rows.stop

    def _hold(self, number: int, part: Part, used: NDArray[Any]) -> None:
        shape = self._asked[number].shape
        if used.shape == shape:
            self._held[number] = used
            return
        held = self._held[number]
        if held is None:
            held = self._held[number] = np.zeros(shape, used.dtype)
        held[:, part.columns] = used

    def hand_over(self) -> None:
        """After a stage: populations whose spikes are all there are handed to later runs."""
        for index in list(self._pieces):
            pieces = sorted(self._pieces.pop(index), key=lambda piece: piece[0])
            spikes = side_by_side([spikes for _, spikes in pieces])
            if index in self._plan.handed_on:
                spikes, late = self._hop.hand_over(spikes, self._plan.network.t_window)
                self._late += late
            self._spikes[index] = spikes

    # --- all of it ----------------------------------------------------------------------------

    def spikes(self) -> list[Spikes]:
        """Of each population."""
        return [self._spikes[index] for index in range(len(self._plan.network.layers))]

    def weights(self) -> list[NDArray[Any]]:
        """Of each projection, as held."""
        return [held for held in self._held if held is not None]

    def info(self, backend: str, seed: int, trial: int, seconds: float) -> RunInfo:
        """How all runs went together."""
        total = info_of(self._infos)
        noisy = any(info.trial is not None for info in self._infos)
        return replace(
            total,
            backend=backend,
            seed=seed if noisy else None,
            trial=trial if noisy else None,
            clipped_weights=self._counted(lambda info: info.clipped_weights),
            zeroed_weights=self._counted(lambda info: info.zeroed_weights) if self._zeroed else (),
            # Played several times, moved once.
            rounded_inputs=0 if self._first is None else self._first.rounded_inputs,
            tied_outputs=self._n_tied(),
            discarded_spikes=total.discarded_spikes + self._late,
            duration_seconds=seconds,
        )

    def _counted(self, count_of: Callable[[RunInfo], tuple[int, ...]]) -> tuple[int, ...]:
        """Counts for each projection: those of all parts; of several sources, for the first one."""
        counts = [0] * len(self._asked)
        for part, info in zip(self._plan.parts, self._infos, strict=True):
            for (froms, target), count in zip(self._ends(part), count_of(info), strict=False):
                numbers = (self._number(source, target) for source in froms)
                counts[next(number for number in numbers if number is not None)] += count
        return tuple(counts)

    def _n_tied(self) -> int:
        """Ties of output neurons; of those in different runs finer times are not known."""
        if len(self._ties) == 1:
            return next(iter(self._ties.values()))
        return n_tied(self._spikes[self._plan.network.output_index].first)


def side_by_side(several: Sequence[Spikes]) -> Spikes:
    """The neurons of several populations as those of one, in their order."""
    if len(several) == 1:
        return several[0]
    if all(spikes.once for spikes in several):
        return Spikes.from_first(np.concatenate([spikes.first for spikes in several], axis=1))
    starts = np.cumsum([0, *(spikes.n_units for spikes in several)])
    return Spikes.from_events(
        np.concatenate([spikes.samples for spikes in several]),
        np.concatenate(
            [spikes.units + start for spikes, start in zip(several, starts, strict=False)]
        ),
        np.concatenate([spikes.times for spikes in several]),
        batch=several[0].batch,
        n_units=int(starts[-1]),
    )
