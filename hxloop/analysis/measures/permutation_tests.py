"""Could it be chance? Permutation tests, p-values against null models, and many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.means import defined

Array = NDArray[np.float64]

# Random numbers held at once while rearranging.
_CHUNK = 4_000_000


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
    kept = defined(differences)
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
    a, b = defined(first), defined(second)
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
    kept = defined(null)
    if not len(kept) or np.isnan(observed):
        return float("nan")
    return float((1 + (kept >= observed).sum()) / (1 + len(kept)))


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
