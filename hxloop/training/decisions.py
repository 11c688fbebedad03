"""How a loss decides for what a substrate did."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity, Spikes
from hxloop.errors import NetworkError
from hxloop.network import NetworkSpec
from hxloop.training.losses import FIRST, MEMBRANE, SPIKES, Loss, begin_of, reads_of
from hxloop.training.readout import check_readout, membranes_of


def check_reads(loss: Loss, network: NetworkSpec) -> None:
    """Check that a loss can read the population that decides.

    Raises:
        NetworkError: it reads membranes of neurons that spike, or from the end of the window on, or
            spikes of a read-out.
    """
    if reads_of(loss) == MEMBRANE:
        check_readout(network, begin_of(loss))
        return
    output = network.populations[network.output_index]
    if output.neuron.never_spikes:
        raise NetworkError(
            f"population {output.name!r} of network {network} is a leaky read-out (v_threshold = "
            f"inf) and never spikes, but loss {loss.name!r} reads its spikes; expected a loss of "
            "membranes, such as max-membrane, or a finite v_threshold"
        )


def what_decides(loss: Loss, network: NetworkSpec, activity: Activity) -> Any:
    """What a loss decides by, in memory of its own: first spikes, all spikes or membranes."""
    reads = reads_of(loss)
    if reads == FIRST:
        return activity.output_times.copy()
    if reads == SPIKES:
        return activity.output_spikes.copy()
    return membranes_of(network, activity, begin=begin_of(loss))


def checked_decisions(loss: Loss, seen: Any) -> NDArray[np.int64]:
    """The decisions of a loss, one for each sample.

    Args:
        loss: has the rule.
        seen: see ``what_decides``.

    Raises:
        RunInputError: the loss decided for something else than output neurons.
    """
    batch, n = (seen.batch, seen.n_units) if isinstance(seen, Spikes) else seen.shape
    return checks.labels("loss: decisions", loss.decide(seen), n=batch, low=-1, high=n - 1)


def highest_of_equals(loss: Loss, seen: Any) -> NDArray[np.int64]:
    """The decisions with the highest index among equals; ``decide`` takes the lowest."""
    if isinstance(seen, Spikes):
        n = seen.n_units
        times, units, offsets = seen.events
        other = n - 1 - units
        order = np.lexsort((other, times, seen.samples))
        reverse = loss.decide(Spikes.trusted(times, other[order], offsets, n))  # type: ignore[arg-type]
    else:
        n = seen.shape[1]
        reverse = loss.decide(seen[:, ::-1].copy())
    return np.where(reverse < 0, reverse, n - 1 - reverse)
