"""The physics of the double: neurons of a drawn chip on one time axis, event by event.

Time runs on from sample to sample, as on a chip: what one leaves behind the next one feels, and
a neuron spikes again when its refractory time is over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hxloop.engine.compiled.membrane import first_crossing, membrane

Array = NDArray[np.float64]
MOST_SPIKES = 10_000  # of one neuron in one run


@dataclass(frozen=True)
class Neurons:
    """The neurons of a population as they really are; times in us, potentials relative to leak.

    One value for each; ``exc`` and ``inh`` are how fast the membrane rises (per us) after an
    event of weight 1.
    """

    tau_mem: Array
    tau_exc: Array
    tau_inh: Array
    threshold: Array
    reset: Array
    exc: Array
    inh: Array
    refractory: float


def spikes_of(
    neurons: Neurons,
    times: Array,
    sources: NDArray[np.int64],
    weights: Array,
    t_end: float,
) -> tuple[NDArray[np.int64], Array]:
    """All spikes of a population.

    Args:
        neurons: of the population.
        times: of its input events (us), sorted.
        sources: row of ``weights`` of each event.
        weights: ``(sources, neurons)``, integers, signed.
        t_end: when to stop.

    Returns:
        Neuron and time of each spike, sorted by time.
    """
    strength = np.where(weights > 0, neurons.exc, neurons.inh) * weights
    found = _integrate(
        times,
        sources,
        strength,
        neurons.tau_mem,
        neurons.tau_exc,
        neurons.tau_inh,
        neurons.threshold,
        neurons.reset,
        neurons.refractory,
        t_end,
    )
    who, when = np.array(found[0], dtype=np.int64), np.array(found[1], dtype=np.float64)
    order = np.argsort(when, kind="stable")
    return who[order], when[order]


@njit(cache=True)
def _integrate(times, sources, strength, mem, exc, inh, thresholds, resets, refractory, t_end):
    who = [np.int64(0) for _ in range(0)]
    when = [0.0 for _ in range(0)]
    for n in range(strength.shape[1]):
        threshold = thresholds[n]
        u, i_e, i_i, now, ready = 0.0, 0.0, 0.0, 0.0, 0.0
        count = 0
        for k in range(times.size + 1):
            until = times[k] if k < times.size else t_end
            while now < until:
                if now < ready:
                    length = min(ready, until) - now
                    u = resets[n]
                else:
                    length = until - now
                    # The charge still to come lifts the membrane by no more than this.
                    s = math.inf
                    if u >= threshold or max(u, 0.0) + max(i_e, 0.0) * exc[n] >= threshold:
                        s = first_crossing(u, i_e, i_i, mem[n], exc[n], inh[n], threshold, length)
                    if s <= length and count < MOST_SPIKES:
                        count += 1
                        who.append(np.int64(n))
                        when.append(now + s)
                        ready = now + s + refractory
                        length = s
                        u = resets[n]
                    else:
                        u = membrane(length, u, i_e, mem[n], exc[n]) + membrane(
                            length, 0.0, i_i, mem[n], inh[n]
                        )
                i_e *= math.exp(-length / exc[n])
                i_i *= math.exp(-length / inh[n])
                now += length
                if length == 0.0 and ready <= now:
                    break
            now = max(now, until)
            if k < times.size:
                jump = strength[sources[k], n]
                if jump > 0.0:
                    i_e += jump
                else:
                    i_i += jump
    return who, when


def draw_chip(number: int, imperfections: str) -> Any:
    """The drawn chip behind the double."""
    from hxloop.backends.emulated.imperfections import Imperfections
    from hxloop.backends.emulated.model import ChipModel

    return ChipModel.draw(Imperfections.resolve(imperfections), number)
