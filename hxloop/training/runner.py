"""Running batches on a session: retries, a limit of time, and checks of what comes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity, Spikes
from hxloop.errors import RunFailed, RunTimeout
from hxloop.network import Parameters
from hxloop.substrate import Session
from hxloop.substrate.check_activity import check_activity
from hxloop.substrate.check_trains import check_trains
from hxloop.substrate.physics import check_physics
from hxloop.substrate.time_limit import within


class Runner:
    """Runs batches.

    Args:
        retries: how often a run is repeated after a transient fault.
        time_limit: seconds after which a run counts as hung; None: as the substrate says,
            ``inf``: never.
    """

    def __init__(self, retries: int, time_limit: float | None) -> None:
        self.retries, self.time_limit = retries, time_limit
        self._hung: RunFailed | None = None

    def run(
        self,
        session: Session,
        inputs: NDArray[np.float64] | Spikes,
        held: Parameters,
        trial: int | None,
    ) -> Activity:
        """Run a batch.

        Args:
            session: an open one.
            inputs: ``(batch, n_inputs)`` of inputs that spike once, or all spikes.
            held: weights, delays and neurons, to look at only.
            trial: stream of trial noise, see ``Session.run``.

        Raises:
            RunFailed: the substrate failed for good, returned something impossible, or hung.
        """
        if self._hung is not None:
            raise RunFailed(f"this session is not used any more: {self._hung}")
        network = session.network
        # What a session is given it cannot write to: neither the weights in training, nor the
        # user's data.
        plain = all(each is None for each in held.delays) and not held.neurons
        weights = list(held) if plain else held
        given = inputs.read_only() if isinstance(inputs, Spikes) else checks.read_only(inputs)
        capabilities = session.capabilities
        limit = capabilities.time_limit if self.time_limit is None else self.time_limit
        what = f"{type(session).__name__}: run of {len(given)} samples"
        for attempt in range(self.retries + 1):
            try:
                activity: Activity = within(limit, what, session.run, weights, given, trial=trial)
            except RunTimeout as error:
                self._hung = error
                raise
            except RunFailed as error:
                if not error.retryable or attempt == self.retries:
                    if error.retryable and self.retries:
                        error.add_note(f"gave up after {self.retries} retries")
                    raise
                continue
            if isinstance(inputs, Spikes):
                check_trains(activity, network, inputs, held, capabilities)
                info = replace(activity.info, retries=attempt)
                return replace(activity, info=info, output_index=network.output_index)
            check_activity(activity, network, inputs)
            activity = check_physics(activity, network, inputs, held.weights, capabilities)
            info = replace(activity.info, retries=attempt)
            return replace(activity.apart_from((*held, inputs)), info=info)
        raise RunFailed("LoopNetwork: retries must be at least 0")


class RunsBatches:
    """What has a ``Runner``, and its limits as attributes of its own."""

    _runner: Runner

    @property
    def retries(self) -> int:
        """How often a run is repeated after a transient fault."""
        return self._runner.retries

    @retries.setter
    def retries(self, retries: int) -> None:
        """Set it."""
        self._runner.retries = retries

    @property
    def time_limit(self) -> float | None:
        """Seconds after which a run counts as hung; None: as the substrate says."""
        return self._runner.time_limit

    @time_limit.setter
    def time_limit(self, time_limit: float | None) -> None:
        """Set it."""
        self._runner.time_limit = time_limit
