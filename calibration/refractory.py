"""For how long circuits are held after a spike, beyond what their counters say.

A counter is digital, and its code follows from the time wanted. What comes with it, until the
circuit is let go, is not; it is measured once, and the counters of every network make up for it
(``hxloop.chip.refractory.trimmed_us``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hxloop.calibration.measurements import Bench
from hxloop.chip.readout import Codes, Stimulus

Array = NDArray[np.float64]

# Constant drive, LSB per us; until when a run is held at the reset, and what counters are set to.
DRIVE, UNTIL_US, HELD_US = 20.0, 5.0, 2.0
# The clock of spike stamps, to which they are cut.
STAMP_US = 0.008


def refractory_excess(bench: Bench, codes: Mapping[str, Codes]) -> Array:
    """By how much longer circuits are held after a spike than their counters say, us.

    A constant current takes the membrane from the reset to the threshold, again and again. When
    its hold at the beginning is released is known, so the first spike tells how long that takes,
    whatever the current, the threshold of this run and the leak are; the intervals that follow are
    longer by the time that counters hold it. Stamps are cut to the clock: half a cycle.
    """
    bench.set(codes)
    stimulus = Stimulus(
        200.0, reset_until_us=UNTIL_US, current=DRIVE, leak=False,
        exc_input=False, inh_input=False, spiking=True, refractory_us=HELD_US,
    )  # fmt: skip
    spikes = bench.measure(stimulus, "spikes").spike_times_us
    if spikes is None or spikes.shape[1] < 2:
        return np.full(bench.session.n_circuits, np.nan)
    number = np.isfinite(spikes).sum(axis=1)
    last = np.where(number > 0, spikes[np.arange(len(spikes)), np.maximum(number - 1, 0)], np.nan)
    first = np.where(number > 1, spikes[:, 0], np.nan)
    interval = (last - first) / np.maximum(number - 1, 1)
    rise = first + STAMP_US / 2 - UNTIL_US
    return np.asarray(interval - rise - HELD_US)
