"""How many events a second the link to a chip and its event network carry: a ramp of rates.

The chip's neurons are bypassed: they forward what arrives at their synapses at once, so that every
event sent should come back. Neither the sustained rate of the link nor how late events are stamped
is published as a figure; both are measured here, before anything is trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.brainscales2 import vendor
from hxloop.backends.pynn.given import give_spikes
from hxloop.chip.clock import CLOCK_SECONDS
from hxloop.errors import RunFailed
from hxloop.substrate.chip_software import LinkRate, LinkReport

# One synapse each from as many inputs: one for every driver of a bus in one half of the chip.
CHANNELS = 32
# The program builder's own ceiling is one event a cycle: 125 a microsecond.
RATES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0)
MILLISECONDS = 5.0
LEAD_MS = 0.05
STRONGEST = 63


def check_link(
    rates: Sequence[float] = RATES, milliseconds: float = MILLISECONDS, *, seed: int = 0
) -> LinkReport:
    """Send events to the chip and count what comes back.

    Args:
        rates: events a microsecond, rising, each at most 125.
        milliseconds: of the chip's time, for each rate.
        seed: of the times.

    Raises:
        MissingDependencyError: the vendor's software is not installed.
        RunFailed: no chip answers, or the run failed; says what to do.
    """
    sim = vendor.import_vendor("pynn-brainscales2")
    chip = vendor.chip_id(sim)
    sim.setup(enable_neuron_bypass=True, neuronPermutation=list(range(CHANNELS)))
    try:
        source = sim.Population(CHANNELS, sim.cells.SpikeSourceArray())
        target = sim.Population(CHANNELS, sim.cells.HXNeuron())
        target.record("spikes")
        synapse = sim.synapses.StaticSynapse(weight=STRONGEST)
        sim.Projection(source, target, sim.OneToOneConnector(), synapse_type=synapse)
        sim.run(None, sim.RunCommand.PREPARE)
        generator = np.random.default_rng(seed)
        found = []
        for rate in rates:
            sent = _events(rate, milliseconds, generator)
            give_spikes(source, sent)
            sim.run(milliseconds + 2 * LEAD_MS)
            found.append(_compared(rate, sent, _received(target), vendor.dropped_events(sim)))
            source.get_data("spikes", clear=True)
            sim.reset()
    except (RuntimeError, OSError) as error:
        raise RunFailed(
            f"backend 'pynn-brainscales2': the link was not measured: {type(error).__name__}: "
            f"{error} ({vendor.advice(error) or 'the software refused its network'})"
        ) from error
    finally:
        sim.end()
    return LinkReport(chip_id=chip, release=vendor.release_of(sim), rates=tuple(found))


def _events(
    rate: float, milliseconds: float, generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Times (ms) of each channel, in the middle of cycles of their own, at random."""
    cycle = CLOCK_SECONDS * 1e3
    many = max(CHANNELS, round(rate * milliseconds * 1000))
    cycles = np.sort(generator.choice(int(milliseconds / cycle), many, replace=False))
    times = np.asarray(LEAD_MS + (cycles + 0.5) * cycle, dtype=np.float64)
    return [times[channel::CHANNELS] for channel in range(CHANNELS)]


def _received(target: Any) -> list[NDArray[np.float64]]:
    found: list[NDArray[np.float64]] = [np.zeros(0)] * CHANNELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Recorded at least one spike after t_stop")
        segment = target.get_data("spikes", clear=True).segments[-1]
    for train in segment.spiketrains:
        times = np.sort(np.asarray(train.magnitude, dtype=np.float64))
        found[int(train.annotations["source_index"])] = times
    return found


def _compared(
    rate: float,
    sent: Sequence[NDArray[np.float64]],
    received: Sequence[NDArray[np.float64]],
    dropped: int,
) -> LinkRate:
    late = [b - a for a, b in zip(sent, received, strict=True) if len(a) == len(b)]
    offset = float(np.median(np.concatenate(late))) * 1e6 if late else float("nan")
    return LinkRate(
        rate=rate,
        sent=sum(map(len, sent)),
        received=sum(map(len, received)),
        dropped=dropped,
        offset_ns=offset,
    )
