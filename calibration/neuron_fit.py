"""What a neuron is, from its first spikes under known weights and inputs.

At every spike the membrane is at its threshold: with the distance d from leak to threshold,
``sum_i s w_i k(T - t_i) = d`` over the inputs before it, so that strengths are known in units of d
alone. The kernel k is symmetric in the two time constants, so that spikes know, to first order in
their difference, the mean of the membrane's and the synapse's alone, of each sign. Spikes that
graze the threshold are left out: noise decides whether there are any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hxloop.engine.psp import psp_after

Array = NDArray[np.float64]

# Logarithms, in this order.
PARAMETERS = ("strength_exc", "strength_inh", "time_exc", "time_inh")
# Membranes slower than this at their spike are grazing (in thresholds for tau_syn).
SLOWEST = 0.2
FEWEST = 25
MOST = 900
_FURTHEST = 1.5


@dataclass(frozen=True)
class Observed:
    """The spikes of one neuron: ``(spikes,)`` and, of its inputs, ``(spikes, pre)``.

    Attributes:
        since: how long before the spike each input came; <= 0: not before it.
        weights: of the inputs, in thresholds, as held in each run.
        run: which run each spike is from.
    """

    since: Array
    weights: Array
    run: NDArray[np.int64]

    def some(self, chosen: NDArray[np.bool_]) -> Observed:
        """Only these spikes."""
        return Observed(self.since[chosen], self.weights[chosen], self.run[chosen])


@dataclass(frozen=True)
class FittedNeuron:
    """A neuron as it was found.

    Attributes:
        log: logarithms of its parameters, relative to nominal, by ``PARAMETERS``.
        identified: which of them the spikes say anything of.
        residuals: membrane at each spike that was used, less its threshold.
        jacobian: ``(spikes, parameters)``, how it changes with ``log``; 0 for what is not
            identified.
        run: of each spike.
    """

    log: Array
    identified: NDArray[np.bool_]
    residuals: Array
    jacobian: Array
    run: NDArray[np.int64]

    @property
    def n_runs(self) -> int:
        """How many runs its spikes are from."""
        return len(np.unique(self.run))

    def scatter(self) -> tuple[Array, Array]:
        """How residuals scatter between the means of runs, and within runs.

        A fit follows the noise that it was made with, more so the fewer runs there are: residuals
        are ``M (Z b + e)`` with one ``b`` for each run, ``e`` for each spike, and ``M = 1 - H`` of
        the linear fit. The expectations of both sums of squares are then known multiples of the
        variances of b and e (Henderson's third method, Biometrics 9, 226, 1953).

        Returns:
            Both sums of squares, and ``(2, 2)`` of what they are expected to be, in variances of b
            and e: ``squares = expected @ variances``.
        """
        which, n = self._runs()
        number = len(n)
        hat = np.linalg.pinv(self.jacobian.T @ self.jacobian)
        sums = np.zeros((number, self.jacobian.shape[1]))
        np.add.at(sums, which, self.jacobian)
        means = sums / n[:, None]
        inside = self.jacobian - means[which]
        centre = np.eye(number) - 1.0 / number
        level = np.bincount(which, self.residuals, number) / n
        squares = [
            float(((level - level.mean()) ** 2).sum()),
            float(((self.residuals - level[which]) ** 2).sum()),
        ]
        kept = centre @ (np.eye(number) - means @ hat @ sums.T)
        spread = np.diag(1.0 / n) - means @ hat @ means.T
        within = inside.T @ inside
        expected = [
            [float((kept**2).sum()), float(np.trace(centre @ spread @ centre))],
            [
                float(np.trace(sums @ hat @ within @ hat @ sums.T)),
                float(len(which) - number - np.trace(hat @ within)),
            ],
        ]
        return np.array(squares), np.array(expected)

    def covariance(self, between: float, within: float) -> Array:
        """Of ``log``, where the noise has these variances from run to run and within runs."""
        which, n = self._runs()
        sums = np.zeros((len(n), self.jacobian.shape[1]))
        np.add.at(sums, which, self.jacobian)
        hat = np.linalg.pinv(self.jacobian.T @ self.jacobian)
        return np.asarray(within * hat + between * hat @ (sums.T @ sums) @ hat)

    def _runs(self) -> tuple[NDArray[np.int64], Array]:
        _, which, n = np.unique(self.run, return_inverse=True, return_counts=True)
        return which, n.astype(np.float64)


def membranes(log: Array, seen: Observed, nominal: tuple[float, float]) -> Array:
    """Membranes at the spikes, in thresholds, of a neuron with these parameters."""
    exc, inh, slow_exc, slow_inh = np.exp(log)
    late = np.maximum(seen.since, 0.0)
    positive = seen.weights > 0
    k_exc = exc * psp_after(late, nominal[0] * slow_exc, nominal[1] * slow_exc)
    k_inh = inh * psp_after(late, nominal[0] * slow_inh, nominal[1] * slow_inh)
    return np.asarray((seen.weights * np.where(positive, k_exc, k_inh)).sum(axis=1))


def fit_neuron(seen: Observed, nominal: tuple[float, float]) -> FittedNeuron | None:
    """Fit one neuron.

    Args:
        seen: its spikes; of more than 900 the first so many.
        nominal: membrane and synaptic time constant.

    Returns:
        None where there are too few spikes for it.
    """
    seen = seen.some(np.arange(len(seen.run)) < MOST)
    step = 1e-3
    later = Observed(seen.since + step * (seen.since > 0), seen.weights, seen.run)
    start = np.zeros(len(PARAMETERS))
    slope = (membranes(start, later, nominal) - membranes(start, seen, nominal)) / step
    seen = seen.some(slope > SLOWEST)
    if len(seen.run) < FEWEST:
        return None
    identified = np.ones(len(PARAMETERS), dtype=np.bool_)
    before = (seen.since > 0) & (seen.weights != 0)
    for sign, names in ((1, ("strength_exc", "time_exc")), (-1, ("strength_inh", "time_inh"))):
        if (before & (sign * seen.weights > 0)).any(axis=1).sum() < FEWEST:
            identified[[PARAMETERS.index(name) for name in names]] = False
    free = np.flatnonzero(identified)

    def residual(values: Array) -> Array:
        log = np.zeros(len(PARAMETERS))
        log[free] = values
        return membranes(log, seen, nominal) - 1.0

    bounds = (-_FURTHEST, _FURTHEST)
    found = least_squares(residual, np.zeros(len(free)), bounds=bounds)
    log = np.zeros(len(PARAMETERS))
    log[free] = found.x
    left = residual(found.x)
    jacobian = np.zeros((len(left), len(PARAMETERS)))
    jacobian[:, free] = found.jac
    return FittedNeuron(log, identified, left, jacobian, seen.run)
