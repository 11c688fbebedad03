"""Smooth random manifolds of spike times: classes that nothing but times tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop import checks

Array = NDArray[np.float64]
# Of every split: how many samples, and the seed they are drawn with.
RANDMAN_SPLITS = {"train": (2000, 62), "validation": (500, 61), "test": (1000, 60)}
# Terms of a sum that count for less than the first by this, or beyond so many, are left out.
PRECISION, MOST_TERMS = 1e-3, 1000
# At so many points the range of a sum of sines is looked for.
_POINTS = 2001


@dataclass(frozen=True, kw_only=True)
class Randman:
    """Random manifolds, one for each class, in the space of the first spike times of some units.

    A point of class c is given by ``dimension`` coordinates x in [0, 1]. Unit i spikes there at ::

        f(x) = prod_d sum_k k^-alpha A sin(2 pi ((k - 1) B x_d + C))

    with A, B and C drawn evenly from [0, 1] for each class, unit, coordinate and k (Zenke and
    Vogels, Neural Computation 33, 899, 2021; the term k = 1, a constant, is left out as in their
    programs), shifted and scaled so that the times of each unit fill [0, 1] in each class. So all
    units spike once in every sample, at times of the same range whatever the class, and only how
    they go together tells it. The smaller ``alpha`` and the larger ``dimension``, the rougher is a
    manifold and the harder to tell from others. The sum ends where ``k^-alpha`` is 1e-3, or at
    ``k = 1000``.

    Args:
        n_classes: number of manifolds, 2 or more.
        n_units: how many units spike.
        dimension: of the manifolds.
        alpha: smoothness.
        seed: of the manifolds (not of the points on them).

    Raises:
        ConfigError: one of them out of range.
    """

    n_classes: int = 10
    n_units: int = 20
    dimension: int = 1
    alpha: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        where = "Randman"
        checks.settle(
            self,
            n_classes=checks.whole(f"{where}.n_classes", self.n_classes, low=2),
            n_units=checks.whole(f"{where}.n_units", self.n_units, low=1),
            dimension=checks.whole(f"{where}.dimension", self.dimension, low=1),
            alpha=checks.number(f"{where}.alpha", self.alpha, low=0),
            seed=checks.whole(f"{where}.seed", self.seed, low=0),
        )

    @property
    def n_terms(self) -> int:
        """Where the sums end."""
        if self.alpha * np.log(MOST_TERMS) <= -np.log(PRECISION):
            return MOST_TERMS
        return int(np.ceil(PRECISION ** (-1 / self.alpha)))

    def times(self, which: int, x: Array) -> Array:
        """Spike times of points on a manifold, in [0, 1].

        Args:
            which: its class.
            x: ``(n, dimension)``, coordinates in [0, 1].

        Returns:
            ``(n, n_units)``.

        Raises:
            ConfigError: no such class.
        """
        which = checks.whole("Randman.times: which", which, low=0, high=self.n_classes - 1)
        drawn = np.random.default_rng((self.seed, which)).random(
            (self.n_units, self.dimension, 3, self.n_terms)
        )
        drawn[:, :, 0, 0] = 0.0
        found = np.empty((len(x), self.n_units))
        grid = np.linspace(0, 1, _POINTS)
        for i, factors in enumerate(drawn):
            values, low, high = np.ones(len(x)), 1.0, 1.0
            for x_d, factor in zip(x.T, factors, strict=True):
                values *= self._sum_of_sines(x_d, factor)
                ends = self._sum_of_sines(grid, factor)
                # Coordinates are independent: the range of a product is that of products of ends.
                corners = np.outer((low, high), (ends.min(), ends.max()))
                low, high = corners.min(), corners.max()
            found[:, i] = (values - low) / (high - low) if high > low else 0.5
        return np.clip(found, 0.0, 1.0)  # an extremum between two points of the grid

    def _sum_of_sines(self, x: Array, drawn: Array) -> Array:
        amplitudes, rates, phases = drawn
        total = np.zeros(len(x))
        for k in range(self.n_terms):  # one by one: a thousand terms of a long grid are large
            size = amplitudes[k] / (k + 1) ** self.alpha
            total += size * np.sin(2 * np.pi * (k * rates[k] * x + phases[k]))
        return total

    def draw(self, size: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
        """Points of all manifolds, drawn evenly of their coordinates, of all classes alike.

        Args:
            size: number of samples; of every class as many, or one more.
            seed: of the points and of their order.

        Returns:
            Spike times ``(size, n_units)`` in [0, 1], and labels ``(size,)``.

        Raises:
            ConfigError: ``size`` is not a positive integer, ``seed`` negative.
        """
        size = checks.whole("Randman.draw: size", size, low=1)
        seed = checks.whole("Randman.draw: seed", seed, low=0)
        random = np.random.default_rng(seed)
        labels = random.permutation(np.arange(size) % self.n_classes)
        coordinates = random.random((size, self.dimension))
        samples = np.empty((size, self.n_units))
        for which in range(self.n_classes):
            own = labels == which
            samples[own] = self.times(which, coordinates[own])
        return samples, labels


# Those that have a name. The seed of manifolds is fixed: they are one data set for everybody.
RANDMAN = {
    "randman": Randman(),
    "randman-four": Randman(n_classes=4),
    "randman-rough": Randman(alpha=1.5, dimension=2),
}
