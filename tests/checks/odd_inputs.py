"""Forms in which other libraries give numbers and arrays, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hxloop import (
    LoopNetwork,
    NetworkSpec,
    get_backend,
    get_loss,
)

SPEC = NetworkSpec.feed_forward(3, 2, t_window=6.0)


X = np.array([[0.1, 0.5, 1.0], [0.9, 0.2, np.inf], [1.5, 0.3, 0.2], [0.4, 0.4, 0.4]])


Y = np.array([0, 1, 1, 0])


W = np.array([[2.0, 1.0], [0.5, 1.5], [1.0, 1.0]])


LOSS = get_loss("time-to-first-spike")


def network(**options: Any) -> LoopNetwork:
    return LoopNetwork(get_backend("ideal").open(SPEC), [W], **options)


def output(weights: Any = (W,), inputs: Any = X) -> np.ndarray:
    with torch.no_grad():
        net = LoopNetwork(get_backend("ideal").open(SPEC), weights)
        return net(inputs)[0].numpy()
