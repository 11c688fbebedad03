"""A batch as several runs of a chip, none of them longer than it plays reliably.

A run is a program in the memory of the FPGA: 4,194,304 instructions, of which an input event takes
up to two. A longer one is only warned of in a log, and its timing degrades. So a run has at most a
million events, and lasts a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.pynn.trains import joined_spikes
from hxloop.errors import CapacityError
from hxloop.substrate import Simulated

MOST_EVENTS = 1_000_000
LONGEST_SECONDS = 1.0


def pieces(events: NDArray[np.int64], slot_seconds: float, backend: str) -> list[slice]:
    """Which samples each run plays, in order.

    Args:
        events: of the input, in each sample, ``(batch,)``.
        slot_seconds: from one sample to the next.
        backend: begins messages.

    Raises:
        CapacityError: one sample alone is more than a run can be.

    Example:
        >>> pieces(np.array([600_000, 300_000, 200_000]), 1e-4, "chip")
        [slice(0, 2, None), slice(2, 3, None)]
    """
    most = int(LONGEST_SECONDS / slot_seconds)
    if events.max(initial=0) > MOST_EVENTS or most < 1:
        raise CapacityError(
            f"{backend}: one sample has {events.max(initial=0)} input events and takes "
            f"{slot_seconds:.3g} s; expected at most {MOST_EVENTS} events and "
            f"{LONGEST_SECONDS:g} s, what a run of the chip can have"
        )
    found, start, total = [], 0, 0
    for sample, count in enumerate(events.tolist()):
        if total + count > MOST_EVENTS or sample - start == most:
            found.append(slice(start, sample))
            start, total = sample, 0
        total += count
    found.append(slice(start, len(events)))
    return found


def joined(parts: Sequence[Simulated]) -> Simulated:
    """One batch of several runs with the same weights, in order."""
    if len(parts) == 1:
        return parts[0]
    last = parts[-1]
    return replace(
        last,
        first_spike_times=[
            np.concatenate(layers)
            for layers in zip(*(part.first_spike_times for part in parts), strict=True)
        ],
        spikes=[
            joined_spikes(list(trains))
            for trains in zip(*(part.spikes for part in parts), strict=True)
        ],
        input_times=None
        if last.input_times is None
        else np.concatenate([p.input_times for p in parts if p.input_times is not None]),
        inputs=None
        if last.inputs is None
        else joined_spikes([p.inputs for p in parts if p.inputs is not None]),
        rounded_inputs=sum(part.rounded_inputs for part in parts),
        tied_outputs=sum(part.tied_outputs for part in parts),
        discarded_spikes=sum(part.discarded_spikes for part in parts),
        lost_spikes=sum(part.lost_spikes for part in parts),
        repeated_spikes=sum(part.repeated_spikes for part in parts),
    )
