"""Measures of neurons that spike more than once: which of them read which spikes.

Where every neuron spikes at most once, there is one answer, and one set of numbers. Where neurons
(or input channels) spike again:

- **Spread** (shorth, standard deviation, quartiles, pulse packets, number of spikes), its null
  models, and **spike contrast** read **all spikes**: a volley is whatever arrives, and every spike
  of a burst arrives. Null models move each spike on its own; they know nothing of refractoriness.
- **Separability** (read-outs, class means, silhouettes, van Rossum distances, active populations)
  reads the **first spike** of every neuron: a latency is a number for each neuron, and who was
  active is told by the first spike alone.
- **Pathways** are defined for a chain of layers whose neurons spike once, without delays: credit
  there is the share of an input in the one crossing of the threshold. Other networks are refused.
- The **decision** is the first spike of the output neuron decided for, where the rule reads first
  spikes; where it reads all spikes of the output or its membrane, it is the end of the window.
  **Causal** are all spikes not later than the decision, be they the first of their neuron or not,
  because each of them can have contributed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import RecordedActivity, Spikes
from hxloop.activity.recorded import DECISION_READS
from hxloop.analysis.measures.decisions import decision_times

Array = NDArray[np.float64]

READS = {"synchrony": "all", "separability": "first", "pathways": "first"}


def spike_rows(spikes: Spikes) -> Array:
    """All spikes of each sample in a row, ``inf`` behind them.

    Args:
        spikes: of one layer.

    Returns:
        ``(samples, neurons)``, a column for each neuron, where every neuron spikes at most once;
        else ``(samples, most spikes of a sample)``, in the order of their times.
    """
    if spikes.once:
        return np.asarray(spikes.first, dtype=np.float64)
    counts = np.diff(spikes.offsets)
    rows = np.full((spikes.batch, int(counts.max())), np.inf)
    rows[spikes.samples, np.arange(spikes.n_spikes) - spikes.offsets[spikes.samples]] = spikes.times
    return rows


def when_decided(state: RecordedActivity) -> Array:
    """When each sample was decided, ``(samples,)``; ``inf`` = never."""
    if state.decision_reads == DECISION_READS[0]:
        return decision_times(state.output_times, state.decisions)
    return np.where(state.decisions >= 0, observed(state), np.inf)


def observed(state: RecordedActivity) -> float:
    """How long a sample is observed: the network's window, or until the last spike of all."""
    if state.network is not None:
        return state.network.t_window
    return max(latest(spikes) for spikes in (state.inputs, *state.spikes))


def latest(spikes: Spikes) -> float:
    """Time of the last spike of all samples; 0 without."""
    if spikes.once:
        return float(np.max(spikes.first, initial=0, where=np.isfinite(spikes.first)))
    return float(spikes.times.max())


def causal_trains(spikes: Spikes, decided: Array) -> Spikes:
    """The spikes that can have contributed to the decision, of neurons that spike again.

    Args:
        spikes: of one layer.
        decided: ``(samples,)``, time of the decision; ``inf`` = none, then all are left out.
    """
    limit = np.where(np.isfinite(decided), decided, -np.inf)
    kept = spikes.times <= limit[spikes.samples]
    offsets = np.concatenate([[0], np.cumsum(kept)])[spikes.offsets]
    return Spikes.trusted(spikes.times[kept], spikes.units[kept], offsets, spikes.n_units)


def layers_that_spike_again(state: RecordedActivity) -> list[str]:
    """Names of the layers (or "input") of which some neuron spikes more than once in a sample."""
    layers = zip(state.layer_names, (state.inputs, *state.spikes), strict=True)
    return [name for name, spikes in layers if not spikes.once]


def why_no_pathways(state: RecordedActivity) -> str | None:
    """Why the pathways of a state are not defined; None where they are."""
    network = state.network
    if network is not None and network.features:
        features = ", ".join(sorted(feature.value for feature in network.features))
        return (
            "they are defined for a chain of layers whose neurons spike once, without delays; this "
            f"network is more ({features})"
        )
    if state.neurons:
        return (
            "they are defined for nominal neurons; here neurons have parameters each for itself ("
            f"{', '.join(dict.fromkeys(n for own in state.neurons.values() for n in own))})"
        )
    if network is not None and not network.is_chain:
        return "they are traced along the layers in their order; this network has another one"
    if state.decision_reads != DECISION_READS[0]:
        return "they are traced back from the spike that decided; here no single spike did"
    if network is None and layers_that_spike_again(state):
        return "they are defined for neurons that spike once; here neurons spike more than once"
    return None


def why_no_depth(state: RecordedActivity) -> str | None:
    """Why no layer lies deeper than another one; None for a chain."""
    network = state.network
    if network is None or network.is_chain:
        return None
    # A chain with delays, written out, is one as well.
    pairs = [(index - 1, index) for index in range(len(network.layers))]
    if list(network.ends) == pairs and network.output_index == len(pairs) - 1:
        return None
    return (
        "in a network with loops, skip connections or another order of layers, no layer is deeper "
        "than another"
    )
