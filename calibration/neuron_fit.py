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
        covariance: of them.
        identified: which of them the spikes say anything of.
        residuals: membrane at each spike that was used, less its threshold.
        slopes: of the membrane there.
        run: of each.
    """

    log: Array
    covariance: Array
    identified: NDArray[np.bool_]
    residuals: Array
    slopes: Array
    run: NDArray[np.int64]


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
    slope = slope[slope > SLOWEST]
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
    covariance = np.zeros((len(PARAMETERS), len(PARAMETERS)))
    covariance[np.ix_(free, free)] = _covariance(found.jac, left, seen.run)
    return FittedNeuron(log, covariance, identified, left, slope, seen.run)


def _covariance(jacobian: Array, left: Array, run: NDArray[np.int64]) -> Array:
    """Of the parameters; residuals of one run are not independent, a threshold is one for a run.

    By runs (the sandwich of cluster-robust errors) where there are several.
    """
    inverse = np.linalg.pinv(jacobian.T @ jacobian)
    numbers = np.unique(run)
    if len(numbers) < 3:
        return np.asarray(inverse * float(left @ left) / max(1, len(left) - len(inverse)))
    scores = np.stack([jacobian[run == each].T @ left[run == each] for each in numbers])
    n = len(numbers)
    return np.asarray(n / (n - 1) * inverse @ (scores.T @ scores) @ inverse)
