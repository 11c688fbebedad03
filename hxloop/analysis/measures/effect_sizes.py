"""How large a difference is, whatever the number of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hxloop.analysis.measures.means import defined


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """P(first > second) - P(first < second) (Cliff, Psychol. Bull. 114, 494, 1993, eq. 1).

    From -1 to 1; 0 = no effect, about 0.15 small, 0.33 medium, 0.47 large. NaN if a group is
    empty. Costs n log n.

    Args:
        first: ``(n,)``; NaN are left out.
        second: ``(m,)``; NaN are left out.
    """
    a, b = defined(first), np.sort(defined(second))
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
    kept = defined(differences)
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
    kept = defined(differences)
    return float(np.sign(kept).mean()) if len(kept) else float("nan")
