"""An encoding that fits data: what their kind, range and number of features ask for."""

from __future__ import annotations

from typing import Any

import numpy as np

from hxloop.activity import Spikes
from hxloop.data.dataset import Dataset
from hxloop.data.series import TimeSeries

FEW = 8  # features; of more, a spike for each is about as good, and a chip has few inputs
CHANNELS = 64  # so many make a neuron spike with the weights that a chip has
MOST_CHANNELS = 100  # of spikes; what a neuron of a chip takes in, about
LEVELS = 8  # that the range of a series is cut into
LONG = 10.0  # tau_syn, to which the spikes of a sample are brought


def suggested_encoding(dataset: Dataset) -> tuple[dict[str, Any], str]:
    """Keys of ``[encoding]`` for a data set, and why.

    - spikes stay what they are; their time is brought to about ``LONG``, neighbours of more than
      ``MOST_CHANNELS`` channels are merged;
    - time series: level crossings, ``LEVELS`` to the range of the values;
    - images: latency, bright pixels first;
    - up to ``FEW`` features: receptive fields;
    - more: latency.
    """
    samples = dataset.samples
    if isinstance(samples, Spikes):
        latest = float(np.quantile(samples.times, 0.99)) if samples.n_spikes else 1.0
        scale = float(f"{LONG / latest:.2g}") if latest > 0 else 1.0
        chosen: dict[str, Any] = {"name": "spike-trains", "time_scale": scale}
        merged, channels = -(-samples.n_units // MOST_CHANNELS), samples.n_units
        why = (
            f"spikes as they are; 99 % of them come before {latest:.3g}, which becomes "
            f"{scale * latest:.3g} tau_syn"
        )
        if merged > 1:
            chosen["merge_channels"] = merged
            why += f"; {merged} neighbours of {channels} channels become one, which learns sooner"
        return chosen, why
    if isinstance(samples, TimeSeries):
        values = samples.values
        step = float(f"{(values.max() - values.min()) / LEVELS or 1.0:.2g}")
        return (
            {"name": "level-crossing", "level_step": step, "t_late": LONG},
            f"a spike at each crossing of levels {step:g} apart",
        )
    if dataset.image_side is not None:
        return (
            {"name": "latency", "large_first": True},
            "a spike for each pixel, bright ones first",
        )
    features = samples.shape[1]
    if features <= FEW:
        return (
            {"name": "population"},
            f"{features} features: receptive fields, several channels for each",
        )
    copies = max(1, round(CHANNELS / (features + 1)))
    chosen = {"name": "latency", "replicate": copies} if copies > 1 else {"name": "latency"}
    many = f"{copies} times, because a weight of a chip is small" if copies > 1 else "once"
    return chosen, f"{features} features: a spike for each, small values first, {many}"
