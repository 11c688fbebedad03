"""The measures that come along. To add one, add it here."""

from __future__ import annotations

from operator import attrgetter

from hxloop.analysis.measures import jackknife, pathways, separability
from hxloop.analysis.measures.matched import DRAWS, MATCHED
from hxloop.analysis.measures.measure import (
    PATHWAYS,
    SEPARABILITY,
    SYNCHRONY,
    Measure,
    of_pairs,
    of_pairs_resampled,
)
from hxloop.analysis.measures.relative_times import nearest_neighbour

# In the order of the report, in which they also draw their chance.
SHIPPED = (
    Measure(
        key="n_spikes",
        group=SYNCHRONY,
        label="number of spikes",
        of_layer=attrgetter("statistics.n_spikes"),
        rank=5,
        printed=True,
    ),
    Measure(
        key="median",
        group=SYNCHRONY,
        label="median spike time (τ_syn)",
        of_layer=attrgetter("statistics.median"),
        rank=6,
    ),
    Measure(
        key="std",
        group=SYNCHRONY,
        label="standard deviation of spike times (τ_syn)",
        name="standard deviation",
        of_layer=attrgetter("statistics.std"),
        rank=2,
    ),
    Measure(
        key="iqr",
        group=SYNCHRONY,
        label="inter-quartile range of spike times (τ_syn)",
        name="inter-quartile range",
        of_layer=attrgetter("statistics.iqr"),
        rank=3,
    ),
    Measure(
        key="shorth",
        group=SYNCHRONY,
        label="shortest half of the spikes, shorth (τ_syn)",
        name="shortest half (shorth)",
        over_training="shortest half of the spikes before the decision (τ_syn)",
        term="shorth",
        meaning="length of the shortest interval that holds half of the spikes of a layer",
        of_layer=attrgetter("statistics.shorth"),
        rank=1,
        overview=True,
        printed=True,
    ),
    Measure(
        key="packet_a",
        group=SYNCHRONY,
        label="number of spikes in the pulse packet, a",
        of_layer=attrgetter("statistics.packet_a"),
        rank=None,
    ),
    Measure(
        key="packet_share",
        group=SYNCHRONY,
        label="spikes in the pulse packet for each neuron of the layer",
        name="pulse packet a, for each neuron",
        term="pulse packet a, for each neuron",
        meaning="number of spikes in the packet over that of the layer's neurons, so that layers "
        "of unlike size compare",
        of_layer=lambda spikes: spikes.statistics.packet_a / spikes.n_neurons,
        rank=3.5,
    ),
    Measure(
        key="packet_sigma",
        group=SYNCHRONY,
        label="width of the pulse packet, σ (τ_syn)",
        name="pulse packet σ",
        term="pulse packet (a, σ)",
        meaning="number of spikes in a volley and their spread, after Diesmann et al. 1999, read "
        "off the shorth and therefore robust against stragglers",
        of_layer=attrgetter("statistics.packet_sigma"),
        rank=4,
    ),
    Measure(
        key="matched_sigma",
        group=SYNCHRONY,
        label=f"width of the pulse packet, σ, of {MATCHED} spikes (τ_syn)",
        of_layer=lambda spikes: spikes.matched[1],
        rank=4.1,
    ),
    Measure(
        key="matched_shorth",
        group=SYNCHRONY,
        label=f"shortest half of {MATCHED} spikes (τ_syn)",
        term=f"of {MATCHED} spikes",
        meaning=f"the same of {MATCHED} spikes drawn at random, mean over {DRAWS} draws and over "
        "the samples that have as many: the shortest half of few spikes is short by itself, so "
        "only this compares layers that spike unlike often",
        of_layer=lambda spikes: spikes.matched[0],
        rank=1.1,
    ),
    Measure(
        key="readout_times",
        group=SEPARABILITY,
        label="linear read-out of spike times: accuracy",
        of_layer=lambda layer: separability.linear_readout(
            layer.latencies, layer.labels[layer.few], seed=layer.options.seed
        ),
        rank=1,
        overview=True,
        printed=True,
    ),
    Measure(
        key="readout_active",
        group=SEPARABILITY,
        label="linear read-out of who spiked: accuracy",
        of_layer=lambda layer: separability.linear_readout(
            layer.active, layer.labels[layer.few], seed=layer.options.seed
        ),
        rank=2,
    ),
    Measure(
        key="class_mean_times",
        group=SEPARABILITY,
        label="nearest class mean, spike times: accuracy",
        short="nearest class mean",
        of_layer=lambda layer: separability.nearest_class_mean(
            layer.latencies, layer.labels[layer.few]
        ),
        null=lambda layer, labels: separability.nearest_class_mean(
            layer.latencies[layer.is_near], labels
        ),
        null_draws=20,
        rank=3,
    ),
    Measure(
        key="class_mean_active",
        group=SEPARABILITY,
        label="nearest class mean, who spiked: accuracy",
        of_layer=lambda layer: separability.nearest_class_mean(
            layer.active, layer.labels[layer.few]
        ),
        rank=4,
    ),
    Measure(
        key="silhouette_times",
        group=SEPARABILITY,
        label="silhouette, spike times",
        short="silhouette",
        term="silhouette",
        meaning="1 = classes compact and far apart, 0 = on the border, negative = mixed up",
        of_layer=lambda layer: separability.silhouette(layer.distances, layer.labels[layer.near]),
        pseudo=lambda layer: jackknife.silhouette_pseudo_values(
            layer.distances, layer.labels[layer.near]
        ),
        null=lambda layer, labels: separability.silhouette(layer.distances, labels),
        rank=5,
        overview=True,
        printed=True,
    ),
    Measure(
        key="silhouette_relative",
        group=SEPARABILITY,
        label="silhouette, causal spike times relative to the median (primary)",
        short="silhouette (primary)",
        term="silhouette (primary)",
        meaning="the measure of separability stated beforehand: times of spikes up to the decision "
        "relative to the median of the sample's volley, a silent neuron at a fixed margin behind "
        "it (1 τ_syn, unless set otherwise); of first spikes",
        of_layer=lambda layer: separability.silhouette(
            layer.distances_of_relative, layer.labels[layer.near]
        ),
        pseudo=lambda layer: jackknife.silhouette_pseudo_values(
            layer.distances_of_relative, layer.labels[layer.near]
        ),
        null=lambda layer, labels: separability.silhouette(layer.distances_of_relative, labels),
        null_draws=20,
        rank=0,
        overview=True,
        printed=True,
    ),
    Measure(
        key="neighbour_times",
        group=SEPARABILITY,
        label="nearest neighbour, spike times: accuracy",
        term="nearest neighbour",
        meaning="whether the nearest other sample is of the same class, of first spikes; at the "
        "input, what can be told without a network, and without drawing straight lines",
        of_layer=lambda layer: nearest_neighbour(layer.distances, layer.labels[layer.near]),
        rank=2.5,
    ),
    Measure(
        key="silhouette_active",
        group=SEPARABILITY,
        label="silhouette, who spiked",
        of_layer=lambda layer: separability.silhouette(
            layer.distances_of_active, layer.labels[layer.near]
        ),
        pseudo=lambda layer: jackknife.silhouette_pseudo_values(
            layer.distances_of_active, layer.labels[layer.near]
        ),
        rank=6,
    ),
    Measure(
        key="van_rossum_contrast",
        group=SEPARABILITY,
        label="van Rossum distance between − within, relative",
        term="van Rossum distance",
        meaning="distance between two samples' spikes, each smoothed by an exponential of time",
        of_layer=lambda layer: jackknife.contrast(*layer.class_distances),
        pseudo=lambda layer: jackknife.contrast_pseudo_values(
            layer.van_rossum, layer.labels[layer.nearer]
        ),
        rank=7,
    ),
    Measure(
        key="overlap",
        group=SEPARABILITY,
        label="overlap of active populations (Jaccard)",
        name="overlap of active populations (Jaccard)",
        of_layer=of_pairs,
        resamples=of_pairs_resampled,
        rank=8,
        limits=(0.0, 1.02),
    ),
    Measure(
        key="distinctness",
        group=PATHWAYS,
        label="distinctness of the class pathways",
        term="distinctness",
        meaning="1 - the overlap of two classes' pathways, mean over all pairs of classes",
        of_layer=pathways.distinctness,
        rank=1,
        overview=True,
        printed=True,
        limits=(0.0, 1.02),
    ),
)
