"""How well the classes can be told apart from the spikes of one layer.

Measures that come one value for each sample, so that layers can be compared sample by sample
and intervals come from a bootstrap over samples. Times are ``(samples, neurons)``, ``inf`` =
silent; labels ``(samples,)``. A measure that is not defined for a sample (its class has no
second member, there is one class only) is NaN there.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.decisions import checked_times
from hxloop.analysis.measures.means import masked_mean
from hxloop.errors import RunInputError

Array = NDArray[np.float64]

# Strength of the read-out's ridge penalty, for features of variance 1 and one sample.
RIDGE = 0.1
# Pairs of samples times neurons worked on at once.
_CHUNK = 4_000_000


def latency_features(times: ArrayLike, t_end: float) -> Array:
    """Spike times as features: a silent neuron counts as if it spiked at the end.

    Args:
        times: ``(samples, neurons)``.
        t_end: end of the observation; later spikes count as at the end, too.
    """
    return np.minimum(checked_times(times), t_end)


def activity_features(times: ArrayLike) -> Array:
    """Who spiked, as features: 1 for a spike, 0 for silence."""
    return np.isfinite(checked_times(times)).astype(np.float64)


def balanced_subsample(labels: ArrayLike, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of at most ``size`` samples, classes in their proportions, in rising order.

    Args:
        labels: ``(samples,)``.
        size: how many.
        rng: draws them.
    """
    known = np.asarray(labels)
    if len(known) <= size:
        return np.arange(len(known))
    order = rng.permutation(len(known))
    order = order[np.argsort(known[order], kind="stable")]
    return np.sort(order[np.linspace(0, len(known) - 1, size).round().astype(np.int64)])


def linear_readout(
    features: ArrayLike, labels: ArrayLike, *, n_folds: int = 5, seed: int = 0
) -> Array:
    """Whether a linear classifier, trained on other samples, gets each sample right.

    Ridge classifier (scikit-learn) on standardised features, penalty 0.1 for each training
    sample, stratified cross-validation. Fewer members than folds in some class means fewer
    folds.

    Args:
        features: ``(samples, features)``, finite.
        labels: ``(samples,)``.
        n_folds: folds of the cross-validation, at least 2.
        seed: of the split into folds; the same for all layers makes them comparable.

    Returns:
        ``(samples,)`` 1 = right, 0 = wrong, NaN = of a class with a single member. All NaN
        with fewer than two classes of at least two members.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table, known, enough, sizes = _classes(features, labels)
    right = np.full(len(known), np.nan)
    if len(sizes) < 2:
        return right
    x, y, place = table[enough], known[enough], np.flatnonzero(enough)
    folds = StratifiedKFold(min(n_folds, int(sizes.min())), shuffle=True, random_state=seed)
    for train, test in folds.split(x, y):
        model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=RIDGE * len(train)))
        right[place[test]] = model.fit(x[train], y[train]).predict(x[test]) == y[test]
    return right


def nearest_class_mean(features: ArrayLike, labels: ArrayLike) -> Array:
    """Whether each sample lies nearest to the mean of its own class, itself left out.

    Leaving a sample x out of the mean of its n class members multiplies its distance to it
    by n/(n - 1), so no mean is computed twice.

    Returns:
        ``(samples,)`` 1 = right, 0 = wrong (ties are), NaN as for ``linear_readout``.
    """
    from scipy.spatial.distance import cdist

    table, known, enough, sizes = _classes(features, labels)
    right = np.full(len(known), np.nan)
    if len(sizes) < 2:
        return right
    x, y = table[enough], known[enough]
    x = x - x.mean(axis=0)  # for the digits of the means
    classes, member = np.unique(y, return_inverse=True)
    means = np.stack([x[y == label].mean(axis=0) for label in classes])
    # Differences first: squares expanded would cancel where all features share an offset.
    squared = cdist(x, means, "sqeuclidean")
    rows = np.arange(len(x))
    own = squared[rows, member] * (sizes[member] / (sizes[member] - 1)) ** 2
    squared[rows, member] = np.inf
    right[enough] = own < squared.min(axis=1) * (1 - 1e-12)
    return right


def silhouette(distances: ArrayLike, labels: ArrayLike) -> Array:
    """Silhouette of each sample (Rousseeuw, J. Comput. Appl. Math. 20, 53, 1987).

    (b - a)/max(a, b) with a the mean distance to the other members of its class and b that to the
    members of the nearest other class: 1 = compact and far from others, 0 = on the border,
    negative = nearer to another class. scikit-learn's ``silhouette_samples`` gives the same;
    here the distances are those of one call for many label-shuffled null models.

    Args:
        distances: ``(samples, samples)``, symmetric; see ``euclidean_distances``.
        labels: ``(samples,)``.

    Returns:
        ``(samples,)``, NaN as for ``linear_readout``; 0 where all distances are 0.
    """
    table, known = _checked_distances(distances, labels)
    classes, member, sizes = np.unique(known, return_inverse=True, return_counts=True)
    sums = table @ (known[:, None] == classes)
    means = sums / sizes
    rows = np.arange(len(known))
    others = np.maximum(sizes[member] - 1, 1)
    own = sums[rows, member] / others
    means[rows, member] = np.inf
    means[:, sizes < 2] = np.inf
    nearest = means.min(axis=1, initial=np.inf)
    with np.errstate(invalid="ignore"):
        result = (nearest - own) / np.maximum(nearest, own)
    result[(nearest == 0) & (own == 0)] = 0.0
    result[(sizes[member] < 2) | np.isinf(nearest)] = np.nan
    found: Array = result
    return found


def euclidean_distances(features: ArrayLike) -> Array:
    """Euclidean distance of every two samples, ``(samples, samples)``.

    Args:
        features: ``(samples, features)``, finite.
    """
    from scipy.spatial.distance import pdist, squareform

    found: Array = squareform(pdist(np.asarray(features, dtype=np.float64)))
    return found


def van_rossum_distances(times: ArrayLike, tau: float = 1.0) -> Array:
    """Distances between the volleys of every two samples, ``(samples, samples)``.

    The van Rossum distance (Neural Comput. 13, 751, 2001) of one neuron's spikes in two samples,
    each smoothed with ``exp(-t/tau)``, normalised as elephant does it: 1 between one spike and
    none. With at most one spike in each it is closed,

        d^2 = 2 - 2 exp(-|t - t'|/tau) for two spikes, 1 for one, 0 for none,

    and squares add up over the neurons of a layer. Needs ``samples^2`` memory and
    ``samples^2 neurons`` exponentials: give it a subsample.

    Args:
        times: ``(samples, neurons)``.
        tau: time constant, model time: differences much longer count as different spikes.

    Raises:
        RunInputError: ``tau`` is not positive, or times that ``checked_times`` refuses.
    """
    if not tau > 0:
        raise RunInputError(f"tau: expected a positive time constant; got {tau}")
    spikes = checked_times(times)
    finite = np.isfinite(spikes)
    active = finite.astype(np.float64)
    n = active.sum(axis=1)
    squared = n[:, None] + n - 2 * (active @ active.T)  # whole numbers: spikes of one sample only
    filled = np.where(finite, spikes, 0.0)
    step = max(1, _CHUNK // max(1, spikes.size))
    for start in range(0, len(spikes), step):
        part = slice(start, start + step)
        gaps = np.abs(filled[part, None] - filled)
        gaps /= -tau
        # Not 1 minus an exponential: that would cancel for volleys that are nearly alike.
        np.expm1(gaps, out=gaps)
        squared[part] -= 2 * (gaps * (finite[part, None] & finite)).sum(axis=2)
    found: Array = np.sqrt(squared)
    return found


def class_distances(distances: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    """For each sample the mean distance to its own class and to the others.

    Args:
        distances: ``(samples, samples)``, symmetric.
        labels: ``(samples,)``.

    Returns:
        (within, between), each ``(samples,)``; NaN where there is nobody to compare with.
    """
    table, known = _checked_distances(distances, labels)
    same = known[:, None] == known
    others = ~same
    np.fill_diagonal(same, False)
    return masked_mean(table, same), masked_mean(table, others)


def activity_rates(times: ArrayLike, labels: ArrayLike) -> Array:
    """For each class the fraction of its samples in which each neuron spikes.

    Returns:
        ``(classes, neurons)``, classes in rising order.
    """
    active, known = np.isfinite(checked_times(times)), np.asarray(labels)
    if len(known) != len(active):
        raise RunInputError(f"labels: expected {len(active)}, one a sample; got {len(known)}")
    return np.stack([active[known == label].mean(axis=0) for label in np.unique(known)])


def population_overlap(rates: ArrayLike, threshold: float = 0.5) -> Array:
    """Overlap of the populations active for every two classes: Jaccard index.

    A neuron belongs to the population of a class if it spikes in at least the fraction
    ``threshold`` of its samples. |A and B| / |A or B| (Jaccard, New Phytol. 11, 37, 1912): 1 =
    the same neurons, 0 = none in common, NaN = both empty.

    Args:
        rates: ``(..., classes, neurons)``, see ``activity_rates``.
        threshold: between 0 and 1.

    Returns:
        ``(..., pairs)``, pairs of classes in the order of ``itertools.combinations``.
    """
    members = np.asarray(rates) >= threshold
    pairs = list(combinations(range(members.shape[-2]), 2))
    result = np.full((*members.shape[:-2], len(pairs)), np.nan)
    for column, (a, b) in enumerate(pairs):
        first, second = members[..., a, :], members[..., b, :]
        union = (first | second).sum(axis=-1)
        common = (first & second).sum(axis=-1)
        np.divide(common, union, out=result[..., column], where=union > 0)
    return result


def _checked_distances(distances: ArrayLike, labels: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    table, known = np.asarray(distances, dtype=np.float64), np.asarray(labels)
    if known.ndim != 1 or table.shape != (len(known), len(known)):
        raise RunInputError(
            f"distances: expected one for each two of {len(known)} samples; got {table.shape}"
        )
    return table, known


def _classes(
    features: ArrayLike, labels: ArrayLike
) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Checked features and labels, samples of classes with >= 2 members, sizes of those."""
    table, known = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if table.ndim != 2 or known.shape != table.shape[:1]:
        raise RunInputError(
            f"features, labels: expected (samples, features) and (samples,); got {table.shape} "
            f"and {known.shape}"
        )
    if not np.isfinite(table).all():
        sample, feature = np.argwhere(~np.isfinite(table))[0]
        raise RunInputError(
            f"features, sample {sample}, feature {feature}: expected a finite number; got "
            f"{table[sample, feature]} (turn times into features with latency_features)"
        )
    classes, sizes = np.unique(known, return_counts=True)
    enough = np.isin(known, classes[sizes >= 2])
    return table, known, enough, sizes[sizes >= 2]
