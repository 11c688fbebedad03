"""The link between host and chip: events leave one after another, and some are lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.model import TrialNoise

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Crossed:
    """Events on the other side of the link.

    Attributes:
        times: of each group ``(batch, n)``, ``inf`` where none came.
        lost: how many did not come.
    """

    times: list[Array]
    lost: int


def cross(groups: Sequence[Array], noise: TrialNoise, direction: int) -> Crossed:
    """Send events over the link, sample by sample.

    An event that comes while the link is busy waits: with the least interval d between two, the
    k-th leaves at max(t_k, s_(k-1) + d). What is lost has taken its turn.

    Args:
        groups: event times ``(batch, n)`` each, ``inf`` = none.
        noise: of the run, with the interval and the losses.
        direction: 0: to the chip, 1: from it.
    """
    interval = noise.imperfections.event_interval
    if interval == 0 and noise.imperfections.link_loss == 0:
        return Crossed(list(groups), 0)
    all_times = np.concatenate(groups, axis=1)
    if interval > 0:
        order = np.argsort(all_times, axis=1, kind="stable")
        turns = interval * np.arange(all_times.shape[1])
        queued = np.maximum.accumulate(np.take_along_axis(all_times, order, 1) - turns, axis=1)
        waited = np.empty_like(all_times)
        np.put_along_axis(waited, order, queued + turns, 1)
        all_times = waited
    losses = noise.of_link(direction, all_times.shape)
    lost = 0
    if losses is not None:
        lost = int((losses & np.isfinite(all_times)).sum())
        all_times = np.where(losses, np.inf, all_times)
    ends = np.cumsum([group.shape[1] for group in groups])[:-1]
    return Crossed(np.split(all_times, ends, axis=1), lost)
