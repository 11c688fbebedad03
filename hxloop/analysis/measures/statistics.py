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

from hxloop.errors import RunInputError

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


@dataclass(frozen=True)
class TestResult:
    """What a permutation test found.

    Attributes:
        value: the observed statistic.
        p_value: probability of one at least as extreme under the null hypothesis.
        n: how many values (pairs, for a paired test) it rests on.
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    value: float
    p_value: float
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
    kept = _kept(values)
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
    kept = _kept(resamples)
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

    kept = _kept(values)
    n = len(kept)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(kept.mean())
    if n == 1:
        return Estimate(mean, np.nan, np.nan, 1)
    half = float(t.ppf((1 + level) / 2, n - 1) * kept.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def paired_permutation_test(
    differences: ArrayLike, rng: np.random.Generator, *, n_resamples: int = 9999
) -> TestResult:
    """Is the mean of paired differences 0? Two-sided test by random changes of sign.

    The p-value counts the observed arrangement, (1 + hits)/(1 + n_resamples), and so is never
    0 (Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9, 39, 2010, eq. 2). No pairs give NaN,
    one pair gives 1.

    Args:
        differences: ``(n,)``; NaN are left out.
        rng: draws the signs.
        n_resamples: how many arrangements.
    """
    kept = _kept(differences)
    n = len(kept)
    if n == 0:
        return TestResult(np.nan, np.nan, 0)
    observed = float(kept.mean())
    # Arrangements as extreme as the observed one count, whatever their sums were rounded to.
    rounding = 1e-12 * float(np.abs(kept).mean())
    hits, step = 0, max(1, _CHUNK // n)
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        flipped = rng.integers(0, 2, (rows, n), dtype=np.int8).astype(np.float64)
        means = kept.mean() - 2 * (flipped @ kept) / n
        hits += int((np.abs(means) >= abs(observed) - rounding).sum())
    return TestResult(observed, (1 + hits) / (1 + n_resamples), n)


def two_sample_permutation_test(
    first: ArrayLike, second: ArrayLike, rng: np.random.Generator, *, n_resamples: int = 9999
) -> TestResult:
    """Do two independent groups have the same mean? Two-sided, by random regrouping.

    Args:
        first: ``(n,)``; NaN are left out.
        second: ``(m,)``; NaN are left out.
        rng: draws the groups.
        n_resamples: how many arrangements.

    Returns:
        ``value`` is mean(first) - mean(second); NaN if a group is empty.
    """
    a, b = _kept(first), _kept(second)
    if not len(a) or not len(b):
        return TestResult(np.nan, np.nan, len(a) + len(b))
    pooled = np.concatenate([a, b])
    # A common offset would cost digits; taking off one of the values costs none.
    pooled = pooled - pooled[np.abs(pooled - pooled.mean()).argmin()]
    observed = float(pooled[: len(a)].mean() - pooled[len(a) :].mean())
    rounding = 1e-12 * float(np.abs(pooled).mean())
    total, hits, step = pooled.sum(), 0, max(1, _CHUNK // len(pooled))
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        order = rng.permuted(np.broadcast_to(pooled, (rows, len(pooled))), axis=1)
        head = order[:, : len(a)].sum(axis=1)
        means = head / len(a) - (total - head) / len(b)
        hits += int((np.abs(means) >= abs(observed) - rounding).sum())
    return TestResult(observed, (1 + hits) / (1 + n_resamples), len(pooled))


def p_value_against(observed: float, null: ArrayLike) -> float:
    """One-sided p-value of a statistic against its values under a null model.

    Args:
        observed: the statistic; large values speak against the null.
        null: ``(n,)``, the statistic in n draws from the null model; NaN are left out.

    Returns:
        (1 + number of null values >= observed)/(1 + n); NaN without null values.
    """
    kept = _kept(null)
    if not len(kept) or np.isnan(observed):
        return float("nan")
    return float((1 + (kept >= observed).sum()) / (1 + len(kept)))


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """P(first > second) - P(first < second) (Cliff, Psychol. Bull. 114, 494, 1993, eq. 1).

    From -1 to 1; 0 = no effect, about 0.15 small, 0.33 medium, 0.47 large. NaN if a group is
    empty. Costs n log n.

    Args:
        first: ``(n,)``; NaN are left out.
        second: ``(m,)``; NaN are left out.
    """
    a, b = _kept(first), np.sort(_kept(second))
    if not len(a) or not len(b):
        return float("nan")
    below = np.searchsorted(b, a, side="left").sum(dtype=np.int64)
    above = len(b) * len(a) - np.searchsorted(b, a, side="right").sum(dtype=np.int64)
    return float(below - above) / (len(a) * len(b))


def cohens_d(differences: ArrayLike) -> float:
    """Mean of paired differences over their standard deviation (Cohen, 1988, sect. 2.3.5).

    0.2 is small, 0.5 medium, 0.8 large. NaN for fewer than two pairs; differences that are
    all equal give 0 where they are 0, else infinity with their sign.

    Args:
        differences: ``(n,)``; NaN are left out.
    """
    kept = _kept(differences)
    if len(kept) < 2:
        return float("nan")
    mean, std = float(kept.mean()), float(kept.std(ddof=1))
    if std <= 1e-12 * abs(mean) or std == 0:
        return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    return mean / std


def dominance(differences: ArrayLike) -> float:
    """Cliff's delta of paired values: fraction of positive minus fraction of negative differences.

    From -1 to 1; 0 = no effect (Cliff, 1993, the "within" delta). NaN without pairs.

    Args:
        differences: ``(n,)``; NaN are left out.
    """
    kept = _kept(differences)
    return float(np.sign(kept).mean()) if len(kept) else float("nan")


def holm(p_values: ArrayLike) -> Array:
    """P-values adjusted for their number (Holm, Scand. J. Stat. 6, 65, 1979).

    Args:
        p_values: ``(n,)``; NaN stay NaN and do not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    running = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(running, 1.0)
    return adjusted


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


def _kept(values: ArrayLike) -> Array:
    """The values that are defined, as one row."""
    array = np.asarray(values, dtype=np.float64).ravel()
    found: Array = array[~np.isnan(array)]
    return found
