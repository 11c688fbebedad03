"""Can what a substrate returned have happened? What cannot is refused, what is odd is counted.

``check_activity`` looks at the form of an activity, this at its causes: a neuron at rest spikes
only after a positive weight brought it a spike, a weight is held with the sign it was asked for
and within the substrate's range, and an input is delivered about when it was asked for.

Neurons of a simulator are the nominal ones, which rest below their threshold. Those of an analog
chip may rest above it, and its noise may do the rest: there an early spike is odd, not impossible
(``Capabilities.spontaneous``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.checks import first_place
from hxloop.errors import RunFailed
from hxloop.machine.jit import njit
from hxloop.network import NetworkSpec
from hxloop.substrate.capabilities import Capabilities

Array = NDArray[np.float64]

# Times are recorded with this many times the error of one spike: both ends of an interval have it.
BOTH_ENDS = 2.0
# An input delivered further than this (model time) from when it was asked for is odd.
MOVED = 0.1
# A simulator that moves inputs further than this (model time, more than five of the coarsest steps
# that any of ours takes) delivers others than it was asked for. A chip may hold back many inputs
# of one moment, but not for longer than the sample is observed.
MOVED_TOO_FAR = 0.5
# Weights are held in single precision somewhere.
ROUNDING = 1e-6


def check_physics(
    activity: Activity,
    network: NetworkSpec,
    asked: Array,
    weights: Sequence[Array],
    capabilities: Capabilities,
) -> Activity:
    """Refuse an activity that cannot have happened, and count what is odd about it.

    Args:
        activity: of a run, well-formed (``check_activity``).
        network: that was run.
        asked: ``(batch, n_inputs)``, the input times that were asked for.
        weights: ``(pre, post)`` for each layer, as asked for.
        capabilities: of the session.

    Returns:
        The activity; ``info.unprompted_spikes`` and ``info.moved_inputs`` say what is odd.

    Raises:
        RunFailed: a weight held with another sign or beyond the range; an input moved further
            than is possible; of a substrate whose neurons never spike by themselves, a spike
            before any input with a positive weight.
    """
    where = f"backend {activity.info.backend!r} returned"
    for index, (matrix, used) in enumerate(zip(weights, activity.weights_used, strict=True)):
        check_weights(f"{where} weights_used[{index}]", matrix, used, capabilities)
    moved = _check_inputs(where, activity.input_times, asked, network, capabilities)
    tolerance = BOTH_ENDS * capabilities.time_resolution
    times, early = activity.input_times, 0
    for index, spikes in enumerate(activity.first_spike_times):
        used = activity.weights_used[index]
        if (len(times), *used.shape) != (len(spikes), times.shape[1], spikes.shape[1]):
            raise ValueError("spikes and weights of different sizes")  # never after check_activity
        wrong = np.zeros(spikes.shape, dtype=np.bool_)
        # Contiguous copies: one compiled version serves all.
        _unprompted(
            np.array(times, np.float64), np.array(spikes, np.float64),
            np.array(used.T, np.float64), tolerance - capabilities.latency, wrong,
        )  # fmt: skip
        if (count := int(wrong.sum())) and not capabilities.may_spike_unprompted:
            sample, neuron = first_place(wrong)
            raise RunFailed(
                f"{where} the spike time {spikes[sample, neuron]:g} in layer {index}, sample "
                f"{sample}, neuron {neuron}, before any spike with a positive weight reached it; "
                f"expected none there ({count} such spikes in this layer): at rest its neurons are "
                "below threshold. If neurons of this substrate may spike by themselves, its "
                "capabilities have to say spontaneous = True"
            )
        early += count
        times = spikes
    info = replace(activity.info, unprompted_spikes=early, moved_inputs=moved)
    return replace(activity, info=info)


def check_weights(where: str, asked: Array, used: Array, capabilities: Capabilities) -> None:
    """Refuse weights of another sign than was asked for, or beyond the range.

    Raises:
        RunFailed: there is one.
    """
    limit, levels = capabilities.weight_limit, capabilities.weight_levels
    step = 0.0 if limit is None or levels is None else limit / levels
    flipped = (used * np.sign(asked) < 0) | ((asked == 0) & (np.abs(used) > step))
    if flipped.any():
        pre, post = first_place(flipped)
        raise RunFailed(
            f"{where} with {used[pre, post]:g} from neuron {pre} to neuron {post}, where "
            f"{asked[pre, post]:g} was asked for; expected a weight of the same sign, or 0"
        )
    if limit is not None and (beyond := np.abs(used) > limit * (1 + ROUNDING)).any():
        pre, post = first_place(beyond)
        raise RunFailed(
            f"{where} with {used[pre, post]:g} from neuron {pre} to neuron {post}; expected "
            f"magnitudes up to the weight_limit of its capabilities, {limit:g}"
        )


def _check_inputs(
    where: str, delivered: Array, asked: Array, network: NetworkSpec, capabilities: Capabilities
) -> int:
    both = np.isfinite(delivered) & np.isfinite(asked)
    off = np.abs(np.subtract(delivered, asked, where=both, out=np.zeros(asked.shape)))
    bound = network.t_window if capabilities.may_spike_unprompted else MOVED_TOO_FAR
    bound = max(bound, BOTH_ENDS * capabilities.time_resolution)
    # What was asked for beyond the window may come at its end or never: it does not count.
    matters = (asked <= network.t_window) | (delivered <= network.t_window)
    if (wrong := matters & (off > bound)).any():
        sample, channel = first_place(wrong)
        raise RunFailed(
            f"{where} the input time {delivered[sample, channel]:g} in sample {sample}, channel "
            f"{channel}, where {asked[sample, channel]:g} was asked for; expected inputs delivered "
            f"within {bound:g} of that. Is the time base right?"
        )
    return int((matters & (off > max(MOVED, BOTH_ENDS * capabilities.time_resolution))).sum())


@njit(cache=True, nogil=True)
def _unprompted(
    times: Array, spikes: Array, weights: Array, tolerance: float, wrong: NDArray[np.bool_]
) -> None:
    """Mark spikes before the first input with a positive weight.

    ``weights`` is ``(post, pre)``. Of most spikes one of the first few inputs is the cause, so
    that this takes a few steps a spike, however many inputs there are.
    """
    for sample in range(spikes.shape[0]):
        for neuron in range(spikes.shape[1]):
            spike = spikes[sample, neuron]
            if not 0 <= spike < np.inf:
                continue
            found = False
            for pre in range(times.shape[1]):
                if weights[neuron, pre] > 0 and times[sample, pre] <= spike + tolerance:
                    found = True
                    break
            wrong[sample, neuron] = not found
