"""What a sample would cost on the chip that a run was tested on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hxloop.runs.config import ExperimentConfig
from hxloop.substrate import get_backend
from hxloop.substrate.optional import cost_of_sample
from hxloop.training.options import EvaluationResult


def estimated_cost(config: ExperimentConfig, test: EvaluationResult) -> Mapping[str, float]:
    """An estimate by name, see ``hxloop.chip.cost``; {} on what is no chip.

    Of inputs that spike again only the first spikes are counted.
    """
    own = config.backend
    layers = zip(test.spikes_per_neuron, test.first_spike_times, strict=False)
    out = sum(spikes * times.shape[1] for spikes, times in layers)
    into = float(np.isfinite(test.input_times).sum()) / len(test.labels)
    return cost_of_sample(get_backend(own.name, **own.options), into, out)
