"""Measures as plain numbers: what stands in ``analysis.json``. NaN becomes None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.assess.claim import Claim
from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.means import defined, mean
from hxloop.analysis.measures.measure import SEPARABILITY, SYNCHRONY, Measure
from hxloop.analysis.measures.measure_registry import chance_of, measures
from hxloop.analysis.measures.measured import SeparabilityMeasures, SynchronyMeasures
from hxloop.analysis.measures.null_registry import SHARING_CHANCE
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.statistics import Array, Estimate


def synchrony_summary(
    measured: SynchronyMeasures,
    layer_names: Sequence[str],
    sizes: Sequence[int],
    labels: NDArray[np.int64],
    options: AnalysisOptions,
) -> dict[str, Any]:
    """Means over samples of every layer, with intervals, by class, and against null models."""
    rng = np.random.default_rng((options.seed, 5))
    members = {int(c): labels == c for c in np.unique(labels)}
    known, layers = measures(SYNCHRONY), []
    for index, name in enumerate(layer_names):
        kinds = {kind: measured.values[kind][index] for kind in ("causal", "all")}
        shorth = kinds["causal"]["shorth"][measured.null_samples]
        nulls: dict[str, Any] = {}
        for null, by_layer in measured.nulls.items():
            values = by_layer[index]
            own = rng if null in SHARING_CHANCE else np.random.default_rng((options.seed, 9))
            test = statistics.paired_permutation_test(shorth - values, own, n_resamples=999)
            nulls[null] = {
                "shorth": mean(values),
                "p_value": test.p_value,
                "dominance": statistics.dominance(shorth - values),
                "ratio": _ratio(shorth, values, options, index),
            }
        nulls["jittered"]["sigma"] = options.jitter
        layers.append(
            {
                "name": name,
                "n_neurons": sizes[index],
                **{kind: _means(values) for kind, values in kinds.items()},
                "intervals": {
                    kind: _intervals(known, values, rng, options, index)
                    for kind, values in kinds.items()
                },
                "bands": {kind: _bands(values) for kind, values in kinds.items()},
                "by_class": [
                    {
                        "label": label,
                        "n_samples": int(chosen.sum()),
                        **{kind: _means(values, chosen) for kind, values in kinds.items()},
                    }
                    for label, chosen in members.items()
                ],
                "spike_contrast": measured.contrast[index],
                "null": nulls,
            }
        )
    return {"layers": layers}


def separability_summary(
    measured: SeparabilityMeasures,
    layer_names: Sequence[str],
    classes: Sequence[int],
    options: AnalysisOptions,
) -> dict[str, Any]:
    """Estimates of every layer; matrices are by class, in the order of ``classes``."""
    rng = np.random.default_rng((options.seed, 6))
    known, layers = measures(SEPARABILITY), []
    for index, name in enumerate(layer_names):
        values, pseudo = measured.values[index], measured.pseudo_values[index]
        resamples = measured.resamples[index]
        estimates = {
            each.key: estimate(
                statistics.bootstrap_interval(
                    pseudo.get(each.key, values[each.key]),
                    chance_of(each, rng, options.seed, index),
                    level=options.level,
                    n_resamples=options.n_resamples,
                )
            )
            for each in known
            if each.key not in resamples
        }
        resampled = {
            key: estimate(
                statistics.estimate_from_resamples(
                    mean(values[key]), drawn, len(values[key]), options.level
                )
            )
            for key, drawn in resamples.items()
        }
        layers.append(
            {
                "name": name,
                **estimates,
                "within": measured.within[index],
                "between": measured.between[index],
                **resampled,
                "overlap_matrix": matrix_of_pairs(values["overlap"], len(classes), 1.0),
                "null": {
                    key: {
                        "value": mean(drawn),
                        "p_value": statistics.p_value_against(mean(values[key]), drawn),
                    }
                    for key, drawn in measured.null[index].items()
                },
            }
        )
    return {
        "classes": list(classes),
        "n_samples": len(measured.samples),
        "n_distance_samples": len(measured.distance_samples),
        "n_van_rossum_samples": len(measured.van_rossum_samples),
        "van_rossum_tau": options.van_rossum_tau,
        "layers": layers,
    }


def claim_summary(claim: Claim) -> dict[str, Any]:
    """A claim with all its numbers."""
    names = (
        "key", "statement", "verdict", "sentence", "quantity", "value", "low", "high", "p_value",
        "p_adjusted", "test", "effect_size", "effect", "n", "details", "of",
    )  # fmt: skip
    return {name: getattr(claim, name) for name in names}


def estimate(result: Estimate) -> dict[str, Any]:
    """An estimate as ``{value, low, high, n}``."""
    return {"value": result.value, "low": result.low, "high": result.high, "n": result.n}


def matrix_of_pairs(values: Array, size: int, diagonal: float) -> list[list[float]]:
    """Values of all pairs, in the order of ``itertools.combinations``, as a symmetric matrix."""
    matrix = np.full((size, size), diagonal)
    for (a, b), value in zip(combinations(range(size), 2), values, strict=True):
        matrix[a, b] = matrix[b, a] = value
    return [[float(value) for value in row] for row in matrix]


def plain(value: Any) -> Any:
    """Whatever the analysis holds as what JSON can hold; NaN is None, infinity a string."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        if np.isnan(number):
            return None
        return number if np.isfinite(number) else ("inf" if number > 0 else "-inf")
    return value


def _ratio(observed: Array, null: Array, options: AnalysisOptions, layer: int) -> dict[str, Any]:
    """Mean of what was observed over that of a null model, where both are defined.

    The interval is that of the linearised ratio, sample by sample: ``r + (x - r y)/mean(y)``.
    """
    both = ~np.isnan(observed) & ~np.isnan(null)
    x, y = observed[both], null[both]
    if not len(x) or not y.mean() > 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    r = x.mean() / y.mean()
    return estimate(
        statistics.bootstrap_interval(
            r + (x - r * y) / y.mean(),
            np.random.default_rng((options.seed, 11, layer)),
            level=options.level,
            n_resamples=options.n_resamples,
        )
    )


def _means(values: Mapping[str, Array], chosen: Any = slice(None)) -> dict[str, float]:
    """Mean of every measure over some samples, of those for which it is defined."""
    return {key: mean(each[chosen]) for key, each in values.items()}


def _intervals(
    known: Sequence[Measure],
    values: Mapping[str, Array],
    rng: np.random.Generator,
    options: AnalysisOptions,
    layer: int,
) -> dict[str, list[float]]:
    """Confidence interval [low, high] of the mean of every measure."""
    result = {}
    for measure in known:
        # The mean of many samples is nearly normal, and fewer resamples give its quantiles.
        each = defined(values[measure.key])
        few = options.n_resamples if len(each) <= 2000 else min(options.n_resamples, 500)
        own = chance_of(measure, rng, options.seed, layer)
        found = statistics.bootstrap_interval(each, own, level=options.level, n_resamples=few)
        result[measure.key] = [found.low, found.high]
    return result


def _bands(values: Mapping[str, Array]) -> dict[str, list[float]]:
    """Quartiles over samples [25 %, 50 %, 75 %] of every measure."""
    result = {}
    for key, each in values.items():
        known = defined(each)
        quartiles = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else [np.nan] * 3
        result[key] = [float(value) for value in quartiles]
    return result
