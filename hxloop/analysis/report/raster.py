"""Spikes of some samples, packed for the raster of a report."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import RecordedActivity, Spikes
from hxloop.activity.recorded import DECISION_READS
from hxloop.analysis.measures.all_spikes import latest, observed

Array = NDArray[np.float64] | NDArray[np.float32]

# Samples a reader can choose from, at most; fewer where they would take more bytes than this.
MOST_SAMPLES = 60
MOST_BYTES = 2_500_000
_SILENT = 0xFFFF


def chosen_samples(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Indices of samples to show: the first ones of every class, classes in turn, in order.

    Args:
        labels: ``(samples,)``.
        most: how many.
    """
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    in_turn = order[np.argsort(rank, kind="stable")]
    chosen = in_turn[:most]
    found: NDArray[np.int64] = chosen[np.lexsort((chosen, labels[chosen]))]
    return found


def preferred_classes(times: Array, labels: NDArray[np.int64], t_end: float) -> NDArray[np.int64]:
    """For every neuron the class for which its first spike is earliest on average.

    Silence counts as a spike at the end. A neuron that never spikes has no preference, and gets
    the number after the last class.

    Args:
        times: ``(samples, neurons)``.
        labels: ``(samples,)``.
        t_end: end of the observation.
    """
    late = np.minimum(times, t_end)
    known = np.unique(labels)
    means = np.stack([late[labels == label].mean(axis=0) for label in known])
    preferred = known[means.argmin(axis=0)]
    return np.where(np.isfinite(times).any(axis=0), preferred, labels.max() + 1)


def raster_data(
    states: Sequence[RecordedActivity],
    *,
    colours: Mapping[str, str],
    layout: Mapping[str, Any],
) -> dict[str, Any]:
    """What the page's script draws the raster from: all spikes.

    Times are rounded to 1/65534 of the longest, silence is 65535. First spikes are ``times``; a
    state in which neurons or channels spike again has the others in ``further``: numbers of
    neurons (counted through all layers) and times, sample after sample up to its ``ends``.

    Args:
        states: of the same samples.
        colours: of the states.
        layout: look that all figures share.
    """
    sizes, labels = states[0].sizes, states[0].labels
    trains = [(state.inputs, *state.spikes) for state in states]
    further = sum(spikes.n_spikes for layers in trains for spikes in layers if not spikes.once)
    bytes_each = (sum(sizes) * len(states) * 2 + further / len(labels) * 6) * 4 / 3
    chosen = chosen_samples(labels, min(MOST_SAMPLES, max(1, int(MOST_BYTES / bytes_each))))
    layers = [(state.input_times, *state.layer_times) for state in states]
    last = [latest(spikes) for layers_ in trains for spikes in layers_]
    t_end = max(last) or 1.0
    step = t_end / (_SILENT - 1)
    return {
        "step": step,
        "t_end": 1.02 * t_end,
        "layout": dict(layout),
        "classes": [plotly_text(name) for name in states[0].class_names],
        "layers": [
            {
                "name": name,
                "title": f"{name}<br>{size} neurons",
                "size": size,
                "start": sum(sizes[:index]),
            }
            for index, (name, size) in enumerate(zip(states[0].layer_names, sizes, strict=True))
        ],
        "samples": [{"index": int(i), "label": int(labels[i])} for i in chosen],
        "states": [
            {
                "name": state.name,
                "colour": colours[state.name],
                "times": _packed([t[chosen] for t in times], step),
                **_further(all_of_them, chosen, step),
                **_end(state),
                "decisions": state.decisions[chosen].tolist(),
                "preferred": [preferred_classes(t, labels, t_end).tolist() for t in times],
            }
            for state, times, all_of_them in zip(states, layers, trains, strict=True)
        ],
        "output": 1 + states[0].output_index,
    }


def plotly_text(text: str) -> str:
    """Plain text for plotly, which would take tags in it for its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _packed(layers: Sequence[Array], step: float) -> str:
    times = np.concatenate(layers, axis=1)
    finite = np.isfinite(times)
    whole = np.where(finite, np.where(finite, times, 0.0) / step, _SILENT).round()
    return _text(whole, "<u2")


def _further(layers: Sequence[Spikes], chosen: NDArray[np.int64], step: float) -> dict[str, Any]:
    """Spikes after the first ones in some samples, of all layers together."""
    if all(spikes.once for spikes in layers):
        return {}
    starts = np.cumsum([0, *(spikes.n_units for spikes in layers)])
    parts = []
    for start, spikes in zip(starts, (spikes.select(chosen) for spikes in layers), strict=False):
        again = spikes.ranks > 0
        parts.append((spikes.samples[again], start + spikes.units[again], spikes.times[again]))
    samples, neurons, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(samples, kind="stable")
    ends = np.searchsorted(samples[order], np.arange(len(chosen)), side="right")
    return {
        "further": {
            "ends": ends.tolist(),
            "neurons": _text(neurons[order], "<u4"),
            "times": _text((times[order] / step).round(), "<u2"),
        }
    }


def _end(state: RecordedActivity) -> dict[str, float]:
    """When all samples are decided, where that is not at a spike of the output."""
    return {} if state.decision_reads == DECISION_READS[0] else {"decided": observed(state)}


def _text(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()
