"""The ideal substrate, with something done to what goes in and comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hxloop import (
    Activity,
    NetworkSpec,
    SpikeData,
    get_backend,
    get_loss,
)

SPEC = NetworkSpec.feed_forward(3, 4, 2, t_window=6.0)


WEIGHTS = [np.full((3, 4), 1.5), np.full((4, 2), 1.5)]


TIMES = np.random.default_rng(0).uniform(0.5, 2.0, (10, 3))


DATA = SpikeData(TIMES, np.arange(10) % 2)


LOSS = get_loss("time-to-first-spike")


class Session:
    """The ideal substrate, with something done to what goes in and what comes out."""

    def __init__(self, before=None, after=None, **declared: Any) -> None:
        self._inner = get_backend("ideal").open(SPEC)
        self.network = SPEC
        self.capabilities = replace(self._inner.capabilities, **declared)
        self._before, self._after = before, after

    def run(self, weights, input_times, *, record=(), trial=None) -> Activity:
        if self._before:
            self._before(weights, input_times)
        activity = self._inner.run(weights, input_times, record=record, trial=trial)
        return self._after(activity) if self._after else activity

    def close(self) -> None:
        self._inner.close()

    def __enter__(self):
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
