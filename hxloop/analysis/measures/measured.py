"""Everything measured of one recorded state, as arrays; ``summary`` makes plain numbers of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.analysis.measures import (
    all_spikes,
    jackknife,
    null_models,
    null_registry,
    separability,
    statistics,
    synchrony,
)
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.statistics import Array
from hxloop.analysis.measures.synchrony import SpikeStatistics

# Measures of separability that are means over samples, in the order of the report.
SEPARABILITY_MEASURES = (
    "readout_times", "readout_active", "class_mean_times", "class_mean_active",
    "silhouette_times", "silhouette_active", "van_rossum_contrast",
)  # fmt: skip


@dataclass(frozen=True)
class SynchronyMeasures:
    """Spread of every layer's spikes; of neurons that spike again, of all of their spikes.

    Attributes:
        all: statistics of all spikes, for each layer.
        causal: those of causal spikes.
        null_samples: indices of the samples that the null models were drawn for.
        nulls: by the name of a null model, see ``null_registry``: for each layer the causal shorths
            of its spikes, ``(null samples,)``.
        contrast: spike contrast of causal spikes, for each layer.
        spread: causal shorths of the input and the early hidden layers at the same number of
            spikes, ``(samples, 1 + early)``, see ``null_models.matched_shorths``.
        converged: those of the early hidden layers and of the last one.
    """

    all: list[SpikeStatistics]
    causal: list[SpikeStatistics]
    null_samples: NDArray[np.int64]
    nulls: dict[str, list[Array]]
    contrast: list[float]
    spread: Array
    converged: Array

    @property
    def uniform(self) -> list[Array]:
        """``nulls["uniform"]``, as it was called before others could be registered."""
        return self.nulls["uniform"]

    @property
    def jittered(self) -> list[Array]:
        """``nulls["jittered"]``, as it was called before others could be registered."""
        return self.nulls["jittered"]

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
        pseudo_values: of those in which samples are compared with each other, what each sample
            does to the mean, see ``jackknife``: to be tested and resampled in place of the values.
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
    pseudo_values: list[dict[str, Array]]
    null: list[dict[str, Array]]
    within: list[float]
    between: list[float]
    overlap: list[Array]
    overlap_resamples: list[Array]


def measure_synchrony(
    layers: Sequence[Array],
    decided: Array,
    options: AnalysisOptions,
    trains: Sequence[Spikes] | None = None,
) -> SynchronyMeasures:
    """Measure the spread of all layers.

    Args:
        layers: first spike times ``(samples, neurons)`` from input to output.
        decided: ``(samples,)``, when each sample was decided, see ``decision_times``.
        options: see ``AnalysisOptions``.
        trains: all spikes of the layers; None: there are no others than the first ones.
    """
    trains = trains or [Spikes.from_first(times) for times in layers]
    layers = [all_spikes.spike_rows(spikes) for spikes in trains]
    rng = np.random.default_rng((options.seed, 1))
    everything, causal = zip(*synchrony.layer_statistics(layers, decided), strict=True)
    few = np.sort(rng.permutation(len(decided))[: options.readout_samples])
    start = np.where(np.isfinite(layers[0][few]), layers[0][few], np.inf).min(axis=1)
    names = null_registry.null_model_names()
    nulls: dict[str, list[Array]] = {name: [] for name in names}
    contrast: list[float] = []
    ends = [times[np.isfinite(times)].max(initial=0.0) for times in layers]
    period = max(ends) + 1.0  # a pause longer than the bins of the spike contrast
    for index, times in enumerate(layers):
        spikes = synchrony.causal_spikes(times[few], decided[few])
        spikes.setflags(write=False)
        volleys = null_registry.Volleys(
            times=spikes, start=start, decided=decided[few],
            is_input=index == 0, jitter=options.jitter,
        )  # fmt: skip
        for name in names:
            # One of another package draws its own chance, and leaves ours as it was.
            ours = name in null_registry.NULL_MODELS
            own = rng if ours else np.random.default_rng((options.seed, 8, *name.encode()))
            nulls[name].append(synchrony.shorth(null_registry.draw_null(name, volleys, own)))
        part = few[: options.contrast_samples]
        shown = all_spikes.causal_trains(trains[index].select(part), decided[part])
        contrast.append(synchrony.spike_contrast(shown, period))
    early = early_layers(len(layers) - 2)
    before = {i: synchrony.causal_spikes(layers[i], decided) for i in (0, *early, len(layers) - 2)}
    return SynchronyMeasures(
        list(everything), list(causal), few, nulls, contrast,
        null_models.matched_shorths([before[i] for i in (0, *early)], rng),
        null_models.matched_shorths([before[i] for i in converging_layers(len(layers) - 2)], rng),
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

    Of neurons that spike again, first spikes are read. Spike times as features are those of the
    whole sample; who spiked, van Rossum distances and active populations are those of the causal
    spikes.

    Args:
        layers: first spike times ``(samples, neurons)`` from input to output.
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
    values, pseudo, null, within, between, overlap, resampled = [], [], [], [], [], [], []
    for times in layers:
        causal = synchrony.causal_spikes(times, decided)
        late = separability.latency_features(times[few], t_end)
        active = separability.activity_features(causal[few])
        chosen = np.isin(few, near)
        distances = separability.euclidean_distances(late[chosen])
        of_active = separability.euclidean_distances(active[chosen])
        rossum = separability.van_rossum_distances(causal[nearer], options.van_rossum_tau)
        own, others = separability.class_distances(rossum, labels[nearer])
        within.append(mean(own))
        between.append(mean(others))
        y, readout_seed = labels[few], options.seed
        values.append(
            {
                "readout_times": separability.linear_readout(late, y, seed=readout_seed),
                "readout_active": separability.linear_readout(active, y, seed=readout_seed),
                "class_mean_times": separability.nearest_class_mean(late, y),
                "class_mean_active": separability.nearest_class_mean(active, y),
                "silhouette_times": separability.silhouette(distances, labels[near]),
                "silhouette_active": separability.silhouette(of_active, labels[near]),
                "van_rossum_contrast": jackknife.contrast(own, others),
            }
        )
        pseudo.append(
            {
                "silhouette_times": jackknife.silhouette_pseudo_values(distances, labels[near]),
                "silhouette_active": jackknife.silhouette_pseudo_values(of_active, labels[near]),
                "van_rossum_contrast": jackknife.contrast_pseudo_values(rossum, labels[nearer]),
            }
        )
        null.append(
            {
                "silhouette_times": _means(separability.silhouette, distances, shuffles),
                "class_mean_times": _means(
                    separability.nearest_class_mean, late[chosen], shuffles[:20]
                ),
            }
        )
        overlap.append(separability.population_overlap(separability.activity_rates(causal, labels)))
        resampled.append(_overlap_of_resamples(causal, labels, counts))
    return SeparabilityMeasures(
        few, near, nearer, values, pseudo, null, within, between, overlap, resampled
    )


def _means(
    measure: Callable[[Array, NDArray[np.int64]], Array],
    of: Array,
    shuffles: Sequence[NDArray[np.int64]],
) -> Array:
    """The mean of a measure with labels in each of some orders."""
    return np.array([mean(measure(of, mixed)) for mixed in shuffles])


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
    return np.array([mean(row) for row in overlap])
