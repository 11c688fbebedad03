"""States of a network that codes in time, and of one that does not."""

from __future__ import annotations

import numpy as np

from hxloop.activity import RecordedActivity, first_output
from hxloop.analysis.measures.options import AnalysisOptions

N_CLASSES, N_SAMPLES, N_NEURONS = 4, 64, 24


QUICK = AnalysisOptions(n_resamples=200, n_permutations=999, n_null=120, contrast_samples=5)


def chain_weights() -> tuple[np.ndarray, ...]:
    """Three hidden layers; the deeper, the more a neuron's weights keep to its own class."""
    member = np.arange(N_NEURONS) % N_CLASSES
    same = member[:, None] == member
    blocks = [np.where(same, 1.0, other) for other in (0.9, 0.5, 0.1)]
    output = np.where(member[:, None] == np.arange(N_CLASSES), 1.0, 0.02)
    return (*blocks, output)


def trained(name: str = "trained", seed: int = 0, **changes) -> RecordedActivity:
    """Spikes that do what the paper claims: spread, converge, and separate with depth."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N_SAMPLES) % N_CLASSES
    own = (np.arange(N_NEURONS) % N_CLASSES) == labels[:, None]
    layers = []
    # Of the last volley only the neurons of the right class come before the decision.
    for centre, width, gap, late in (
        (0.2, 0.02, 0.02, 0), (0.8, 0.3, 0.2, 0), (1.6, 0.2, 0.3, 0), (2.2, 0.01, 0.1, 0.7),
    ):  # fmt: skip
        others = late + gap * rng.random(own.shape)
        times = centre + width * rng.random(own.shape) + np.where(own, 0.0, others)
        layers.append(times)
    output = 2.9 + 0.1 * rng.random((N_SAMPLES, N_CLASSES))
    output[np.arange(N_SAMPLES), labels] = 2.82
    fields = dict(
        name=name,
        input_times=layers[0],
        layer_times=(*layers[1:], output),
        labels=labels,
        decisions=first_output(output),
        weights=chain_weights(),
    )
    return RecordedActivity(**{**fields, **changes})


def untrained() -> RecordedActivity:
    """Volleys that spread out further in every layer, at the hand of neurons without a class."""
    rng = np.random.default_rng(1)
    widths = (0.02, 0.1, 0.2, 0.3)
    layers = [
        0.2 + depth * 0.6 + width * rng.random((N_SAMPLES, N_NEURONS))
        for depth, width in enumerate(widths)
    ]
    output = 2.9 + 0.1 * rng.random((N_SAMPLES, N_CLASSES))
    return trained(
        "untrained",
        input_times=layers[0],
        layer_times=(*layers[1:], output),
        decisions=first_output(output),
        weights=tuple(rng.random(matrix.shape) for matrix in chain_weights()),
    )


def claims_of(result) -> dict[str, dict]:
    return {claim["key"]: claim for claim in result["claims"]}
