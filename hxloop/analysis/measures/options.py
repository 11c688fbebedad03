"""How much of an analysis is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hxloop import checks
from hxloop.errors import RunInputError


@dataclass(frozen=True)
class AnalysisOptions:
    """How much is computed.

    Args:
        seed: of all that is random.
        level: coverage of the confidence intervals.
        alpha: a claim needs a p-value below this.
        n_resamples: bootstrap resamples of means over samples.
        n_permutations: arrangements of permutation tests.
        n_null: draws of every null model of classes, and resamples of pathways; with fewer than
            100 no p-value against them can fall below 0.01.
        n_rewired: draws of shuffled weights, see ``null_models.weight_shuffled``.
        readout_samples: at most so many samples train and test the read-outs.
        pathway_samples: at most so many to trace pathways in null models.
        distance_samples: at most so many for silhouettes, which cost samples^2.
        van_rossum_samples: at most so many for van Rossum distances.
        van_rossum_tau: their time constant, model time; 1 = the synapse's.
        contrast_samples: at most so many for elephant's spike contrast.
        silent_margin: where silent neurons are put behind the median of their sample, and how far
            spikes count to both sides of it, model time, see ``measures.relative_times``.
        jitter: standard deviation of the jittered null model, model time.
        pathway_fraction: a pathway's members are the fewest neurons with this much of its credit.

    Raises:
        RunInputError: a value out of its range.
    """

    seed: int = 0
    level: float = 0.95
    alpha: float = 0.01
    n_resamples: int = 2000
    n_permutations: int = 9999
    n_null: int = 200
    n_rewired: int = 20
    readout_samples: int = 2000
    pathway_samples: int = 1000
    distance_samples: int = 1000
    van_rossum_samples: int = 300
    van_rossum_tau: float = 1.0
    contrast_samples: int = 20
    silent_margin: float = 1.0
    jitter: float = 0.1
    pathway_fraction: float = 0.5

    def __post_init__(self) -> None:
        def settle(name: str, check: Callable[..., Any], **bounds: Any) -> None:
            where, value = f"AnalysisOptions.{name}", getattr(self, name)
            checks.settle(self, **{name: check(where, value, error=RunInputError, **bounds)})

        for name in ("level", "alpha", "pathway_fraction"):
            settle(name, checks.number, above=0, below=1)
        for name in ("van_rossum_tau", "silent_margin", "jitter"):
            settle(name, checks.number, above=0, what="time (model time)")
        for name in (
            "n_resamples", "n_permutations", "n_null", "n_rewired", "readout_samples",
            "pathway_samples", "distance_samples", "van_rossum_samples", "contrast_samples",
        ):  # fmt: skip
            settle(name, checks.whole, low=2)
