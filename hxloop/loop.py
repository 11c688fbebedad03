"""The loop: forward on a substrate, gradient on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hxloop.activity import Activity
from hxloop.activity_check import check_activity
from hxloop.backend import Session
from hxloop.errors import NetworkError, RunFailed
from hxloop.ttfs import GradientCounts, recorded_spike_times


class LoopNetwork(nn.Module):
    """A network whose forward pass runs on a substrate and whose gradient is exact.

    ``forward`` runs the batch once on the session, then attaches the gradient of the nominal
    model to the recorded spike times, layer by layer, at the weights the substrate held.
    With a session of the ideal backend the same code trains purely in software.

    Args:
        session: an open session.
        weights: initial weights, one matrix ``(pre, post)`` for each layer; copied.
        max_dw_norm: gradient cap, see ``recorded_spike_times``.
        retries: how often a run is repeated after a transient fault.

    Raises:
        NetworkError: weights that do not fit the session's network.

    Attributes:
        weights: the trained parameters, float64.
        gradient_counts: what the backward passes met since its last reset.
    """

    def __init__(
        self,
        session: Session,
        weights: Sequence[ArrayLike],
        *,
        max_dw_norm: float | None = None,
        retries: int = 0,
    ) -> None:
        super().__init__()
        shapes = session.network.shapes
        got = tuple(np.shape(matrix) for matrix in weights)
        if got != shapes:
            raise NetworkError(
                f"LoopNetwork: network {session.network} has weights of shapes {shapes}; got {got}"
            )
        self.session = session
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.tensor(np.asarray(m, dtype=np.float64))) for m in weights]
        )
        self.max_dw_norm = max_dw_norm
        self.retries = retries
        self.gradient_counts = GradientCounts()

    def forward(self, input_times: ArrayLike, trial: int | None = None) -> tuple[Tensor, Activity]:
        """Run a batch.

        Args:
            input_times: ``(batch, n_inputs)``, model time, ``inf`` = no spike.
            trial: stream of trial noise, see ``Session.run``.

        Returns:
            Output spike times ``(batch, n_outputs)`` with gradient, and the whole activity.

        Raises:
            RunFailed: the substrate failed for good, or returned something impossible.
            RunInputError: input that does not fit the network.
        """
        activity = self._run(np.asarray(input_times), trial)
        times = torch.from_numpy(activity.input_times)
        for layer, weights, used, recorded in zip(
            self.session.network.layers,
            self.weights,
            activity.weights_used,
            activity.first_spike_times,
            strict=True,
        ):
            times = recorded_spike_times(
                times,
                weights,
                torch.from_numpy(recorded),
                layer.neuron,
                weights_used=torch.from_numpy(used),
                max_dw_norm=self.max_dw_norm,
                counts=self.gradient_counts,
            )
        return times, activity

    def weight_arrays(self) -> tuple[NDArray[np.float64], ...]:
        """Copies of the weights, one ``(pre, post)`` array for each layer."""
        return tuple(weights.detach().numpy(force=True).copy() for weights in self.weights)

    def with_session(self, session: Session) -> LoopNetwork:
        """The same weights on another substrate (copied).

        Raises:
            NetworkError: the other session was opened with a network of another shape.
        """
        return LoopNetwork(
            session, self.weight_arrays(), max_dw_norm=self.max_dw_norm, retries=self.retries
        )

    @torch.no_grad()
    def enforce_dale(self) -> None:
        """Set weights whose sign their neuron may not have to 0, see ``LayerSpec``."""
        for layer, weights in zip(
            self.session.network.layers[:-1], list(self.weights)[1:], strict=True
        ):
            if layer.n_inhibitory:
                weights[: layer.n_excitatory].clamp_(min=0)
                weights[layer.n_excitatory :].clamp_(max=0)

    @torch.no_grad()
    def clip_weights(self, limit: float | None) -> tuple[int, ...]:
        """Clip to the substrate's range; for each layer, how many weights lay beyond it."""
        if limit is None:
            return (0,) * len(self.weights)
        beyond = tuple(int((weights.abs() > limit).sum()) for weights in self.weights)
        for weights in self.weights:
            weights.clamp_(-limit, limit)
        return beyond

    def _run(self, input_times: NDArray[np.float64], trial: int | None) -> Activity:
        # Sessions copy what they keep.
        weights = [matrix.detach().numpy(force=True) for matrix in self.weights]
        for attempt in range(self.retries + 1):
            try:
                activity = self.session.run(weights, input_times, trial=trial)
            except RunFailed as error:
                if not error.retryable or attempt == self.retries:
                    if error.retryable and self.retries:
                        error.add_note(f"gave up after {self.retries} retries")
                    raise
                continue
            check_activity(activity, self.session.network, input_times)
            return replace(activity, info=replace(activity.info, retries=attempt))
        raise RunFailed("LoopNetwork: retries must be at least 0")
