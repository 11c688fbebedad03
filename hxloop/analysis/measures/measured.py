"""Everything measured of one recorded state, as arrays; ``summary`` makes plain numbers of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.analysis.measures import (
    all_spikes,
    null_models,
    null_registry,
    separability,
    statistics,
    synchrony,
)
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.measure import (
    SEPARABILITY,
    SYNCHRONY,
    LayerSamples,
    LayerSpikes,
    Measure,
)
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.statistics import Array
from hxloop.analysis.measures.synchrony import SpikeStatistics

_PARTS = ("values", "pseudo", "null", "resamples")


@dataclass(frozen=True)
class SynchronyMeasures:
    """Spread of every layer's spikes; of neurons that spike again, of all of their spikes.

    Attributes:
        all: statistics of all spikes, for each layer.
        causal: those of causal spikes.
        values: for "causal" and "all", for each layer the values of every measure of synchrony,
            one a sample.
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
    values: dict[str, list[dict[str, Array]]]
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
        values: for each layer the values of every measure of separability.
        pseudo_values: of those in which samples are compared with each other, what each sample
            does to the mean, see ``jackknife``: to be tested and resampled in place of the values.
        null: for each layer the means of some measures with shuffled labels, ``(n_null,)``.
        within: for each layer the mean van Rossum distance within a class.
        between: that between classes.
        resamples: for each layer the means in bootstrap resamples, ``(n_null,)``, of measures
            that say what they are.
    """

    samples: NDArray[np.int64]
    distance_samples: NDArray[np.int64]
    van_rossum_samples: NDArray[np.int64]
    values: list[dict[str, Array]]
    pseudo_values: list[dict[str, Array]]
    null: list[dict[str, Array]]
    within: list[float]
    between: list[float]
    resamples: list[dict[str, Array]]


def measure_synchrony(
    layers: Sequence[Array],
    decided: Array,
    options: AnalysisOptions,
    trains: Sequence[Spikes] | None = None,
    labels: NDArray[np.int64] | None = None,
) -> SynchronyMeasures:
    """Measure the spread of all layers.

    Args:
        layers: first spike times ``(samples, neurons)`` from input to output.
        decided: ``(samples,)``, when each sample was decided, see ``decision_times``.
        options: see ``AnalysisOptions``.
        trains: all spikes of the layers; None: there are no others than the first ones.
        labels: ``(samples,)``, for null models that know classes; None: such are not defined.
    """
    sizes = [times.shape[1] for times in layers]
    # Of a burst's spikes, no column is a neuron.
    columns = [trains is None or trains[index].once for index in range(len(layers))]
    if trains is not None:
        layers = [all_spikes.spike_rows(spikes) for spikes in trains]
    rng = np.random.default_rng((options.seed, 1))
    spikes_of = {
        "causal": [
            LayerSpikes(synchrony.causal_spikes(times, decided), size)
            for times, size in zip(layers, sizes, strict=True)
        ],
        "all": [LayerSpikes(times, size) for times, size in zip(layers, sizes, strict=True)],
    }
    known = measures(SYNCHRONY)
    values = {
        kind: [{each.key: each.values(spikes) for each in known} for spikes in of_layers]
        for kind, of_layers in spikes_of.items()
    }
    everything, causal = (
        [spikes.statistics for spikes in spikes_of[kind]] for kind in ("all", "causal")
    )
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
            labels=None if labels is None else labels[few], once=columns[index],
        )  # fmt: skip
        for name in names:
            # All others draw their own chance, and leave ours as it was.
            ours = name in null_registry.SHARING_CHANCE
            own = rng if ours else np.random.default_rng((options.seed, 8, *name.encode()))
            nulls[name].append(synchrony.shorth(null_registry.draw_null(name, volleys, own)))
        part = few[: options.contrast_samples]
        shown: Array | Spikes = synchrony.causal_spikes(times[part], decided[part])
        if trains is not None:
            shown = all_spikes.causal_trains(trains[index].select(part), decided[part])
        contrast.append(synchrony.spike_contrast(shown, period))
    early = early_layers(len(layers) - 2)
    before = {i: synchrony.causal_spikes(layers[i], decided) for i in (0, *early, len(layers) - 2)}
    return SynchronyMeasures(
        everything, causal, values, few, nulls, contrast,
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
    known = measures(SEPARABILITY)
    # Null models of all draws come first.
    nulls = sorted(known, key=lambda each: each.null_draws is not None)
    found: list[dict[str, dict[str, Array]]] = []
    within, between = [], []
    for times in layers:
        layer = LayerSamples(
            times=times, decided=decided, labels=labels, few=few, near=near, nearer=nearer,
            counts=counts, t_end=t_end, options=options,
        )  # fmt: skip
        own, others = layer.class_distances
        within.append(mean(own))
        between.append(mean(others))
        found.append(
            {
                "values": {each.key: each.values(layer) for each in known},
                "pseudo": {each.key: each.pseudo(layer) for each in known if each.pseudo},
                "null": {each.key: _null(each, layer, shuffles) for each in nulls if each.null},
                "resamples": {each.key: each.resamples(layer) for each in known if each.resamples},
            }
        )
    values, pseudo, null, resamples = ([each[part] for each in found] for part in _PARTS)
    return SeparabilityMeasures(few, near, nearer, values, pseudo, null, within, between, resamples)


def _null(measure: Measure, layer: LayerSamples, shuffles: Sequence[NDArray[np.int64]]) -> Array:
    """The mean of a measure with labels in each of some orders."""
    drawn = measure.null
    return np.array(
        [mean(drawn(layer, mixed)) for mixed in shuffles[: measure.null_draws]] if drawn else []
    )
