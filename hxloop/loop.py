"""The loop: forward on a substrate, gradient on the host."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hxloop.activity import Activity
from hxloop.activity_check import check_activity
from hxloop.backend import Session
from hxloop.errors import CapacityError, NetworkError, RunFailed
from hxloop.network import NeuronSpec
from hxloop.placement import PlacedLayer, place_layers
from hxloop.ttfs import GradientCounts, NeuronParameters, recorded_spike_times


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
        twin: what the neurons of each layer are measured to be (``digital_twin``); the gradient
            is then that of this model instead of the nominal one.

    Raises:
        NetworkError: weights or a twin that do not fit the session's network.

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
        twin: Sequence[PlacedLayer] | None = None,
    ) -> None:
        super().__init__()
        shapes = session.network.shapes
        got = tuple(np.shape(matrix) for matrix in weights)
        if got != shapes:
            raise NetworkError(
                f"LoopNetwork: network {session.network} has weights of shapes {shapes}; got {got}"
            )
        if twin is not None and tuple(t.strength_exc.shape for t in twin) != shapes:
            raise NetworkError(
                f"LoopNetwork: twin: expected layers of shapes {shapes} for network "
                f"{session.network}; got {[t.strength_exc.shape for t in twin]}"
            )
        self.twin = None if twin is None else tuple(twin)
        self.session = session
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.tensor(np.asarray(m, dtype=np.float64))) for m in weights]
        )
        self.max_dw_norm = max_dw_norm
        self.retries = retries
        self.gradient_counts = GradientCounts()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with weights of its own on the same session: there is one substrate."""
        memo[id(self.session)] = self.session
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

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
        for index, recorded in enumerate(activity.first_spike_times):
            neuron, weights, used = self._model(index, activity.weights_used[index])
            times = recorded_spike_times(
                times,
                weights,
                torch.from_numpy(recorded),
                neuron,
                weights_used=used,
                max_dw_norm=self.max_dw_norm,
                counts=self.gradient_counts,
            )
        return times, activity

    def _model(
        self, index: int, used: NDArray[np.float64]
    ) -> tuple[NeuronSpec | NeuronParameters, Tensor, Tensor]:
        """Neurons of a layer, its trained weights and those in use, as the gradient has them."""
        weights, held = self.weights[index], torch.from_numpy(used)
        if self.twin is None:
            return self.session.network.layers[index].neuron, weights, held
        felt = torch.from_numpy(self.twin[index].strengths(used))
        return self.twin[index].parameters, weights * felt, held * felt

    def weight_arrays(self) -> tuple[NDArray[np.float64], ...]:
        """Copies of the weights, one ``(pre, post)`` array for each layer."""
        return tuple(weights.detach().numpy(force=True).copy() for weights in self.weights)

    def with_session(self, session: Session) -> LoopNetwork:
        """The same weights on another substrate (copied), without a twin.

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


def digital_twin(
    session: Session, pattern: Mapping[str, NDArray[np.float64]]
) -> tuple[PlacedLayer, ...]:
    """A network's neurons as they are measured to be, for ``LoopNetwork(twin=...)``.

    Args:
        session: open; it says on which circuits the network is placed.
        pattern: of the whole chip, as ``CalibrationResult.pattern`` gives it. NaN, what could
            not be measured of a circuit, is taken as nominal.

    Raises:
        CapacityError: a session that does not tell its placement.
    """
    circuits = getattr(session, "circuits", None)
    if circuits is None:
        raise CapacityError(
            f"digital_twin: {type(session).__name__} does not say on which circuits its neurons "
            "are; expected a session of a chip that can be calibrated"
        )
    known = {
        name: np.where(np.isfinite(values), values, 0.0 if name.startswith("v_") else 1.0)
        for name, values in pattern.items()
    }
    return place_layers(session.network, circuits, known)
