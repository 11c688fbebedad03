"""Semantization: do the spikes of a packet come from neurons that are tied to the sample's label?

The authors of arXiv 2508.12975 describe it so in a companion abstract (CNS 2025, FZJ-2025-03123):
from the trained weights, "neurons that have strong excitatory effects on each of the output
neurons are identified in each layer"; a neuron can be tied to several; and in deeper layers "the
neurons providing spikes" to the pulse packet "become more specific to the sample label". What
counts as strong is not said there. The definition here:

- **Sets.** The output neuron of a label holds all credit; going down, every neuron hands its credit
  on in proportion to its excitatory input weights alone (``pathways.pathways_from_weights``). The
  set of a label in a layer is the fewest neurons that together hold ``pathway_fraction`` (half) of
  the credit. Sets overlap, and nothing of any run enters them.
- **Packet.** The causal spikes within the pulse packet of the layer (``synchrony.pulse_packets``).
- **Label share** of a sample: the fraction of its packet's spikes that are of neurons in the set of
  its label (the right one, not the one decided for).
- **Chance**: what a set of that size gives on average, drawn at random among the neurons of the
  layer that have any excitatory effect on any output (an inhibitory neuron is in no set):
  ``|set|/eligible`` times the fraction of the packet's spikes that are of eligible neurons.
- **Others**: the mean share of the other labels' sets. Chance does not know that some neurons, in
  many sets, spike for every label; only what a label's own set holds beyond the others' is specific
  to the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures import pathways
from hxloop.analysis.measures.decisions import causal_spikes
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.synchrony import packet_mask

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Semantization:
    """Label shares of every layer below the output.

    Attributes:
        share: ``(layers, samples)``; NaN without a causal spike.
        chance: the same of sets of that size drawn at random.
        others: the same of the other labels' sets, in the mean.
        spikes: number of spikes in the packet.
        set_sizes: ``(layers, labels)``.
        rewired: mean share with the sets of shuffled weights, ``(draws, layers)``, see
            ``null_models.weight_shuffled``.
    """

    share: Array
    chance: Array
    others: Array
    spikes: Array
    set_sizes: NDArray[np.int64]
    rewired: Array


def measure_semantization(
    layers: Sequence[Array],
    weights: Sequence[NDArray[Any]],
    rewired: Sequence[Sequence[NDArray[Any]]],
    decided: Array,
    labels: NDArray[np.int64],
    options: AnalysisOptions,
) -> Semantization:
    """Label shares, beside chance, other labels and shuffled weights.

    Args:
        layers: first spike times ``(samples, neurons)`` from input to output.
        weights: ``(pre, post)`` of every layer.
        rewired: shuffled ones, for each draw.
        decided: ``(samples,)``, when each sample was decided.
        labels: ``(samples,)``, the right output neuron.
        options: see ``AnalysisOptions``.
    """
    packets = [packet_mask(causal_spikes(times, decided)) for times in layers[:-1]]
    credit = pathways.pathways_from_weights(weights)
    sets = [pathways.pathway_members(table, options.pathway_fraction) for table in credit]
    found = [
        label_shares(packet, members, labels, (table > 0).any(axis=0))
        for packet, members, table in zip(packets, sets, credit, strict=True)
    ]
    share, chance, others = (np.stack([each[part] for each in found]) for part in range(3))
    drawn = np.full((len(rewired), len(packets)), np.nan)
    for draw, mixed in enumerate(rewired):
        for index, table in enumerate(pathways.pathways_from_weights(mixed)):
            members = pathways.pathway_members(table, options.pathway_fraction)
            drawn[draw, index] = mean(label_shares(packets[index], members, labels)[0])
    return Semantization(
        share,
        chance,
        others,
        np.stack([packet.sum(axis=1).astype(np.float64) for packet in packets]),
        np.stack([members.sum(axis=1) for members in sets]),
        drawn,
    )


def label_shares(
    packet: Mask, sets: Mask, labels: ArrayLike, eligible: ArrayLike | None = None
) -> tuple[Array, Array, Array]:
    """What part of each packet's spikes are of neurons tied to its label, and what chance gives.

    Args:
        packet: ``(samples, neurons)``, whose spikes are in it.
        sets: ``(labels, neurons)``, which neurons are tied to each label.
        labels: ``(samples,)``.
        eligible: ``(neurons,)``, those that a set can hold; None: all.

    Returns:
        Share, chance and the mean share of the other labels' sets, each ``(samples,)``; NaN where
        the packet is empty; others NaN with a single label, chance NaN without eligible neurons.
    """
    known = np.asarray(labels)
    can = np.ones(packet.shape[1], bool) if eligible is None else np.asarray(eligible)
    spikes = packet.astype(np.float32)  # counts: exact
    total = packet.sum(axis=1).astype(np.float64)
    of_sets = (spikes @ sets.astype(np.float32).T).astype(np.float64)
    shares = np.full(of_sets.shape, np.nan)
    np.divide(of_sets, total[:, None], out=shares, where=total[:, None] > 0)
    own = shares[np.arange(len(known)), known]
    others = np.full(len(known), np.nan)
    if len(sets) > 1:
        others = (shares.sum(axis=1) - own) / (len(sets) - 1)
    size = sets.sum(axis=1)[known] / can.sum() if can.any() else np.full(len(known), np.nan)
    inside = np.full(len(known), np.nan)
    np.divide((packet & can).sum(axis=1), total, out=inside, where=total > 0)
    return own, size * inside, others
