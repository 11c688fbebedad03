"""What a measure of the analysis is: one object that everything which shows numbers iterates over.

Summary, JSON, tables over states and networks, curves, printed figures and glossary ask a measure
for its key and words; how it is computed is its ``of_layer``. Those that come along stand in
``hxloop.analysis.measures.shipped``; one of another package is such an object in the entry points
``hxloop.measures``:

.. code-block:: toml

    [project.entry-points."hxloop.measures"]
    my-measure = "my_package.measures:MY_MEASURE"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.measures import separability
from hxloop.analysis.measures.decisions import causal_spikes
from hxloop.analysis.measures.matched import matched_spread
from hxloop.analysis.measures.means import mean
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.relative_times import relative_features
from hxloop.analysis.measures.synchrony import SpikeStatistics, spike_statistics
from hxloop.errors import ConfigError

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

SYNCHRONY, SEPARABILITY, PATHWAYS = GROUPS = ("synchrony", "separability", "pathways")


@dataclass(frozen=True)
class LayerSpikes:
    """The spikes of one layer, for measures of synchrony.

    Attributes:
        times: ``(samples, neurons)``, model time, ``inf`` = silent: all spikes, or the causal ones;
            see ``hxloop.analysis.measures.synchrony``. Where neurons spike again, ``(samples, most
            spikes of a sample)`` in the order of their times, see ``all_spikes``.
        size: number of neurons; None: that of the columns.
    """

    times: Array
    size: int | None = None

    @property
    def n_neurons(self) -> int:
        """How many neurons the layer has."""
        return self.times.shape[1] if self.size is None else self.size

    @cached_property
    def statistics(self) -> SpikeStatistics:
        """Spread of the spikes of each sample."""
        return spike_statistics(self.times)

    @cached_property
    def matched(self) -> tuple[Array, Array]:
        """Shorth and sigma of as many spikes in every sample of every layer."""
        return matched_spread(self.times)


@dataclass(frozen=True, kw_only=True)
class LayerSamples:
    """One layer in labelled samples, for measures of separability; computed once, when asked for.

    Attributes:
        times: ``(samples, neurons)``, first spikes, model time, ``inf`` = silent.
        decided: ``(samples,)``, when each sample was decided.
        labels: ``(samples,)``.
        few: indices of samples for read-outs and class means, about as many of each class.
        near: of ``few``, those for distances of all pairs.
        nearer: of ``near``, those for van Rossum distances.
        counts: ``(resamples, samples)``, how often each sample is in each bootstrap resample.
        t_end: end of the observation, where silent neurons are put as features.
        options: how much is computed.
    """

    times: Array
    decided: Array
    labels: Labels
    few: Labels
    near: Labels
    nearer: Labels
    counts: NDArray[np.float32]
    t_end: float
    options: AnalysisOptions

    @cached_property
    def causal(self) -> Array:
        """``times``, spikes after the decision left out."""
        return causal_spikes(self.times, self.decided)

    @cached_property
    def latencies(self) -> Array:
        """``(few, neurons)``, spike times as features."""
        return separability.latency_features(self.times[self.few], self.t_end)

    @cached_property
    def active(self) -> Array:
        """``(few, neurons)``, who spiked by the decision."""
        return separability.activity_features(self.causal[self.few])

    @cached_property
    def is_near(self) -> NDArray[np.bool_]:
        """Which of ``few`` are ``near``."""
        return np.isin(self.few, self.near)

    @cached_property
    def distances(self) -> Array:
        """``(near, near)``, between spike times."""
        return separability.euclidean_distances(self.latencies[self.is_near])

    @cached_property
    def distances_of_relative(self) -> Array:
        """``(near, near)``, between causal times relative to the median of their sample."""
        return separability.euclidean_distances(
            relative_features(self.causal[self.near], self.options.silent_margin)
        )

    @cached_property
    def distances_of_active(self) -> Array:
        """``(near, near)``, between populations that spiked."""
        return separability.euclidean_distances(self.active[self.is_near])

    @cached_property
    def van_rossum(self) -> Array:
        """``(nearer, nearer)``, distances of causal spikes."""
        return separability.van_rossum_distances(
            self.causal[self.nearer], self.options.van_rossum_tau
        )

    @cached_property
    def class_distances(self) -> tuple[Array, Array]:
        """Mean van Rossum distance of each of ``nearer`` to its own class and to the others."""
        own, others = separability.class_distances(self.van_rossum, self.labels[self.nearer])
        return own, others


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure of what a layer does.

    Args:
        key: under which it stands in ``analysis.json``.
        group: "synchrony": ``of_layer`` gets ``LayerSpikes`` and gives ``(samples,)``, once of
            all and once of the causal spikes. "separability": ``LayerSamples``, any number of
            values of which the mean counts. "pathways": the credit of each neuron for each class
            ``(classes, neurons)`` and gives a number.
        label: what it is, with its unit, for axes; accuracies end in ": accuracy".
        name: for menus; "": the label up to its unit.
        short: for heads of tables; "": the name.
        term, meaning: a line of the glossary; "": none.
        of_layer: how it is computed; NaN where it is not defined.
        pseudo: of a separability in which samples are compared with each other, what each sample
            does to the mean (``jackknife``), to be resampled in place of the values.
        resamples: the mean in every bootstrap resample, where values are not one a sample.
        null: the mean, with labels of ``near`` in another order.
        null_draws: so many orders are enough for it; None: ``AnalysisOptions.n_null``.
        rank: place in menus, among those of its group; None: only in ``analysis.json``.
        overview: whether it stands in the tables over states and networks, and over training.
        printed: whether it is drawn for print.
        over_training: label there; "": ``label``.
        limits: of its axis; None: as the data have it.

    Raises:
        ConfigError: another group, or no key.
    """

    key: str
    group: str
    label: str
    of_layer: Callable[[Any], Any]
    name: str = ""
    short: str = ""
    term: str = ""
    meaning: str = ""
    pseudo: Callable[[LayerSamples], Array] | None = None
    resamples: Callable[[LayerSamples], Array] | None = None
    null: Callable[[LayerSamples, Labels], Array] | None = None
    null_draws: int | None = None
    rank: float | None = np.inf
    overview: bool = False
    printed: bool = False
    over_training: str = ""
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ConfigError(
                f"measure {self.key!r}: expected group one of {', '.join(GROUPS)}; got "
                f"{self.group!r}"
            )
        if not self.key.isidentifier():
            raise ConfigError(f"Measure.key: expected a name like 'my_spread'; got {self.key!r}")

    @property
    def is_accuracy(self) -> bool:
        """Whether chance is one over the number of classes."""
        return self.label.endswith(": accuracy")

    @property
    def menu(self) -> str:
        """What a menu calls it."""
        return self.name or self.label.removesuffix(": accuracy").partition(" (")[0]

    @property
    def table(self) -> str:
        """Its table over states: of synchrony that of the causal spikes."""
        return f"causal_{self.key}" if self.group == SYNCHRONY else self.key

    def values(self, layer: LayerSpikes | LayerSamples) -> Array:
        """What ``of_layer`` gives, checked.

        Raises:
            ConfigError: it gives something else than numbers, one for each sample. What it raises
                itself gets a note with its key.
        """
        found = self._called("of_layer", self.of_layer, layer)
        n = len(layer.times) if isinstance(layer, LayerSpikes) else None
        if found.ndim != 1 or (n is not None and len(found) != n) or np.isinf(found).any():
            expected = f"{n} numbers, one for each sample" if n is not None else "numbers, (n,)"
            raise ConfigError(
                f"measure {self.key!r}: of_layer: expected {expected}, NaN where it is not "
                f"defined; got {found.dtype} {found.shape}"
                + (" with inf" if found.dtype.kind == "f" and np.isinf(found).any() else "")
            )
        return found

    def of_table(self, credit: Array) -> float:
        """What ``of_layer`` gives for pathways, checked.

        Raises:
            ConfigError: it gives something else than a number. What it raises itself gets a note
                with its key.
        """
        found = self._called("of_layer", self.of_layer, credit)
        if found.ndim or np.isinf(found):
            raise ConfigError(
                f"measure {self.key!r}: of_layer: expected a number; got {found.dtype} "
                f"{found.shape}{' (inf)' if not found.ndim else ''}"
            )
        return float(found)

    def _called(self, what: str, call: Callable[..., Any], *args: Any) -> Array:
        try:
            return np.asarray(call(*args), dtype=np.float64)
        except Exception as error:
            error.add_note(f"raised by {what} of the measure {self.key!r}")
            raise


def of_pairs(layer: LayerSamples) -> Array:
    """Overlap of the populations that are active for two classes, ``(pairs,)``."""
    rates = separability.activity_rates(layer.causal, layer.labels)
    return separability.population_overlap(rates)


def of_pairs_resampled(layer: LayerSamples) -> Array:
    """Its mean over pairs in every bootstrap resample."""
    labels, counts = layer.labels, layer.counts
    active = np.isfinite(layer.causal).astype(np.float32)
    rates = np.stack(
        [
            counts[:, labels == label] @ active[labels == label] / max(1, (labels == label).sum())
            for label in np.unique(labels)
        ],
        axis=1,
    )
    overlap = separability.population_overlap(rates)
    return np.array([mean(row) for row in overlap])
