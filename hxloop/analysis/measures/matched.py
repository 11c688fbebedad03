"""How wide a volley is at a number of spikes that is the same in all layers, states and networks.

The shortest half of few spikes is shorter than that of many from the same distribution, and layers
differ in their counts by an order of magnitude. ``null_models.matched_shorths`` compares a few
layers of one network, sample by sample, at the count of the one with the fewest; here the count is
fixed beforehand, so that any two numbers can be compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.decisions import checked_times
from hxloop.analysis.measures.synchrony import Array, spike_statistics

# Spikes drawn of every volley, and how often. Deep layers of the published networks have tens of
# causal spikes, so few samples are lost.
MATCHED = 10
DRAWS = 8


def matched_spread(
    times: ArrayLike, n_spikes: int = MATCHED, n_draws: int = DRAWS
) -> tuple[Array, Array]:
    """Shorth and sigma of so many spikes of each sample, drawn without replacement.

    Args:
        times: ``(samples, neurons)``, ``inf`` = silent.
        n_spikes: how many are drawn.
        n_draws: means are over so many draws; the same ones for the same numbers of spikes.

    Returns:
        Shorth and sigma (see ``synchrony.pulse_packets``) in the mean over the draws, each
        ``(samples,)``; NaN for a sample with fewer spikes.
    """
    spikes = checked_times(times)
    n = np.isfinite(spikes).sum(axis=1)
    enough = np.flatnonzero(n >= n_spikes)
    shorths, sigmas = np.full(len(spikes), np.nan), np.full(len(spikes), np.nan)
    if not len(enough):
        return shorths, sigmas
    ordered = np.sort(spikes[enough], axis=1)
    rng = np.random.default_rng(n_spikes)
    found = [
        spike_statistics(np.take_along_axis(ordered, _drawn(n[enough], n_spikes, rng), axis=1))
        for _ in range(n_draws)
    ]
    shorths[enough] = np.mean([each.shorth for each in found], axis=0)
    sigmas[enough] = np.mean([each.packet_sigma for each in found], axis=0)
    return shorths, sigmas


def _drawn(n: NDArray[np.int64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each number ``k`` different places below it, every choice as likely as every other.

    Floyd's algorithm (Bentley & Floyd, Commun. ACM 30, 754, 1987) for all rows at once: a draw
    costs k^2 comparisons a row, however many spikes there are.
    """
    chosen = np.full((len(n), k), -1)
    for place in range(k):
        last = n - k + place
        drawn = (rng.random(len(n)) * (last + 1)).astype(np.int64)
        taken = (chosen[:, :place] == drawn[:, None]).any(axis=1)
        chosen[:, place] = np.where(taken, last, drawn)
    return chosen
