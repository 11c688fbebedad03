"""First spikes step by step, for what has no closed form: saturation, noise, crosstalk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.engine.psp import psp_after
from hxloop.machine.jit import njit
from hxloop.network import NeuronParameters

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Analog:
    """What is solved step by step in one layer of one run; see ``Imperfections``.

    Attributes:
        saturation: 1 over the largest current of a synaptic input, in units of ``scale``.
        noise: standard deviation of a membrane at rest.
        crosstalk: step of all membranes at a spike of one of the layer.
        scale: leak-threshold distance, the unit of these.
        generator: of the noise.
        dt: time step.
    """

    saturation: float
    noise: float
    crosstalk: float
    scale: float
    generator: np.random.Generator
    dt: float


def first_spikes_stepwise(
    input_times: Array,
    weights: Array,
    layer: NeuronParameters,
    shifts: Array | None,
    analog: Analog,
    t_window: float,
) -> Array:
    """First spike times of a layer.

    Between two steps currents decay and membranes follow them exactly; an event adds to both what
    it does until the end of its step. Bent currents, noise and crosstalk are those at the steps,
    and a crossing is placed by linear interpolation: with none of the three the error is of order
    dt^2.

    Args:
        input_times: ``(batch, pre)``.
        weights: ``(pre, post)``, as the neurons feel them.
        layer: the neurons.
        shifts: ``(batch, post)``, of thresholds; None: none.
        analog: what else there is.
        t_window: later spikes do not count.

    Returns:
        ``(batch, post)``.
    """
    batch, post = len(input_times), weights.shape[1]
    dt = analog.dt
    threshold = np.tile(layer.v_threshold - layer.v_leak, (batch, 1))
    if shifts is not None:
        threshold = threshold + shifts
    taus = np.stack([layer.tau_syn_exc, layer.tau_syn_inh])
    feed = np.stack([psp_after(dt, layer.tau_mem, tau) for tau in taus])
    decay = np.exp(-dt / layer.tau_mem)
    noise = analog.scale * analog.noise * np.sqrt(1 - decay**2)
    result = np.full((batch, post), np.inf)
    order = np.argsort(input_times, axis=1, kind="stable")
    _integrate(
        input_times, order, np.ascontiguousarray(weights, dtype=np.float64), decay,
        np.exp(-dt / taus), feed, taus, threshold, noise, analog.saturation / analog.scale,
        analog.scale * analog.crosstalk, analog.generator, dt, int(np.ceil(t_window / dt)), result,
    )  # fmt: skip
    result[result > t_window] = np.inf
    return result


@njit(cache=True)
def _bent(current: float, saturation: float) -> float:
    if saturation == 0.0:
        return current
    return float(current / np.sqrt(1.0 + (current * saturation) ** 2))


@njit(cache=True)
def _integrate(  # type: ignore[no-untyped-def]
    times, order, weights, decay, synaptic, feed, taus, threshold, noise, saturation, crosstalk,
    generator, dt, steps, result,
):  # fmt: skip
    batch, pre = times.shape
    post = weights.shape[1]
    rate = -np.log(decay) / dt
    for s in range(batch):
        v, exc, inh = np.zeros(post), np.zeros(post), np.zeros(post)
        event, silent = 0, 0
        for j in range(post):
            if threshold[s, j] <= 0.0:
                result[s, j] = 0.0
            silent += result[s, j] == np.inf
        for k in range(steps):
            if silent == 0:
                break
            start = event
            while event < pre and times[s, order[s, event]] < (k + 1) * dt:
                event += 1
            fired = 0
            for j in range(post):
                before = v[j]
                v[j] = (
                    v[j] * decay[j]
                    + feed[0, j] * _bent(exc[j], saturation)
                    + feed[1, j] * _bent(inh[j], saturation)
                )
                exc[j] *= synaptic[0, j]
                inh[j] *= synaptic[1, j]
                for e in range(start, event):
                    i = order[s, e]
                    w, left = weights[i, j], (k + 1) * dt - times[s, i]
                    # What bends is the current; k(left) to third order of a step.
                    side = 0 if w > 0 else 1
                    held = exc[j] if w > 0 else inh[j]
                    more = _bent(held + w, saturation) - _bent(held, saturation)
                    v[j] += more * left * (1.0 - 0.5 * left * (rate[j] + 1.0 / taus[side, j]))
                    grown = w * np.exp(-left / taus[side, j])
                    if w > 0:
                        exc[j] += grown
                    else:
                        inh[j] += grown
                if noise[j] > 0.0:
                    v[j] += noise[j] * generator.standard_normal()
                if result[s, j] == np.inf and v[j] >= threshold[s, j]:
                    share = 0.0
                    if v[j] > before and before < threshold[s, j]:
                        share = (threshold[s, j] - before) / (v[j] - before)
                    result[s, j] = (k + share) * dt
                    silent -= 1
                    fired += 1
            if crosstalk > 0.0 and fired > 0:
                for j in range(post):
                    v[j] += crosstalk * fired
