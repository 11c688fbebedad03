"""Weights of a fixed shape, whose scale is still open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Inhibition, as a share of the excitation it is drawn against, where Dale's law holds.
DALE_BALANCE = 0.7


def drawn_weights(
    random: np.random.Generator, pre: int, post: int, spread: float, n_inhibitory: int
) -> NDArray[np.float64]:
    """Weights whose sum over the inputs is 1 on average."""
    if n_inhibitory == 0:
        return random.normal(1 / pre, spread / np.sqrt(pre), (pre, post))
    n_excitatory = pre - n_inhibitory
    weights = random.exponential(1.0, (pre, post))
    weights[:n_excitatory] /= n_excitatory
    weights[n_excitatory:] *= -DALE_BALANCE / n_inhibitory
    return weights / (1 - DALE_BALANCE)


def obey_dale(weights: NDArray[np.float64], n_inhibitory: int) -> None:
    """Give drawn magnitudes the signs of their neurons, in place, where Dale's law holds.

    Args:
        weights: ``(pre, post)``; left as they are where no neuron is inhibitory.
        n_inhibitory: the last rows.
    """
    if n_inhibitory:
        np.abs(weights, out=weights)
        weights[len(weights) - n_inhibitory :] *= -1
