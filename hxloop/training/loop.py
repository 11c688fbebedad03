"""The loop: forward on a substrate, gradient on the host."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hxloop import checks
from hxloop.activity import Activity
from hxloop.chip.placement import PlacedLayer, place_layers
from hxloop.engine import GradientCounts, NeuronParameters, recorded_spike_times
from hxloop.errors import CapacityError, NetworkError, RunFailed, RunTimeout
from hxloop.network import NeuronSpec
from hxloop.substrate import Session, check_stream
from hxloop.substrate.check_activity import check_activity
from hxloop.substrate.optional import circuits_of, network_of
from hxloop.substrate.physics import check_physics
from hxloop.substrate.time_limit import within


class LoopNetwork(nn.Module):
    """A network whose forward pass runs on a substrate and whose gradient is exact.

    ``forward`` runs the batch once on the session, then attaches the gradient of the nominal
    model to the recorded spike times, layer by layer, at the weights the substrate held.
    With a session of the ideal backend the same code trains purely in software.

    Args:
        session: an open session.
        weights: initial weights, one matrix ``(pre, post)`` for each layer, of any kind that
            ``hxloop.checks.real_array`` takes; copied.
        max_dw_norm: gradient cap, see ``recorded_spike_times``.
        retries: how often a run is repeated after a transient fault.
        twin: what the neurons of each layer are measured to be (``digital_twin``); the gradient
            is then that of this model instead of the nominal one.

        time_limit: seconds after which a run counts as hung; None: as the substrate says (its
            ``Capabilities.time_limit``), ``inf``: never.

    Raises:
        NetworkError: no open session, weights or a twin that do not fit the session's network.

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
        time_limit: float | None = None,
    ) -> None:
        super().__init__()
        network = network_of(session)
        if network is None:
            raise NetworkError(
                "LoopNetwork: session: expected an open session (get_backend(...).open(network)); "
                f"got {checks.shown(session)}"
            )
        where, shapes = "LoopNetwork: ", network.shapes
        try:
            matrices = checks.matrices(f"{where}weights", weights, shapes, error=NetworkError)
        except NetworkError as error:
            raise NetworkError(
                f"{error}. Network {network} has weights of shapes {shapes}"
            ) from error
        if max_dw_norm is not None:
            max_dw_norm = checks.number(f"{where}max_dw_norm", max_dw_norm, above=0, finite=False)
        if time_limit is not None:
            time_limit = checks.number(f"{where}time_limit", time_limit, above=0, finite=False)
        twin = None if twin is None else tuple(twin)
        if twin is not None and tuple(t.strength_exc.shape for t in twin) != shapes:
            raise NetworkError(
                f"LoopNetwork: twin: expected layers of shapes {shapes} for network "
                f"{session.network}; got {[t.strength_exc.shape for t in twin]}"
            )
        self.twin = twin
        self.session = session
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(matrix)) for matrix in matrices])
        self.max_dw_norm = max_dw_norm
        self.retries = checks.whole(f"{where}retries", retries, low=0)
        self.time_limit = time_limit
        self._hung: RunFailed | None = None
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
            input_times: ``(batch, n_inputs)``, model time, ``inf`` = no spike. A tensor that
                requires a gradient gets one, that of the times as delivered.
            trial: stream of trial noise, see ``Session.run``.

        Returns:
            Output spike times ``(batch, n_outputs)`` with gradient, and the whole activity.

        Raises:
            RunFailed: the substrate failed for good, or returned something impossible.
            RunInputError: input that does not fit the network.
        """
        asked = checks.spike_times(
            "input_times", input_times, shape=("batch", self.session.network.n_inputs)
        )
        activity = self._run(asked, check_stream("trial", trial))
        times = _following(activity.input_times, input_times)
        for index, recorded in enumerate(activity.first_spike_times):
            neuron, weights, used = self._model(index, activity.weights_used[index])
            times = recorded_spike_times(
                times,
                weights,
                torch.tensor(recorded),
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
        weights, held = self.weights[index], torch.tensor(used)
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
            session,
            self.weight_arrays(),
            max_dw_norm=self.max_dw_norm,
            retries=self.retries,
            time_limit=self.time_limit,
        )

    @torch.no_grad()
    def enforce_dale(self) -> int:
        """Set weights whose sign their neuron may not have to 0, see ``LayerSpec``.

        Weights that are not trained (``requires_grad_(False)``) are left as they are.

        Returns:
            How many weights were changed.
        """
        changed = 0
        for layer, weights in zip(
            self.session.network.layers[:-1], list(self.weights)[1:], strict=True
        ):
            if layer.n_inhibitory and weights.requires_grad:
                excitatory = weights[: layer.n_excitatory]
                inhibitory = weights[layer.n_excitatory :]
                changed += int((excitatory < 0).sum()) + int((inhibitory > 0).sum())
                excitatory.clamp_(min=0)
                inhibitory.clamp_(max=0)
        return changed

    @torch.no_grad()
    def clip_weights(self, limit: float | None) -> tuple[int, ...]:
        """Clip to the substrate's range; for each layer, how many weights lay beyond it.

        Weights that are not trained (``requires_grad_(False)``) are left as they are, and
        counted: the substrate clips them in every run.
        """
        if limit is None:
            return (0,) * len(self.weights)
        beyond = tuple(int((weights.abs() > limit).sum()) for weights in self.weights)
        for weights in self.weights:
            if weights.requires_grad:
                weights.clamp_(-limit, limit)
        return beyond

    def _run(self, input_times: NDArray[np.float64], trial: int | None) -> Activity:
        if self._hung is not None:
            raise RunFailed(f"this session is not used any more: {self._hung}")
        session = self.session
        # What a session is given it cannot write to: neither the weights in training, nor the
        # user's data.
        held = [matrix.detach().numpy(force=True) for matrix in self.weights]
        weights = [checks.read_only(matrix) for matrix in held]
        given = checks.read_only(input_times)
        capabilities = session.capabilities
        limit = capabilities.time_limit if self.time_limit is None else self.time_limit
        what = f"{type(session).__name__}: run of {len(given)} samples"
        for attempt in range(self.retries + 1):
            try:
                activity = within(
                    None if limit is None or math.isinf(limit) else limit,
                    what, session.run, weights, given, trial=trial,
                )  # fmt: skip
            except RunTimeout as error:
                self._hung = error
                raise
            except RunFailed as error:
                if not error.retryable or attempt == self.retries:
                    if error.retryable and self.retries:
                        error.add_note(f"gave up after {self.retries} retries")
                    raise
                continue
            check_activity(activity, session.network, input_times)
            activity = check_physics(activity, session.network, input_times, held, capabilities)
            info = replace(activity.info, retries=attempt)
            return replace(activity.apart_from((*held, input_times)), info=info)
        raise RunFailed("LoopNetwork: retries must be at least 0")


def _following(delivered: NDArray[np.float64], asked: ArrayLike) -> Tensor:
    """Delivered input times, with the gradient of those asked for where there is one."""
    times = torch.tensor(delivered)
    if not (isinstance(asked, Tensor) and asked.requires_grad and torch.is_grad_enabled()):
        return times
    source = asked.to(torch.float64).cpu()
    both = torch.isfinite(times) & torch.isfinite(source.detach())
    moved = torch.where(both, times - source.detach(), 0.0)
    return torch.where(both, source + moved, times)


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
    circuits = circuits_of(session)
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
