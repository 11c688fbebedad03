"""Neurons and random layers for the tests of the exact engine."""

from __future__ import annotations

import numpy as np
import torch

from hxloop.engine import NeuronParameters

RATIOS = {"r=1": (1.0, 1.0, 1.0), "r=2": (2.0, 1.0, 1.0), "r=1.7": (1.7, 1.0, 1.0),
          "r=0.5": (0.5, 1.0, 1.0), "r=1+1e-4": (1.0001, 1.0, 1.0)}  # fmt: skip


def parameters(post, tau_mem=1.0, tau_exc=1.0, tau_inh=1.0, threshold=1.0, leak=0.0):
    def full(value):
        return np.broadcast_to(np.asarray(value, float), (post,)).copy()

    return NeuronParameters(
        full(tau_mem), full(tau_exc), full(tau_inh), full(threshold), full(leak)
    )


def run(implementation, times, weights, neuron, window):
    times, weights = np.asarray(times, float), np.asarray(weights, float)
    return implementation(torch.tensor(times), torch.tensor(weights), neuron, window).numpy()


def random_case(rng, kind, batch=5, post=8):
    pre = int(rng.integers(1, 25))
    times = rng.uniform(0, 2, (batch, pre))
    times[rng.random(times.shape) < 0.1] = np.inf
    times[rng.random(times.shape) < 0.2] = 0.5  # simultaneous
    weights = rng.normal(0.4, 1.5, (pre, post)) * rng.choice([0.3, 1.0, 2.0])
    threshold = 1 + 0.2 * rng.normal(size=post)
    if kind == "chip":
        taus = np.exp(0.3 * rng.normal(size=(3, post)))
    else:
        taus = np.repeat(np.array(RATIOS[kind])[:, None], post, axis=1)
    return times, weights, parameters(post, *taus, threshold, 0.1 * rng.normal(size=post))
