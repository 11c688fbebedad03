"""The loop: forward on a substrate, gradient on the host."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hxloop import checks
from hxloop.activity import Activity, Spikes
from hxloop.chip.placement import PlacedLayer
from hxloop.engine import GradientCounts, NeuronParameters, recorded_spike_times
from hxloop.errors import NetworkError, RunFailed, RunTimeout
from hxloop.network import NeuronSpec, Parameters
from hxloop.substrate import Session, check_stream
from hxloop.substrate.check_activity import check_activity
from hxloop.substrate.check_trains import check_trains
from hxloop.substrate.optional import network_of
from hxloop.substrate.physics import check_physics
from hxloop.substrate.time_limit import within
from hxloop.training.trains import SpikeTrain, following, recorded_spike_trains, with_delays
from hxloop.training.twin import checked_twin


class LoopNetwork(nn.Module):
    """A network whose forward pass runs on a substrate and whose gradient is exact.

    ``forward`` runs the batch once on the session, then attaches the gradient of the nominal
    model to the recorded spike times, layer by layer, at the weights the substrate held.
    With a session of the ideal backend the same code trains purely in software.

    Args:
        session: an open session.
        weights: initial weights, one matrix ``(pre, post)`` for each projection, of any kind that
            ``hxloop.checks.real_array`` takes, or ``Parameters`` where there are delays; copied.
        max_dw_norm: gradient cap, see ``recorded_spike_times``.
        retries: how often a run is repeated after a transient fault.
        twin: what the neurons of each layer are measured to be (``digital_twin``); the gradient
            is then that of this model instead of the nominal one.
        time_limit: seconds after which a run counts as hung; None: as the substrate says (its
            ``Capabilities.time_limit``), ``inf``: never.

    Raises:
        NetworkError: no open session, weights or a twin that do not fit the session's network.

    Attributes:
        weights: the trained weights, float64.
        delays: the trained delays, float64, of the projections that have any.
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
        where = "LoopNetwork: "
        try:
            given = Parameters.of(network, weights, where=where, error=NetworkError)
        except NetworkError as error:
            shapes = f"Network {network} has weights of shapes {network.shapes}"
            raise NetworkError(f"{error}. {shapes}") from error
        if max_dw_norm is not None:
            max_dw_norm = checks.number(f"{where}max_dw_norm", max_dw_norm, above=0, finite=False)
        if time_limit is not None:
            time_limit = checks.number(f"{where}time_limit", time_limit, above=0, finite=False)
        self.twin = None if twin is None else checked_twin(f"{where}twin", twin, network)
        self.session = session
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(matrix)) for matrix in given])
        self.delays = nn.ParameterList(
            [nn.Parameter(torch.tensor(each)) for each in given.delays if each is not None]
        )
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
            First spike times of the output ``(batch, n_outputs)`` with gradient, and the whole
            activity.

        Raises:
            RunFailed: the substrate failed for good, or returned something impossible.
            RunInputError: input that does not fit the network.
        """
        network = self.session.network
        if network.features or isinstance(input_times, Spikes):
            trains, activity = self.trains(input_times, trial)
            return trains[network.output_index].first, activity
        asked = checks.spike_times("input_times", input_times, shape=("batch", network.n_inputs))
        activity = self._run(asked, check_stream("trial", trial))
        times = following(activity.input_times, input_times)
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

    def trains(
        self, inputs: ArrayLike | Spikes, trial: int | None = None
    ) -> tuple[tuple[SpikeTrain, ...], Activity]:
        """Run a batch of any network; all spikes.

        Args:
            inputs: as for ``forward``, or ``Spikes`` with any number of spikes of a channel.
            trial: stream of trial noise, see ``Session.run``.

        Returns:
            The spikes of each population with gradient, and the whole activity.

        Raises:
            RunFailed: the substrate failed for good, or returned something impossible.
            RunInputError: input that does not fit the network.
        """
        network = self.session.network
        plain = inputs.detach() if isinstance(inputs, Tensor) else inputs
        asked = Spikes.of(plain, network.n_inputs, where="input_times")
        activity = self._run(asked, check_stream("trial", trial))
        wanted = isinstance(inputs, Tensor) and inputs.requires_grad and torch.is_grad_enabled()
        trains = recorded_spike_trains(
            network,
            activity,
            list(self.weights),
            list(self.delays),
            input_times=following(activity.input_times, inputs) if wanted else None,
            max_dw_norm=self.max_dw_norm,
            counts=self.gradient_counts,
        )
        return trains, activity

    def parameters_held(self) -> Parameters:
        """The weights and delays, to look at only: views of what is trained."""
        arrays = [each.detach().numpy(force=True) for each in (*self.weights, *self.delays)]
        n = len(self.weights)
        return with_delays(self.session.network, arrays[:n], arrays[n:]).read_only()

    @torch.no_grad()
    def hold(self, parameters: Sequence[ArrayLike]) -> None:
        """Take weights and delays, copied, in the place of its own.

        Args:
            parameters: as ``parameters_held`` gives them, or weights alone without delays.

        Raises:
            NetworkError: they do not fit the network.
        """
        where, network = "LoopNetwork.hold: ", self.session.network
        given = Parameters.of(network, parameters, where=where, error=NetworkError)
        for own, array in zip((*self.weights, *self.delays), given.named().values(), strict=True):
            own.copy_(torch.tensor(array))

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
            self.parameters_held().copy(),
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
        changed, network = 0, self.session.network
        for (pre, _), weights in zip(network.ends, self.weights, strict=True):
            if pre < 0:
                continue
            layer = network.layers[pre]
            if layer.n_inhibitory and weights.requires_grad:
                excitatory = weights[: layer.n_excitatory]
                inhibitory = weights[layer.n_excitatory :]
                changed += int((excitatory < 0).sum()) + int((inhibitory > 0).sum())
                excitatory.clamp_(min=0)
                inhibitory.clamp_(max=0)
        return changed

    @torch.no_grad()
    def enforce_delays(self) -> int:
        """Set delays below the ``min_delay`` of their projection to it; how many were changed."""
        delayed = [each for each in self.session.network.all_projections if each.delays]
        changed = 0
        for projection, delays in zip(delayed, self.delays, strict=True):
            changed += int((delays < projection.min_delay).sum())
            delays.clamp_(min=projection.min_delay)
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

    def _run(self, inputs: NDArray[np.float64] | Spikes, trial: int | None) -> Activity:
        if self._hung is not None:
            raise RunFailed(f"this session is not used any more: {self._hung}")
        session, network = self.session, self.session.network
        # What a session is given it cannot write to: neither the weights in training, nor the
        # user's data.
        held = self.parameters_held()
        weights = held if self.delays else list(held)
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
                return replace(activity, info=replace(activity.info, retries=attempt))
            check_activity(activity, network, inputs)
            activity = check_physics(activity, network, inputs, held.weights, capabilities)
            info = replace(activity.info, retries=attempt)
            return replace(activity.apart_from((*held, inputs)), info=info)
        raise RunFailed("LoopNetwork: retries must be at least 0")
