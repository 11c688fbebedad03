"""Recorded activity as Neo objects, for elephant and whatever else reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.formats.spike_lists import SpikeList, spike_lists, window
from hxloop.activity.recorded import RecordedActivity
from hxloop.errors import ConfigError
from hxloop.units import TimeBase

if TYPE_CHECKING:
    import neo


def to_neo(
    state: RecordedActivity,
    time_base: TimeBase,
    *,
    samples: slice | Sequence[int] | NDArray[Any] | None = None,
    units: str = "ms",
) -> neo.Block:
    """One segment for each sample, in it one spike train for each input channel and neuron.

    Silent neurons have an empty train, so that trains of all samples correspond. All trains of
    the block last from 0 to the network's window (or to the last spike where that is later or
    the window is not known). ``block.groups`` holds all trains of a layer, input first. Neo has
    no place for weights, delays and the network.

    Args:
        state: what to convert.
        time_base: how long a unit of model time is.
        samples: which samples; None = all. A train is an object: 784-400x4-10 has 2394 of them
            for each sample.
        units: of time, "ms" or "s".

    Returns:
        A ``neo.Block``, annotated with state, split, epoch. Segments are annotated with sample
        (its index in ``state``), label and decision; trains with layer, layer_index (0 = input),
        neuron and population ("input", "excitatory", "inhibitory" or "").

    Raises:
        ConfigError: other units.
        RunInputError: no sample is chosen.
    """
    import neo
    import quantities as pq

    if units not in ("ms", "s"):
        raise ConfigError(f"to_neo: expected units 'ms' or 's'; got {units!r}")
    scale = float(time_base.to_ms(1.0)) / (1.0 if units == "ms" else 1e3)
    indices = np.arange(len(state)) if samples is None else np.arange(len(state))[samples]
    chosen = state if samples is None else state.select(samples)
    block = neo.Block(
        name=chosen.name,
        description="all spikes of input and layers, a segment for each sample",
        tau_syn_seconds=time_base.tau_syn_seconds,
        state=chosen.name,
        split=chosen.split or "",
        epoch=-1 if chosen.epoch is None else chosen.epoch,
    )
    for position, index in enumerate(indices):
        block.segments.append(_segment(chosen, position, int(index)))
    # Quantities, not names of units, which would be parsed for every train.
    unit = pq.ms if units == "ms" else pq.s
    # A spike at the very end must lie inside, whatever rounding does.
    t_stop = np.nextafter(window(chosen) * scale, np.inf)
    trains: list[list[neo.SpikeTrain]] = [[] for _ in indices]
    for layer_index, spikes in enumerate(spike_lists(chosen)):
        made = _trains(spikes, layer_index, len(chosen), scale * unit, t_stop * unit)
        group = neo.Group(name=spikes.name, layer_index=layer_index)
        group.spiketrains.extend(made)  # at once: to append one takes as long as there are others
        block.groups.append(group)
        for position in range(len(chosen)):
            first = position * spikes.n_neurons
            trains[position] += made[first : first + spikes.n_neurons]
    for segment, of_sample in zip(block.segments, trains, strict=True):
        segment.spiketrains.extend(of_sample)
    return block


def _segment(state: RecordedActivity, position: int, sample: int) -> neo.Segment:
    """The segment of a sample, still without trains."""
    import neo

    return neo.Segment(
        name=f"sample {sample}",
        index=position,
        sample=sample,
        label=int(state.labels[position]),
        decision=int(state.decisions[position]),
    )


def _trains(
    spikes: SpikeList, layer_index: int, n_samples: int, scale: Any, t_stop: Any
) -> list[neo.SpikeTrain]:
    """Trains of all neurons of a layer, sample after sample; ``scale`` has the unit."""
    import neo

    places = spikes.samples * spikes.n_neurons + spikes.neurons
    of_neurons = spikes.by(places, n_samples * spikes.n_neurons, spikes.times)
    return [
        neo.SpikeTrain(
            spikes.times[chosen_spikes] * scale,
            t_start=0.0 * t_stop.units,
            t_stop=t_stop,
            name=f"{spikes.name}, neuron {place % spikes.n_neurons}",
            layer=spikes.name,
            layer_index=layer_index,
            neuron=place % spikes.n_neurons,
            population=spikes.populations[place % spikes.n_neurons],
        )
        for place, chosen_spikes in enumerate(of_neurons)
    ]
