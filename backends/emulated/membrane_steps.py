"""Membranes of an emulated chip in one measurement, step by step, compiled.

Between two steps the equations are linear, and are solved exactly; a spike within a step is
placed by linear interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.engine.psp import psp_after
from hxloop.machine.jit import njit

Array = NDArray[np.float64]
MOST_SPIKES = 255


@dataclass(frozen=True)
class Circuits:
    """What the circuits are in one measurement, one value each; currents in LSB per us.

    ``start_lsb`` is where membranes are when it begins. ``drive`` is the sum of all constant
    currents. ``jump_exc`` and ``jump_inh`` are the change of the synaptic current by an event of
    each sign and of one bit; of an input that is off, 0. ``held_us`` is for how long a membrane
    stays at reset after a spike.
    """

    tau_mem_us: Array
    tau_syn_exc_us: Array
    tau_syn_inh_us: Array
    start_lsb: Array
    rest_lsb: Array
    reset_lsb: Array
    threshold_lsb: Array
    drive: Array
    jump_exc: Array
    jump_inh: Array
    held_us: Array


def simulate(
    circuits: Circuits,
    events: tuple[tuple[float, int], ...],
    reset_until_us: float,
    dt_us: float,
    steps: int,
    every: int,
    *,
    within_steps: bool = False,
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Integrate.

    Args:
        circuits: what they are.
        events: (time, signed code).
        reset_until_us: membranes are held at reset until then.
        dt_us, steps: of the integration.
        every: a sample is taken every so many steps, the first at time 0.
        within_steps: a membrane that is held is let go within a step; else at the next one.

    Returns:
        Membranes ``(circuits, samples)``; spike times ``(circuits, 255)``, ``inf`` after the
        last; numbers of spikes, also of those beyond.
    """
    n = len(circuits.tau_mem_us)
    decay = np.exp(-dt_us / circuits.tau_mem_us)
    rest = circuits.rest_lsb + circuits.tau_mem_us * circuits.drive
    taus = (circuits.tau_syn_exc_us, circuits.tau_syn_inh_us)
    jumps = (circuits.jump_exc, circuits.jump_inh)
    synaptic = np.stack([np.exp(-dt_us / tau) for tau in taus])
    feed = np.stack([psp_after(dt_us, circuits.tau_mem_us, tau) for tau in taus])
    index = np.array([int(time / dt_us) for time, _ in events], dtype=np.int64)
    order = np.argsort(index, kind="stable")
    sign = np.array([0 if code > 0 else 1 for _, code in events], dtype=np.int64)
    # What an event adds to the membrane and to the current until the end of its step.
    kick_v, kick_i = np.zeros((len(events), n)), np.zeros((len(events), n))
    for e, (time, code) in enumerate(events):
        left = (index[e] + 1) * dt_us - time
        tau, jump = taus[sign[e]], code * jumps[sign[e]]
        kick_v[e] = jump * psp_after(left, circuits.tau_mem_us, tau)
        kick_i[e] = jump * np.exp(-left / tau)
    samples = np.empty((n, -(-steps // every)))
    times = np.full((n, MOST_SPIKES), np.inf)
    counts = np.zeros(n, dtype=np.int64)
    _integrate(
        decay, circuits.start_lsb, rest, synaptic, feed, circuits.reset_lsb, circuits.threshold_lsb,
        index[order], sign[order], kick_v[order], kick_i[order],
        reset_until_us, circuits.held_us, within_steps, dt_us, steps, every, samples, times, counts,
    )  # fmt: skip
    return samples, times, counts


@njit(cache=True)
def _integrate(
    decay: Array,
    start: Array,
    rest: Array,
    synaptic: Array,
    feed: Array,
    reset: Array,
    threshold: Array,
    index: NDArray[np.int64],
    sign: NDArray[np.int64],
    kick_v: Array,
    kick_i: Array,
    reset_until: float,
    refractory: Array,
    within_steps: bool,
    dt: float,
    steps: int,
    every: int,
    samples: Array,
    times: Array,
    counts: NDArray[np.int64],
) -> None:
    n_events = len(index)
    for c in range(len(decay)):
        held_until = reset_until
        v = reset[c] if reset_until > 0 else start[c]
        exc, inh = 0.0, 0.0
        event = 0
        for k in range(steps):
            now = k * dt
            if k % every == 0:
                samples[c, k // every] = v
            before = v
            v = rest[c] + (v - rest[c]) * decay[c] + exc * feed[0, c] + inh * feed[1, c]
            exc *= synaptic[0, c]
            inh *= synaptic[1, c]
            while event < n_events and index[event] == k:
                v += kick_v[event, c]
                if sign[event] == 0:
                    exc += kick_i[event, c]
                else:
                    inh += kick_i[event, c]
                event += 1
            if now < held_until:
                v = reset[c]
                if within_steps and held_until < now + dt:
                    v = rest[c] + (v - rest[c]) * decay[c] ** ((now + dt - held_until) / dt)
                continue
            if v >= threshold[c]:
                share = 0.0
                if v > before and before < threshold[c]:
                    share = (threshold[c] - before) / (v - before)
                if counts[c] < times.shape[1]:
                    times[c, counts[c]] = now + share * dt
                counts[c] += 1
                held_until = now + share * dt + refractory[c]
                v = reset[c]
