"""What a simulation came to, as a session has it from whoever simulates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import RunInfo, Spikes
from hxloop.network.own_neurons import OwnNeurons

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What a simulation came to. What is not said is as it was asked for.

    Attributes:
        first_spike_times: one array ``(batch, post)`` for each layer, ``inf`` = silent.
        spikes: of each population, in place of them, where neurons may spike more than once.
        inputs: all input spikes, as delivered; with ``spikes`` only, None: as asked for.
        delays_used: of each projection, as held; with ``spikes`` only, None: as asked for.
        neurons_used: what neurons have of their own, as held; with ``spikes`` only, None: as asked
            for.
        input_times: ``(batch, n_inputs)``, as delivered; None: as asked for.
        weights_used: one array ``(pre, post)`` for each layer, as held; None: as asked for.
        trial: stream of noise that was used; None: there is no noise.
        clipped_weights: for every layer, how many weights lay beyond the range; None: none.
        zeroed_weights, rounded_inputs, tied_outputs, discarded_spikes, lost_spikes,
            repeated_spikes: see ``hxloop.activity.RunInfo``.
        info: of a run that was made some other time; None: it was made now, and is timed and
            counted.
    """

    first_spike_times: Sequence[Array] = ()
    spikes: Sequence[Spikes] = ()
    inputs: Spikes | None = None
    delays_used: Sequence[Array | None] | None = None
    neurons_used: OwnNeurons | None = None
    input_times: Array | None = None
    weights_used: Sequence[NDArray[Any]] | None = None
    trial: int | None = None
    clipped_weights: tuple[int, ...] | None = None
    zeroed_weights: tuple[int, ...] = ()
    rounded_inputs: int = 0
    tied_outputs: int = 0
    discarded_spikes: int = 0
    lost_spikes: int = 0
    repeated_spikes: int = 0
    info: RunInfo | None = None
