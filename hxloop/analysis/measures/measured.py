"""Everything measured of one recorded state, as arrays; ``summary`` makes plain numbers of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.analysis.measures import null_models, separability, statistics, synchrony
from hxloop.analysis.measures.statistics import Array
from hxloop.analysis.measures.synchrony import SpikeStatistics
from hxloop.errors import RunInputError

# Measures of separability that are means over samples, in the order of the report.
SEPARABILITY_MEASURES = (
    "readout_times", "readout_active", "class_mean_times", "class_mean_active",
    "silhouette_times", "silhouette_active", "van_rossum_contrast",
)  # fmt: skip


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
        readout_samples: at most so many samples train and test the read-outs.
        pathway_samples: at most so many to trace pathways in null models.
        distance_samples: at most so many for silhouettes, which cost samples^2.
        van_rossum_samples: at most so many for van Rossum distances.
        van_rossum_tau: their time constant, model time; 1 = the synapse's.
        contrast_samples: at most so many for elephant's spike contrast.
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
    readout_samples: int = 2000
    pathway_samples: int = 1000
    distance_samples: int = 1000
    van_rossum_samples: int = 300
    van_rossum_tau: float = 1.0
    contrast_samples: int = 20
    jitter: float = 0.1
    pathway_fraction: float = 0.5

    def __post_init__(self) -> None:
        def settle(name: str, check: Callable[..., Any], **bounds: Any) -> None:
            where, value = f"AnalysisOptions.{name}", getattr(self, name)
            checks.settle(self, **{name: check(where, value, error=RunInputError, **bounds)})

        for name in ("level", "alpha", "pathway_fraction"):
            settle(name, checks.number, above=0, below=1)
        for name in ("van_rossum_tau", "jitter"):
            settle(name, checks.number, above=0, what="time (model time)")
        for name in (
            "n_resamples", "n_permutations", "n_null", "readout_samples", "pathway_samples",
            "distance_samples", "van_rossum_samples", "contrast_samples",
        ):  # fmt: skip
            settle(name, checks.whole, low=2)


@dataclass(frozen=True)
class SynchronyMeasures:
    """Spread of every layer's spikes.

    Attributes:
        all: statistics of all spikes, for each layer.
        causal: those of causal spikes.
        null_samples: indices of the samples that the null models were drawn for.
        uniform: for each layer causal shorths with the spikes spread evenly from the first input
            spike to the decision, ``(null samples,)``; of the input the first spike stays, which
            is where that interval begins.
        jittered: the same with jittered spikes.
        contrast: spike contrast of causal spikes, for each layer.
        spread: causal shorths of the input and the early hidden layers at the same number of
            spikes, ``(samples, 1 + early)``, see ``synchrony.matched_shorths``.
        converged: those of the early hidden layers and of the last one.
    """

    all: list[SpikeStatistics]
    causal: list[SpikeStatistics]
    null_samples: NDArray[np.int64]
    uniform: list[Array]
    jittered: list[Array]
    contrast: list[float]
    spread: Array
    converged: Array

    def causal_shorth(self) -> Array:
        """``(samples, layers)``."""
        return np.stack([layer.shorth for layer in self.causal], axis=1)


@dataclass(frozen=True)
class SeparabilityMeasures:
    """Separability of the classes in every layer.

    Attributes:
        samples: indices of the samples that read-outs and class means were computed for.
        distance_samples: those of silhouettes.
        van_rossum_samples: those of van Rossum distances.
        values: for each layer the measures of ``SEPARABILITY_MEASURES``, one value a sample.
        null: for each layer the means of some measures with shuffled labels, ``(n_null,)``.
        within: for each layer the mean van Rossum distance within a class.
        between: that between classes.
        overlap: for each layer the Jaccard overlap of the causally active populations,
            ``(pairs,)``.
        overlap_resamples: its mean over pairs in bootstrap resamples, ``(n_null,)``.
    """

    samples: NDArray[np.int64]
    distance_samples: NDArray[np.int64]
    van_rossum_samples: NDArray[np.int64]
    values: list[dict[str, Array]]
    null: list[dict[str, Array]]
    within: list[float]
    between: list[float]
    overlap: list[Array]
    overlap_resamples: list[Array]


def measure_synchrony(
    layers: Sequence[Array], decided: Array, options: AnalysisOptions
) -> SynchronyMeasures:
    """Measure the spread of all layers.

    Args:
        layers: spike times ``(samples, neurons)`` from input to output.
        decided: ``(samples,)``, when each sample was decided, see ``decision_times``.
        options: see ``AnalysisOptions``.
    """
    rng = np.random.default_rng((options.seed, 1))
    everything, causal = zip(*synchrony.layer_statistics(layers, decided), strict=True)
    few = np.sort(rng.permutation(len(decided))[: options.readout_samples])
    start = np.where(np.isfinite(layers[0][few]), layers[0][few], np.inf).min(axis=1)
    uniform: list[Array] = []
    jittered: list[Array] = []
    contrast: list[float] = []
    ends = [times[np.isfinite(times)].max(initial=0.0) for times in layers]
    period = max(ends) + 1.0  # a pause longer than the bins of the spike contrast
    for times in layers:
        spikes = synchrony.causal_spikes(times[few], decided[few])
        even = null_models.uniform_times(spikes, start, decided[few], rng)
        if not uniform:
            first = np.where(spikes == spikes.min(axis=1, keepdims=True), spikes, np.inf)
            rows, places = np.arange(len(first)), first.argmin(axis=1)
            even[rows, places] = spikes[rows, places]
        uniform.append(synchrony.shorth(even))
        jittered.append(synchrony.shorth(null_models.jittered(spikes, options.jitter, rng)))
        shown = spikes[: options.contrast_samples]
        contrast.append(synchrony.spike_contrast(shown, period))
    early = early_layers(len(layers) - 2)
    before = {i: synchrony.causal_spikes(layers[i], decided) for i in (0, *early, len(layers) - 2)}
    return SynchronyMeasures(
        list(everything), list(causal), few, uniform, jittered, contrast,
        synchrony.matched_shorths([before[i] for i in (0, *early)], rng),
        synchrony.matched_shorths([before[i] for i in converging_layers(len(layers) - 2)], rng),
    )  # fmt: skip


def early_layers(n_hidden: int) -> list[int]:
    """Indices (0 = input) of the first half of the hidden layers, rounded up."""
    return list(range(1, 1 + (n_hidden + 1) // 2))


def converging_layers(n_hidden: int) -> list[int]:
    """Indices of the early hidden layers, and then of the last one."""
    return [*(layer for layer in early_layers(n_hidden) if layer != n_hidden), n_hidden]


def measure_separability(
    layers: Sequence[Array],
    decided: Array,
    labels: NDArray[np.int64],
    t_end: float,
    options: AnalysisOptions,
) -> SeparabilityMeasures:
    """Measure the separability of the classes in all layers.

    Spike times as features are those of all spikes; who spiked, van Rossum distances and active
    populations are those of the causal spikes.

    Args:
        layers: spike times ``(samples, neurons)`` from input to output.
        decided: ``(samples,)``, when each sample was decided, see ``decision_times``.
        labels: ``(samples,)``.
        t_end: end of the observation, where silent neurons are put as features.
        options: see ``AnalysisOptions``.
    """
    rng = np.random.default_rng((options.seed, 2))
    few = separability.balanced_subsample(labels, options.readout_samples, rng)
    near = few[separability.balanced_subsample(labels[few], options.distance_samples, rng)]
    nearer = near[separability.balanced_subsample(labels[near], options.van_rossum_samples, rng)]
    shuffles = [null_models.label_shuffled(labels[near], rng) for _ in range(options.n_null)]
    counts = statistics.resampling_weights(labels, options.n_null, rng)
    values, null, within, between, overlap, resampled = [], [], [], [], [], []
    for times in layers:
        causal = synchrony.causal_spikes(times, decided)
        late = separability.latency_features(times[few], t_end)
        active = separability.activity_features(causal[few])
        chosen = np.isin(few, near)
        distances = separability.euclidean_distances(late[chosen])
        rossum = separability.van_rossum_distances(causal[nearer], options.van_rossum_tau)
        own, others = separability.class_distances(rossum, labels[nearer])
        with np.errstate(invalid="ignore"):
            contrast = np.where(own + others > 0, (others - own) / (others + own), 0.0)
        contrast[np.isnan(own) | np.isnan(others)] = np.nan
        within.append(_mean(own))
        between.append(_mean(others))
        y, readout_seed = labels[few], options.seed
        values.append(
            {
                "readout_times": separability.linear_readout(late, y, seed=readout_seed),
                "readout_active": separability.linear_readout(active, y, seed=readout_seed),
                "class_mean_times": separability.nearest_class_mean(late, y),
                "class_mean_active": separability.nearest_class_mean(active, y),
                "silhouette_times": separability.silhouette(distances, labels[near]),
                "silhouette_active": separability.silhouette(
                    separability.euclidean_distances(active[chosen]), labels[near]
                ),
                "van_rossum_contrast": contrast,
            }
        )
        null.append(
            {
                "silhouette_times": np.array(
                    [_mean(separability.silhouette(distances, mixed)) for mixed in shuffles]
                ),
                "class_mean_times": np.array(
                    [
                        _mean(separability.nearest_class_mean(late[chosen], mixed))
                        for mixed in shuffles[:20]
                    ]
                ),
            }
        )
        overlap.append(separability.population_overlap(separability.activity_rates(causal, labels)))
        resampled.append(_overlap_of_resamples(causal, labels, counts))
    return SeparabilityMeasures(
        few, near, nearer, values, null, within, between, overlap, resampled
    )


def _overlap_of_resamples(
    causal: Array, labels: NDArray[np.int64], counts: NDArray[np.float32]
) -> Array:
    active = np.isfinite(causal).astype(np.float32)
    rates = np.stack(
        [
            counts[:, labels == label] @ active[labels == label] / max(1, (labels == label).sum())
            for label in np.unique(labels)
        ],
        axis=1,
    )
    overlap = separability.population_overlap(rates)
    return np.array([_mean(row) for row in overlap])


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
