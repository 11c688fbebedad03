"""How sure a number is: bootstrap intervals, permutation tests, effect sizes.

Every function takes plain arrays and, where chance enters, a ``numpy.random.Generator``.
Values that are NaN (a measure that is not defined for a sample) are left out and never
counted as zero; a function whose result is then undefined returns NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.effect_sizes import cliffs_delta, cohens_d, dominance
from hxloop.analysis.measures.means import defined
from hxloop.analysis.measures.permutation_tests import (
    TestResult,
    holm,
    p_value_against,
    paired_permutation_test,
    two_sample_permutation_test,
)
from hxloop.errors import RunInputError

__all__ = [
    "NORMAL_FROM",
    "Array",
    "Estimate",
    "TestResult",
    "across_seeds",
    "bootstrap_interval",
    "cliffs_delta",
    "cohens_d",
    "dominance",
    "estimate_from_resamples",
    "holm",
    "p_value_against",
    "paired_permutation_test",
    "resampling_weights",
    "slope_against_depth",
    "two_sample_permutation_test",
]

Array = NDArray[np.float64]

# The mean of so many values is as good as normal: ends of intervals differ by less than the
# 2000 resamples scatter.
NORMAL_FROM = 5000
# Random numbers held at once while resampling.
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        value: the estimate; NaN where it is not defined.
        low: lower end of the interval.
        high: upper end of the interval.
        n: how many values it rests on.
    """

    value: float
    low: float
    high: float
    n: int


def bootstrap_interval(
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Estimate:
    """Mean with a percentile bootstrap interval (Efron & Tibshirani, 1993, ch. 13).

    No values give NaN, one value an interval of width 0 at that value. From ``NORMAL_FROM`` values
    on it is the normal interval that the bootstrap's tends to, and takes no random numbers.

    Args:
        values: ``(n,)``; NaN are left out.
        rng: draws the resamples.
        level: coverage, between 0 and 1.
        n_resamples: how many resamples.

    Raises:
        RunInputError: ``level`` is not between 0 and 1.
    """
    kept = defined(values)
    n = len(kept)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    if not 0 < level < 1:
        raise RunInputError(f"level: expected a coverage between 0 and 1; got {level}")
    if n >= NORMAL_FROM:
        mean = float(kept.mean())
        half = NormalDist().inv_cdf((1 + level) / 2) * float(kept.std()) / n**0.5
        return Estimate(mean, mean - half, mean + half, n)
    means = np.empty(n_resamples)
    step = max(1, _CHUNK // n)
    for start in range(0, n_resamples, step):
        part = means[start : start + step]
        part[:] = kept[rng.integers(0, n, (len(part), n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(kept.mean()), float(low), float(high), n)


def estimate_from_resamples(
    value: float, resamples: ArrayLike, n: int, level: float = 0.95
) -> Estimate:
    """Percentile interval of resampled statistics around an estimate.

    The resamples are moved so that their mean is the estimate: distances and overlaps of class
    means grow with sampling noise, and resampling adds noise a second time.

    Args:
        value: the statistic of the data themselves.
        resamples: ``(n_resamples,)``, the statistic of every resample; NaN are left out.
        n: how many values the statistic rests on.
        level: coverage.

    Raises:
        RunInputError: ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise RunInputError(f"level: expected a coverage between 0 and 1; got {level}")
    kept = defined(resamples)
    if not len(kept):
        return Estimate(float(value), np.nan, np.nan, n)
    moved = kept - kept.mean() + value
    low, high = np.quantile(moved, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), n)


def resampling_weights(
    groups: ArrayLike, n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """How often each sample occurs in each bootstrap resample, drawn within groups.

    With these, means of many features over resampled samples are one matrix product.

    Args:
        groups: ``(n,)``, group (class) of every sample: the size of a group stays as it is.
        n_resamples: how many resamples.
        rng: draws them.

    Returns:
        ``(n_resamples, n)`` counts; over a group they sum to its size.
    """
    groups = np.asarray(groups)
    counts = np.zeros((n_resamples, len(groups)), dtype=np.float32)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        drawn = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), n_resamples)
        counts[:, members] = drawn
    return counts


def across_seeds(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean over independently trained networks, with Student's interval.

    With a handful of seeds a bootstrap has too few distinct resamples. One seed gives no
    interval (NaN).

    Args:
        values: ``(n_seeds,)``, one number for each network; NaN are left out.
        level: coverage.
    """
    from scipy.stats import t

    kept = defined(values)
    n = len(kept)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(kept.mean())
    if n == 1:
        return Estimate(mean, np.nan, np.nan, 1)
    half = float(t.ppf((1 + level) / 2, n - 1) * kept.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def slope_against_depth(values: ArrayLike) -> Array:
    """Least-squares slope of every row against the column number.

    Args:
        values: ``(n, depth)``: a measure of n samples at ``depth`` successive layers.

    Returns:
        ``(n,)`` change per layer; NaN where a row holds NaN or there are fewer than 2 columns.
    """
    table = np.asarray(values, dtype=np.float64)
    depth = table.shape[1]
    if depth < 2:
        return np.full(len(table), np.nan)
    x = np.arange(depth) - (depth - 1) / 2
    found: Array = table @ (x / (x @ x))
    return found
