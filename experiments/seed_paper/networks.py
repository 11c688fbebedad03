"""Six of the published networks beside each other, with the measures of ``hxloop analyse``.

All numbers are computed here from published data: spike times of 150 images, before and after
training by the authors, and, where the files hold weights, those of all 10,000 MNIST test images
through the exact engine. None is a figure of the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hxloop.activity import RecordedActivity, first_output, read_plain
from hxloop.analysis.analyse import analyse
from hxloop.analysis.assess.summary import plain
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.backends.ideal import IdealBackend
from hxloop.data.encoding import LatencyEncoding
from hxloop.data.mnist_files import load_mnist
from hxloop.network import NetworkSpec

# The pixel value 256, which no pixel has, would spike at the beginning.
ENCODING = LatencyEncoding(t_early=0.15, t_late=2.0, bias_times=(), large_first=True)
BRIGHTEST = 256
T_WINDOW = 6.5
_CAUSAL = ("n_spikes", "packet_a", "packet_sigma", "shorth", "matched_sigma", "matched_shorth")
_CLASSES = ("silhouette_relative", "silhouette_times", "readout_times", "neighbour_times")
_SHARES = ("share", "chance", "others", "beyond_others")


def measure_networks(
    files: Sequence[Path], options: AnalysisOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """The measures of each network, by the name of its file.

    Args:
        files: spike times, see ``hxloop.activity.formats.plain``.
        options: how much is computed.
        say: told in words what is done.

    Returns:
        For each ``layer_names``, ``published`` {state: measures}, and with weights ``all_images``
        {state: measures} and ``agreement`` of the engine with the published spikes. Plain values.
    """
    found: dict[str, Any] = {}
    for path in files:
        say(f"measuring {path.stem}")
        states = read_plain(path)
        analysis = analyse(list(states.values()), options=options)
        entry: dict[str, Any] = {
            "layer_names": list(analysis["layer_names"]),
            "published": {name: _measures(analysis, name) for name in states},
        }
        if all(state.weights is not None for state in states.values()):
            say(f"running all test images through {path.stem}")
            everything = {name: run_all(state) for name, state in states.items()}
            entry["agreement"] = {
                name: agreement(states[name], everything[name]) for name in states
            }
            analysis = analyse(list(everything.values()), options=options)
            entry["all_images"] = {name: _measures(analysis, name) for name in states}
        found[path.stem] = brief(plain(entry))
    return found


def brief(value: Any) -> Any:
    """Plain values with six digits of every number."""
    if isinstance(value, Mapping):
        return {key: brief(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [brief(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def run_all(state: RecordedActivity, count: int | None = None) -> RecordedActivity:
    """All MNIST test images through the weights of a state, by the exact engine.

    Args:
        state: with weights.
        count: only the first ones; None: all.
    """
    images, labels = load_mnist("test")
    times = np.asarray(ENCODING.encode(images[:count] / BRIGHTEST))
    weights = state.weights or ()
    network = NetworkSpec.feed_forward(*state.sizes, t_window=T_WINDOW)
    with IdealBackend().open(network) as session:
        spikes = [
            session.run(weights, times[start : start + 500]).first_spike_times
            for start in range(0, len(times), 500)
        ]
    layers = tuple(np.concatenate(parts) for parts in zip(*spikes, strict=True))
    return RecordedActivity(
        state.name, times, layers, labels[:count], first_output(layers[-1]), state.weights
    )


def agreement(published: RecordedActivity, ours: RecordedActivity) -> dict[str, float]:
    """How well the exact engine agrees with the published spikes of the first images.

    The published times were integrated with a step of 0.01, so times lie on that grid.
    """
    n = len(published)
    pairs = [
        (np.asarray(theirs), np.asarray(own)[:n])
        for theirs, own in zip(published.layer_times, ours.layer_times, strict=True)
    ]
    alike = np.concatenate([(np.isfinite(a) == np.isfinite(b)).ravel() for a, b in pairs])
    apart = [
        np.abs(a[both] - b[both]) for a, b in pairs for both in (np.isfinite(a) & np.isfinite(b),)
    ]
    return {
        "neurons_alike": float(alike.mean()),
        "median_difference": float(np.median(np.concatenate(apart))),
        "decisions_alike": float((published.decisions == ours.decisions[:n]).mean()),
    }


def _measures(analysis: Mapping[str, Any], state: str) -> dict[str, Any]:
    """The main numbers of a state, lists by layer."""
    layers = analysis["synchrony"][state]["layers"]
    classes = analysis["separability"][state]["layers"]
    shares = analysis["pathways"][state].get("label_share")
    result: dict[str, Any] = {
        "samples": analysis["states"][state]["n_samples"],
        "accuracy": analysis["states"][state]["accuracy"],
        "decision_time": analysis["states"][state]["decision_time"],
        **{key: [layer["causal"][key] for layer in layers] for key in _CAUSAL},
        "packet_sigma_interval": [layer["intervals"]["causal"]["packet_sigma"] for layer in layers],
        **{
            f"over_{null}": [layer["null"][null]["ratio"] for layer in layers]
            for null in ("uniform", "class_permuted")
        },
        **{key: [layer[key] for layer in classes] for key in _CLASSES},
    }
    if shares:
        result["label_share"] = [
            {
                **{key: layer[key] for key in _SHARES},
                "set_sizes": [min(layer["set_sizes"]), max(layer["set_sizes"])],
                "weight_shuffled": layer["null"]["weight_shuffled"],
            }
            for layer in shares["layers"]
        ]
    return result
